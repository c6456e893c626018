package kcl_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

func TestC29_FailuresAreNotAnswered(t *testing.T) {
	broken := errors.New("broken")
	fails := func(context.Context, stream.Assignment) (stream.Processor, error) { return nil, broken }
	out, err := serve(t, fails, sayInitialize)
	wantError(t, err, "kcl: initialize: broken")
	wantOutput(t, out)
	for action, say := range map[string]string{
		"processRecords": sayRecords, "shutdownRequested": sayShutdown, "leaseLost": sayLeaseLost, "shardEnded": sayShardEnded,
	} {
		p := processor{
			process: func(context.Context, *stream.Batch, stream.Checkpointer) error { return broken },
			close:   func(context.Context, stream.EndReason, stream.Checkpointer) error { return broken },
		}
		out, err := serve(t, p.start, sayInitialize, say, sayRecords)
		wantError(t, err, "kcl: "+action+": broken")
		if !errors.Is(err, broken) {
			t.Errorf("%s: the error is not the processor's", action)
		}
		wantOutput(t, out, statusInitialize)
	}
}

func TestC30_PanicsAreNotAnswered(t *testing.T) {
	p := processor{process: func(context.Context, *stream.Batch, stream.Checkpointer) error { panic("boom") }}
	out, err := serve(t, p.start, sayInitialize, sayRecords)
	wantOutput(t, out, statusInitialize)
	if err == nil || !strings.HasPrefix(err.Error(), "kcl: processRecords: panic: boom\n") || !strings.Contains(err.Error(), "stop_test.go") {
		t.Errorf("Serve = %v, want the panic with its stack", err)
	}
}

func TestC31_EndOfInputIsNoError(t *testing.T) {
	for _, said := range []string{
		"", sayInitialize, sayInitialize + sayRecords, sayInitialize + sayShutdown,
		sayInitialize + sayShutdown + sayLeaseLost, sayInitialize + sayLeaseLost, sayInitialize + sayShardEnded,
	} {
		synctest.Test(t, func(t *testing.T) {
			d := listen(t, new(processor).start)
			d.says(said)
			if strings.HasSuffix(said, sayShardEnded) {
				d.says(sayDone)
			}
			if err := d.HangUp(); err != nil {
				t.Errorf("after %q: Serve = %v", said, err)
			}
		})
	}
}

