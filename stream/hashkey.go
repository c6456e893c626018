package stream

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
)

// HashKey is a place in the hash key space of a stream: an unsigned 128-bit number.
type HashKey struct{ Hi, Lo uint64 }

// MaxHashKey is the largest hash key, 2^128 − 1.
var MaxHashKey = HashKey{Hi: 1<<64 - 1, Lo: 1<<64 - 1}

// HashKeyOf returns the hash key of a partition key: the MD5 of its UTF-8 bytes as a big-endian number (Kinesis
// developer guide, "Partition Key").
func HashKeyOf(partitionKey string) HashKey {
	sum := md5.Sum([]byte(partitionKey))
	return HashKey{Hi: binary.BigEndian.Uint64(sum[:8]), Lo: binary.BigEndian.Uint64(sum[8:])}
}

// ParseHashKey reads a decimal hash key, as Kinesis writes them.
func ParseHashKey(s string) (HashKey, error) {
	if s == "" || len(s) > 39 {
		return HashKey{}, fmt.Errorf("hash key %q: want 1 to 39 decimal digits", s)
	}
	var k HashKey
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return HashKey{}, fmt.Errorf("hash key %q: want 1 to 39 decimal digits", s)
		}
		hi, lo := bits.Mul64(k.Lo, 10)
		over, top := bits.Mul64(k.Hi, 10)
		lo, carry := bits.Add64(lo, uint64(d), 0)
		top, overflow := bits.Add64(top, hi, carry)
		if over != 0 || overflow != 0 {
			return HashKey{}, fmt.Errorf("hash key %q: over 2^128 - 1", s)
		}
		k = HashKey{Hi: top, Lo: lo}
	}
	return k, nil
}

// Compare orders hash keys by value.
func (k HashKey) Compare(o HashKey) int {
	switch {
	case k.Hi != o.Hi && k.Hi < o.Hi, k.Hi == o.Hi && k.Lo < o.Lo:
		return -1
	case k == o:
		return 0
	}
	return 1
}

// Next returns k + 1; after [MaxHashKey] it wraps to zero.
func (k HashKey) Next() HashKey {
	lo, carry := bits.Add64(k.Lo, 1, 0)
	return HashKey{Hi: k.Hi + carry, Lo: lo}
}

// String returns k in decimal digits.
func (k HashKey) String() string {
	n := new(big.Int).SetUint64(k.Hi)
	n.Lsh(n, 64)
	return n.Or(n, new(big.Int).SetUint64(k.Lo)).String()
}

// HashKeyRange is the part of the hash key space that a shard covers; both ends belong to it. The zero value, which no
// shard can have, means unknown.
type HashKeyRange struct{ First, Last HashKey }

// ParseHashKeyRange reads a range as Kinesis writes it, in decimal digits. Two empty strings give the unknown range.
func ParseHashKeyRange(first, last string) (HashKeyRange, error) {
	if first == "" && last == "" {
		return HashKeyRange{}, nil
	}
	f, err := ParseHashKey(first)
	if err != nil {
		return HashKeyRange{}, err
	}
	l, err := ParseHashKey(last)
	if err != nil {
		return HashKeyRange{}, err
	}
	if f.Compare(l) > 0 {
		return HashKeyRange{}, fmt.Errorf("hash key range %s to %s: the first is above the last", first, last)
	}
	return HashKeyRange{First: f, Last: l}, nil
}

// IsKnown reports whether r is a range at all.
func (r HashKeyRange) IsKnown() bool { return r != HashKeyRange{} }

// Contains reports whether k lies in r. The unknown range contains nothing.
func (r HashKeyRange) Contains(k HashKey) bool {
	return r.IsKnown() && r.First.Compare(k) <= 0 && k.Compare(r.Last) <= 0
}

// String returns "first-last" in decimal digits, or "unknown".
func (r HashKeyRange) String() string {
	if !r.IsKnown() {
		return "unknown"
	}
	var b strings.Builder
	b.WriteString(r.First.String())
	b.WriteByte('-')
	b.WriteString(r.Last.String())
	return b.String()
}
