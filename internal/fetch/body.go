package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Sizes of answers, in bytes.
const (
	maxBody   = 64 << 20 // what is read at most: 10 MiB in base64 and the keys of 10,000 records take less than half of it
	firstRead = 4 << 10  // of an answer whose size is not known
)

// unknownSize stands for the size of an answer that does not say it.
const unknownSize = -1

// receive reads an answer as readBody does, once there is room for it: the caller has room for one of firstRead bytes, and
// room waits until there is for one of the given size. Where that fails the rest is not read, which ends the connection.
func receive(ctx context.Context, r *http.Response, room func(context.Context, int64) error) ([]byte, error) {
	var begin []byte
	if r.ContentLength < 0 { // is it a short one?
		begin = make([]byte, firstRead)
		n, err := io.ReadFull(r.Body, begin)
		begin = begin[:n]
		switch err {
		case io.EOF, io.ErrUnexpectedEOF:
			return begin, nil
		case nil:
		default:
			return nil, err
		}
	}
	if r.ContentLength <= maxBody { // otherwise it is refused
		if err := room(ctx, max(r.ContentLength, unknownSize)); err != nil {
			_ = r.Body.Close()
			r.Body = http.NoBody // the SDK would read it to its end
			return nil, err
		}
	}
	if begin != nil {
		return readRest(r.Body, begin)
	}
	return readBody(r)
}

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
