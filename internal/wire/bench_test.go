package wire_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// batchOf returns about 2 MiB of records of one size, as Kinesis would deliver them.
func batchOf(size int) *stream.Batch {
	count := min(10_000, 2<<20/size)
	b := &stream.Batch{Behind: 340 * time.Millisecond}
	for i := range count {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(i*31 + j*7)
		}
		b.Records = append(b.Records, stream.Record{
			Data:         data,
			PartitionKey: fmt.Sprintf("sensor-%d", i%997),
			Position:     stream.Position{Sequence: stream.SequenceNumber(fmt.Sprintf("4965%052d", i))},
			Arrived:      time.UnixMilli(1_760_000_000_000 + int64(i)).UTC(),
		})
	}
	return b
}

var sizes = []struct {
	name  string
	bytes int
}{{"100B", 100}, {"1KiB", 1 << 10}, {"100KiB", 100 << 10}}

func report(b *testing.B, batch *stream.Batch, size int) {
	b.ReportAllocs()
	n := len(batch.Records)
	b.SetBytes(int64(n * size))
	b.Cleanup(func() {
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkDecode reads one batch of processRecords, MB/s of payload: by this package, and by a plain encoding/json loop that
// decodes the base64 as well.
func BenchmarkDecode(b *testing.B) {
	for _, size := range sizes {
		batch := batchOf(size.bytes)
		line := wire.AppendProcessRecords(nil, batch)
		line = line[:len(line)-1]
		b.Run(size.name+"/wire", func(b *testing.B) {
			report(b, batch, size.bytes)
			var m wire.Message
			for b.Loop() {
				if err := wire.DecodeForChild(line, &m); err != nil || len(m.Batch.Records) != len(batch.Records) {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"/json", func(b *testing.B) {
			report(b, batch, size.bytes)
			for b.Loop() {
				var m jsonMessage
				if err := json.Unmarshal(line, &m); err != nil || len(m.Records) != len(batch.Records) {
					b.Fatal(err)
				}
			}
		})
	}
}

// jsonMessage is what a plain program would declare.
type jsonMessage struct {
	Action  string `json:"action"`
	Records []struct {
		Data           []byte `json:"data"`
		PartitionKey   string `json:"partitionKey"`
		SequenceNumber string `json:"sequenceNumber"`
		Sub            int64  `json:"subSequenceNumber"`
		Arrived        *int64 `json:"approximateArrivalTimestamp"`
	} `json:"records"`
	Behind *int64 `json:"millisBehindLatest"`
}

// BenchmarkEncode writes one batch of processRecords into a buffer that is used again.
func BenchmarkEncode(b *testing.B) {
	for _, size := range sizes {
		batch := batchOf(size.bytes)
		b.Run(size.name, func(b *testing.B) {
			report(b, batch, size.bytes)
			var line []byte
			for b.Loop() {
				line = wire.AppendProcessRecords(line[:0], batch)
			}
		})
	}
}

// BenchmarkBase64 is the bound that the decoding of base64 alone sets.
func BenchmarkBase64(b *testing.B) {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 100<<10)))
	dst := make([]byte, 100<<10+2)
	b.SetBytes(100 << 10)
	for b.Loop() {
		if _, err := base64.StdEncoding.Decode(dst, []byte(text)); err != nil {
			b.Fatal(err)
		}
	}
}
