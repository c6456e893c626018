package wire

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// SyntaxError says that a line is not JSON, or not of the shape that the protocol has.
type SyntaxError struct {
	Offset int    // of the first byte that could not be understood, in the line
	What   string // what was wrong there
}

// Error returns the problem with its place.
func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.What) }

// maxDepth is how deep unknown values may nest: the limit of Jackson, with which the Java daemon reads.
const maxDepth = 1000

// scanner walks over one line of JSON.
type scanner struct {
	b    []byte
	i    int
	text []byte // what strings with escapes or without UTF-8 were turned into; slices of it stay valid
}

func (s *scanner) fail(what string) error { return &SyntaxError{Offset: s.i, What: what} }

// space skips white space and returns the byte that follows, or 0 at the end.
func (s *scanner) space() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and then c.
func (s *scanner) take(c byte, what string) error {
	if s.space() != c || s.i == len(s.b) {
		return s.fail("want " + what)
	}
	s.i++
	return nil
}

// word skips a literal: null, true or false.
func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.fail("want a value")
	}
	s.i += len(w)
	return nil
}

// object calls member for each member of an object, with s before the value, which member must take.
func (s *scanner) object(member func(key []byte) error) error {
	if err := s.take('{', "an object"); err != nil {
		return err
	}
	if s.space() == '}' {
		s.i++
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.fail("want , or } in an object")
		}
	}
}

// key reads a member's name and the colon behind it, and goes on to the value.
func (s *scanner) key() ([]byte, error) {
	if s.space() != '"' {
		return nil, s.fail("want a key in double quotes")
	}
	key, err := s.str()
	if err != nil {
		return nil, err
	}
	if err := s.take(':', "a colon"); err != nil {
		return nil, err
	}
	s.space()
	return key, nil
}

// str reads a string whose opening quote is next. The result lies in the line, or in s.text where it had to be changed.
func (s *scanner) str() ([]byte, error) {
	rest := s.b[s.i+1:]
	n := plainPrefix(rest)
	if n < len(rest) && rest[n] == '"' {
		s.i += n + 2
		return rest[:n:n], nil
	}
	return s.slowStr(n)
}

// slowStr is str where the first n bytes of the string are plain and the next is not its end.
func (s *scanner) slowStr(n int) ([]byte, error) {
	from := len(s.text)
	s.text = append(s.text, s.b[s.i+1:s.i+1+n]...)
	s.i += 1 + n
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.text[from:len(s.text):len(s.text)], nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, s.fail("control character in a string")
		case c < utf8.RuneSelf:
			n := plainPrefix(s.b[s.i:])
			s.text = append(s.text, s.b[s.i:s.i+n]...)
			s.i += n
		default:
			r, size := utf8.DecodeRune(s.b[s.i:])
			s.text = utf8.AppendRune(s.text, r)
			s.i += size
		}
	}
	return nil, s.fail("string without end")
}

// escape reads one escape, or the two of a surrogate pair. Half a pair becomes U+FFFD.
func (s *scanner) escape() error {
	if s.i+1 == len(s.b) {
		return s.fail("string without end")
	}
	c := s.b[s.i+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 't':
		c = '\t'
	case 'n':
		c = '\n'
	case 'f':
		c = '\f'
	case 'r':
		c = '\r'
	case 'u':
		return s.unicode()
	default:
		return s.fail("unknown escape in a string")
	}
	s.text = append(s.text, c)
	s.i += 2
	return nil
}

func (s *scanner) unicode() error {
	r, ok := hex4(s.b[s.i:])
	if !ok {
		return s.fail("unknown escape in a string")
	}
	s.i += 6
	if utf16.IsSurrogate(r) {
		low, _ := hex4(s.b[s.i:])
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			s.i += 6
		}
	}
	s.text = utf8.AppendRune(s.text, r)
	return nil
}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number and returns its text.
func (s *scanner) number() ([]byte, error) {
	start := s.i
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	first := s.i
	if n := s.digits(); n == 0 || n > 1 && s.b[first] == '0' {
		s.i = start
		return nil, s.fail("want a value")
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			return nil, s.fail("want a digit")
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			return nil, s.fail("want a digit")
		}
	}
	return s.b[start:s.i:s.i], nil
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

// scalar reads any value but an object or an array as text, as Jackson does for a Java String: nil for null, the digits of
// a number, the letters of true and false.
func (s *scanner) scalar() ([]byte, error) {
	start := s.i
	switch s.space() {
	case '"':
		return s.str()
	case 'n':
		return nil, s.word("null")
	case 't':
		err := s.word("true")
		return s.b[start:s.i:s.i], err
	case 'f':
		err := s.word("false")
		return s.b[start:s.i:s.i], err
	case '{', '[':
		return nil, s.fail("want text, not an object or array")
	}
	return s.number()
}

// integer reads a 64-bit integer as Jackson does for a Java Long: a number, whose fraction is cut off, or an integer as
// text; ok is false for null and for the empty text.
func (s *scanner) integer() (v int64, ok bool, err error) {
	switch s.space() {
	case 'n':
		return 0, false, s.word("null")
	case '"':
		return s.integerText()
	}
	start := s.i
	text, err := s.number()
	if err != nil {
		return 0, false, err
	}
	if v, ok := parseInt(text); ok {
		return v, true, nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	// The bounds as floats: -2^63 is exact, and the largest float below 2^63 still fits.
	if err != nil || f < math.MinInt64 || f >= -math.MinInt64 || !bytes.ContainsAny(text, ".eE") {
		s.i = start
		return 0, false, s.fail("number beyond 64 bits")
	}
	return int64(f), true, nil
}

func (s *scanner) integerText() (int64, bool, error) {
	start := s.i
	text, err := s.str()
	if err != nil {
		return 0, false, err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0, false, nil
	}
	v, ok := parseInt(text)
	if !ok {
		s.i = start
		return 0, false, s.fail("want an integer")
	}
	return v, true, nil
}

// parseInt reads an optional minus and decimal digits. It is strconv.ParseInt without the string and its error.
func parseInt(b []byte) (int64, bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	if len(digits) > 18 { // may pass 2^63
		v, err := strconv.ParseInt(string(b), 10, 64)
		return v, err == nil && b[0] != '+'
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(b) {
		v = -v
	}
	return v, true
}