func TestC32_EndOfInputDuringACall(t *testing.T) {
	for name, test := range map[string]struct {
		process func(context.Context, *stream.Batch, stream.Checkpointer) error
		want    error
		took    time.Duration
	}{
		"it heeds its context": {
			func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
				<-ctx.Done()
				return cp.Checkpoint(ctx, stream.Position{})
			}, kcl.ErrParentGone, 0,
		},
		"it finishes its work": {
			func(ctx context.Context, _ *stream.Batch, _ stream.Checkpointer) error {
				<-ctx.Done()
				time.Sleep(9 * time.Second)
				return nil
			}, nil, 9 * time.Second,
		},
		"it awaits an answer": {checkpointAll, kcl.ErrParentGone, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := processor{process: test.process}
			d := listen(t, p.start)
			d.says(sayInitialize, sayRecords)
			began := time.Now()
			if err := d.HangUp(); !errors.Is(err, test.want) {
				t.Errorf("%s: Serve = %v, want %v", name, err, test.want)
			}
			if took := time.Since(began); took != test.took {
				t.Errorf("%s: took %v, want %v", name, took, test.took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := processor{process: func(context.Context, *stream.Batch, stream.Checkpointer) error { <-release; return nil }}
		d := listen(t, p.start)
		d.says(sayInitialize, sayRecords)
		began := time.Now()
		wantError(t, d.HangUp(), "kcl: processRecords: still running 10s after its context ended")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		close(release)
	})
}

// TestC36 covers the stop that a SIGTERM leads to; see TestC36_Signals for the signals themselves.
func TestC36_StopIsBounded(t *testing.T) {
	stopped := errors.New("stopped")
	// stop runs a child whose processor is told to stop while Process runs, and returns the outcome and how long it took.
	stop := func(t *testing.T, said string, process func(context.Context, *stream.Batch, stream.Checkpointer) error) (time.Duration, error) {
		in, stdin := io.Pipe()
		defer stdin.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error)
		p := processor{process: process}
		go func() { result <- kcl.Serve(ctx, in, io.Discard, p.start) }()
		_, err := io.WriteString(stdin, said)
		must(t, err)
		synctest.Wait()
		began := time.Now()
		cancel(stopped)
		err = <-result
		return time.Since(began), err
	}
	synctest.Test(t, func(t *testing.T) {
		if took, err := stop(t, sayInitialize, nil); err != stopped || took != 0 {
			t.Errorf("between calls: %v after %v", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		took, err := stop(t, sayInitialize+sayRecords, func(ctx context.Context, _ *stream.Batch, _ stream.Checkpointer) error {
			time.Sleep(8 * time.Second)
			return ctx.Err()
		})
		if err != stopped || took != 8*time.Second {
			t.Errorf("a call of 8 s: %v after %v", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		took, err := stop(t, sayInitialize+sayRecords, func(ctx context.Context, _ *stream.Batch, _ stream.Checkpointer) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, stream.ErrDrainTimeout) || took != 10*time.Second {
			t.Errorf("a call that waits for its context: %v after %v", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		took, err := stop(t, sayInitialize+sayRecords, func(context.Context, *stream.Batch, stream.Checkpointer) error {
			<-release
			return nil
		})
		wantError(t, err, "kcl: processRecords: still running 10s after its context ended")
		if took != 20*time.Second {
			t.Errorf("a call without end: after %v", took)
		}
	})
}

func TestC41_ShutdownConcernsOneShard(t *testing.T) {
	var p, q processor
	d, e := kcltest.Serve(t, p.start), kcltest.Serve(t, q.start)
	must(t, d.Initialize("one", stream.TrimHorizon))
	must(t, e.Initialize("two", stream.TrimHorizon))
	must(t, d.ShutdownRequested())
	must(t, e.Process(&stream.Batch{Records: kcltest.Records(1, "a")}))
	must(t, d.LeaseLost())
	must(t, d.HangUp())
	must(t, e.Process(&stream.Batch{Records: kcltest.Records(2, "b")}))
	must(t, e.ShardEnded())
	if len(q.batches) != 2 {
		t.Errorf("the other shard got %d batches, want 2", len(q.batches))
	}
}

func TestC42_OutputIsASCII(t *testing.T) {
	p := processor{process: checkpointAll}
	out, err := serve(t, p.start, `{"action":"initialize","shardId":"осколок","sequenceNumber":"Ж","subSequenceNumber":0}`+"\n",
		strings.Replace(sayRecords, "cat", "кот", 1), sayDone, sayShutdown)
	must(t, err)
	for i := range len(out) {
		if out[i] >= 0x80 {
			t.Fatalf("child wrote %q", out)
		}
	}
}

// TestC44 drives the child with a fake parent over a reader and a writer of the test's own.
func TestC44_FakeParentOverAnyPipes(t *testing.T) {
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	result := make(chan error)
	p := processor{process: checkpointAll}
	go func() { result <- kcl.Serve(t.Context(), in, out, p.start) }()
	d := kcltest.NewDaemon(stdin, stdout)
	var asked int
	d.Answer = func(kcltest.CheckpointRequest) string {
		if asked++; asked > 1 {
			return "ShutdownException"
		}
		return ""
	}
	must(t, d.Initialize("s", stream.TrimHorizon))
	must(t, d.Process(&stream.Batch{Records: kcltest.Records(1, "a", "b")}))
	must(t, d.Process(&stream.Batch{Records: kcltest.Records(3, "c")}))
	must(t, d.LeaseLost())
	must(t, d.HangUp())
	must(t, <-result)
	if asked != 2 || len(p.batches) != 2 {
		t.Errorf("%d checkpoints and %d batches, want 2 and 2", asked, len(p.batches))
	}
}

func TestShardEndedAfterShutdownRequestedNeedsANewProcessor(t *testing.T) {
	var p processor
	out, err := serve(t, p.start, sayInitialize, sayShutdown, sayShardEnded)
	wantError(t, err, "kcl: shardEnded: the processor is closed")
	wantOutput(t, out, statusInitialize, statusShutdown)
}

func TestServeReportsBrokenPipes(t *testing.T) {
	broken := errors.New("broken")
	err := kcl.Serve(t.Context(), io.MultiReader(strings.NewReader(sayInitialize), brokenPipe{broken}), &bytes.Buffer{}, new(processor).start)
	wantError(t, err, "kcl: read from parent: broken")
	in, stdin := io.Pipe()
	defer stdin.Close()
	go io.WriteString(stdin, sayInitialize)
	wantError(t, kcl.Serve(t.Context(), in, brokenPipe{broken}, new(processor).start), "kcl: answer initialize: broken")
}

type brokenPipe struct{ err error }

func (b brokenPipe) Read([]byte) (int, error)  { return 0, b.err }
func (b brokenPipe) Write([]byte) (int, error) { return 0, b.err }
