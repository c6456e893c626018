package decode

import (
	"encoding/binary"
	"math/bits"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// textOrNull reads a string; null is an empty one. The result lies in the body.
func (s *jsonScanner) textOrNull() ([]byte, error) {
	switch s.peek() {
	case '"':
		s.i++
		return s.textFrom()
	case 'n':
		return nil, s.literal("null")
	}
	return nil, s.fail("want a string")
}

// textFrom reads a string from behind its opening quote, or from anywhere in it.
func (s *jsonScanner) textFrom() ([]byte, error) {
	from, i := s.i, plain(s.b, s.i)
	if i < len(s.b) && s.b[i] == '"' {
		s.i = i + 1
		return s.b[from:i:i], nil
	}
	return s.oddText(from, i)
}

// plain returns the index of the first byte from i on that needs a look: a quote, a backslash, a control character, or
// one that is not ASCII.
func plain(b []byte, i int) int {
	const (
		each = 0x0101010101010101
		high = 0x80 * each
	)
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^'"'*each, w^'\\'*each
		// Of the bits that this sets, the lowest is right: borrows only reach upwards.
		if odd := ((quote-each)&^quote | (slash-each)&^slash | (w-0x20*each)&^w | w) & high; odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// oddText reads a string that is not all plain: up to i it is.
func (s *jsonScanner) oddText(from, i int) ([]byte, error) {
	escaped := false
	for ; ; i++ {
		if i >= len(s.b) {
			return nil, s.fail("a string without end")
		}
		c := s.b[i]
		if c == '"' {
			break
		}
		if c < 0x20 {
			s.i = i
			return nil, s.fail("control character %#02x in a string", c)
		}
		if c == '\\' {
			escaped = true
			i++
		}
	}
	raw := s.b[from:i:i]
	valid := utf8.Valid(raw)
	if !escaped && valid {
		s.i = i + 1
		return raw, nil
	}
	to := raw[:0]
	if !valid { // a byte that is no UTF-8 becomes a character of three
		to = make([]byte, 0, 3*len(raw))
	}
	out, ok := unescape(to, raw)
	if !ok {
		return nil, s.fail("an invalid escape in a string")
	}
	s.i = i + 1
	return out[:len(out):len(out)], nil
}

// unescape appends to to what raw stands for, as encoding/json does: what is no UTF-8, and half a surrogate pair, becomes
// U+FFFD. to may be the beginning of raw if raw is valid UTF-8, because no escape is shorter than its meaning.
func unescape(to, raw []byte) (out []byte, ok bool) {
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\':
			r, n := escape(raw[i:])
			if n == 0 {
				return nil, false
			}
			i += n
			to = utf8.AppendRune(to, r)
		case c < utf8.RuneSelf:
			to = append(to, c)
			i++
		default:
			r, n := utf8.DecodeRune(raw[i:])
			i += n
			to = utf8.AppendRune(to, r)
		}
	}
	return to, true
}

// escape reads the escape that b begins with, and its length, which is 0 if there is no such escape.
func escape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := unit(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := unit(b[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != unicode.ReplacementChar {
			return pair, 12
		}
	}
	return unicode.ReplacementChar, 6
}

// unit reads the \u and four hexadecimal digits that b begins with.
func unit(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
