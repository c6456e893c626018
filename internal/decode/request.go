package decode

import (
	"encoding/binary"
	"math"
	"time"
)

// Request builds the body of a request in CBOR, a map. The zero value is empty.
type Request struct {
	members []byte
	n       int
}

// Text adds a member with text, unless it is empty.
func (r *Request) Text(name, value string) {
	if value == "" {
		return
	}
	r.members = appendText(appendText(r.members, name), value)
	r.n++
}

// Time adds a member with a time in milliseconds, unless it is zero. The service takes whole
// numbers for milliseconds, as the AWS SDK for Java writes them (SdkCborGenerator).
func (r *Request) Time(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	r.members = appendHead(appendText(r.members, name), cborTag, 1)
	if milli := t.UnixMilli(); milli < 0 {
		r.members = appendHead(r.members, cborNegative, uint64(-(milli + 1)))
	} else {
		r.members = appendHead(r.members, cborUnsigned, uint64(milli))
	}
	r.n++
}

// Map adds a member with members of its own.
func (r *Request) Map(name string, value Request) {
	r.members = append(appendText(r.members, name), value.Body()...)
	r.n++
}

// Int adds a member with a number that is not negative, unless it is 0.
func (r *Request) Int(name string, value int64) {
	if value <= 0 {
		return
	}
	r.members = appendHead(appendText(r.members, name), cborUnsigned, uint64(value))
	r.n++
}

// Body returns the request so far.
func (r *Request) Body() []byte {
	return append(appendHead(make([]byte, 0, len(r.members)+1), cborMap, uint64(r.n)), r.members...)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
