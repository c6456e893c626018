package produce

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
)

// Lines makes one record of each line.
type Lines struct {
	Key      string // the partition key of all; "" for a random one each, unless KeyField is set
	KeyField string // the top-level field, of lines that are JSON objects, that holds the partition key
	MaxBytes int    // longest line
}

// Line is one line without its end, or the error that ended reading.
type Line struct {
	Text []byte
	Err  error
}

// Read sends the lines of in to out and closes it at the end. A last line without line feed counts; CR LF ends a line too. It
// ends only with in, so whoever stops early must go on receiving, or leave it blocked.
func (l Lines) Read(in io.Reader, out chan<- Line) {
	defer close(out)
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		text, err := l.line(r)
		if err == io.EOF {
			return
		}
		out <- Line{Text: text, Err: err}
		if err != nil {
			return
		}
	}
}

var errLong = errors.New("too long")

// line reads one line. io.EOF means there is none.
func (l Lines) line(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		if len(text) > l.MaxBytes+len("\r\n") || err == nil && len(trimEnd(text)) > l.MaxBytes {
			return nil, fmt.Errorf("%w: over %d bytes", errLong, l.MaxBytes)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(text) > 0, err == nil:
			return trimEnd(text), nil
		case err == io.EOF:
			return nil, io.EOF
		}
		return nil, err
	}
}

func trimEnd(text []byte) []byte {
	for _, end := range []byte("\n\r") {
		if n := len(text); n > 0 && text[n-1] == end {
			text = text[:n-1]
		}
	}
	return text
}

// Run makes records of lines until they end or ctx does, and closes out. The error names the line it could not use.
func (l Lines) Run(ctx context.Context, in <-chan Line, out chan<- Record) error {
	defer close(out)
	for number := 1; ; number++ {
		var line Line
		var more bool
		select {
		case <-ctx.Done():
			return nil
		case line, more = <-in:
		}
		if !more {
			return nil
		}
		if line.Err != nil {
			return fmt.Errorf("stdin line %d: %w", number, line.Err)
		}
		key, err := l.key(line.Text)
		if err != nil {
			return fmt.Errorf("stdin line %d: %w", number, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case out <- Record{Key: key, Data: line.Text}:
		}
	}
}

func (l Lines) key(text []byte) (string, error) {
	if l.Key != "" {
		return l.Key, nil
	}
	if l.KeyField == "" {
		return strconv.FormatUint(rand.Uint64(), 36), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return "", fmt.Errorf("not a JSON object: %w", err)
	}
	raw, there := object[l.KeyField]
	if !there {
		return "", fmt.Errorf("no field %q", l.KeyField)
	}
	var key string
	if json.Unmarshal(raw, &key) != nil {
		key = string(raw) // numbers and the like as they are written
	}
	if key == "" || len([]rune(key)) > 256 {
		return "", fmt.Errorf("field %q has %d characters; a partition key has 1 to 256", l.KeyField, len([]rune(key)))
	}
	return key, nil
}
