//go:build unix

package multilang_test

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/stream"
)

// output is what children and the logger wrote.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and replaced at each write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns once the output contains text.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	for {
		o.mu.Lock()
		more, found := o.more, strings.Contains(o.text.String(), text)
		o.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-time.After(30 * time.Second):
			t.Fatalf("no %q in\n%s", text, o)
		}
	}
}

// lines returns what the child wrote to stderr without the tag.
func (o *output) lines() []string {
	text := strings.ReplaceAll(o.String(), "[orders shardId-000000000007] ", "")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// ledger is a checkpointer that remembers, and answers errors in turn.
type ledger struct {
	mu     sync.Mutex
	asked  []stream.Position
	errors []error
}

func (l *ledger) Checkpoint(_ context.Context, at stream.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, at)
	if len(l.errors) == 0 {
		return nil
	}
	err := l.errors[0]
	l.errors = l.errors[1:]
	return err
}

// rig is a child under test.
type rig struct {
	*testing.T
	multilang.Command
	stderr, log *output
	ledger      *ledger
	ctx         context.Context
	cancel      context.CancelCauseFunc
	p           stream.Processor
}

var assignment = stream.Assignment{Stream: "orders", Shard: "shardId-000000000007", From: stream.TrimHorizon}

func newRig(t *testing.T, child string) *rig {
	t.Parallel()
	r := &rig{T: t, stderr: newOutput(), log: newOutput(), ledger: &ledger{}}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	t.Cleanup(func() { r.cancel(nil) })
	r.Command = multilang.Command{
		Path:   os.Args[0],
		Env:    childEnv(child),
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Stderr: r.stderr,
	}
	return r
}

// start makes the processor and, at the end of the test, checks that the child is gone.
func (r *rig) start() *rig {
	r.Helper()
	p, err := r.NewProcessor(r.ctx, assignment)
	if err != nil {
		r.Fatal(err)
	}
	r.p = p
	return r
}

func batch() *stream.Batch {
	return &stream.Batch{Behind: 340 * time.Millisecond, Records: []stream.Record{
		{Data: []byte("one"), PartitionKey: "a", Position: stream.Position{Sequence: "1"}, Arrived: time.UnixMilli(1_760_000_000_123)},
		{Data: []byte("two"), PartitionKey: "ü<&>", Position: stream.Position{Sequence: "2"}, Arrived: time.UnixMilli(1_760_000_000_124)},
	}}
}

// large is a batch that no pipe holds.
func large() *stream.Batch {
	b := batch()
	b.Records[0].Data = make([]byte, 1<<20)
	return b
}

func (r *rig) process() error { return r.p.Process(r.ctx, batch(), r.ledger) }

func (r *rig) close(why stream.EndReason) error { return r.p.Close(r.ctx, why, r.ledger) }

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("%v\nlog:\n%s", err, r.log)
	}
}

// fails checks the text of an error, and that no process is left.
func (r *rig) fails(err error, want string) {
	r.Helper()
	if err == nil || err.Error() != want {
		r.Fatalf("error\n%v\nwant\n%s\nlog:\n%s", err, want, r.log)
	}
	r.gone()
}

// gone checks that the child is no process any more, not even a zombie.
func (r *rig) gone() {
	r.Helper()
	pid := r.pid()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		r.Errorf("child %d: %v, want it gone; log:\n%s", pid, err, r.log)
	}
}

// pid returns the number of the child as it was logged.
func (r *rig) pid() int {
	r.Helper()
	return r.number(r.log, "pid=")
}

// number returns the number behind a word.
func (r *rig) number(o *output, word string) int {
	r.Helper()
	_, rest, ok := strings.Cut(o.String(), word)
	if !ok {
		r.Fatalf("no %q in\n%s", word, o)
	}
	rest, _, _ = strings.Cut(rest, "\n")
	rest, _, _ = strings.Cut(rest, " ")
	n, err := strconv.Atoi(rest)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// logged checks that the log has a line with all of these words.
func (r *rig) logged(words ...string) {
	r.Helper()
next:
	for line := range strings.Lines(r.log.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		return
	}
	r.Errorf("no line with %q in\n%s", words, r.log)
}

// childEnv makes this binary the child of that name. The race detector must not hold up its exit by a second.
func childEnv(child string) []string {
	return append(os.Environ(), childVar+"="+child, "GORACE=atexit_sleep_ms=0")
}
