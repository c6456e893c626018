package kinesis

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net"
	"sort"
	"unicode/utf8"

	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// A log holds the records of one shard in the JSON form in which GetRecords answers them, each followed by a comma, one
// behind the other in large chunks. Reading JSON is then a matter of naming byte ranges: nothing is encoded and, up to
// the socket, nothing is copied. Bytes that were written never change, and neither do the entries that describe them,
// so ranges stay valid after the shard's lock was given back.
type log struct {
	entries []entry
	base    uint64 // index of entries[0]; the first record of a shard has 1
	open    *chunk
	used    uint32 // bytes used of the open chunk
}

// chunk is a stretch of memory that is never moved.
type chunk struct{ bytes []byte }

// entry describes one record: where its JSON is, and where its data and key are inside.
type entry struct {
	chunk    *chunk
	arrived  int64  // milliseconds since the epoch; never falls within a shard
	from, to uint32 // in the chunk, the comma behind it included
	dataLen  uint32 // bytes of data, before base64
	size     uint32 // data and partition key, the measure of every limit
	dataAt   uint16 // start of the base64 text, from from
	keyLen   uint16 // the key as a JSON string, without its quotes
	kms      bool
}

const (
	smallestChunk = 4 << 10
	largestChunk  = 1 << 20

	jsonSequence = `{"SequenceNumber":"`
	jsonArrived  = `","ApproximateArrivalTimestamp":`
	jsonData     = `,"Data":"`
	jsonKey      = `","PartitionKey":"`
	jsonKMS      = `","EncryptionType":"KMS`
	jsonEnd      = `"},`

	fixedJSON     = len(jsonSequence) + len(jsonArrived) + len(jsonData) + len(jsonKey) + len(jsonKMS) + len(jsonEnd) + 56 + 20
	longestEscape = len(`\u0000`)
)

// record is one record to be put. Its data is canonical base64 text, or, if that is nil, bytes.
type record struct {
	base64  []byte
	raw     []byte
	dataLen int
	key     []byte
}

func (r record) size() int { return r.dataLen + len(r.key) }

// next is the index that the next record gets.
func (l *log) next() uint64 { return l.base + uint64(len(l.entries)) }

// append adds a record under the given sequence number.
func (l *log) append(r record, seq sequence, arrived int64, kms bool) {
	limit := fixedJSON + base64.StdEncoding.EncodedLen(r.dataLen) + len(r.key)*longestEscape
	if l.open == nil || int(l.used)+limit > len(l.open.bytes) {
		l.grow(limit)
	}
	e := entry{chunk: l.open, arrived: arrived, from: l.used, dataLen: uint32(r.dataLen), size: uint32(r.size()), kms: kms}
	b := l.open.bytes[l.used:l.used]
	b = append(b, jsonSequence...)
	b = seq.append(b)
	b = append(b, jsonArrived...)
	b = awswire.AppendSeconds(b, arrived)
	b = append(b, jsonData...)
	e.dataAt = uint16(len(b))
	if r.base64 != nil {
		b = append(b, r.base64...)
	} else {
		b = base64.StdEncoding.AppendEncode(b, r.raw)
	}
	b = append(b, jsonKey...)
	keyFrom := len(b)
	b = appendEscaped(b, r.key)
	e.keyLen = uint16(len(b) - keyFrom)
	if kms {
		b = append(b, jsonKMS...)
	}
	b = append(b, jsonEnd...)
	l.used += uint32(len(b))
	e.to = l.used
	l.entries = append(l.entries, e)
}

// grow opens a chunk with room for n bytes. Chunks double, so that a shard with little data stays small.
func (l *log) grow(n int) {
	size := smallestChunk
	if l.open != nil {
		size = min(2*len(l.open.bytes), largestChunk)
	}
	l.open, l.used = &chunk{make([]byte, max(size, n))}, 0
}

