package main

import (
	"fmt"
	"io"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

// jarProgress shows the fetching of jars: on one line of a terminal, or else in a few plain lines.
type jarProgress struct {
	out       io.Writer
	live      bool // out is a terminal
	from, dir string
	began     bool
	quarters  int // of the work, told in plain lines
	shown     int // letters on the terminal's line
}

// update tells how far it is.
func (s *jarProgress) update(p javadaemon.Progress) {
	if !s.began {
		s.began = true
		size := ""
		if p.AllBytes > 0 {
			size = " (" + megabytes(p.AllBytes) + ")"
		}
		fmt.Fprintf(s.out, "kcl: getting %d %s%s %s into %s\n", p.AllJars, plural(p.AllJars, "jar"), size, s.from, s.dir)
	}
	text := fmt.Sprintf("%d of %d jars", p.Jars, p.AllJars)
	switch {
	case p.AllBytes > 0:
		text += fmt.Sprintf(", %s of %s", megabytes(p.Bytes), megabytes(p.AllBytes))
	case p.Maven > 0:
		text += fmt.Sprintf(", Maven has downloaded %d %s", p.Maven, plural(p.Maven, "file"))
	}
	if s.live {
		fmt.Fprintf(s.out, "\r%-*s", s.shown, text)
		s.shown = len(text)
		return
	}
	if quarters := 4 * p.Jars / max(p.AllJars, 1); quarters > s.quarters {
		s.quarters = quarters
		fmt.Fprintf(s.out, "kcl: %s\n", text)
	}
}

// end leaves the terminal's line.
func (s *jarProgress) end() {
	if s.shown > 0 {
		fmt.Fprintln(s.out)
	}
}
