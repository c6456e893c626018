package script

import (
	"fmt"
	"slices"
	"strings"
)

// separator stands between what is done and what is expected.
const separator = "----"

// Command is one case of a script.
type Command struct {
	Name  string   // the first word
	Args  []string // the other words, in order: plain words and key=value
	Input []string // the indented lines below, without their indentation
	Pos   string   // "file:line", for messages
}

// Words returns the arguments that are not of the form key=value.
func (c Command) Words() []string {
	return slices.DeleteFunc(slices.Clone(c.Args), func(arg string) bool { return strings.Contains(arg, "=") })
}

// Option returns the value of the argument key=value, and whether there is one.
func (c Command) Option(key string) (value string, ok bool) {
	for _, arg := range c.Args {
		if v, found := strings.CutPrefix(arg, key+"="); found {
			return v, true
		}
	}
	return "", false
}

// Has reports whether word is among the arguments.
func (c Command) Has(word string) bool { return slices.Contains(c.Args, word) }

// Apply carries out all commands of a script in order and returns its text with the outputs that do made. name is the
// file, for messages. An error names the line at which the script is malformed or an output cannot be written down.
func Apply(name, text string, do func(Command) string) (string, error) {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		if between(lines[i]) {
			out.WriteString(lines[i] + "\n")
			i++
			continue
		}
		c, next, err := parse(name, lines, i)
		if err != nil {
			return "", err
		}
		got := strings.TrimRight(do(c), "\n")
		if slices.Contains(strings.Split(got, "\n"), "") && got != "" {
			return "", fmt.Errorf("%s: %s: output has a blank line:\n%s", c.Pos, c.Name, got)
		}
		for ; i < next && lines[i] != separator; i++ {
			out.WriteString(lines[i] + "\n")
		}
		out.WriteString(separator + "\n")
		if got != "" {
			out.WriteString(got + "\n")
		}
		i = next
	}
	return out.String(), nil
}

// between reports whether a line stands between cases.
func between(line string) bool { return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") }

// indented reports whether a line is input.
func indented(line string) bool {
	return strings.TrimSpace(line) != "" && strings.TrimLeft(line, " \t") != line
}

// parse reads the case that begins at lines[at]; next is the line after its output. A case that has no separator yet
// is one without output, so that a new case can be written without it and completed by -update.
func parse(name string, lines []string, at int) (c Command, next int, err error) {
	pos := fmt.Sprintf("%s:%d", name, at+1)
	if indented(lines[at]) || lines[at] == separator {
		return Command{}, 0, fmt.Errorf("%s: want a command, not %q", pos, lines[at])
	}
	words := strings.Fields(lines[at])
	c = Command{Name: words[0], Args: words[1:], Pos: pos}
	for next = at + 1; next < len(lines) && indented(lines[next]); next++ {
		c.Input = append(c.Input, strings.TrimSpace(lines[next]))
	}
	if next == len(lines) || lines[next] == "" {
		return c, next, nil
	}
	if lines[next] != separator {
		return Command{}, 0, fmt.Errorf("%s:%d: want %s after %s, not %q", name, next+1, separator, c.Name, lines[next])
	}
	for next++; next < len(lines) && lines[next] != ""; next++ {
		continue
	}
	return c, next, nil
}