// trim forgets the records that arrived before the horizon. Entries move to new memory, never within the old, because
// readers may still hold a part of it.
func (l *log) trim(horizon int64) {
	n := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].arrived >= horizon })
	if n == 0 {
		return
	}
	l.base += uint64(n)
	if rest := l.entries[n:]; n > len(rest) {
		l.entries = append([]entry(nil), rest...)
	} else {
		l.entries = rest
	}
}

// from returns the entries from index on, and the index of the first of them.
func (l *log) from(index uint64) ([]entry, uint64) {
	index = max(index, l.base)
	if index >= l.next() {
		return nil, index
	}
	return l.entries[index-l.base:], index
}

// firstSince returns the index of the first record that arrived at or after milli.
func (l *log) firstSince(milli int64) uint64 {
	n := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].arrived >= milli })
	return l.base + uint64(n)
}

// cut returns the longest head of entries within the limits, but at least one entry, and its size.
func cut(entries []entry, records int, bytes int64) ([]entry, int64) {
	var sum int64
	for i, e := range entries {
		if i > 0 && (i == records || sum+int64(e.size) > bytes) {
			return entries[:i], sum
		}
		sum += int64(e.size)
	}
	return entries, sum
}

// jsonOf returns the JSON of the entries as byte ranges, separated by commas, without a comma at the end.
func jsonOf(entries []entry, parts net.Buffers) net.Buffers {
	for i := 0; i < len(entries); {
		first, to := entries[i], entries[i].to
		for i++; i < len(entries) && entries[i].chunk == first.chunk && entries[i].from == to; i++ {
			to = entries[i].to
		}
		if i == len(entries) {
			to--
		}
		parts = append(parts, first.chunk.bytes[first.from:to])
	}
	return parts
}

// data returns the base64 text of the record's data.
func (e entry) data() []byte {
	from := e.from + uint32(e.dataAt)
	return e.chunk.bytes[from : from+uint32(base64.StdEncoding.EncodedLen(int(e.dataLen)))]
}

// key returns the partition key.
func (e entry) key() []byte {
	from := e.from + uint32(e.dataAt) + uint32(base64.StdEncoding.EncodedLen(int(e.dataLen))+len(jsonKey))
	quoted := e.chunk.bytes[from-1 : from+uint32(e.keyLen)+1]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var key string
	if err := json.Unmarshal(quoted, &key); err != nil {
		panic("kinesis: a stored key is not a JSON string: " + string(quoted))
	}
	return []byte(key)
}

// sequenceNumber returns the record's sequence number.
func (e entry) sequenceNumber() []byte {
	from := e.from + uint32(len(jsonSequence))
	to := e.from + uint32(e.dataAt) - uint32(len(jsonData))
	text := e.chunk.bytes[from:to]
	return text[:bytes.IndexByte(text, '"')]
}

// appendCBOR appends the record as CBOR.
func (e entry) appendCBOR(b []byte) []byte {
	members := 4
	if e.kms {
		members++
	}
	b = awswire.AppendCBORMap(b, members)
	b = awswire.AppendCBORText(b, "SequenceNumber")
	b = awswire.AppendCBORText(b, e.sequenceNumber())
	b = awswire.AppendCBORText(b, "ApproximateArrivalTimestamp")
	b = awswire.AppendCBORTime(b, e.arrived)
	b = awswire.AppendCBORText(b, "Data")
	b = awswire.AppendCBORBytes(b, int(e.dataLen))
	b, err := base64.StdEncoding.AppendDecode(b, e.data())
	if err != nil {
		panic("kinesis: stored data is not base64: " + err.Error())
	}
	b = awswire.AppendCBORText(b, "PartitionKey")
	b = awswire.AppendCBORText(b, e.key())
	if e.kms {
		b = awswire.AppendCBORText(b, "EncryptionType")
		b = awswire.AppendCBORText(b, "KMS")
	}
	return b
}

// appendEscaped appends text as the inside of a JSON string. Bytes that are no UTF-8 become U+FFFD, as JSON demands.
func appendEscaped(b, text []byte) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRune(text[i:])
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return b
}
