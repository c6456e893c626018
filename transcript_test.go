package kcl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/internal/transcript"
	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// transcripts are what Amazon's daemon and our children really said to each other, recorded by interop/childjava, by file name.
func transcripts(t *testing.T) map[string]transcript.Transcript {
	t.Helper()
	names, err := filepath.Glob("testdata/transcripts/*.txt")
	must(t, err)
	if len(names) == 0 {
		t.Fatal("no transcripts")
	}
	all := map[string]transcript.Transcript{}
	for _, name := range names {
		all[strings.TrimSuffix(filepath.Base(name), ".txt")] = readTranscript(t, name)
	}
	return all
}

func readTranscript(t *testing.T, name string) transcript.Transcript {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	script, err := transcript.Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return script
}

// TestServeAnswersAsRecorded plays Amazon's daemon, from its recorded lines, to Serve with a processor that asks for the
// recorded checkpoints, and holds every byte that Serve writes to the record.
func TestServeAnswersAsRecorded(t *testing.T) {
	all := transcripts(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // checkpoints at the end of a shard are tried again after a while
				a := &actor{script: all[name]}
				in, stdin := io.Pipe()
				stdout, out := io.Pipe()
				defer stdout.Close() // so that a failure leaves nobody behind
				defer stdin.Close()
				result := make(chan error, 1)
				go func() {
					result <- kcl.Serve(t.Context(), in, out, a.start)
					in.Close()
					out.Close()
				}()
				playDaemon(t, a.script, stdin, stdout)
				stdin.Close()
				if rest, err := io.ReadAll(stdout); err != nil || len(strings.TrimSpace(string(rest))) > 0 {
					t.Errorf("at the end Serve said %q (%v)", rest, err)
				}
				if err := <-result; (err == nil) != (a.script.Exit == 0) {
					t.Errorf("Serve = %v, recorded exit %d", err, a.script.Exit)
				}
				a.check(t)
			})
		})
	}
}

// TestRunAnswersAsRecorded is the same for Run in a process of its own. The frozen interface has no sub-sequence numbers.
func TestRunAnswersAsRecorded(t *testing.T) {
	all := transcripts(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if asksForSubs(all[name]) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := launchProcess(t, transcriptChild+filepath.Join("testdata", "transcripts", name+".txt"))
			playDaemon(t, all[name], p.stdin, p.stdout)
			must(t, p.stdin.Close())
			want := 0
			if all[name].Exit != 0 {
				want = 1 // the child that was recorded may have ended otherwise
			}
			if code, rest := p.ends(); code != want || want == 0 && !slices.Equal(rest, []string{"Run returned"}) {
				t.Errorf("exit code %d, want %d, stdout %q, stderr %q", code, want, rest, p.stderr.String())
			}
		})
	}
}

func asksForSubs(script transcript.Transcript) bool {
	return slices.ContainsFunc(script.Exchanges, func(e transcript.Exchange) bool {
		return slices.ContainsFunc(e.Checkpoints, func(c transcript.Checkpoint) bool { return c.Request.Sub != nil })
	})
}

// playDaemon says the daemon's lines and checks the child's. It stops where the daemon or the child did.
func playDaemon(t *testing.T, script transcript.Transcript, stdin io.Writer, stdout io.Reader) {
	t.Helper()
	lines := wire.NewReplyReader(stdout)
	say := func(line string) {
		t.Helper()
		if _, err := io.WriteString(stdin, line+"\n"); err != nil {
			t.Fatalf("say %.80s: %v", line, err)
		}
	}
	hear := func(want string) {
		t.Helper()
		got, err := lines.Next()
		for err == nil && len(got) == 0 {
			got, err = lines.Next()
		}
		if err != nil || string(got) != want {
			t.Fatalf("the child said\n%s (%v), recorded is\n%s", got, err, want)
		}
	}
	for _, e := range script.Exchanges {
		say(e.Line)
		for _, c := range e.Checkpoints {
			hear(c.Line)
			if c.Answer == "" {
				return
			}
			say(c.Answer)
		}
		if e.Status == "" {
			return
		}
		hear(e.Status)
	}
}

// actor is a processor that does what the one that was recorded did.
type actor struct {
	script transcript.Transcript
	next   int // exchange
	wrong  []string
}

// start takes part in the first exchange.
func (a *actor) start(context.Context, stream.Assignment) (stream.Processor, error) {
	a.next = 1
	return a, nil
}

