package fetch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// frame is one message of an event stream (application/vnd.amazon.eventstream): a prelude of two lengths and their
// checksum, headers, payload, and the checksum of it all.
type frame struct {
	kind      string // :message-type: event, exception or error
	event     string // :event-type of an event
	exception string // :exception-type, or :error-code of an error
	message   string // :error-message of an error
	payload   []byte // within the buffer that was read into
}

// Sizes of an event-stream message.
const (
	preludeSize  = 12
	checksumSize = 4
	maxFrame     = 24 << 20 // of the whole message (Smithy event stream specification)
)

// prelude is the fixed beginning of a frame.
type prelude [preludeSize]byte

func (p *prelude) total() int   { return int(binary.BigEndian.Uint32(p[0:])) }
func (p *prelude) headers() int { return int(binary.BigEndian.Uint32(p[4:])) }

func (p *prelude) check() error {
	if crc32.ChecksumIEEE(p[:8]) != binary.BigEndian.Uint32(p[8:]) {
		return fmt.Errorf("%w: checksum of an event's prelude differs", errBroken)
	}
	if p.total() > maxFrame || p.total() < preludeSize+checksumSize || p.headers() > p.total()-preludeSize-checksumSize {
		return fmt.Errorf("%w: an event of %d bytes with headers of %d", errBroken, p.total(), p.headers())
	}
	return nil
}

// readFrame reads what follows a prelude that was checked into buf, which has room for it.
func readFrame(r io.Reader, p *prelude, buf []byte) (frame, error) {
	rest := buf[:p.total()-preludeSize]
	if _, err := io.ReadFull(r, rest); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	end := len(rest) - checksumSize
	sum := crc32.Update(crc32.ChecksumIEEE(p[:]), crc32.IEEETable, rest[:end])
	if sum != binary.BigEndian.Uint32(rest[end:]) {
		return frame{}, fmt.Errorf("%w: checksum of an event differs", errBroken)
	}
	f := frame{payload: rest[p.headers():end]}
	if err := f.parse(rest[:p.headers()]); err != nil {
		return frame{}, err
	}
	return f, nil
}

// parse takes in the headers: length and bytes of the name, type, and a value whose length depends on it.
func (f *frame) parse(b []byte) error {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < n+2 {
			return fmt.Errorf("%w: a header is cut off", errBroken)
		}
		name, kind := string(b[1:1+n]), b[1+n]
		value, rest, err := headerValue(kind, b[2+n:])
		if err != nil {
			return err
		}
		b = rest
		switch name {
		case ":message-type":
			f.kind = string(value)
		case ":event-type":
			f.event = string(value)
		case ":exception-type", ":error-code":
			f.exception = string(value)
		case ":error-message":
			f.message = string(value)
		}
	}
	return nil
}

// headerValue returns the bytes of a value and what follows them.
func headerValue(kind byte, b []byte) (value, rest []byte, err error) {
	// By type: true, false, byte, short, integer, long, byte array, string, timestamp, UUID. Arrays and strings have
	// their length in two bytes before them.
	sizes := [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16}
	if int(kind) >= len(sizes) {
		return nil, nil, fmt.Errorf("%w: a header of unknown type %d", errBroken, kind)
	}
	n := sizes[kind]
	if n < 0 {
		if len(b) < 2 {
			return nil, nil, fmt.Errorf("%w: a header is cut off", errBroken)
		}
		n, b = int(binary.BigEndian.Uint16(b)), b[2:]
	}
	if len(b) < n {
		return nil, nil, fmt.Errorf("%w: a header is cut off", errBroken)
	}
	return b[:n], b[n:], nil
}
