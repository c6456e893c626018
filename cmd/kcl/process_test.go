//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// binaries are the programs of this module, built once for all tests.
var binaries = sync.OnceValues(func() (string, error) {
	dir := scratch
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/kcl", "./examples/classic", "./examples/inprocess")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

// bench is a directory with the programs, and a stream on a server of its own.
type bench struct {
	dir, endpoint string
	aws           aws.Config
	put           int // lines so far
}

// hang is how long something may take before it is taken to hang.
const hang = 60 * time.Second

func newBench(t *testing.T, shards int) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs real processes")
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), endpoint: serve(t, shards)}
	for _, name := range []string{"kcl", "classic", "inprocess"} {
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	b.aws, err = config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"), config.WithBaseEndpoint(b.endpoint),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// numbered is the data of the records that a bench puts: number n of its key.
type numbered struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

// putLines puts so many more records, of ten keys, with kcl put.
func (b *bench) putLines(t *testing.T, count int) {
	t.Helper()
	var lines strings.Builder
	for range count {
		text, _ := json.Marshal(numbered{Key: fmt.Sprint("key", b.put%10), N: b.put / 10})
		b.put++
		fmt.Fprintf(&lines, "%s\n", text)
	}
	if r := kcl(t, lines.String(), "put", "-endpoint", b.endpoint, "-stream", "orders", "-key-field", "key"); r.code != 0 {
		t.Fatalf("kcl put: %v", r)
	}
}

// process is a running program.
type process struct {
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	done   chan struct{} // closed when it has ended
}

// start runs a program in the bench's directory. The test's end kills it.
func (b *bench) start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("./"+name, args...), stderr: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Dir = b.dir
	p.cmd.Stderr = p.stderr
	p.cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+b.endpoint, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.stderr)
		}
	})
	return p
}

// end sends a signal and returns the exit code; −1 if a signal ended it.
func (p *process) end(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(hang):
		t.Fatalf("%s does not end after %v", p.cmd.Path, s)
	}
	return p.cmd.ProcessState.ExitCode()
}

// delivered reads what the processors wrote, shard by shard, complete lines only.
func (b *bench) delivered(t *testing.T) map[string][]numbered {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dir, "shardId-*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]numbered{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for _, line := range lines[:len(lines)-1] {
			var n numbered
			if err := json.Unmarshal([]byte(line), &n); err != nil {
				continue // half a line, and the next one behind it, of a process that was killed: both records come again
			}
			all[filepath.Base(f)] = append(all[filepath.Base(f)], n)
		}
	}
	return all
}

// count returns how many different records were delivered, and how many deliveries there were.
func (b *bench) count(t *testing.T) (different, total int) {
	t.Helper()
	seen := map[numbered]bool{}
	for _, lines := range b.delivered(t) {
		total += len(lines)
		for _, n := range lines {
			seen[n] = true
		}
	}
	return len(seen), total
}

// await waits until so many different records were delivered.
func (b *bench) await(t *testing.T, want int, by *process) {
	t.Helper()
	deadline := time.After(hang)
	for {
		n, _ := b.count(t)
		if n >= want {
			return
		}
		select {
		case <-by.done:
			t.Fatalf("%s ended with code %d when %d of %d records were delivered", by.cmd.Path, by.cmd.ProcessState.ExitCode(), n, want)
		case <-deadline:
			t.Fatalf("%d of %d records were delivered within %v", n, want, hang)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// checkComplete fails the test unless every record was delivered, and the first deliveries of each key on each shard are in order.
func (b *bench) checkComplete(t *testing.T) {
	t.Helper()
	if n, _ := b.count(t); n != b.put {
		t.Errorf("%d different records were delivered, %d were put", n, b.put)
	}
	for shard, lines := range b.delivered(t) {
		furthest, seen := map[string]int{}, map[numbered]bool{}
		for _, n := range lines {
			if seen[n] {
				continue
			}
			seen[n] = true
			if last, any := furthest[n.Key]; any && n.N < last {
				t.Errorf("%s: record %d of %s was first delivered after record %d", shard, n.N, n.Key, last)
			}
			furthest[n.Key] = n.N
		}
	}
}

// TestInprocess runs the other example through a clean stop, a split, and a hard stop.
func TestInprocess(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.putLines(t, 2000)
	p := b.start(t, "inprocess", "-stream", "orders", "-dir", b.dir)
	b.await(t, 2000, p)
	split(t, b.endpoint, "shardId-000000000000", "85070591730234615865843651857942052864") // a quarter of 2^128
	b.putLines(t, 1000)
	b.await(t, 3000, p)
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the example ended with code %d after SIGTERM, want 0", code)
	}
	if different, total := b.count(t); different != total {
		t.Errorf("%d deliveries of %d records: a clean stop delivers nothing twice", total, different)
	}
	b.putLines(t, 1000)
	p = b.start(t, "inprocess", "-stream", "orders", "-dir", b.dir)
	b.await(t, 4000, p)
	b.checkComplete(t)
}
