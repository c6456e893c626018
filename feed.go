package kcl

import (
	"errors"
	"io"
	"os"

	"github.com/kinesis-go/kcl/internal/wire"
)

// line is what one read gave. text is valid until the next read is asked for.
type line struct {
	text []byte
	err  error
}

// feed reads lines in a goroutine of its own, one for each asking, so that the end of the input is seen while a call of the
// application runs. Close ends the goroutine; a Read that is under way then is abandoned, because an io.Reader cannot be
// interrupted, and the goroutine ends when that Read returns.
type feed struct {
	from    io.Reader
	pending bool          // a read was asked for and its line not taken
	want    chan struct{} // one asking; never more, see pending
	got     chan line     // one answer: a goroutine whose feed is closed must not block on it
}

func newFeed(from io.Reader) *feed {
	f := &feed{from: from, want: make(chan struct{}, 1), got: make(chan line, 1)}
	go f.read()
	return f
}

func (f *feed) read() {
	lines := wire.NewLineReader(f.from)
	for range f.want {
		text, err := lines.Next()
		f.got <- line{text, err}
	}
}

// input is where a conversation's lines come from.
type input struct {
	feed *feed
	held *line // a line that came before anybody waited for one

	// current returns the file to read from now; nil if it never changes. Tests of programs that use Run put a new file in
	// the place of os.Stdin after each message they see. What the old one still held is dropped, as it always was.
	current func() *os.File
}

// ahead asks for a line unless one was asked for already. It must not be called while an earlier line is in use.
func (in *input) ahead() {
	if in.changed() {
		in.close()
		in.feed, in.held = newFeed(in.current()), nil
	}
	if in.feed.pending || in.held != nil {
		return
	}
	in.feed.pending = true
	in.feed.want <- struct{}{}
}

// changed reports whether another file must be read from now on.
func (in *input) changed() bool {
	return in.current != nil && in.feed.from != io.Reader(in.current())
}

// lines returns the channel of the line that was asked for, nil if none was. Call took after receiving from it.
func (in *input) lines() <-chan line {
	if !in.feed.pending {
		return nil
	}
	return in.feed.got
}

func (in *input) took() { in.feed.pending = false }

// unhold returns the line that came early, if there is one.
func (in *input) unhold() (line, bool) {
	if in.held == nil || in.changed() {
		return line{}, false
	}
	l := *in.held
	in.held = nil
	return l, true
}

func (in *input) close() { close(in.feed.want) }

// isEnd reports whether the input is over rather than broken. A parent that dies closes a pipe; on a terminal or a test's
// pipe the file itself may be closed.
func (l line) isEnd() bool {
	return errors.Is(l.err, io.EOF) || errors.Is(l.err, io.ErrClosedPipe) || errors.Is(l.err, os.ErrClosed)
}

// isBlank reports whether the line is empty but for white space.
func (l line) isBlank() bool {
	for _, c := range l.text {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return l.err == nil
}
