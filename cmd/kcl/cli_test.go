package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) { // links to this binary, which java_test.go makes
	case "java":
		os.Exit(fakeJava(os.Args[1:]))
	case "kcl":
		main()
	}
	for _, v := range os.Environ() { // whatever the developer uses AWS for
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(runTests(m))
}

// scratch is where programs are built; it is removed at the end.
var scratch string

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kcl-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return m.Run()
}

// result is what one call of kcl did.
type result struct {
	code           int
	stdout, stderr string
}

// String is how golden files show a result.
func (r result) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", r.code, r.stdout, r.stderr)
}

// kcl calls the program in this process.
func kcl(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// background is a call of kcl that runs beside the test. Its end, at the latest the test's, is like Ctrl-C.
type background struct {
	stdout *bufio.Reader
	stop   func() (code int, stderr string)
}

func start(t *testing.T, args ...string) background {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, w := io.Pipe()
	var stderr bytes.Buffer
	var code int
	var running sync.WaitGroup
	running.Go(func() {
		code = run(ctx, args, strings.NewReader(""), w, &stderr)
		w.Close()
	})
	stop := sync.OnceValues(func() (int, string) {
		cancel()
		go io.Copy(io.Discard, out)
		running.Wait()
		return code, stderr.String()
	})
	t.Cleanup(func() { stop() })
	return background{bufio.NewReader(out), stop}
}

// line reads the next line of its stdout.
func (b background) line(t *testing.T) string {
	t.Helper()
	line, err := b.stdout.ReadString('\n')
	if err != nil {
		code, stderr := b.stop()
		t.Fatalf("kcl ended with code %d instead of printing a line: %s", code, stderr)
	}
	return line
}

// serve starts kcl local with a stream "orders" and returns its endpoint.
func serve(t *testing.T, shards int, args ...string) string {
	t.Helper()
	b := start(t, append([]string{"local", "-addr", "127.0.0.1:0", "-json", "-stream", fmt.Sprint("orders:", shards)}, args...)...)
	var ready localReady
	if err := json.Unmarshal([]byte(b.line(t)), &ready); err != nil {
		t.Fatal(err)
	}
	return ready.Endpoint
}

// normal replaces what differs from run to run.
func normal(text string) string {
	for _, r := range []struct{ pattern, by string }{
		{`127\.0\.0\.1:\d+`, "127.0.0.1:PORT"},
		{`/\S*kcl-local-\d+\.pem`, "CERTIFICATE"},
		{`\b\d{56}\b`, "SEQUENCE"},
		{`RequestID: [0-9a-f-]+`, "RequestID: ID"},
		{`\d{4}-\d\d-\d\dT[0-9:.]+Z`, "TIME"},
		{`"seconds":[0-9.e-]+`, `"seconds":N`},
		{` in \d+\.\d s: [0-9,]+ records/s, [0-9.]+ MB/s`, " in N s: N records/s, N MB/s"},
		{`kcl \S+( [0-9a-f]{12}( with changes)?)? \(go[0-9.]+\S*, \w+/\w+\)`, "kcl VERSION (GO, PLATFORM)"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.by)
	}
	return text
}

// golden compares with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	got = normal(got)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites):\n%s", file, diff)
	}
}

func TestHelpGolden(t *testing.T) {
	var all strings.Builder
	all.WriteString(kcl(t, "").String())
	for _, c := range (&app{}).root().Commands() {
		fmt.Fprintf(&all, "=== kcl %s -help\n%s", c.Name(), kcl(t, "", c.Name(), "-help"))
	}
	golden(t, "help", all.String())
}

func TestVersionGolden(t *testing.T) {
	golden(t, "version", kcl(t, "", "version").String())
	var v version
	if r := kcl(t, "", "version", "--json"); json.Unmarshal([]byte(r.stdout), &v) != nil || v.Go == "" || v.KCL != "3.5" {
		t.Errorf("version --json = %v", r)
	}
}

