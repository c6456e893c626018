package script

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// update is a flag of every test binary that links this package.
var update = flag.Bool("update", false, "write the outputs into the scripts of testdata instead of comparing them")

// Updating reports whether the flag -update was given, for tests that keep other expected files.
func Updating() bool { return *update }

// Run makes a subtest of each *.txt file in dir. begin is called once for each file and returns what carries out its
// commands and gives their output; state that it closes over belongs to that file alone. A dir without scripts fails.
func Run(t *testing.T, dir string, begin func(t *testing.T) func(Command) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runFile(t, file, begin(t)) })
	}
}

func runFile(t *testing.T, file string, do func(Command) string) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Apply(file, string(want), do)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s: -want +got (rewrite with -update):\n%s", file, difference(string(want), got))
}

// difference shows the lines that differ, each with the command above it.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	for len(a) > 0 || len(b) > 0 {
		n := 0 // equal lines
		for n < len(a) && n < len(b) && a[n] == b[n] {
			n++
		}
		a, b = a[n:], b[n:]
		if len(a) == 0 && len(b) == 0 {
			break
		}
		i, j := meet(a, b)
		for _, line := range a[:i] {
			out.WriteString("-" + line + "\n")
		}
		for _, line := range b[:j] {
			out.WriteString("+" + line + "\n")
		}
		if i < len(a) {
			out.WriteString(" " + a[i] + "\n")
		}
		a, b = a[i:], b[j:]
	}
	return out.String()
}

// meet returns the nearest lines at which a and b are equal again, or their ends.
func meet(a, b []string) (i, j int) {
	for sum := 1; sum <= len(a)+len(b); sum++ {
		for i := range min(sum, len(a)) + 1 {
			if j := sum - i; j >= 0 && j < len(b) && i < len(a) && a[i] == b[j] {
				return i, j
			}
		}
	}
	return len(a), len(b)
}
