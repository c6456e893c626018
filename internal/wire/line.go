package wire

import (
	"bytes"
	"errors"
	"io"
)

// LineReader cuts a stream of bytes into lines of any length. A line ends at LF or CR LF; what follows the last one is a
// line too.
type LineReader struct {
	r      io.Reader
	bareCR bool // a CR alone ends a line too

	buf        []byte // bytes read; the part from next to end waits to be cut
	next, end  int
	searched   int   // bytes after next that hold no terminator
	skipLF     bool  // the last line ended at a CR that may be the first half of a CR LF
	err        error // of the last Read, given out once the bytes before it are
	emptyReads int
}

const (
	firstBuffer = 64 << 10 // a pipe's capacity on Linux: one read can empty it
	minRead     = 16 << 10 // read into no less than this, or make room first
	// As many empty reads in a row as bufio allows before it gives up with io.ErrNoProgress.
	maxEmptyReads = 100
)

// NewLineReader returns a reader of what a parent writes. It reads from r when, and only when, Next needs bytes.
func NewLineReader(r io.Reader) *LineReader { return &LineReader{r: r} }

// NewReplyReader returns a reader of what a child writes: like the Java daemon's, it takes a CR alone for the end of a
// line as well.
func NewReplyReader(r io.Reader) *LineReader { return &LineReader{r: r, bareCR: true} }

// Next returns the next line without its terminator, in a buffer that is valid until the following call. It blocks until
// the line is complete or the input ends. At the end it returns [io.EOF]; calling it again then reads again. After another
// error of the reader, what was read of the line under way is lost.
func (l *LineReader) Next() ([]byte, error) {
	for {
		if line, ok := l.cut(); ok {
			return line, nil
		}
		if err := l.err; err != nil {
			l.err = nil
			line := l.buf[l.next:l.end]
			l.next, l.end, l.searched = 0, 0, 0
			if errors.Is(err, io.EOF) && len(line) > 0 {
				return bytes.TrimSuffix(line, []byte{'\r'}), nil
			}
			return nil, err
		}
		l.fill()
	}
}

// cut takes a complete line off the buffer.
func (l *LineReader) cut() ([]byte, bool) {
	if l.skipLF && l.next < l.end {
		l.skipLF = false
		if l.buf[l.next] == '\n' {
			l.next++
		}
	}
	rest := l.buf[l.next:l.end]
	at := bytes.IndexByte(rest[l.searched:], '\n')
	if l.bareCR {
		part := rest[l.searched:]
		if at >= 0 {
			part = part[:at]
		}
		if cr := bytes.IndexByte(part, '\r'); cr >= 0 {
			at, l.skipLF = cr, true
		}
	}
	if at < 0 {
		l.searched = len(rest)
		return nil, false
	}
	at += l.searched
	line := rest[:at]
	l.next += at + 1
	l.searched = 0
	return bytes.TrimSuffix(line, []byte{'\r'}), true
}

// fill reads once, after making room: by moving what waits to the front, or by doubling the buffer.
func (l *LineReader) fill() {
	waiting := l.end - l.next
	if l.next > 0 && (waiting == 0 || len(l.buf)-l.end < minRead) {
		copy(l.buf, l.buf[l.next:l.end])
		l.next, l.end = 0, waiting
	}
	if len(l.buf)-l.end < minRead {
		grown := make([]byte, max(firstBuffer, 2*len(l.buf)))
		copy(grown, l.buf[l.next:l.end])
		l.buf, l.next, l.end = grown, 0, waiting
	}
	n, err := l.r.Read(l.buf[l.end:])
	l.end += n
	l.err = err
	if n > 0 || err != nil {
		l.emptyReads = 0
		return
	}
	if l.emptyReads++; l.emptyReads >= maxEmptyReads {
		l.emptyReads, l.err = 0, io.ErrNoProgress
	}
}
