package kinesis

import (
	"encoding/base64"
	"net"
	"sort"
	"unicode/utf8"

	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// A log holds the records of one shard in the CBOR form in which GetRecords answers them, one behind the other in large
// chunks. Reading CBOR is then a matter of naming byte ranges: nothing is encoded and, up to the socket, nothing is copied.
// JSON is made of it for each reader. Bytes that were written never change, and neither do the entries that describe them,
// so ranges stay valid after the shard's lock was given back.
type log struct {
	entries []entry
	base    uint64 // index of entries[0]; the first record of a shard has 1
	open    *chunk
	used    uint32 // bytes used of the open chunk
}

// chunk is a stretch of memory that is never moved.
type chunk struct{ bytes []byte }

// entry describes one record: where its CBOR is, and where its parts are inside.
type entry struct {
	chunk    *chunk
	arrived  int64  // milliseconds since the epoch; never falls within a shard
	from, to uint32 // in the chunk
	dataLen  uint32
	size     uint32 // data and partition key, the measure of every limit
	dataAt   uint16 // from from
	keyLen   uint16
	keyGap   uint8 // bytes between data and key
	seqLen   uint8
	kms      bool
	plain    bool // the key is a JSON string as it is
}

const (
	smallestChunk = 4 << 10
	largestChunk  = 1 << 20

	cborSequence = "\x6eSequenceNumber"
	cborArrived  = "\x78\x1bApproximateArrivalTimestamp\xc1"
	cborData     = "\x64Data"
	cborKey      = "\x6cPartitionKey"
	cborKMS      = "\x6eEncryptionType\x63KMS"

	// sequenceAt is where the digits are: behind the map's head, the name and the head of a text of 24 to 255 bytes.
	sequenceAt = 1 + len(cborSequence) + 2
	fixedCBOR  = sequenceAt + 56 + len(cborArrived) + 9 + len(cborData) + 5 + len(cborKey) + 3 + len(cborKMS)

	jsonSequence = `{"SequenceNumber":"`
	jsonArrived  = `","ApproximateArrivalTimestamp":`
	jsonData     = `,"Data":"`
	jsonKey      = `","PartitionKey":"`
	jsonKMS      = `","EncryptionType":"KMS`
	jsonEnd      = `"}`

	fixedJSON     = len(jsonSequence) + len(jsonArrived) + len(jsonData) + len(jsonKey) + len(jsonKMS) + len(jsonEnd) + 1 + 56 + 20
	longestEscape = len(`\u0000`)
)

// record is one record to be put.
type record struct{ data, key []byte }

func (r record) size() int { return len(r.data) + len(r.key) }

// next is the index that the next record gets.
func (l *log) next() uint64 { return l.base + uint64(len(l.entries)) }

// append adds a record under the given sequence number.
func (l *log) append(r record, seq sequence, arrived int64, kms bool) {
	size := uint32(r.size())
	if !utf8.Valid(r.key) {
		r.key = []byte(string([]rune(string(r.key)))) // each byte that is no UTF-8 becomes U+FFFD, as JSON demands
	}
	limit := fixedCBOR + len(r.data) + len(r.key)
	if l.open == nil || int(l.used)+limit > len(l.open.bytes) {
		l.grow(limit)
	}
	e := entry{chunk: l.open, arrived: arrived, from: l.used, dataLen: uint32(len(r.data)), size: size,
		keyLen: uint16(len(r.key)), kms: kms, plain: plainJSON(r.key)}
	members := 4
	if kms {
		members++
	}
	b := awswire.AppendCBORMap(l.open.bytes[l.used:l.used], members)
	b = append(b, cborSequence...)
	b = seq.append(append(b, 0x78, 0)) // the head of a text, whose length comes now
	e.seqLen = uint8(len(b) - sequenceAt)
	b[sequenceAt-1] = e.seqLen
	b = append(b, cborArrived...)
	b = awswire.AppendCBORInt(b, arrived)
	b = append(b, cborData...)
	b = awswire.AppendCBORBytes(b, len(r.data))
	e.dataAt = uint16(len(b))
	b = append(b, r.data...)
	dataEnd := len(b)
	b = append(b, cborKey...)
	b = awswire.AppendCBORText(b, r.key)
	e.keyGap = uint8(len(b) - len(r.key) - dataEnd)
	if kms {
		b = append(b, cborKMS...)
	}
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

// cborOf returns the CBOR of the entries as byte ranges.
func cborOf(entries []entry, parts net.Buffers) net.Buffers {
	for i := 0; i < len(entries); {
		first, to := entries[i], entries[i].to
		for i++; i < len(entries) && entries[i].chunk == first.chunk && entries[i].from == to; i++ {
			to = entries[i].to
		}
		parts = append(parts, first.chunk.bytes[first.from:to])
	}
	return parts
}

// jsonSize is at least what appendJSON appends.
func jsonSize(entries []entry) (n int) {
	for i := range entries {
		e := &entries[i]
		n += fixedJSON + base64.StdEncoding.EncodedLen(int(e.dataLen))
		if e.plain {
			n += int(e.keyLen)
		} else {
			n += int(e.keyLen) * longestEscape
		}
	}
	return n
}

// appendJSON appends the JSON of the entries, separated by commas.
func appendJSON(b []byte, entries []entry) []byte {
	const next = "," + jsonSequence
	begin := jsonSequence
	var middle []byte // between sequence number and data; many are the same
	for i := range entries {
		e := &entries[i]
		if i == 0 || e.arrived != entries[i-1].arrived {
			middle = append(awswire.AppendSeconds(append(middle[:0], jsonArrived...), e.arrived), jsonData...)
		}
		b = append(b, begin...)
		begin = next
		b = append(b, e.sequenceNumber()...)
		b = append(b, middle...)
		b = appendBase64(b, e.data())
		b = append(b, jsonKey...)
		if e.plain {
			b = append(b, e.key()...)
		} else {
			b = appendEscaped(b, e.key())
		}
		if e.kms {
			b = append(b, jsonKMS...)
		}
		b = append(b, jsonEnd...)
	}
	return b
}

// data returns the record's data.
func (e *entry) data() []byte {
	from := e.from + uint32(e.dataAt)
	return e.chunk.bytes[from : from+e.dataLen : from+e.dataLen]
}

// key returns the partition key.
func (e *entry) key() []byte {
	from := e.from + uint32(e.dataAt) + e.dataLen + uint32(e.keyGap)
	return e.chunk.bytes[from : from+uint32(e.keyLen)]
}

// sequenceNumber returns the record's sequence number.
func (e *entry) sequenceNumber() []byte {
	from := e.from + uint32(sequenceAt)
	return e.chunk.bytes[from : from+uint32(e.seqLen)]
}

// plainJSON says that text is the inside of a JSON string as it is.
func plainJSON(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
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
