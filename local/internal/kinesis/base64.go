package kinesis

import (
	"encoding/base64"
	"encoding/binary"
)

// pairs has the two base64 characters of each 12 bits, the first in the low byte.
var pairs = func() (t [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return t
}()

// appendBase64 appends data as base64.StdEncoding does, in half the time.
func appendBase64(b, data []byte) []byte {
	n := len(b) + base64.StdEncoding.EncodedLen(len(data))
	if n > cap(b) {
		b = append(make([]byte, 0, n+n/4), b...)
	}
	out := b[len(b):n]
	for len(data) >= 8 && len(out) >= 8 { // six of them at a time
		v := binary.BigEndian.Uint64(data)
		binary.LittleEndian.PutUint64(out, uint64(pairs[v>>52])|uint64(pairs[v>>40&0xfff])<<16|
			uint64(pairs[v>>28&0xfff])<<32|uint64(pairs[v>>16&0xfff])<<48)
		data, out = data[6:], out[8:]
	}
	base64.StdEncoding.Encode(out, data)
	return b[:n]
}
