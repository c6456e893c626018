package worker_test

// The facts about delivery and checkpoints that internal/archtest/testdata/facts.txt lists as R53 to R100: a test here has the number of
// the fact that it holds the engine to. The list says where the others are tested, and which ours meets in another way than Java.
//
// The promises of package stream and this one:
//
//	one NewProcessor call for each assignment, then one call at a time   Test53…, TestPromiseOneProcessorPerAssignment
//	shards run in parallel                                              TestPromiseShardsRunInParallel
//	cancelling Run drains, and does not end the processor's context      TestPromiseStopIsNotCancellation
//	that context ends with the lease or the draining, and its cause      TestPromiseCauseOfTheContext, TestI8DrainTimeout
//	a failure restarts that shard alone, or ends the worker              TestI4FailureRestartsThatShardAlone, TestExitWorker
//	a checkpoint moves forward only; without the lease ErrLeaseLost      Test84…, Test88…
//	a zero Position is JSON null                                         package kcl: TestC…

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// script is a processor made of functions; those that are nil do nothing, but close checkpoints the end of a shard.
type script struct {
	process func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error
	close   func(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error
}

func (s script) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if s.process == nil {
		return nil
	}
	return s.process(ctx, b, cp)
}

func (s script) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	switch {
	case s.close != nil:
		return s.close(ctx, why, cp)
	case why == stream.ShardEnded:
		return cp.Checkpoint(ctx, stream.Position{})
	}
	return nil
}

// always makes the same processor for each assignment.
func always(s script) stream.NewProcessor {
	return func(context.Context, stream.Assignment) (stream.Processor, error) { return s, nil }
}

// journal is what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

func (j *journal) count(line string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, l := range j.lines {
		if l == line {
			n++
		}
	}
	return n
}

// steal gives a lease away under its owner's feet.
func (r *rig) steal(key string) { r.t.Helper(); r.give(key, "thief") }

func Test53OneCallAtATimeAndShardsInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		var mu sync.Mutex
		inside, most := map[stream.ShardID]int{}, 0
		enter := func(id stream.ShardID, by int) {
			mu.Lock()
			defer mu.Unlock()
			inside[id] += by
			if inside[id] > 1 {
				t.Errorf("%d calls at once on %s", inside[id], id)
			}
			busy := 0
			for _, n := range inside {
				busy += n
			}
			most = max(most, busy)
		}
		r.seen.process = func(_ context.Context, a stream.Assignment, _ *stream.Batch, _ stream.Checkpointer) error {
			enter(a.Shard, 1)
			time.Sleep(300 * time.Millisecond)
			enter(a.Shard, -1)
			return nil
		}
		cfg := r.config("a")
		cfg.Reading.MaxRecords = 5
		r.start(cfg)
		records := r.put("orders", "r", 100)
		r.await(time.Minute, "all records", func() bool { return r.seen.missing(records) == 0 })
		if most != 3 || strings.Contains(r.seen.summary(), "out of order") {
			t.Errorf("at most %d shards at once\n%s", most, r.seen.summary())
		}
	})
}

func Test54and96and97AssignmentCarriesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		records := r.put("orders", "r", 3)
		_, err := r.store.Prepare(t.Context(), r.lease(shard0), stream.Position{Sequence: "17", Sub: 2}, []byte("state"))
		r.must(err)
		r.must(r.store.SetHashKeys(t.Context(), shard0, stream.HashKeyRange{Last: stream.MaxHashKey}))
		var got stream.Assignment
		make := cfg.NewProcessor
		cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
			got = a
			return make(ctx, a)
		}
		r.start(cfg)
		r.await(3*time.Second, "all records from the checkpoint on", func() bool { return r.seen.missing(records) == 0 })
		if got.Stream != "orders" || got.Shard != shard0 || got.From != stream.TrimHorizon || got.Pending != (stream.Position{Sequence: "17", Sub: 2}) ||
			string(got.PendingState) != "state" || got.HashKeys.Last != stream.MaxHashKey {
			t.Errorf("assignment %+v", got)
		}
		if l := r.lease(shard0); !l.Pending.IsZero() || l.PendingState != nil || !l.Checkpoint.IsNumber() {
			t.Errorf("after a checkpoint: %+v", l)
		}
	})
}