// TestUsageErrors: exit code 2, nothing on stdout, and one line that helps.
func TestUsageErrors(t *testing.T) {
	tests := []struct{ args, want string }{
		{"locl", `kcl: there is no command "locl"; did you mean "local"?`},
		{"locl -addr x", `kcl: there is no command "locl"; did you mean "local"?`},
		{"help locla", `kcl: there is no command "locla"; did you mean "local"?`},
		{"put -strem orders", "kcl: kcl put has no flag -strem; did you mean -stream?"},
		{"put --strem=orders", "kcl: kcl put has no flag -strem; did you mean -stream?"},
		{"put -zzz", "kcl: kcl put has no flag -zzz; see kcl put -help"},
		{"put", "kcl: which stream? Give -stream"},
		{"put -stream", "kcl: flag needs an argument: -stream"},
		{"put orders", `kcl: kcl put takes no arguments, but got "orders"`},
		{"put -stream s -count many", `kcl: invalid argument "many" for "-count" flag: strconv.ParseInt: parsing "many": invalid syntax`},
		{"put -stream s -count -1", "kcl: -count, -rate, -duration and -linger cannot be negative"},
		{"put -stream s -size 99999999", "kcl: -size 99999999 is not within 0 to 10485760 (Kinesis: 10 MiB)"},
		{"put -stream s -key a -key-field b", "kcl: -key and -key-field exclude each other"},
		{"put -stream s -count 1 -key a", "kcl: -key and -key-field are for lines of stdin; made-up records have -keys"},
		{"put -stream s -keys 0", "kcl: -keys 0 is under 1"},
		{"put -stream s -endpoint 127.0.0.1:1", `kcl: -endpoint "127.0.0.1:1" is not a URL such as http://127.0.0.1:4567`},
		{"put -stream s", "kcl: which region? Give -region, or set AWS_REGION"},
		{"local -addr 4567", `kcl: -addr "4567": want host:port, such as 127.0.0.1:4567`},
		{"local -stream orders:none", `kcl: -stream "orders:none": want name:shards, such as orders:4`},
		{"version now", `kcl: kcl version takes no arguments, but got "now"`},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			want := result{code: exitUsage, stderr: tt.want + "\n"}
			if diff := cmp.Diff(want.String(), kcl(t, "", strings.Fields(tt.args)...).String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLocalGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"local":      {"local", "-addr", "127.0.0.1:0", "-stream", "orders:4", "-stream", "returns"},
		"local-tls":  {"local", "-addr", "127.0.0.1:0", "-tls", "-region", "eu-west-1"},
		"local-json": {"local", "-addr", "127.0.0.1:0", "-json", "-stream", "orders:4"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, args...)
			stdout := b.line(t)
			for b.stdout.Buffered() > 0 {
				stdout += b.line(t)
			}
			code, stderr := b.stop()
			golden(t, name, result{code, stdout, stderr}.String())
		})
	}
}

func TestLocalSaysThatThePortIsTaken(t *testing.T) {
	addr := strings.TrimPrefix(serve(t, 1), "http://")
	r := kcl(t, "", "local", "-addr", addr)
	if want := "kcl: another program listens on " + addr + " already"; r.code != exitFailure || !strings.HasPrefix(r.stderr, want) {
		t.Errorf("second kcl local: %v, want exit 1 and %q", r, want)
	}
}

func TestPutGolden(t *testing.T) {
	endpoint := serve(t, 4)
	for name, tt := range map[string]struct {
		stdin string
		args  []string
	}{
		"put-lines":     {"one\ntwo\nthree", []string{"-stream", "orders"}},
		"put-json":      {"one\n", []string{"-stream", "orders", "-json"}},
		"put-generated": {"", []string{"-stream", "orders", "-count", "1234", "-size", "100", "-seed", "1"}},
		"put-aggregate": {"", []string{"-stream", "orders", "-count", "1234", "-size", "100", "-seed", "1", "-aggregate"}},
		"put-bad-line":  {"{\"id\":1}\n{\"ID\":2}\n", []string{"-stream", "orders", "-key-field", "id"}},
		"put-no-stream": {"one\n", []string{"-stream", "nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, kcl(t, tt.stdin, append([]string{"put", "-endpoint", endpoint}, tt.args...)...).String())
		})
	}
}

// TestPutDuration: the service's answers, not the clock of the test, say how much was put.
func TestPutDuration(t *testing.T) {
	r := kcl(t, "", "put", "-endpoint", serve(t, 1), "-stream", "orders", "-rate", "1000", "-duration", "300ms", "-json")
	var s putSummary
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || r.code != 0 {
		t.Fatalf("%v: %v", err, r)
	}
	if s.Records == 0 || s.Records > 300 || s.Seconds > 60 {
		t.Errorf("put %d records at 1000/s in 300ms", s.Records)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"demo", "local", "put", "run", "tail", "version"}
	for word, want := range map[string]string{
		"locla": "local", "tial": "tail", "vers": "version", "PUT": "put", "x": "", "dashboard": "", "de": "demo", "puts": "put",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestLocalVerbose(t *testing.T) {
	b := start(t, "local", "-addr", "127.0.0.1:0", "-json", "-stream", "orders", "-verbose")
	var ready localReady
	if err := json.Unmarshal([]byte(b.line(t)), &ready); err != nil {
		t.Fatal(err)
	}
	if r := kcl(t, "one\n", "put", "-endpoint", ready.Endpoint, "-stream", "orders"); r.code != 0 {
		t.Fatal(r)
	}
	if code, stderr := b.stop(); code != 0 || !strings.Contains(stderr, "operation=PutRecords") {
		t.Errorf("exit %d, stderr:\n%s", code, stderr)
	}
}

// TestPutOutlivesLimits: what a shard refuses for its throughput is put again, and nothing is lost or put twice.
func TestPutOutlivesLimits(t *testing.T) {
	endpoint := serve(t, 1, "-limits")
	r := kcl(t, "", "put", "-endpoint", endpoint, "-stream", "orders", "-count", "1500", "-json")
	var s putSummary
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || r.code != 0 || s.Records != 1500 || s.Retries == 0 {
		t.Errorf("put: %v, %v; want 1500 records, some of them put again", r, err)
	}
	read := kcl(t, "", "tail", "-endpoint", endpoint, "-stream", "orders", "-from", "oldest", "-count", "1500")
	if n := strings.Count(read.stdout, "\n"); n != 1500 {
		t.Errorf("%d records are in the stream", n)
	}
}
