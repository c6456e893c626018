package decode

import (
	"encoding/base64"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kinesis-go/kcl/stream"
)

// cborScanner reads a body from its beginning to its end. Strings that come in pieces are put together in the body.
type cborScanner struct {
	b []byte
	i int
}

func (s *cborScanner) fail(format string, args ...any) error {
	return malformed(CBOR, s.i, format, args...)
}

// answer reads the whole body.
func (s *cborScanner) answer(a *Answer, c call) error {
	var recs records
	if err := s.object(func(name []byte) error { return s.member(name, a, &recs, c) }); err != nil {
		return err
	}
	if s.i < len(s.b) {
		return s.fail("data behind the answer")
	}
	a.Records = recs.take()
	return nil
}

func (s *cborScanner) member(name []byte, a *Answer, recs *records, c call) (err error) {
	switch string(name) {
	case "Records":
		*recs = records{}
		from := s.i
		return s.array(func() error { return s.record(recs.next(s.i-from, len(s.b)-s.i)) })
	case "ChildShards":
		return s.children(a)
	case "MillisBehindLatest":
		return s.behind(a)
	case string(c):
		var next []byte
		next, err = s.textOrNull()
		a.Next = string(next)
		return err
	}
	return s.skip(2)
}

// record reads one record. It is not made of closures, because it is most of the work.
func (s *cborScanner) record(r *stream.Record) error {
	members, isNull, err := s.container(cborMap)
	for n := 0; err == nil && !isNull && s.more(members, n, &err); n++ {
		var name []byte
		if name, err = s.name(); err != nil {
			return err
		}
		switch string(name) {
		case "Data":
			r.Data, err = s.blob()
		case "PartitionKey":
			var key []byte
			key, err = s.textOrNull()
			r.PartitionKey = text(key)
		case "SequenceNumber":
			var number []byte
			number, err = s.textOrNull()
			r.Position.Sequence = stream.SequenceNumber(text(number))
		case "ApproximateArrivalTimestamp":
			r.Arrived, err = s.time()
		case "EncryptionType":
			_, err = s.textOrNull()
		default:
			err = s.skip(4)
		}
	}
	return err
}

// children works on a copy, so that s need not be on the heap for what is rare.
func (s *cborScanner) children(a *Answer) (err error) {
	at := *s
	a.Children, err = childShards(&at)
	*s = at
	return err
}

func (s *cborScanner) behind(a *Answer) error {
	a.Behind, a.BehindKnown = 0, false
	h, err := s.head()
	if err != nil || h.null() {
		return err
	}
	milli, ok := h.integer()
	if !ok {
		return s.fail("MillisBehindLatest is no 64-bit integer")
	}
	a.setBehind(milli)
	return nil
}

// time reads a time. A whole number is milliseconds since the epoch, tagged as a time or not: that is how the AWS SDK for
// Java reads and writes it (AwsCborProtocolFactory.getDefaultTimestampFormats, SdkCborGenerator). A fraction is seconds,
// as RFC 8949 section 3.4.2 has it, unless there are too many of them to be.
func (s *cborScanner) time() (time.Time, error) {
	h, err := s.head()
	if err != nil || h.null() {
		return time.Time{}, err
	}
	const (
		mostSeconds = 1e11           // the year 5138; as milliseconds, 1973
		mostMillis  = 253402300800e3 // the year 10000
	)
	milli, ok := h.integer()
	if f, isFloat := h.float(); isFloat {
		if math.Abs(f) < mostSeconds {
			f *= 1000
		}
		milli, ok = int64(math.Round(f)), math.Abs(f) <= mostMillis
	}
	if !ok || milli > mostMillis || milli < -mostMillis {
		return time.Time{}, s.fail("ApproximateArrivalTimestamp is no time")
	}
	return time.UnixMilli(milli).UTC(), nil
}

// blob reads a byte string, or base64 in a text string, which the AWS SDK for Java takes as well.
func (s *cborScanner) blob() ([]byte, error) {
	h, err := s.head()
	if err != nil || h.null() {
		return nil, err
	}
	switch h.major {
	case cborBytes:
		return s.content(h)
	case cborText:
		encoded, err := s.content(h)
		if err != nil {
			return nil, err
		}
		data, err := base64.StdEncoding.AppendDecode(nil, encoded)
		if err != nil {
			return nil, s.fail("Data: %v", err)
		}
		return encoded[:copy(encoded, data):len(data)], nil
	}
	return nil, s.fail("want a byte string")
}

// textOrNull reads a text string; null is an empty one. What is no UTF-8 becomes U+FFFD, as it does in JSON.
func (s *cborScanner) textOrNull() ([]byte, error) {
	h, err := s.head()
	if err != nil || h.null() {
		return nil, err
	}
	if h.major != cborText {
		return nil, s.fail("want a text string")
	}
	b, err := s.content(h)
	if err == nil && !utf8.Valid(b) {
		return []byte(strings.Map(func(r rune) rune { return r }, string(b))), nil
	}
	return b, err
}