func Test55NewProcessorFails(t *testing.T) {
	for name, fail := range map[string]func() (stream.Processor, error){
		"error": func() (stream.Processor, error) { return nil, errors.New("no disk") },
		"panic": func() (stream.Processor, error) { panic("no disk") },
		"nil":   func() (stream.Processor, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				cfg := r.config("a")
				var tried []time.Time
				make := cfg.NewProcessor
				cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
					if a.Shard != shard0 {
						return make(ctx, a)
					}
					if tried = append(tried, time.Now()); len(tried) <= 12 {
						return fail()
					}
					return make(ctx, a)
				}
				w := r.start(cfg)
				time.Sleep(3 * time.Second)
				want := map[string]string{
					"error": "start the processor: no disk", "panic": "start the processor: panic: no disk\n",
					"nil": "start the processor: NewProcessor returned neither a processor nor an error",
				}[name]
				if p := w.Status().Problems; len(p) != 1 || !strings.Contains(p[0].What, want) || p[0].Shard != shard0 {
					t.Errorf("problems %+v", p)
				}
				records := r.put("orders", "r", 50)
				r.await(2*time.Second, "the other shard's records", func() bool { return r.seen.missing(records) < len(records) })
				r.await(15*time.Minute, "all records", func() bool { return r.seen.missing(records) == 0 })
				for i := range tried[1:] {
					if gap := tried[i+1].Sub(tried[i]); gap < 500*time.Millisecond || gap > time.Minute {
						t.Errorf("attempt %d came %v after the one before", i+2, gap)
					}
				}
				wantHealthy(t, w)
			})
		})
	}
}

func Test58EmptyBatches(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Run(fmt.Sprint(empty), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				cfg := r.config("a")
				cfg.EmptyBatches = empty
				calls := 0
				cfg.NewProcessor = always(script{process: func(_ context.Context, b *stream.Batch, _ stream.Checkpointer) error {
					calls++
					if len(b.Records) != 0 || b.Behind != 0 || b.BehindUnknown {
						t.Errorf("batch %+v", b)
					}
					return nil
				}})
				w := r.start(cfg)
				time.Sleep(10 * time.Second)
				r.must(w.stop())
				if empty != (calls > 5) || !empty && calls != 0 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

func Test67and68ParentsAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		r.row("shardId-parent")
		r.give("shardId-parent", "b")
		r.deleteRow(shard0)
		r.row(shard0, "shardId-parent", "shardId-without-a-row")
		r.give(shard0, "a")
		w := r.start(cfg)
		r.await(3*time.Second, "the shard waits", func() bool {
			s := w.Status().Shards
			return len(s) == 1 && s[0].Phase == worker.WaitingForParents
		})
		r.steal(shard0)
		r.await(4*time.Second, "the shard is let go", func() bool { return len(w.Status().Shards) == 0 })
		r.give(shard0, "a")
		time.Sleep(3 * time.Second)
		if r.seen.summary() != "0 records delivered\n" {
			t.Errorf("a processor was made\n%s", r.seen.summary())
		}
		_, err := r.store.Checkpoint(t.Context(), r.lease("shardId-parent"), stream.ShardEnd)
		r.must(err)
		r.await(1500*time.Millisecond, "the shard is read", func() bool { return r.seen.happened("a starts " + shard0 + " at TRIM_HORIZON") })
	})
}

func Test69and70LeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		var j journal
		made := 0
		cfg.NewProcessor = func(context.Context, stream.Assignment) (stream.Processor, error) {
			made++
			n := made
			return script{
				process: func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
					j.add("%d process", n)
					if n == 1 {
						<-ctx.Done()
						time.Sleep(5 * time.Second) // it heeds its context slowly
						j.add("%d returns: %v", n, context.Cause(ctx))
						return ctx.Err()
					}
					return nil
				},
				close: func(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
					j.add("%d close: %v, checkpoint: %v", n, why, errors.Is(cp.Checkpoint(ctx, stream.Position{}), stream.ErrLeaseLost))
					return nil
				},
			}, nil
		}
		r.put("orders", "r", 5)
		w := r.start(cfg)
		r.await(3*time.Second, "Process is called", func() bool { return j.count("1 process") == 1 })
		r.put("orders", "more", 5) // read ahead, and dropped
		r.steal(shard0)
		r.await(10*time.Second, "the shard is let go", func() bool { return len(w.Status().Shards) == 0 })
		r.give(shard0, "a")
		r.await(5*time.Second, "it is read again", func() bool { return j.count("2 process") == 1 })
		r.must(w.stop())
		const want = "1 process\n1 returns: stream: lease lost\n1 close: lease lost, checkpoint: true\n2 process\n2 close: shutdown requested, checkpoint: false"
		if j.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", &j, want)
		}
	})
}

