package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kinds are the kinds of facts in the order of the list, and how many there are of each; they are numbered from 1.
var kinds = []struct {
	letter string
	facts  int
}{{"R", 122}, {"S", 38}, {"J", 18}, {"X", 41}}

// fact is one line of testdata/facts.txt.
type fact struct {
	line    int
	number  string // such as R12
	text    string
	clauses []string // each a package and the names of its tests, or a reason that begins with "-"
}

var factLine = regexp.MustCompile(`^([A-Z][0-9]+) *\| ([^|]+) \| ([^|]+)$`)

func facts(t *testing.T) (all []fact) {
	t.Helper()
	text, err := os.ReadFile("testdata/facts.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := factLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("testdata/facts.txt:%d: want number | fact | package Test…, or a reason: %s", i+1, line)
			continue
		}
		where, reason, found := strings.Cut("; "+m[3], "; - ")
		f := fact{line: i + 1, number: m[1], text: m[2]}
		for clause := range strings.SplitSeq(strings.TrimPrefix(where, "; "), "; ") {
			if clause != "" {
				f.clauses = append(f.clauses, clause)
			}
		}
		if found {
			f.clauses = append(f.clauses, "- "+reason)
		}
		all = append(all, f)
	}
	return all
}

// TestFacts: each fact of the list has a test that exists, or a reason why it has none, and no number is missing.
func TestFacts(t *testing.T) {
	known := map[string]map[string]bool{} // functions of each package
	want := wantedFacts()
	for _, f := range facts(t) {
		at := fmt.Sprintf("testdata/facts.txt:%d: %s", f.line, f.number)
		if len(want) == 0 || want[0] != f.number {
			t.Fatalf("%s stands where %q is due: the numbers of each kind follow each other, so that none is forgotten", at, want[:min(len(want), 1)])
		}
		want = want[1:]
		if n := len(strings.Fields(f.text)); n < 4 || n > 14 {
			t.Errorf("%s: %q has %d words: tell the fact in a line of 4 to 14", at, f.text, n)
		}
		for _, clause := range f.clauses {
			if reason, ok := strings.CutPrefix(clause, "- "); ok {
				if len(reason) < 10 {
					t.Errorf("%s: %q is no reason", at, reason)
				}
				continue
			}
			words := strings.Fields(clause)
			dir, names := words[0], words[1:]
			if known[dir] == nil {
				known[dir] = functions(t, dir)
			}
			if len(names) == 0 {
				t.Errorf("%s: %q names no test", at, clause)
			}
			for _, name := range names {
				if !known[dir][name] {
					t.Errorf("%s: package %s has no test %s: it was renamed or is gone, and the fact needs another%s", at, dir, name, like(known[dir], name))
				}
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("testdata/facts.txt lacks %s", strings.Join(want, " "))
	}
}

func wantedFacts() (all []string) {
	for _, kind := range kinds {
		for n := range kind.facts {
			all = append(all, fmt.Sprintf("%s%d", kind.letter, n+1))
		}
	}
	return all
}

// functions returns the names of the functions in a folder's files that test something, whatever their build tags.
func functions(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		// Those of a suite for several packages, such as lease/leasetest, stand in files that are no tests.
		if !strings.HasSuffix(file, "_test.go") && !strings.HasSuffix(dir, "test") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && isTest(fn.Name.Name) {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

func isTest(name string) bool {
	return slices.ContainsFunc([]string{"Test", "test", "Fuzz"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// like names the tests that begin as one does that is missed.
func like(known map[string]bool, name string) string {
	var near []string
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if len(name) >= 8 && strings.HasPrefix(k, name[:8]) {
			near = append(near, k)
		}
	}
	if len(near) == 0 || len(near) > 8 {
		return ""
	}
	return ": perhaps " + strings.Join(near, ", ")
}
