package awswire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDepth bounds nesting in skipped values, so that a body of brackets cannot exhaust the stack.
const maxDepth = 200

// Scanner reads JSON from a byte slice, value by value, in the order of the text. Strings without escapes alias the
// input. The first problem is kept: after it every method does nothing, and Err returns it.
type Scanner struct {
	in  []byte
	at  int
	err error
}

// Scan returns a Scanner at the start of in, which must not change while slices from it are in use.
func Scan(in []byte) *Scanner { return &Scanner{in: in} }

// Err returns the first problem met.
func (s *Scanner) Err() error { return s.err }

// End requires that nothing but white space is left.
func (s *Scanner) End() {
	if s.peek() != 0 || s.at < len(s.in) {
		s.fail("data after the end of the body")
	}
}

// Null reports whether the next value is null, and consumes it if so.
func (s *Scanner) Null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return s.err == nil
}

// Object calls field for each member of the object that comes next; field must consume the value. Names are JSON
// strings without their quotes, unescaped.
func (s *Scanner) Object(field func(name []byte)) {
	if !s.open('{') || s.closed('}') {
		return
	}
	for s.err == nil {
		name := s.String()
		if s.peek() != ':' {
			s.fail("no colon after a name")
			return
		}
		s.at++
		field(name)
		if s.next('}') {
			return
		}
	}
}

// Array calls item for each element of the array that comes next; item must consume it.
func (s *Scanner) Array(item func()) {
	if !s.open('[') || s.closed(']') {
		return
	}
	for s.err == nil {
		item()
		if s.next(']') {
			return
		}
	}
}

// String reads a string. The result aliases the input unless the string holds escapes.
func (s *Scanner) String() []byte {
	if s.err != nil {
		return nil
	}
	if s.peek() != '"' {
		s.fail("expected a string")
		return nil
	}
	from := s.at + 1
	n := bytes.IndexByte(s.in[from:], '"')
	if n < 0 {
		s.fail("string without an end")
		return nil
	}
	text := s.in[from : from+n]
	if bytes.IndexByte(text, '\\') < 0 {
		s.at = from + n + 1
		return text
	}
	return s.escaped(from)
}

// escaped reads a string that holds at least one escape; from is behind its opening quote.
func (s *Scanner) escaped(from int) []byte {
	for i := from; i < len(s.in); i++ {
		switch s.in[i] {
		case '\\':
			i++
		case '"':
			var text string
			if err := json.Unmarshal(s.in[from-1:i+1], &text); err != nil {
				s.fail("invalid escape in a string")
				return nil
			}
			s.at = i + 1
			return []byte(text)
		}
	}
	s.fail("string without an end")
	return nil
}

// Int reads an integer.
func (s *Scanner) Int() int64 {
	text := s.number()
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		s.fail("expected an integer")
	}
	return n
}

// Skip reads and forgets one value of any kind.
func (s *Scanner) Skip() { s.skip(0) }

func (s *Scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail("nested too deeply")
		return
	}
	switch c := s.peek(); c {
	case '{':
		s.Object(func([]byte) { s.skip(depth + 1) })
	case '[':
		s.Array(func() { s.skip(depth + 1) })
	case '"':
		s.String()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

func (s *Scanner) number() []byte {
	s.peek()
	from := s.at
	for s.at < len(s.in) {
		c := s.in[s.at]
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			break
		}
		s.at++
	}
	text := s.in[from:s.at]
	if !json.Valid(text) {
		s.fail("expected a value")
	}
	return text
}

func (s *Scanner) literal(word string) {
	if !bytes.HasPrefix(s.in[s.at:], []byte(word)) {
		s.fail("expected a value")
		return
	}
	s.at += len(word)
}

// peek skips white space and returns the next byte, or 0 at the end or after an error.
func (s *Scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for s.at < len(s.in) {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *Scanner) open(c byte) bool {
	if s.peek() != c {
		s.fail("expected %q", string(c))
		return false
	}
	s.at++
	return true
}

// closed consumes the closing byte of an empty object or array.
func (s *Scanner) closed(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// next consumes a comma, or the closing byte, of which it says true.
func (s *Scanner) next(closing byte) (done bool) {
	switch s.peek() {
	case closing:
		s.at++
		return true
	case ',':
		s.at++
		return false
	}
	s.fail("expected a comma or %q", string(closing))
	return true
}

func (s *Scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = Malformed("the request body is not valid JSON: %s at byte %d", fmt.Sprintf(format, args...), s.at)
	}
}