func Test71to73ShardEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		var j journal
		cfg := r.config("a")
		make := cfg.NewProcessor
		tries := 0
		cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
			if a.Shard != shard0 {
				return make(ctx, a)
			}
			return script{
				process: func(_ context.Context, b *stream.Batch, _ stream.Checkpointer) error {
					time.Sleep(time.Second)
					j.add("process %d", len(b.Records))
					return nil
				},
				close: func(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
					children := r.lease(shard0).Children
					j.add("close %v: %v, rows %q %q", why, children, r.lease(shard1).Checkpoint, r.lease(shard2).Checkpoint)
					if tries++; tries <= 3 {
						return nil
					}
					return cp.Checkpoint(ctx, stream.Position{})
				},
			}, nil
		}
		r.put("orders", "r", 5)
		r.split(shard0)
		w := r.start(cfg)
		r.await(10*time.Second, "the end was not checkpointed twice", func() bool {
			return strings.Count(j.String(), "close") == 2
		})
		r.await(3*time.Second, "health says so", func() bool {
			return strings.Contains(named(w), "processor did not checkpoint the end of the shard")
		})
		if l := r.lease(shard0); l.Owner != "a" || l.Ended() {
			t.Errorf("lease %+v", l)
		}
		r.await(15*time.Second, "the children are read", func() bool { return r.seen.happened("a starts " + shard2 + " at TRIM_HORIZON") })
		closing := fmt.Sprintf("close shard ended: [%s %s], rows %q %q", shard1, shard2, stream.TrimHorizon, stream.TrimHorizon)
		if want := strings.TrimSuffix(strings.Repeat("process 5\n"+closing+"\n", 4), "\n"); j.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", &j, want)
		}
		wantHealthy(t, w)
	})
}

func Test74MergeWithAParentWithoutARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.lead()
		r.row(shard0)
		r.give(shard0, "a")
		r.merge(shard0, shard1)
		w := r.start(r.config("a"))
		time.Sleep(2 * time.Minute)
		if _, err := r.store.Get(t.Context(), shard2); !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("the child has a row while its other parent has none: %v", err)
		}
		wantProblem(t, w, shard0+" the shard has ended, but its children's leases cannot be stored: shard "+shard2+" waits for its parent "+
			shard1+", which has no lease")
		r.row(shard1)
		r.await(11*time.Second, "the child's row", func() bool { _, err := r.store.Get(t.Context(), shard2); return err == nil })
		if r.seen.happened("a starts " + shard2 + " at TRIM_HORIZON") {
			t.Error("the child started before its other parent had ended")
		}
		r.give(shard1, "a")
		r.await(5*time.Second, "the child is read", func() bool { return r.seen.happened("a starts " + shard2 + " at TRIM_HORIZON") })
		wantHealthy(t, w)
	})
}

func Test75LostWhileEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store, cfg := one(t)
		r.split(shard0)
		store.fail(op("Create", "", errDown))
		w := r.start(cfg)
		r.await(3*time.Second, "the shard is ending", func() bool { s := w.Status().Shards; return len(s) == 1 && s[0].Phase == worker.Ending })
		r.steal(shard0)
		r.await(5*time.Second, "Close is called", func() bool { return r.seen.happened("a closes " + shard0 + ": lease lost") })
		if r.seen.happened("a closes " + shard0 + ": shard ended") {
			t.Error("Close was called with ShardEnded, too")
		}
	})
}

