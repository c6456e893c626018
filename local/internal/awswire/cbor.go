package awswire

import (
	"encoding/binary"
	"math"
)

// CBOR major types (RFC 8949 section 3.1), shifted into place.
const (
	cborUnsigned = 0 << 5
	cborNegative = 1 << 5
	cborBytes    = 2 << 5
	cborText     = 3 << 5
	cborArray    = 4 << 5
	cborMap      = 5 << 5
	cborTag      = 6 << 5
)

// appendHead appends the head of a data item: its type and its length or value.
func appendHead(b []byte, major byte, n uint64) []byte {
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

// AppendCBORInt appends an integer.
func AppendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, cborNegative, uint64(-(n + 1)))
	}
	return appendHead(b, cborUnsigned, uint64(n))
}

// AppendCBORText appends a text string.
func AppendCBORText[T string | []byte](b []byte, s T) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

// AppendCBORBytes appends the head of a byte string of n bytes; the caller appends the bytes.
func AppendCBORBytes(b []byte, n int) []byte { return appendHead(b, cborBytes, uint64(n)) }

// AppendCBORArray appends the head of an array of n items.
func AppendCBORArray(b []byte, n int) []byte { return appendHead(b, cborArray, uint64(n)) }

// AppendCBORMap appends the head of a map of n pairs.
func AppendCBORMap(b []byte, n int) []byte { return appendHead(b, cborMap, uint64(n)) }

// AppendCBORTime appends milliseconds since the epoch under tag 1.
func AppendCBORTime(b []byte, milli int64) []byte {
	return AppendCBORInt(appendHead(b, cborTag, 1), milli)
}
