package props

import (
	"fmt"
	"strconv"
	"strings"
)

// Entry is one key with its value.
type Entry struct {
	Key, Value string
	Line       int // where the key stands, from 1
}

// SyntaxError says where text is malformed.
type SyntaxError struct {
	Name string // of the file, as given to Parse
	Line int
	What string
}

// Error returns "file:line: what".
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.What) }

// Parse returns the entries of text in order, those that occur twice too: the last one counts. name stands in errors. The only
// error is a *SyntaxError for a malformed \u escape, which Java refuses as well.
func Parse(name string, text []byte) ([]Entry, error) {
	var entries []Entry
	lines := &lineReader{text: latin1(text)}
	for {
		logical, line, ok := lines.next()
		if !ok {
			return entries, nil
		}
		key, value := split(logical)
		var err error
		if key, err = unescape(key); err == nil {
			value, err = unescape(value)
		}
		if err != nil {
			return nil, &SyntaxError{Name: name, Line: line, What: err.Error()}
		}
		entries = append(entries, Entry{Key: key, Value: value, Line: line})
	}
}

// latin1 turns ISO-8859-1 bytes into text.
func latin1(b []byte) string {
	var s strings.Builder
	s.Grow(len(b))
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// lineReader yields logical lines: natural lines joined by their backslashes, without comments and blank lines.
type lineReader struct {
	text string
	line int // natural lines read
}

func (r *lineReader) next() (logical string, line int, ok bool) {
	for r.text != "" {
		natural := strings.TrimLeft(r.natural(), " \t\f")
		if natural == "" || natural[0] == '#' || natural[0] == '!' {
			continue
		}
		line = r.line
		var joined strings.Builder
		for continues(natural) {
			joined.WriteString(natural[:len(natural)-1])
			if r.text == "" {
				return joined.String(), line, true
			}
			natural = strings.TrimLeft(r.natural(), " \t\f")
		}
		joined.WriteString(natural)
		return joined.String(), line, true
	}
	return "", 0, false
}

// natural returns the next line without its end: LF, CR or CR LF.
func (r *lineReader) natural() string {
	r.line++
	end := strings.IndexAny(r.text, "\r\n")
	if end < 0 {
		line := r.text
		r.text = ""
		return line
	}
	line, rest := r.text[:end], r.text[end+1:]
	if r.text[end] == '\r' && strings.HasPrefix(rest, "\n") {
		rest = rest[1:]
	}
	r.text = rest
	return line
}

// continues reports whether a line ends in an odd number of backslashes.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// split finds the end of the key: the first =, : or white space that is not escaped.
func split(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	value = strings.TrimLeft(line[end:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return line[:end], value
}

// unescape resolves backslashes: t, n, r, f, uXXXX; any other character stands for itself.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	var units []rune // surrogate halves
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i == len(s)-1 {
			if c != '\\' {
				out.WriteByte(c)
			}
			continue
		}
		i++
		switch s[i] {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			r, err := unicodeEscape(s[i+1:])
			if err != nil {
				return "", err
			}
			i += 4
			units = append(units[:0], r)
			if isHigh(r) && strings.HasPrefix(s[i+1:], `\u`) {
				if low, err := unicodeEscape(s[i+3:]); err == nil && isLow(low) {
					units = append(units, low)
					i += 6
				}
			}
			out.WriteRune(join(units))
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), nil
}

func unicodeEscape(s string) (rune, error) {
	if len(s) < 4 {
		return 0, fmt.Errorf(`malformed \u escape: want four hexadecimal digits`)
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	if err != nil {
		return 0, fmt.Errorf(`malformed \u escape %q: want four hexadecimal digits`, s[:4])
	}
	return rune(n), nil
}

func isHigh(r rune) bool { return r >= 0xD800 && r < 0xDC00 }
func isLow(r rune) bool  { return r >= 0xDC00 && r < 0xE000 }

// join makes one rune of a pair of surrogates; one alone becomes U+FFFD when it is written.
func join(units []rune) rune {
	if len(units) == 2 {
		return (units[0]-0xD800)<<10 + (units[1] - 0xDC00) + 0x10000
	}
	return units[0]
}