func (a *actor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	return a.act(wire.ProcessRecords, func(at stream.Position) error { return cp.Checkpoint(ctx, at) })
}

func (a *actor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	action := map[stream.EndReason]wire.Action{
		stream.LeaseLost: wire.LeaseLost, stream.ShardEnded: wire.ShardEnded, stream.ShutdownRequested: wire.ShutdownRequested,
	}[why]
	return a.act(action, func(at stream.Position) error { return cp.Checkpoint(ctx, at) })
}

// act makes the checkpoints of the next exchange in which the application has a part, and sees what comes of them.
func (a *actor) act(action wire.Action, checkpoint func(stream.Position) error) error {
	lost := false
	for a.next < len(a.script.Exchanges) {
		e := a.script.Exchanges[a.next]
		a.next++
		if e.Message.Action != action {
			continue // once the lease is lost, batches are answered without the application
		}
		for i, c := range e.Checkpoints {
			if action == wire.ShardEnded && i > 0 {
				continue // kcl tries again by itself
			}
			err := checkpoint(positionOf(c.Request))
			if last := e.Checkpoints[len(e.Checkpoints)-1]; action == wire.ShardEnded {
				c = last
			}
			a.see(c, err)
			lost = lost || errors.Is(err, stream.ErrLeaseLost)
		}
		switch {
		case e.Status == "":
			return errors.New("the processor that was recorded failed")
		case lost:
			return stream.ErrLeaseLost
		}
		return nil
	}
	return fmt.Errorf("%s is not in the transcript", action)
}

// see compares the outcome of a checkpoint with the recorded answer.
func (a *actor) see(c transcript.Checkpoint, err error) {
	name := ""
	if typed, ok := errors.AsType[*kcl.CheckpointError](err); ok {
		name = typed.Name
	}
	switch {
	case c.Answer == "" && !errors.Is(err, kcl.ErrParentGone), c.Answer != "" && name != c.Error, name == "" && c.Answer != "" && err != nil:
		a.wrong = append(a.wrong, fmt.Sprintf("%s gave %v, recorded is %s", c.Line, err, c.Answer))
	}
}

func (a *actor) check(t *testing.T) {
	t.Helper()
	for _, w := range a.wrong {
		t.Error(w)
	}
}

func positionOf(r wire.Reply) stream.Position {
	if r.Sequence == nil {
		return stream.Position{}
	}
	at := stream.Position{Sequence: stream.SequenceNumber(*r.Sequence)}
	if r.Sub != nil {
		at.Sub = *r.Sub
	}
	return at
}

// transcriptChild, with the name of a transcript behind it, is the child that does what was recorded, in the frozen interface.
const transcriptChild = "transcript "

// classicActor is the actor in the frozen interface.
type classicActor struct{ actor }

func (a *classicActor) Initialize(string) error {
	a.next = 1
	return nil
}

func (a *classicActor) ProcessRecords(_ []*kcl.Record, cp *kcl.Checkpointer) error {
	return a.act(wire.ProcessRecords, frozenCheckpoint(cp))
}

func (a *classicActor) ShutdownRequested(cp *kcl.Checkpointer) error {
	return a.act(wire.ShutdownRequested, frozenCheckpoint(cp))
}

func (a *classicActor) LeaseLost() error { return a.act(wire.LeaseLost, nil) }

func (a *classicActor) ShardEnded(cp *kcl.Checkpointer) error {
	return a.act(wire.ShardEnded, frozenCheckpoint(cp))
}

func (a *classicActor) act(action wire.Action, checkpoint func(stream.Position) error) error {
	err := a.actor.act(action, checkpoint)
	if len(a.wrong) > 0 {
		return errors.New(a.wrong[0])
	}
	return err
}

func frozenCheckpoint(cp *kcl.Checkpointer) func(stream.Position) error {
	return func(at stream.Position) error {
		if at.IsZero() {
			return cp.Checkpoint(nil)
		}
		number := string(at.Sequence)
		return cp.Checkpoint(&number)
	}
}

// runTranscriptChild is the whole program of that child.
func runTranscriptChild(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	script, err := transcript.Parse(string(text))
	if err != nil {
		panic(err)
	}
	kcl.Run(&classicActor{actor{script: script}})
	fmt.Println("Run returned")
}
