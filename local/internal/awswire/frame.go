package awswire

import (
	"encoding/binary"
	"hash/crc32"
)

// Header is one string header of an event-stream message.
type Header struct{ Name, Value string }

// AppendFrame appends one application/vnd.amazon.eventstream message to b: prelude, headers, payload and the two
// checksums. The parts of the payload are copied.
func AppendFrame(b []byte, headers []Header, payload ...[]byte) []byte {
	const (
		stringType    = 7
		preludeLength = 12 // total length, header length, checksum of the two
		trailerLength = 4
	)
	headerLength, payloadLength := 0, 0
	for _, h := range headers {
		headerLength += 1 + len(h.Name) + 3 + len(h.Value)
	}
	for _, p := range payload {
		payloadLength += len(p)
	}
	from := len(b)
	total := preludeLength + headerLength + payloadLength + trailerLength
	b = binary.BigEndian.AppendUint32(b, uint32(total))
	b = binary.BigEndian.AppendUint32(b, uint32(headerLength))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
	for _, h := range headers {
		b = append(b, byte(len(h.Name)))
		b = append(b, h.Name...)
		b = append(b, stringType)
		b = binary.BigEndian.AppendUint16(b, uint16(len(h.Value)))
		b = append(b, h.Value...)
	}
	for _, p := range payload {
		b = append(b, p...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
}

// EventHeaders are the headers of a data event whose payload is in format f.
func EventHeaders(event string, f Format) []Header {
	return []Header{{":event-type", event}, {":content-type", f.ContentType()}, {":message-type", "event"}}
}

// ExceptionHeaders are the headers of a modelled exception inside a stream.
func ExceptionHeaders(code string, f Format) []Header {
	return []Header{{":exception-type", code}, {":content-type", f.ContentType()}, {":message-type", "exception"}}
}
