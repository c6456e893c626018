package decode_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/kinesis-go/kcl/internal/decode"
)

// bodyOf is a GetRecords answer of n records of size bytes, as the service writes them.
func bodyOf(f decode.Format, n, size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, size)
	var b []byte
	if f == decode.CBOR {
		b = append(b, 0xbf) // the service's encoder does not count
		b = appendText(appendText(b, "NextShardIterator"), "AAAAAAAAAAF0")
		b = append(appendText(b, "MillisBehindLatest"), 0x19, 0x03, 0xe8)
		b = append(appendText(b, "Records"), 0x9f)
	} else {
		b = append(b, `{"NextShardIterator":"AAAAAAAAAAF0","MillisBehindLatest":1000,"Records":[`...)
	}
	for i := range n {
		for j := range data {
			data[j] = byte(rnd.Uint32())
		}
		key, number := fmt.Sprintf("key-%06d", i), fmt.Sprintf("4959033827149025660855969253836157109592157598913%07d", i)
		milli := int64(1_700_000_000_000 + i)
		if f == decode.CBOR {
			b = append(b, 0xbf)
			b = append(appendText(b, "ApproximateArrivalTimestamp"), 0xc1)
			b = appendHead(b, 0, uint64(milli))
			b = append(appendHead(appendText(b, "Data"), 2, uint64(size)), data...)
			b = appendText(appendText(b, "PartitionKey"), key)
			b = append(appendText(appendText(b, "SequenceNumber"), number), 0xff)
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"ApproximateArrivalTimestamp":`...)
		b = strconv.AppendFloat(b, float64(milli)/1000, 'f', 3, 64)
		b = base64.StdEncoding.AppendEncode(append(b, `,"Data":"`...), data)
		b = fmt.Appendf(b, `","PartitionKey":"%s","SequenceNumber":"%s"}`, key, number)
	}
	if f == decode.CBOR {
		return append(b, 0xff, 0xff)
	}
	return append(b, `]}`...)
}

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 1<<8:
		return append(b, major<<5|24, byte(n))
	case n < 1<<32:
		return append(b, major<<5|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b = append(b, major<<5|27)
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

func appendText(b []byte, s string) []byte { return append(appendHead(b, 3, uint64(len(s))), s...) }
