package wire_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kinesis-go/kcl/internal/wire"
)

func allLines(t *testing.T, r *wire.LineReader) []string {
	t.Helper()
	var got []string
	for {
		line, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	for _, test := range []struct {
		input         string
		parent, child []string // lines of a LineReader, of a reply reader
	}{
		{"", nil, nil},
		{"\n", []string{""}, []string{""}},
		{"a", []string{"a"}, []string{"a"}},
		{"a\nb\n", []string{"a", "b"}, []string{"a", "b"}},
		{"a\r\n\r\nb\r\n", []string{"a", "", "b"}, []string{"a", "", "b"}},
		{"a\rb\r\nc\r", []string{"a\rb", "c"}, []string{"a", "b", "c"}},
		{"a\r\r\nb", []string{"a\r", "b"}, []string{"a", "", "b"}},
		{"a\n\rb", []string{"a", "\rb"}, []string{"a", "", "b"}},
		{long + "\r\n" + long + "\n" + long, []string{long, long, long}, []string{long, long, long}},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "error with data": iotest.DataErrReader,
		} {
			if name == "bytes" && len(test.input) > 100 {
				continue
			}
			if got := allLines(t, wire.NewLineReader(wrap(strings.NewReader(test.input)))); !slices.Equal(got, test.parent) {
				t.Errorf("%.20q, %s: lines %.60q, want %.60q", test.input, name, got, test.parent)
			}
			if got := allLines(t, wire.NewReplyReader(wrap(strings.NewReader(test.input)))); !slices.Equal(got, test.child) {
				t.Errorf("%.20q, %s: reply lines %.60q, want %.60q", test.input, name, got, test.child)
			}
		}
	}
}

// TestLineAfterTheEnd: a file may grow, and a reader may give way to another.
func TestLineAfterTheEnd(t *testing.T) {
	var b bytes.Buffer
	r := wire.NewLineReader(&b)
	for _, input := range []string{"", "half", "", "a\nb"} {
		b.WriteString(input)
		want := strings.FieldsFunc(input, func(r rune) bool { return r == '\n' })
		if got := allLines(t, r); !slices.Equal(got, want) {
			t.Errorf("after %q: lines %q", input, got)
		}
	}
}

// TestReplyLineIsGivenAtItsCarriageReturn: waiting for a line feed that need not come would hang the parent.
func TestReplyLineIsGivenAtItsCarriageReturn(t *testing.T) {
	in, out := io.Pipe()
	r := wire.NewReplyReader(in)
	for range 2 {
		go io.WriteString(out, "a\r") // no line feed follows, and the pipe stays open
		if line, err := r.Next(); err != nil || string(line) != "a" {
			t.Fatalf("Next = %q, %v", line, err)
		}
	}
}

func TestLineReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	r := wire.NewLineReader(io.MultiReader(strings.NewReader("a\nhalf"), iotest.ErrReader(broken)))
	if line, err := r.Next(); err != nil || string(line) != "a" {
		t.Errorf("Next = %q, %v", line, err)
	}
	if _, err := r.Next(); err != broken {
		t.Errorf("Next = %v, want the reader's error", err)
	}
	if _, err := wire.NewLineReader(idle{}).Next(); err != io.ErrNoProgress {
		t.Errorf("Next = %v, want ErrNoProgress", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestLineReaderReusesItsBuffer(t *testing.T) {
	input := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 10_000)
	source := bytes.NewReader(input)
	r := wire.NewLineReader(source)
	n := testing.AllocsPerRun(3, func() {
		source.Reset(input)
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for 10,000 lines, want none", n)
	}
}