func Test76and77GracefulOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		var j journal
		cfg.Reading.MaxRecords = 5
		cfg.NewProcessor = always(script{
			process: func(_ context.Context, b *stream.Batch, _ stream.Checkpointer) error {
				j.add("process %d", len(b.Records))
				time.Sleep(2 * time.Second)
				j.add("done")
				return nil
			},
			close: func(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
				j.add("close: %v, owner %s", why, r.lease(shard0).Owner)
				return cp.Checkpoint(ctx, stream.Position{})
			},
		})
		r.put("orders", "r", 50)
		w := r.start(cfg)
		r.await(3*time.Second, "Process is called", func() bool { return j.count("process 5") == 1 })
		time.Sleep(time.Second) // the next page waits
		r.must(w.stop())
		if want := "process 5\ndone\nclose: shutdown requested, owner a"; j.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", &j, want)
		}
		if l := r.lease(shard0); l.Owner != "" || !l.Checkpoint.IsNumber() {
			t.Errorf("lease %+v", l)
		}
	})
}

func Test80LeaseOfAFinishedShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		_, err := r.store.Checkpoint(t.Context(), r.lease(shard0), stream.ShardEnd)
		r.must(err)
		var lost, ended []stream.ShardID
		var why []stream.EndReason
		cfg.Trace = &worker.Trace{
			LeaseLost:  func(s worker.Shard, _ error) { lost = append(lost, s.ID) },
			LeaseEnded: func(s worker.Shard, r stream.EndReason) { ended, why = append(ended, s.ID), append(why, r) },
		}
		w := r.start(cfg)
		time.Sleep(10 * time.Second)
		if s := w.Status(); len(s.Shards) != 1 || s.Shards[0].Phase != worker.Ended || !s.Healthy() || r.lease(shard0).Counter < 4 {
			t.Errorf("Status = %+v, lease %+v", s, r.lease(shard0))
		}
		r.deleteRow(shard0) // the leader's clean-up
		time.Sleep(4 * time.Second)
		if n := len(w.Status().Shards); n != 0 || len(lost) != 0 || !slices.Equal(why, []stream.EndReason{stream.ShardEnded}) {
			t.Errorf("%d shards, lost %v, ended %v: %v", n, lost, ended, why)
		}
		if r.seen.summary() != "0 records delivered\n" {
			t.Errorf("a processor was made\n%s", r.seen.summary())
		}
		wantHealthy(t, w)
	})
}

// checkpointing runs f as Process of the one shard of a stream with ten records, and returns what it returned.
func checkpointing(t *testing.T, cfgOf func(*rig, *faultyStore, *worker.Config),
	f func(r *rig, store *faultyStore, ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, store, cfg := one(t)
		if cfgOf != nil {
			cfgOf(r, store, &cfg)
		}
		done := make(chan error, 1)
		cfg.NewProcessor = always(script{process: func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
			done <- f(r, store, ctx, b, cp)
			<-ctx.Done()
			return nil
		}})
		r.put("orders", "r", 10)
		w := r.start(cfg)
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = w.stop()
	})
}

func Test84CheckpointMovesForwardOnly(t *testing.T) {
	checkpointing(t, nil, func(r *rig, _ *faultyStore, ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		if err := cp.Checkpoint(ctx, b.Records[5].Position); err != nil {
			return err
		}
		before := r.lease(shard0)
		ahead := b.Records[9].Position
		ahead.Sub = 1
		for _, at := range []stream.Position{b.Records[4].Position, ahead, stream.ShardEnd, stream.TrimHorizon, {Sequence: "x"}} {
			if err := cp.Checkpoint(ctx, at); !errors.Is(err, stream.ErrPosition) {
				return fmt.Errorf("checkpoint at %s: %v", at, err)
			}
		}
		if err := cp.Checkpoint(ctx, b.Records[5].Position); err != nil { // 85
			return err
		}
		if now := r.lease(shard0); now.Counter != before.Counter || now.Checkpoint != b.Records[5].Position {
			return fmt.Errorf("written: %+v", now)
		}
		return nil
	})
}

func Test88CheckpointWithoutTheLease(t *testing.T) {
	checkpointing(t, nil, func(r *rig, _ *faultyStore, ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		r.steal(shard0)
		before := r.lease(shard0)
		if err := cp.Checkpoint(ctx, stream.Position{}); !errors.Is(err, stream.ErrLeaseLost) {
			return fmt.Errorf("the first checkpoint after the loss: %v", err)
		}
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, stream.ErrLeaseLost) {
			return fmt.Errorf("cause %v", cause)
		}
		cancelled, cancel := context.WithCancel(context.Background())
		cancel()
		for _, c := range []context.Context{ctx, context.Background(), cancelled} {
			if err := cp.Checkpoint(c, stream.Position{}); !errors.Is(err, stream.ErrLeaseLost) {
				return fmt.Errorf("a later checkpoint: %v", err)
			}
		}
		if now := r.lease(shard0); now.Counter != before.Counter || now.Checkpoint != stream.TrimHorizon {
			return fmt.Errorf("written: %+v", now)
		}
		return nil
	})
}

func Test89CheckpointerOfAnotherLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		var first stream.Checkpointer
		var at stream.Position
		entered := make(chan int, 2)
		n := 0
		cfg.NewProcessor = func(context.Context, stream.Assignment) (stream.Processor, error) {
			return script{process: func(_ context.Context, b *stream.Batch, cp stream.Checkpointer) error {
				if n++; n == 1 {
					first, at = cp, b.Records[9].Position
				}
				entered <- n
				return nil
			}}, nil
		}
		r.put("orders", "r", 10)
		r.start(cfg)
		<-entered
		r.steal(shard0)
		time.Sleep(5 * time.Second)
		r.give(shard0, "a")
		<-entered // the second life
		before := r.lease(shard0)
		if err := first.Checkpoint(t.Context(), at); !errors.Is(err, stream.ErrLeaseLost) {
			t.Errorf("checkpoint of the first life: %v", err)
		}
		if now := r.lease(shard0); now.Counter != before.Counter || now.Checkpoint != stream.TrimHorizon {
			t.Errorf("written: %+v", now)
		}
	})
}

func Test89CheckpointerOfAFailedProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		var first stream.Checkpointer
		again := make(chan struct{})
		cfg.NewProcessor = always(script{process: func(_ context.Context, b *stream.Batch, cp stream.Checkpointer) error {
			if first == nil {
				first = cp
				return errors.New("poison")
			}
			close(again)
			return nil
		}})
		r.put("orders", "r", 10)
		r.start(cfg)
		<-again
		if err := first.Checkpoint(t.Context(), stream.Position{}); !errors.Is(err, stream.ErrNoCheckpoint) {
			t.Errorf("checkpoint of the failed processor: %v", err)
		}
		if l := r.lease(shard0); l.Checkpoint != stream.TrimHorizon {
			t.Errorf("written: %+v", l)
		}
	})
}

func Test90and91CheckpointWhenTheTableIsInTrouble(t *testing.T) {
	for name, test := range map[string]struct{ cause, want error }{
		"throttled":   {errThrottled, stream.ErrThrottled},
		"unavailable": {errDown, stream.ErrUnavailable},
		"unusable":    {fmt.Errorf("%w: no table", lease.ErrUnusable), stream.ErrNoCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			checkpointing(t, nil, func(r *rig, store *faultyStore, ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
				store.fail(op("Checkpoint", "", test.cause))
				err := cp.Checkpoint(ctx, stream.Position{})
				want := fmt.Sprintf("checkpoint shard %s at %s: %s\n%s", shard0, b.Records[9].Position, test.want, test.cause)
				if !errors.Is(err, test.want) || err.Error() != want {
					return fmt.Errorf("checkpoint: %w, want %s", err, want)
				}
				if l := r.lease(shard0); l.Checkpoint != stream.TrimHorizon {
					return fmt.Errorf("written: %+v", l)
				}
				store.heal()
				if err := cp.Checkpoint(ctx, stream.Position{}); err != nil {
					return err
				}
				if l := r.lease(shard0); l.Checkpoint != b.Records[9].Position {
					return fmt.Errorf("not written: %+v", l)
				}
				return nil
			})
		})
	}
}

func Test99CheckpointRenewsTheLease(t *testing.T) {
	checkpointing(t, func(r *rig, _ *faultyStore, _ *worker.Config) {
		r.give(shard0, "b")
		r.give(shard0, "a")
	}, func(r *rig, store *faultyStore, ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		before := r.lease(shard0)
		if before.OwnerSwitches == 0 {
			return errors.New("the lease was not switched")
		}
		store.fail(op("Renew", "", errDown)) // nothing but checkpoints keeps the lease
		for i, rec := range b.Records {
			time.Sleep(5 * time.Second)
			if err := cp.Checkpoint(ctx, rec.Position); err != nil {
				return err
			}
			if l := r.lease(shard0); l.OwnerSwitches != 0 || l.Counter != before.Counter+int64(i)+1 {
				return fmt.Errorf("after %d: %+v", i, l)
			}
		}
		store.heal()
		return nil
	})
}

