package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// appendString appends s as the Java daemon writes a string (Jackson): short escapes where JSON has them, \u00XX with
// upper-case digits for the other control characters, everything else raw. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if plainPrefix(s) == len(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	for _, r := range s { // gives U+FFFD for each byte that is not UTF-8
		if r < utf8.RuneSelf {
			dst = appendByte(dst, byte(r))
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// appendASCII is appendString with \uXXXX for all that is not ASCII, so that a parent whose character set is not UTF-8 (a
// JVM before 18 under LC_ALL=C) reads what was written.
func appendASCII(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if plainPrefix(s) == len(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			dst = appendByte(dst, byte(r))
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			dst = appendHex(appendHex(dst, high), low)
		default:
			dst = appendHex(dst, r)
		}
	}
	return append(dst, '"')
}

func appendByte(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	}
	if c < ' ' {
		return appendHex(dst, rune(c))
	}
	return append(dst, c)
}

func appendHex(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', upperHex[r>>12&15], upperHex[r>>8&15], upperHex[r>>4&15], upperHex[r&15])
}

// plainPrefix returns how many leading bytes of s are ASCII and need no escape in JSON.
func plainPrefix[T string | []byte](s T) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if m := special(word(s[i : i+8])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// word returns the eight bytes of s, the first in the lowest place; the compiler makes one load of it.
func word[T string | []byte](s T) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.LittleEndian.Uint64(b[:])
}

// special returns a word whose lowest set bit is the top bit of the first byte of w that is a control character, a quote,
// a backslash or not ASCII; 0 if there is none. Bits above the lowest say nothing: a borrow may have set them.
func special(w uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	control := w - ones*' '
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return (control | (quote - ones) | (slash - ones) | w) & tops
}
