package fetch

import (
	"fmt"
	"io"
	"net/http"
)

// Sizes of answers, in bytes.
const (
	maxBody   = 64 << 20 // what is read at most: 10 MiB in base64 and the keys of 10,000 records take less than half of it
	firstRead = 16 << 10 // of an answer whose size is not known
)

// readBody reads an answer into memory of its own size, if the size is known, without copying it. The caller owns it.
func readBody(r *http.Response) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, fmt.Errorf("an answer of %d bytes, over %d", r.ContentLength, maxBody)
	}
	if r.ContentLength < 0 {
		return readRest(r.Body, make([]byte, 0, firstRead))
	}
	body := make([]byte, r.ContentLength)
	if n, err := io.ReadFull(r.Body, body); err != nil && n < len(body) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return readRest(r.Body, body)
}

// readRest appends what is left to body, which is nothing if its size was known and right.
func readRest(r io.Reader, body []byte) ([]byte, error) {
	var probe [512]byte
	for {
		room := body[len(body):cap(body)]
		probing := len(room) == 0
		if probing {
			room = probe[:]
		}
		n, err := r.Read(room)
		if probing && n > 0 {
			grown := make([]byte, len(body), 2*len(body)+len(probe))
			copy(grown, body)
			body = append(grown, probe[:n]...)
		} else {
			body = body[:len(body)+n]
		}
		switch {
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		case len(body) > maxBody:
			return nil, fmt.Errorf("an answer of over %d bytes", maxBody)
		}
	}
}
