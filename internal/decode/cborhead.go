package decode

import (
	"encoding/binary"
	"math"
)

// Major types of data items (RFC 8949 section 3.1).
const (
	cborUnsigned = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple // and floating point
)

// Additional information in the head of a data item (RFC 8949 section 3).
const (
	cborIndefinite = 31
	cborBreak      = 0xff // the byte that ends items of indefinite length
	cborNull       = 22
	cborUndefined  = 23
)

// head is the beginning of a data item.
type head struct {
	major byte
	info  byte   // additional information
	n     uint64 // value, length or count
}

func (h head) null() bool {
	return h.major == cborSimple && (h.info == cborNull || h.info == cborUndefined)
}

func (h head) indefinite() bool { return h.info == cborIndefinite }

func (h head) integer() (int64, bool) {
	if h.n > math.MaxInt64 {
		return 0, false
	}
	switch h.major {
	case cborUnsigned:
		return int64(h.n), true
	case cborNegative:
		return -1 - int64(h.n), true
	}
	return 0, false
}

func (h head) float() (float64, bool) {
	if h.major != cborSimple {
		return 0, false
	}
	switch h.info {
	case 25:
		return half(uint16(h.n)), true
	case 26:
		return float64(math.Float32frombits(uint32(h.n))), true
	case 27:
		return math.Float64frombits(h.n), true
	}
	return 0, false
}

// half is the value of a number of 16 bits (RFC 8949 appendix D).
func half(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		f = math.Inf(1)
		if mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		return -f
	}
	return f
}

// head reads the head of the next item, and passes the tags before it.
func (s *cborScanner) head() (head, error) {
	for {
		h, err := s.anyHead()
		if err != nil || h.major != cborTag {
			return h, err
		}
	}
}

func (s *cborScanner) anyHead() (h head, err error) {
	if s.i >= len(s.b) {
		return h, s.fail("the answer ends too early")
	}
	first := s.b[s.i]
	h = head{major: first >> 5, info: first & 31}
	s.i++
	switch {
	case h.info < 24:
		h.n = uint64(h.info)
		return h, nil
	case h.info < 28:
		return s.longHead(h)
	case h.indefinite() && h.major >= cborBytes && h.major <= cborMap:
		return h, nil
	}
	s.i--
	return h, s.fail("no data item begins with %#02x", first)
}

func (s *cborScanner) longHead(h head) (head, error) {
	size := 1 << (h.info - 24)
	if len(s.b)-s.i < size {
		return h, s.fail("the answer ends too early")
	}
	rest := s.b[s.i : s.i+size]
	switch size {
	case 1:
		h.n = uint64(rest[0])
		if h.major == cborSimple && h.n < 32 {
			return h, s.fail("simple value %d in two bytes", h.n)
		}
	case 2:
		h.n = uint64(binary.BigEndian.Uint16(rest))
	case 4:
		h.n = uint64(binary.BigEndian.Uint32(rest))
	case 8:
		h.n = binary.BigEndian.Uint64(rest)
	}
	s.i += size
	return h, nil
}

// bytes takes n bytes of the body.
func (s *cborScanner) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(s.b)-s.i) {
		return nil, s.fail("the answer ends too early")
	}
	from := s.i
	s.i += int(n)
	return s.b[from:s.i:s.i], nil
}

// content reads the bytes of a string.
func (s *cborScanner) content(h head) ([]byte, error) {
	if !h.indefinite() {
		return s.bytes(h.n)
	}
	from, end := s.i, s.i
	for {
		if s.breaks() {
			return s.b[from:end:end], nil
		}
		piece, err := s.anyHead()
		if err != nil {
			return nil, err
		}
		if piece.major != h.major || piece.indefinite() {
			return nil, s.fail("a string holds what is no piece of it")
		}
		b, err := s.bytes(piece.n)
		if err != nil {
			return nil, err
		}
		end += copy(s.b[end:], b)
	}
}

// breaks passes the end of an item of indefinite length.
func (s *cborScanner) breaks() bool {
	if s.i >= len(s.b) || s.b[s.i] != cborBreak {
		return false
	}
	s.i++
	return true
}

// container reads the head of an array or a map. Null has no members.
func (s *cborScanner) container(major byte) (h head, isNull bool, err error) {
	h, err = s.head()
	if err == nil && !h.null() && h.major != major {
		err = s.fail("want an array or a map, not type %d", h.major)
	}
	return h, h.null(), err
}

// more says whether the container has a further member after n.
func (s *cborScanner) more(h head, n int, err *error) bool {
	if *err != nil {
		return false
	}
	if h.indefinite() {
		return !s.breaks()
	}
	return uint64(n) < h.n
}

// name reads the key of a member. One that is no text is none of ours.
func (s *cborScanner) name() ([]byte, error) {
	if s.i < len(s.b) && s.b[s.i]>>5 != cborText {
		return nil, s.skip(2)
	}
	h, err := s.anyHead()
	if err != nil {
		return nil, err
	}
	return s.content(h)
}

// object calls member for each member of a map, with its key; member reads the value. A null has none.
func (s *cborScanner) object(member func(name []byte) error) error {
	h, isNull, err := s.container(cborMap)
	for n := 0; err == nil && !isNull && s.more(h, n, &err); n++ {
		var name []byte
		if name, err = s.name(); err == nil {
			err = member(name)
		}
	}
	return err
}

// array calls item for each value of an array; item reads it. A null has none.
func (s *cborScanner) array(item func() error) error {
	h, isNull, err := s.container(cborArray)
	for n := 0; err == nil && !isNull && s.more(h, n, &err); n++ {
		err = item()
	}
	return err
}

// skip reads an item that nobody wants; depth is how many items it would be in if it were an array or a map.
func (s *cborScanner) skip(depth int) error {
	h, err := s.head()
	if err != nil {
		return err
	}
	values := uint64(1)
	switch h.major {
	case cborBytes, cborText:
		_, err = s.content(h)
		return err
	case cborMap:
		values = 2
	case cborArray:
	default:
		return nil
	}
	if depth > maxDepth {
		return s.fail("nested deeper than %d", maxDepth)
	}
	for n := 0; s.more(h, n, &err); n++ {
		for range values {
			if err == nil {
				err = s.skip(depth + 1)
			}
		}
	}
	return err
}
