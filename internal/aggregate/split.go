package aggregate

import (
	"bytes"
	"crypto/md5"

	"github.com/kinesis-go/kcl/stream"
)

// magic begins every aggregated record.
const magic = "\xF3\x89\x9A\xC2"

// Outcome says what [Split] made of a record. The zero Outcome is that of a plain record.
type Outcome struct {
	// Aggregated: the record was split.
	Aggregated bool
	// Damaged: the record begins like an aggregated one but is none, and was delivered whole.
	Damaged bool
	// Strays is the number of sub-records left out because their hash key does not belong to the shard.
	Strays int
}

// Split appends to dst the records that r consists of, and returns the extended slice. A plain or a damaged record is
// appended as it is. Sub-records have r's sequence number with their index in the aggregate, r's arrival time, and data
// that is part of r's: nothing is copied.
//
// Sub-records whose hash key lies outside keys are left out: their aggregate was made for a parent of this shard, and the
// producer sends them again. The unknown range leaves nothing out; use it for streams that distribute records themselves.
// A sub-record whose explicit hash key is no number is kept, for nothing tells that it is a stray.
func Split(dst []stream.Record, r stream.Record, keys stream.HashKeyRange) ([]stream.Record, Outcome) {
	if len(r.Data) < len(magic) || string(r.Data[:len(magic)]) != magic {
		return append(dst, r), Outcome{}
	}
	message, ok := payload(r.Data)
	if !ok {
		return append(dst, r), Outcome{Damaged: true}
	}
	var a aggregate
	if !a.scan(message) {
		return append(dst, r), Outcome{Damaged: true}
	}
	whole := len(dst)
	dst, strays, ok := a.appendRecords(grow(dst, a.records), r, keys)
	if !ok {
		return append(dst[:whole], r), Outcome{Damaged: true}
	}
	return dst, Outcome{Aggregated: true, Strays: strays}
}

// payload returns the protobuf message in an aggregated record, if its digest is right.
func payload(data []byte) ([]byte, bool) {
	if len(data) <= len(magic)+md5.Size { // Java takes an empty message for a plain record, too
		return nil, false
	}
	message, digest := data[len(magic):len(data)-md5.Size], data[len(data)-md5.Size:]
	sum := md5.Sum(message)
	return message, bytes.Equal(sum[:], digest)
}

// grow makes room for n more records, at least doubling, as append does.
func grow(dst []stream.Record, n int) []stream.Record {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]stream.Record, 0, max(2*len(dst), len(dst)+n)), dst...)
}

// aggregate is what the first pass over a message found.
type aggregate struct {
	message  []byte
	keys     int // entries of the partition key table
	hashKeys int // entries of the hash key table
	records  int
	first    int // where in message the tables' text begins …
	last     int // … and ends
}

// scan checks the whole message and counts what it holds.
func (a *aggregate) scan(message []byte) bool {
	a.message, a.first = message, len(message)
	r := reader{b: message}
	for r.more() {
		switch f := r.field(); {
		case f.is(1, lengthDelimited):
			a.keys++
			a.table(f)
		case f.is(2, lengthDelimited):
			a.hashKeys++
			a.table(f)
		case f.is(3, lengthDelimited):
			a.records++
			if !validRecord(f.bytes) {
				return false
			}
		}
	}
	return !r.bad
}

func (a *aggregate) table(f field) {
	a.first = min(a.first, f.at)
	a.last = max(a.last, f.at+len(f.bytes))
}

// entry is one entry of a table, and whether its hash key belongs to the shard.
type entry struct {
	text  string
	stray verdict
}

type verdict uint8

const (
	unjudged verdict = iota
	inside
	outside
)

// tables reads both tables, the partition keys first. All text shares one allocation.
func (a *aggregate) tables() []entry {
	entries := make([]entry, a.keys+a.hashKeys)
	if len(entries) == 0 {
		return nil
	}
	text := string(a.message[a.first:a.last])
	key, hash := 0, a.keys
	for r := (reader{b: a.message}); r.more(); {
		f := r.field()
		switch {
		case f.is(1, lengthDelimited):
			entries[key].text = text[f.at-a.first:][:len(f.bytes)]
			key++
		case f.is(2, lengthDelimited):
			entries[hash].text = text[f.at-a.first:][:len(f.bytes)]
			hash++
		}
	}
	return entries
}

// appendRecords is the second pass: the records themselves. It reports false where an index points outside its table.
func (a *aggregate) appendRecords(dst []stream.Record, r stream.Record, keys stream.HashKeyRange) ([]stream.Record, int, bool) {
	entries := a.tables()
	strays, sub := 0, int64(-1)
	for m := (reader{b: a.message}); m.more(); {
		f := m.field()
		if !f.is(3, lengthDelimited) {
			continue
		}
		sub++
		p := parseRecord(f.bytes)
		if p.key >= uint64(a.keys) || p.hasHash && p.hash >= uint64(a.hashKeys) {
			return dst, 0, false
		}
		by := &entries[p.key]
		out := stream.Record{
			Data:         p.data,
			PartitionKey: by.text,
			Position:     stream.Position{Sequence: r.Position.Sequence, Sub: sub},
			Arrived:      r.Arrived,
		}
		if p.hasHash {
			by = &entries[a.keys+int(p.hash)]
			out.ExplicitHashKey = by.text
		}
		if keys.IsKnown() && by.judge(keys, p.hasHash) == outside {
			strays++
			continue
		}
		dst = append(dst, out)
	}
	return dst, strays, true
}

// judge tells whether the entry's hash key lies in keys. It works that out once: an aggregate names a key many times.
func (e *entry) judge(keys stream.HashKeyRange, explicit bool) verdict {
	if e.stray != unjudged {
		return e.stray
	}
	e.stray = inside
	if !explicit {
		if !keys.Contains(stream.HashKeyOf(e.text)) {
			e.stray = outside
		}
		return e.stray
	}
	if k, err := stream.ParseHashKey(e.text); err == nil && !keys.Contains(k) {
		e.stray = outside
	}
	return e.stray
}

// parsed is one message Record.
type parsed struct {
	key, hash uint64
	data      []byte
	hasKey    bool
	hasHash   bool
	hasData   bool
}

// parseRecord reads a Record that validRecord accepted. The last of a repeated field counts, as in every protobuf reader.
func parseRecord(b []byte) (p parsed) {
	for r := (reader{b: b}); r.more(); {
		switch f := r.field(); {
		case f.is(1, varint):
			p.key, p.hasKey = f.number, true
		case f.is(2, varint):
			p.hash, p.hasHash = f.number, true
		case f.is(3, lengthDelimited):
			p.data, p.hasData = f.bytes, true
		}
	}
	return p
}

// validRecord reports whether b is a Record with all that is required.
func validRecord(b []byte) bool {
	var hasKey, hasData bool
	r := reader{b: b}
	for r.more() {
		switch f := r.field(); {
		case f.is(1, varint):
			hasKey = true
		case f.is(3, lengthDelimited):
			hasData = true
		case f.is(4, lengthDelimited):
			if !validTag(f.bytes) {
				return false
			}
		}
	}
	return !r.bad && hasKey && hasData
}

// validTag reports whether b is a Tag with its key. Tags are not delivered, but a message with a bad one is damaged.
func validTag(b []byte) bool {
	hasKey := false
	r := reader{b: b}
	for r.more() {
		if f := r.field(); f.is(1, lengthDelimited) {
			hasKey = true
		}
	}
	return !r.bad && hasKey
}
