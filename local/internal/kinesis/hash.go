package kinesis

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"math/bits"
)

// hashKey is an unsigned 128-bit number: the place of a record in the hash key space.
type hashKey struct{ hi, lo uint64 }

const decimalChunk = 1e19 // the largest power of ten in 64 bits
const chunkDigits = 19

// maxHashKey is 2^128 - 1, the end of the last shard.
func maxHashKey() hashKey { return hashKey{^uint64(0), ^uint64(0)} }

// hashOf places a partition key: the MD5 of its UTF-8 bytes, big-endian (spec retrieval-and-lifecycle.md 1.6).
func hashOf(partitionKey []byte) hashKey {
	sum := md5.Sum(partitionKey)
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

func (h hashKey) compare(other hashKey) int {
	if c := cmp.Compare(h.hi, other.hi); c != 0 {
		return c
	}
	return cmp.Compare(h.lo, other.lo)
}

// next is h + 1; of the largest key it is zero.
func (h hashKey) next() hashKey {
	lo, carry := bits.Add64(h.lo, 1, 0)
	return hashKey{h.hi + carry, lo}
}

// previous is h - 1; of zero it is the largest key.
func (h hashKey) previous() hashKey {
	lo, borrow := bits.Sub64(h.lo, 1, 0)
	return hashKey{h.hi - borrow, lo}
}

// String is the decimal form that the API uses.
func (h hashKey) String() string {
	n := wide{0, h.hi, h.lo}
	return n.String()
}

// parseHashKey reads the decimal form, without sign or leading zeros.
func parseHashKey(text string) (hashKey, bool) {
	n, ok := parseWide(text)
	if !ok || n[0] != 0 {
		return hashKey{}, false
	}
	return hashKey{n[1], n[2]}, true
}

// uniformBoundary is the first hash key of part i of n equal parts of the key space, i < n.
func uniformBoundary(i, n int) hashKey {
	// i * 2^128 / n in two steps: the remainder of the high half moves into the low half.
	hi, rest := bits.Div64(uint64(i), 0, uint64(n))
	lo, _ := bits.Div64(rest, 0, uint64(n))
	return hashKey{hi, lo}
}

// wide is an unsigned 192-bit number, most significant word first: room for a sequence number of 186 bits.
type wide [3]uint64

// append appends the decimal digits of n.
func (n wide) append(b []byte) []byte {
	var digits [4 * chunkDigits]byte
	at := len(digits)
	for {
		var rest uint64
		for i := range n {
			n[i], rest = bits.Div64(rest, n[i], decimalChunk)
		}
		last := n == wide{}
		for i := 0; i < chunkDigits && (!last || rest > 0); i++ {
			at--
			digits[at] = byte('0' + rest%10)
			rest /= 10
		}
		if last {
			break
		}
	}
	if at == len(digits) {
		return append(b, '0')
	}
	return append(b, digits[at:]...)
}

// String is the decimal form.
func (n wide) String() string { return string(n.append(make([]byte, 0, 60))) }

// parseWide reads a decimal number without sign or leading zeros. It is false for anything else, and for what does not
// fit.
func parseWide(text string) (wide, bool) {
	if text == "" || (len(text) > 1 && text[0] == '0') {
		return wide{}, false
	}
	var n wide
	for i := range len(text) {
		c := text[i]
		if c < '0' || c > '9' {
			return wide{}, false
		}
		carry := uint64(c - '0')
		for w := len(n) - 1; w >= 0; w-- {
			hi, lo := bits.Mul64(n[w], 10)
			var over uint64
			n[w], over = bits.Add64(lo, carry, 0)
			carry = hi + over
		}
		if carry != 0 {
			return wide{}, false
		}
	}
	return n, true
}
