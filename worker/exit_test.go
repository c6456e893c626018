package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// unclosable is a processor that works but cannot finish.
type unclosable struct{ stream.Processor }

func (u unclosable) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	if err := u.Processor.Close(ctx, why, cp); err != nil || why != stream.ShutdownRequested {
		return err
	}
	return errors.New("files are open")
}

func (r *rig) unclosable(id string) stream.NewProcessor {
	make := r.seen.newProcessor(id)
	return func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
		p, err := make(ctx, a)
		return unclosable{p}, err
	}
}

// TestFailedCloseInHandoff: with ExitWorker a processor that cannot finish ends its worker even where its shard only moves, after the
// shard has moved; with RestartShard it is left at a warning. In neither case is a record lost or late.
func TestFailedCloseInHandoff(t *testing.T) {
	for policy, name := range map[worker.FailurePolicy]string{worker.ExitWorker: "exit", worker.RestartShard: "restart"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				cfg := r.config("a")
				cfg.OnFailure, cfg.NewProcessor = policy, r.unclosable("a")
				a := r.start(cfg)
				r.await(3*time.Second, "a has both shards", func() bool { return len(a.Status().Shards) == 2 })
				b := r.start(r.config("b"))
				r.await(2*time.Minute, "a shard has moved", func() bool { return len(b.Status().Shards) > 0 })
				records := r.put("orders", "r", 100)
				r.await(3*time.Second, "both shards are read", func() bool { return r.seen.missing(records) == 0 })
				if policy == worker.ExitWorker {
					select {
					case <-a.done:
					case <-time.After(5 * time.Second):
						t.Fatal("the worker goes on")
					}
					if a.err == nil || !strings.Contains(a.err.Error(), "stream orders shard shardId-") ||
						!strings.HasSuffix(a.err.Error(), "close the processor: shutdown requested: files are open") {
						t.Errorf("Run = %v", a.err)
					}
				} else {
					time.Sleep(10 * time.Second)
					wantHealthy(t, a)
					r.must(a.stop())
				}
				if n := r.seen.duplicates(); n > 0 {
					t.Errorf("%d records came twice", n)
				}
				r.must(b.stop())
			})
		})
	}
}

// TestFailedCloseInDrain: with ExitWorker Run returns the failure of a processor that was asked to finish because the worker stops; the
// leases are released all the same.
func TestFailedCloseInDrain(t *testing.T) {
	for policy, want := range map[worker.FailurePolicy]string{
		worker.ExitWorker:   "worker: stream orders shard shardId-000000000000: close the processor: shutdown requested: files are open",
		worker.RestartShard: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			cfg := r.config("a")
			cfg.OnFailure, cfg.NewProcessor = policy, r.unclosable("a")
			a := r.start(cfg)
			r.await(3*time.Second, "the shard is read", func() bool { return len(a.Status().Shards) == 1 })
			got := ""
			if err := a.stop(); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("policy %d: Run = %q, want %q", policy, got, want)
			}
			if l := r.lease(shard0); l.Owner != "" {
				t.Errorf("lease %+v", l)
			}
		})
	}
}

// TestCutOffIsNoFailure: a processor whose shard moves, and that is cut off because it takes too long, has not failed.
func TestCutOffIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.seen.process = func(ctx context.Context, _ stream.Assignment, _ *stream.Batch, _ stream.Checkpointer) error {
			<-ctx.Done()
			return ctx.Err()
		}
		cfg := r.config("a")
		cfg.OnFailure, cfg.HandoffTimeout = worker.ExitWorker, 5*time.Second
		a := r.start(cfg)
		r.await(3*time.Second, "a has both shards", func() bool { return len(a.Status().Shards) == 2 })
		r.put("orders", "r", 20)
		b := r.start(r.config("b"))
		r.await(2*time.Minute, "a shard has moved", func() bool { return len(b.Status().Shards) == 1 && len(a.Status().Shards) == 1 })
		select {
		case <-a.done:
			t.Errorf("Run = %v", a.err)
		case <-time.After(time.Minute):
		}
		b.cancel() // both at once: nobody is to be waited for twice
		a.cancel()
	})
}

// TestExitWorkerWhateverTheErrorIs: a processor's failure ends the worker even if it looks like the end of a context: that of a call of
// the application's own, while the processor's goes on.
func TestExitWorkerWhateverTheErrorIs(t *testing.T) {
	for _, failure := range []error{context.Canceled, fmt.Errorf("call the warehouse: %w", context.Canceled), stream.ErrDrainTimeout, stream.ErrLeaseLost} {
		t.Run(failure.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error { return failure }
				cfg := r.config("a")
				cfg.OnFailure = worker.ExitWorker
				w := r.start(cfg)
				r.put("orders", "r", 10)
				select {
				case <-w.done:
				case <-time.After(time.Minute):
					t.Fatalf("the worker goes on: %+v", w.Status())
				}
				if !errors.Is(w.err, failure) {
					t.Errorf("Run = %v", w.err)
				}
			})
		})
	}
}
