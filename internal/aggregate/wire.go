package aggregate

import "encoding/binary"

// wireType is the low three bits of a protobuf tag (protobuf.dev, "Encoding").
type wireType uint8

const (
	varint          wireType = 0
	fixed64         wireType = 1
	lengthDelimited wireType = 2
	startGroup      wireType = 3
	endGroup        wireType = 4
	fixed32         wireType = 5
)

const (
	maxFieldNumber = 1<<29 - 1 // largest field number (protobuf.dev, "Language Guide")
	maxGroupDepth  = 100       // what protobuf readers allow by default
)

// field is one field of a message. bytes is part of the message.
type field struct {
	id     uint64
	kind   wireType
	number uint64 // varint
	bytes  []byte // lengthDelimited; capped, so that appending to it copies
	at     int    // where bytes begin in the message
}

// is reports whether f is field id with the wire type it should have; with another it is an unknown field.
func (f field) is(id uint64, kind wireType) bool { return f.id == id && f.kind == kind }

// reader walks through the fields of a message. At the first fault it sets bad and is at its end.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) more() bool { return !r.bad && r.at < len(r.b) }

func (r *reader) fail() { r.bad = true }

// field reads the next field. Groups, which the format does not use, are checked and passed over.
func (r *reader) field() field {
	f := r.value()
	if f.kind != startGroup {
		if f.kind == endGroup {
			r.fail()
		}
		return f
	}
	r.skipGroup(f.id)
	return f
}

// skipGroup passes over the rest of a group, and those within.
func (r *reader) skipGroup(id uint64) {
	open := [maxGroupDepth]uint64{id}
	for depth := 1; depth > 0; {
		if !r.more() {
			r.fail()
			return
		}
		switch in := r.value(); in.kind {
		case startGroup:
			if depth == maxGroupDepth {
				r.fail()
				return
			}
			open[depth] = in.id
			depth++
		case endGroup:
			if depth--; open[depth] != in.id {
				r.fail()
				return
			}
		}
	}
}

// value reads one tag with its value; groups are two tags without.
func (r *reader) value() field {
	tag := r.uvarint()
	f := field{id: tag >> 3, kind: wireType(tag & 7)}
	if f.id == 0 || f.id > maxFieldNumber {
		r.fail()
		return field{}
	}
	switch f.kind {
	case varint:
		f.number = r.uvarint()
	case fixed64:
		r.skip(8)
	case fixed32:
		r.skip(4)
	case lengthDelimited:
		n := r.uvarint()
		f.at = r.at
		if f.bytes = r.skip(n); r.bad {
			return field{}
		}
	case startGroup, endGroup:
	default:
		r.fail()
	}
	return f
}

func (r *reader) uvarint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 { // nearly all of them
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.at += n
	return v
}

func (r *reader) skip(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)-r.at) {
		r.fail()
		return nil
	}
	at := r.at
	r.at += int(n)
	return r.b[at:r.at:r.at]
}
