package stagetest

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Main runs the tests of a suite that mostly waits, for Java's clocks or for a daemon, so many at the same time unless -parallel
// says otherwise, and returns the exit code. A TestMain calls it.
func Main(m *testing.M, parallel int) int {
	if err := flag.Set("test.parallel", strconv.Itoa(parallel)); err != nil { // m.Run parses the flags, which win
		panic(err)
	}
	return m.Run()
}

// Cache is the folder that interop/run and the setup scripts fill. The test ends if interop/run did not say where it is.
func Cache(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("KCL_INTEROP_CACHE")
	if dir == "" {
		t.Fatal("KCL_INTEROP_CACHE is not set: run these tests with interop/run")
	}
	return dir
}

var root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
})

// Root is the folder of our module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	return dir
}

// Build compiles one of our main packages, such as "./cmd/kcl", and returns the binary, which lives as long as the test.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	build := exec.Command("go", "build", "-o", binary, pkg)
	build.Dir = Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return binary
}

// Result is one line of the table that interop/run prints at its end.
type Result struct {
	Part       string `json:"part"`       // folder of the suite
	Pairing    string `json:"pairing"`    // who with whom, with versions
	Ran        string `json:"ran"`        // what was done
	Records    int64  `json:"records"`    // delivered, each counted once
	Duplicates int64  `json:"duplicates"` // deliveries beyond that
	Gap        string `json:"gap"`        // longest silence of a shard, and after what
	Findings   string `json:"findings"`   // what was learnt, if anything
}

// Report adds a line to the table.
func Report(t testing.TB, r Result) {
	t.Helper()
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	name := os.Getenv("KCL_INTEROP_RESULTS")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
