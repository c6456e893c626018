package props_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/props"
)

// TestD48 holds the parser to java.util.Properties.load.
func TestD48(t *testing.T) {
	tests := map[string]struct {
		text string
		want []props.Entry
	}{
		"separators":         {"a=1\nb:2\nc 3\nd\t=\t4\ne  :  5\nf\n", entries("a", "1", 1, "b", "2", 2, "c", "3", 3, "d", "4", 4, "e", "5", 5, "f", "", 6)},
		"only one separator": {"a==1\nb=:2\nc = = 3", entries("a", "=1", 1, "b", ":2", 2, "c", "= 3", 3)},
		"comments, blanks":   {"# x\n  ! y\n\n \t\na=1#2\n", entries("a", "1#2", 5)},
		"line ends":          {"a=1\r\nb=2\rc=3", entries("a", "1", 1, "b", "2", 2, "c", "3", 3)},
		"trailing blanks":    {"a=true \nb=x\t\n", entries("a", "true ", 1, "b", "x\t", 2)},
		"continuation":       {"a=run \\\n    me\nb=2", entries("a", "run me", 1, "b", "2", 3)},
		"continued comment":  {"# x\\\na=1", entries("a", "1", 2)},
		"even backslashes":   {"a=c:\\\\\nb=2", entries("a", `c:\`, 1, "b", "2", 2)},
		"ends in backslash":  {"a=1\\", entries("a", "1", 1)},
		"escapes":            {`a\ b\=c\:d=\t\n\r\f\q\"`, entries("a b=c:d", "\t\n\r\fq\"", 1)},
		"unicode":            {`a=\u00fc\u4e2d\ud83d\ude00`, entries("a", "ü中😀", 1)},
		"latin-1 bytes":      {"a=\xfc", entries("a", "ü", 1)},
		"twice":              {"a=1\na=2", entries("a", "1", 1, "a", "2", 2)},
		"nothing":            {"", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := props.Parse("app.properties", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func entries(fields ...any) (out []props.Entry) {
	for i := 0; i < len(fields); i += 3 {
		out = append(out, props.Entry{Key: fields[i].(string), Value: fields[i+1].(string), Line: fields[i+2].(int)})
	}
	return out
}

func TestMalformedEscape(t *testing.T) {
	for text, want := range map[string]string{
		"a=1\nb=\\u12":     `app.properties:2: malformed \u escape: want four hexadecimal digits`,
		"a=\\uzzzz":        `app.properties:1: malformed \u escape "zzzz": want four hexadecimal digits`,
		"a=1\n\nk\\u+123=": `app.properties:3: malformed \u escape "+123": want four hexadecimal digits`,
	} {
		_, err := props.Parse("app.properties", []byte(text))
		var syntax *props.SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("Parse(%q) = %v, want %s", text, err, want)
		}
	}
}

// FuzzParse holds the parser to its promises: no panic, valid text, rising lines, and what is written in escapes is read back.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a=1", "a\\\n b:2", "\\u00e4 = \\ud83d\\ude00", "!x\r\n#y\\\n", "a=\\", "= =", "\xff\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := props.Parse("f", text)
		if err != nil {
			return
		}
		var again strings.Builder
		last := 0
		for _, e := range got {
			if !utf8.ValidString(e.Key) || !utf8.ValidString(e.Value) || e.Line <= last {
				t.Fatalf("%+v after line %d", e, last)
			}
			last = e.Line
			again.WriteString(escape(e.Key) + "=" + escape(e.Value) + "\n")
		}
		back, err := props.Parse("f", []byte(again.String()))
		if err != nil || len(back) != len(got) {
			t.Fatalf("%d entries became %d, %v", len(got), len(back), err)
		}
		for i := range back {
			if back[i].Key != got[i].Key || back[i].Value != got[i].Value {
				t.Fatalf("%+v became %+v", got[i], back[i])
			}
		}
	})
}

func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xFFFF {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}
