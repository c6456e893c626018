package picture

import (
	"io"
	"strings"
)

// Screen draws frames over one another. It belongs to one goroutine.
type Screen struct {
	out   io.Writer
	drawn int // lines of the frame before
}

// NewScreen returns a Screen that draws on a terminal, from the line on which its cursor stands.
func NewScreen(out io.Writer) *Screen { return &Screen{out: out} }

// The control sequences of ECMA-48 and xterm that are used. A terminal that does not know synchronized output ignores it.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	beginSync  = "\x1b[?2026h"
	endSync    = "\x1b[?2026l"
	eraseLine  = "\x1b[K"
	eraseDown  = "\x1b[J"
)

// Paint draws lines in place of the ones before, in one write.
func (s *Screen) Paint(lines []string) error {
	var b strings.Builder
	b.WriteString(beginSync + hideCursor + s.up())
	for _, l := range lines {
		b.WriteString(l + eraseLine + "\r\n")
	}
	b.WriteString(eraseDown + endSync)
	s.drawn = len(lines)
	_, err := io.WriteString(s.out, b.String())
	return err
}

// Close gives the cursor back; what was drawn last stays.
func (s *Screen) Close() error {
	_, err := io.WriteString(s.out, showCursor)
	return err
}

func (s *Screen) up() string {
	if s.drawn == 0 {
		return "\r"
	}
	return "\r" + strings.Repeat("\x1b[A", s.drawn)
}
