package decode

import (
	"strconv"
	"strings"

	"github.com/kinesis-go/kcl/stream"
)

// jsonScanner reads a body from its beginning to its end. Strings are unescaped, and base64 decoded, in the body itself.
type jsonScanner struct {
	b []byte
	i int
}

func (s *jsonScanner) fail(format string, args ...any) error {
	return malformed(JSON, s.i, format, args...)
}

// answer reads the whole body.
func (s *jsonScanner) answer(a *Answer, c call) error {
	if s.peek(); s.i == len(s.b) {
		return s.fail("nothing but white space")
	}
	var recs records
	if err := s.object(func(name []byte) error { return s.member(name, a, &recs, c) }); err != nil {
		return err
	}
	if s.peek(); s.i < len(s.b) {
		return s.fail("data behind the answer")
	}
	a.Records = recs.take()
	return nil
}

func (s *jsonScanner) member(name []byte, a *Answer, recs *records, c call) (err error) {
	switch string(name) {
	case "Records":
		return s.records(recs)
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

func (s *jsonScanner) records(recs *records) error {
	*recs = records{}
	from := s.i
	return s.array(func() error {
		return s.record(recs.next(s.i-from, len(s.b)-s.i))
	})
}

// record reads one record. It is not made of closures, because it is most of the work.
func (s *jsonScanner) record(r *stream.Record) error {
	if s.peek() == 'n' {
		return s.literal("null")
	}
	if err := s.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, done, err := s.name(first)
		if done || err != nil {
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
			r.Arrived, err = s.seconds()
		case "EncryptionType":
			_, err = s.textOrNull()
		default:
			err = s.skip(4)
		}
		if err != nil {
			return err
		}
	}
}

func (s *jsonScanner) behind(a *Answer) error {
	a.Behind, a.BehindKnown = 0, false
	if s.peek() == 'n' {
		return s.literal("null")
	}
	at := s.i
	digits, err := s.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text(digits), 10, 64)
	if err != nil {
		s.i = at
		return s.fail("MillisBehindLatest %s is no 64-bit integer", strings.Clone(text(digits)))
	}
	a.setBehind(n)
	return nil
}

// children works on a copy, so that s need not be on the heap for what is rare.
func (s *jsonScanner) children(a *Answer) (err error) {
	at := *s
	a.Children, err = childShards(&at)
	*s = at
	return err
}

// blob reads base64. An empty string is data of no bytes; null is no data.
func (s *jsonScanner) blob() ([]byte, error) {
	if s.peek() != '"' {
		_, err := s.textOrNull()
		return nil, err
	}
	from := s.i + 1
	end, next := base64Run(s.b, from)
	end, next = base64Tail(s.b, end, next)
	if next < len(s.b) && s.b[next] == '"' {
		s.i = next + 1
		return s.b[from:end:end], nil
	}
	at := s.i
	s.i = next
	rest, err := s.textFrom()
	if err != nil {
		return nil, err
	}
	if end, err = base64Rest(s.b, end, rest); err != nil {
		s.i = at
		return nil, s.fail("Data: %v", err)
	}
	return s.b[from:end:end], nil
}
