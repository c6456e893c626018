package picture

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Colors says which colours a terminal has.
type Colors int

// The kinds of terminals.
const (
	NoColor    Colors = iota // or its owner does not want any: https://no-color.org
	Color256                 // xterm's 256
	ColorExact               // 24 bits
)

// ColorsOf tells by the environment what a terminal can show, as most programs do.
func ColorsOf(getenv func(string) string) Colors {
	switch depth := getenv("COLORTERM"); {
	case getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" || getenv("TERM") == "":
		return NoColor
	case depth == "truecolor" || depth == "24bit":
		return ColorExact
	}
	return Color256
}

// rgb is a colour; the zero value is the terminal's own.
type rgb struct {
	r, g, b uint8
	set     bool
}

// dim scales the brightness.
func (c rgb) dim(f float64) rgb {
	scale := func(v uint8) uint8 { return uint8(math.Round(float64(v) * min(max(f, 0), 1))) }
	return rgb{scale(c.r), scale(c.g), scale(c.b), c.set}
}

// shardColors are told apart easily, side by side and by most colour-blind people (after Okabe and Ito).
var shardColors = [...]rgb{
	{86, 180, 233, true}, {230, 159, 0, true}, {0, 190, 140, true}, {240, 228, 66, true}, {204, 121, 167, true},
	{70, 120, 220, true}, {213, 94, 0, true}, {150, 220, 90, true}, {240, 130, 130, true}, {150, 130, 230, true},
}

func shardColor(index int) rgb { return shardColors[index%len(shardColors)] }

var (
	green = rgb{80, 200, 120, true}
	red   = rgb{240, 80, 80, true}
	faint = rgb{120, 125, 135, true}
)

// span is a piece of a line in one style.
type span struct {
	text   string
	fg, bg rgb
	bold   bool
}

func plain(format string, args ...any) span { return span{text: fmt.Sprintf(format, args...)} }
func strong(text string) span               { return span{text: text, bold: true} }
func tint(c rgb, format string, args ...any) span {
	return span{text: fmt.Sprintf(format, args...), fg: c}
}

// line is a line of cells.
type line []span

func (l line) width() int {
	n := 0
	for _, s := range l {
		n += utf8.RuneCountInString(s.text)
	}
	return n
}

// pad fills the line with blanks up to width.
func (l line) pad(width int) line {
	if n := width - l.width(); n > 0 {
		return append(l, span{text: strings.Repeat(" ", n)})
	}
	return l
}

// join appends a span, to the last one if it has the same style: fewer control sequences travel to the terminal.
func (l line) join(s span) line {
	if n := len(l) - 1; n >= 0 && l[n].fg == s.fg && l[n].bg == s.bg && l[n].bold == s.bold {
		l[n].text += s.text
		return l
	}
	return append(l, s)
}

// render writes the line with the control sequences of a terminal, cut at width.
func (l line) render(c Colors, width int) string {
	var b strings.Builder
	for _, s := range l {
		if n := utf8.RuneCountInString(s.text); n > width {
			s.text = string([]rune(s.text)[:max(width, 0)])
		}
		width -= utf8.RuneCountInString(s.text)
		if s.text == "" {
			continue
		}
		codes := s.codes(c)
		if codes == "" {
			b.WriteString(s.text)
			continue
		}
		b.WriteString("\x1b[" + codes + "m" + s.text + "\x1b[0m")
	}
	return strings.TrimRight(b.String(), " ")
}

// codes returns the parameters of SGR (ECMA-48, 8.3.117).
func (s span) codes(c Colors) string {
	var codes []string
	if s.bold && c != NoColor {
		codes = append(codes, "1")
	}
	if code := s.fg.code(c, 38); code != "" {
		codes = append(codes, code)
	}
	if code := s.bg.code(c, 48); code != "" {
		codes = append(codes, code)
	}
	return strings.Join(codes, ";")
}

func (c rgb) code(colors Colors, layer int) string {
	switch {
	case !c.set || colors == NoColor:
		return ""
	case colors == ColorExact:
		return fmt.Sprintf("%d;2;%d;%d;%d", layer, c.r, c.g, c.b)
	}
	return fmt.Sprintf("%d;5;%d", layer, c.nearest256())
}

// nearest256 returns the nearest of xterm's colours 16 to 255: a cube of six steps, and 24 greys.
func (c rgb) nearest256() int {
	step := func(v uint8) int {
		switch {
		case v < 48:
			return 0
		case v < 115:
			return 1
		}
		return int(v-35) / 40
	}
	value := func(step int) int {
		if step == 0 {
			return 0
		}
		return 55 + 40*step
	}
	r, g, b := step(c.r), step(c.g), step(c.b)
	grey := (int(c.r)+int(c.g)+int(c.b))/3 - 3
	grey = min(max(grey/10, 0), 23)
	cubeError := square(int(c.r)-value(r)) + square(int(c.g)-value(g)) + square(int(c.b)-value(b))
	level := 8 + 10*grey
	if square(int(c.r)-level)+square(int(c.g)-level)+square(int(c.b)-level) < cubeError {
		return 232 + grey
	}
	return 16 + 36*r + 6*g + b
}

func square(n int) int { return n * n }

// Good is a word that tells that all went well, in its colour.
func Good(c Colors, word string) string {
	return line{{text: word, fg: green, bold: true}}.render(c, len(word))
}

// Bad is a word that tells that something did not.
func Bad(c Colors, word string) string {
	return line{{text: word, fg: red, bold: true}}.render(c, len(word))
}