func Test100CheckpointsFromSeveralGoroutines(t *testing.T) {
	checkpointing(t, func(_ *rig, store *faultyStore, _ *worker.Config) {
		store.fail(func(op, _ string) fault {
			if op == "Checkpoint" {
				return fault{delay: 20 * time.Millisecond}
			}
			return fault{}
		})
	}, func(r *rig, _ *faultyStore, ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				err := cp.Checkpoint(ctx, b.Records[i%10].Position)
				if err != nil && !errors.Is(err, stream.ErrPosition) { // another was further
					r.t.Errorf("checkpoint: %v", err)
				}
			})
		}
		all.Wait()
		if l := r.lease(shard0); l.Checkpoint != b.Records[9].Position {
			return fmt.Errorf("lease %+v", l)
		}
		return nil
	})
}

func TestPromiseOneProcessorPerAssignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		made, calls, closed := 0, 0, 0
		cfg.NewProcessor = func(context.Context, stream.Assignment) (stream.Processor, error) {
			made++
			return script{
				process: func(context.Context, *stream.Batch, stream.Checkpointer) error { calls++; return nil },
				close:   func(context.Context, stream.EndReason, stream.Checkpointer) error { closed++; return nil },
			}, nil
		}
		w := r.start(cfg)
		for range 5 {
			r.put("orders", "r", 5)
			time.Sleep(2 * time.Second)
		}
		r.must(w.stop())
		if made != 1 || calls != 5 || closed != 1 {
			t.Errorf("%d processors, %d calls, %d closed", made, calls, closed)
		}
	})
}

func TestPromiseShardsRunInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		free := make(chan struct{})
		r.seen.process = func(_ context.Context, a stream.Assignment, _ *stream.Batch, _ stream.Checkpointer) error {
			if a.Shard == shard0 {
				<-free
			}
			return nil
		}
		r.start(r.config("a"))
		for range 10 {
			records := r.put("orders", "r", 20)
			time.Sleep(time.Second)
			if n := r.seen.missing(records); n == len(records) || n == 0 {
				t.Errorf("%d of %d records are missing while one shard is busy", n, len(records))
			}
		}
		close(free)
	})
}

func TestPromiseStopIsNotCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		cfg.DrainTimeout = time.Minute
		var during error
		stopped := make(chan struct{})
		cfg.NewProcessor = always(script{process: func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
			<-stopped
			time.Sleep(30 * time.Second)
			during = ctx.Err()
			return cp.Checkpoint(ctx, stream.Position{})
		}})
		r.put("orders", "r", 5)
		w := r.start(cfg)
		r.await(3*time.Second, "Process is called", func() bool { s := w.Status().Shards; return len(s) == 1 && !s[0].CallSince.IsZero() })
		w.cancel()
		close(stopped)
		<-w.done
		r.must(w.err)
		if during != nil {
			t.Errorf("the processor's context ended: %v", during)
		}
		if l := r.lease(shard0); l.Owner != "" || !l.Checkpoint.IsNumber() {
			t.Errorf("lease %+v", l)
		}
	})
}

func TestPromiseCauseOfTheContext(t *testing.T) {
	for name, want := range map[string]error{"lease lost": stream.ErrLeaseLost, "draining timed out": stream.ErrDrainTimeout} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, cfg := one(t)
				cause := make(chan error, 1)
				cfg.NewProcessor = always(script{process: func(ctx context.Context, _ *stream.Batch, _ stream.Checkpointer) error {
					<-ctx.Done()
					cause <- context.Cause(ctx)
					return ctx.Err()
				}})
				r.put("orders", "r", 5)
				w := r.start(cfg)
				r.await(3*time.Second, "Process is called", func() bool { s := w.Status().Shards; return len(s) == 1 && !s[0].CallSince.IsZero() })
				if name == "lease lost" {
					r.steal(shard0)
				} else {
					w.cancel()
				}
				if got := <-cause; !errors.Is(got, want) {
					t.Errorf("cause %v", got)
				}
			})
		})
	}
}
