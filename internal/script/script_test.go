package script_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/script"
)

// The scripts of this package count what they were told, so that a file that saw another's state would fail.
func TestRun(t *testing.T) {
	script.Run(t, "testdata", func(t *testing.T) func(script.Command) string {
		calls := 0
		return func(c script.Command) string {
			calls++
			if c.Name == "quiet" {
				return ""
			}
			by, _ := c.Option("by")
			return fmt.Sprintf("call %d: %s words=%q by=%q loud=%t input=%q\n", calls, c.Name, c.Words(), by, c.Has("loud"), c.Input)
		}
	})
}

func TestApply(t *testing.T) {
	do := func(c script.Command) string { return strings.Join(c.Args, "\n") }
	tests := []struct{ name, in, want, err string }{
		{"replaces output", "# why\nsay a b\n----\nold\n\nsay c\n----\n", "# why\nsay a b\n----\na\nb\n\nsay c\n----\nc\n", ""},
		{"completes a new case", "say a\n\tin\n\nsay b\n", "say a\n\tin\n----\na\n\nsay b\n----\nb\n", ""},
		{"keeps no output", "say\n----\n\nsay\n----\nx\n", "say\n----\n\nsay\n----\n", ""},
		{"input without command", "\tin\n", "", `f:1: want a command, not "\tin"`},
		{"separator without command", "\n----\n", "", `f:2: want a command, not "----"`},
		{"two commands", "say a\nsay b\n", "", `f:2: want ---- after say, not "say b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := script.Apply("f", tt.in, do)
			if fmt.Sprint(err) != tt.err && (err != nil || tt.err != "") {
				t.Fatalf("error %v, want %s", err, tt.err)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestApplyRefusesBlankLineInOutput(t *testing.T) {
	_, err := script.Apply("f", "say\n----\n", func(script.Command) string { return "a\n\nb" })
	if err == nil || !strings.HasPrefix(err.Error(), "f:1: say: output has a blank line") {
		t.Errorf("error %v, want a blank line at f:1", err)
	}
}
