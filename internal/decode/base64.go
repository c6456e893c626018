package decode

import (
	"encoding/base64"
	"encoding/binary"
)

// pairs gives the 12 bits that two characters of base64 stand for, the first of them in the low byte of the index, or
// notBase64. Only 8 KiB of it are used for proper text, so that it stays in the cache.
var pairs = newPairs()

const notBase64 = 1 << 15

func newPairs() *[1 << 16]uint16 {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	t := new([1 << 16]uint16)
	for i := range t {
		t[i] = notBase64
	}
	for hi := range len(alphabet) {
		for lo := range len(alphabet) {
			t[int(alphabet[lo])<<8|int(alphabet[hi])] = uint16(hi<<6 | lo)
		}
	}
	return t
}

// base64Run decodes the base64 that begins at b[from] in place, as far as whole groups of four characters go. The data is
// b[from:end], and what comes next is at b[next]; nothing from there on was changed.
func base64Run(b []byte, from int) (end, next int) {
	end, next = from, from
	for next+16 <= len(b) {
		v, w := binary.LittleEndian.Uint64(b[next:]), binary.LittleEndian.Uint64(b[next+8:])
		p, q, r, s := pairs[uint16(v)], pairs[uint16(v>>16)], pairs[uint16(v>>32)], pairs[v>>48]
		e, f, g, h := pairs[uint16(w)], pairs[uint16(w>>16)], pairs[uint16(w>>32)], pairs[w>>48]
		if (p|q|r|s|e|f|g|h)&notBase64 != 0 {
			break
		}
		// Each writes two bytes too many; they lie in what was read already.
		binary.BigEndian.PutUint64(b[end:], uint64(p)<<52|uint64(q)<<40|uint64(r)<<28|uint64(s)<<16)
		binary.BigEndian.PutUint64(b[end+6:], uint64(e)<<52|uint64(f)<<40|uint64(g)<<28|uint64(h)<<16)
		next, end = next+16, end+12
	}
	for next+4 <= len(b) {
		v := binary.LittleEndian.Uint32(b[next:])
		p, q := pairs[uint16(v)], pairs[v>>16]
		if (p|q)&notBase64 != 0 {
			break
		}
		x := uint32(p)<<12 | uint32(q)
		b[end], b[end+1], b[end+2] = byte(x>>16), byte(x>>8), byte(x)
		next, end = next+4, end+3
	}
	return end, next
}

// base64Tail decodes a padded group at b[next], if there is one that the quote of a JSON string follows, to b[end].
func base64Tail(b []byte, end, next int) (newEnd, newNext int) {
	if len(b)-next < 5 || b[next+3] != '=' || b[next+4] != '"' {
		return end, next
	}
	p := pairs[uint16(b[next+1])<<8|uint16(b[next])]
	if b[next+2] == '=' {
		if p&notBase64 != 0 {
			return end, next
		}
		b[end] = byte(p >> 4)
		return end + 1, next + 4
	}
	q := pairs[uint16('A')<<8|uint16(b[next+2])]
	if (p|q)&notBase64 != 0 {
		return end, next
	}
	b[end], b[end+1] = byte(p>>4), byte(p<<4|q>>8)
	return end + 2, next + 4
}

// base64Rest decodes whatever base64 is left as the SDK does, with line breaks between characters, and puts it at
// b[end:], where there is room for it.
func base64Rest(b []byte, end int, rest []byte) (newEnd int, err error) {
	data, err := base64.StdEncoding.AppendDecode(nil, rest)
	if err != nil {
		return end, err
	}
	return end + copy(b[end:], data), nil
}
