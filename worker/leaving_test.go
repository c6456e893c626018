package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// situation is a state in which a worker with one shard may be asked to let go of it.
type situation struct {
	// arrange brings the shard there; release ends what it started, if that outlives the worker.
	arrange func(r *rig, store *faultyStore, cfg *worker.Config) (w *running, release func())
	// within is how long letting go may take.
	within time.Duration
	// closes is whether the processor hears of it.
	closes bool
}

func nothing() {}

// block returns a hook for deliveries.process that waits for release, or the context if heeds, and a channel that is closed on entry.
func block(heeds bool) (hook func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error, entered chan struct{}, release func()) {
	entered, free := make(chan struct{}, 10), make(chan struct{})
	return func(ctx context.Context, _ stream.Assignment, _ *stream.Batch, _ stream.Checkpointer) error {
		entered <- struct{}{}
		done := ctx.Done()
		if !heeds {
			done = nil
		}
		select {
		case <-free:
			return nil
		case <-done:
			return ctx.Err()
		}
	}, entered, func() { close(free) }
}

// situations are all states of the machine in which a shard stays for a while.
func situations() map[string]situation {
	reads := func(r *rig, w *running) {
		r.await(5*time.Second, "the shard is read", func() bool { s := w.Status().Shards; return len(s) == 1 && !s[0].ReadAt.IsZero() })
	}
	return map[string]situation{
		"ready": {within: time.Second, closes: true, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			w := r.start(*cfg)
			reads(r, w)
			return w, nothing
		}},
		"waiting for parents": {within: time.Second, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			parent := r.row("shardId-parent")
			r.give(parent.Key, "b")
			_, err := r.store.Checkpoint(r.t.Context(), r.lease(parent.Key), stream.TrimHorizon)
			r.must(err)
			r.deleteRow(shard0)
			r.row(shard0, "shardId-parent")
			r.give(shard0, "a")
			w := r.start(*cfg)
			r.await(5*time.Second, "the shard waits", func() bool {
				s := w.Status().Shards
				return len(s) == 1 && s[0].Phase == worker.WaitingForParents
			})
			return w, nothing
		}},
		"starting": {within: 6 * time.Second, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			cfg.NewProcessor = func(ctx context.Context, _ stream.Assignment) (stream.Processor, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			w := r.start(*cfg)
			r.await(5*time.Second, "the processor is being made", func() bool {
				s := w.Status().Shards
				return len(s) == 1 && !s[0].CallSince.IsZero()
			})
			return w, nothing
		}},
		"processing": {within: 6 * time.Second, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			hook, entered, _ := block(true)
			r.seen.process = hook
			r.put("orders", "r", 1)
			w := r.start(*cfg)
			<-entered
			return w, nothing
		}},
		"ignoring its context": {within: 8 * time.Second, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			hook, entered, release := block(false)
			r.seen.process = hook
			r.put("orders", "r", 1)
			w := r.start(*cfg)
			<-entered
			return w, release
		}},
		"backing off": {within: time.Second, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error {
				return errors.New("poison")
			}
			r.put("orders", "r", 1)
			w := r.start(*cfg)
			r.await(time.Minute, "the processor failed often", func() bool {
				s := w.Status().Shards
				return len(s) == 1 && s[0].Attempt > 4 && s[0].Phase == worker.BackingOff
			})
			return w, nothing
		}},
		"storing children": {within: 3 * time.Second, closes: true, arrange: func(r *rig, store *faultyStore, cfg *worker.Config) (*running, func()) {
			store.fail(op("Create", "", errDown))
			r.split(shard0)
			w := r.start(*cfg)
			r.await(5*time.Second, "the shard is ending", func() bool {
				s := w.Status().Shards
				return len(s) == 1 && s[0].Phase == worker.Ending
			})
			return w, nothing
		}},
		"storing children, the table hangs": {within: 6 * time.Second, arrange: func(r *rig, store *faultyStore, cfg *worker.Config) (*running, func()) {
			store.fail(func(op, _ string) fault {
				if op == "Create" {
					return fault{delay: time.Hour}
				}
				return fault{}
			})
			r.split(shard0)
			w := r.start(*cfg)
			r.await(5*time.Second, "the shard is ending", func() bool {
				s := w.Status().Shards
				return len(s) == 1 && s[0].Phase == worker.Ending
			})
			return w, nothing
		}},
		"ended": {within: time.Second, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			cfg.Balance.MaxLeases = 1 // so that it does not take the children too
			r.split(shard0)
			w := r.start(*cfg)
			r.await(5*time.Second, "the shard has ended", func() bool {
				s := w.Status().Shards
				return len(s) == 1 && s[0].Phase == worker.Ended
			})
			return w, nothing
		}},
		"reading nothing": {within: time.Second, closes: true, arrange: func(r *rig, _ *faultyStore, cfg *worker.Config) (*running, func()) {
			r.server.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Until: make(chan struct{})}})
			w := r.start(*cfg)
			r.await(5*time.Second, "the processor is made", func() bool { return r.seen.happened("a starts " + shard0 + " at TRIM_HORIZON") })
			return w, nothing
		}},
	}
}

func (r *rig) deleteRow(key string) {
	r.t.Helper()
	r.must(r.store.Delete(r.t.Context(), r.lease(key)))
}

// one makes a rig of one shard, led by the test, whose lease belongs to worker a, and a's configuration.
func one(t *testing.T) (*rig, *faultyStore, worker.Config) {
	r := newRig(t, 1)
	r.lead()
	r.row(shard0)
	r.give(shard0, "a")
	store := r.faulty()
	cfg := r.config("a")
	cfg.Leases, cfg.DrainTimeout, cfg.HandoffTimeout = store, 5*time.Second, 5*time.Second
	return r, store, cfg
}

// TestI8DrainFromEveryState: whatever a shard is doing, Run returns in time, the lease is released, and nothing is written
// afterwards.
func TestI8DrainFromEveryState(t *testing.T) {
	for name, s := range situations() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, store, cfg := one(t)
				w, release := s.arrange(r, store, &cfg)
				began := time.Now()
				err := w.stop()
				if took := time.Since(began); took > s.within {
					t.Errorf("stopping took %v", took)
				}
				l := r.lease(shard0)
				if l.Owner != "" {
					t.Errorf("the lease is owned by %q", l.Owner)
				}
				time.Sleep(time.Minute)
				if now := r.lease(shard0); now.Counter != l.Counter {
					t.Errorf("the lease was written after Run had returned %v", err)
				}
				if got := r.seen.happened("a closes " + shard0 + ": shutdown requested"); got != s.closes {
					t.Errorf("Close with ShutdownRequested: %v, want %v", got, s.closes)
				}
				want := map[string]string{
					"starting":                          "worker: draining took longer than 5s; processors were cut off on orders " + shard0,
					"processing":                        "worker: draining took longer than 5s; processors were cut off on orders " + shard0,
					"ignoring its context":              "worker: draining took longer than 5s; processors ignore the end of their context on orders " + shard0,
					"storing children, the table hangs": "worker: draining took longer than 5s; processors were cut off on orders " + shard0,
				}[name]
				if got := errText(err); got != want {
					t.Errorf("Run = %q, want %q", got, want)
				}
				release()
			})
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestI8HandoffFromEveryState (spec lease-coordination 6.8): whatever a shard is doing, its lease goes to the next owner in time,
// also if the processor fails or ignores its context; until then it is renewed.
func TestI8HandoffFromEveryState(t *testing.T) {
	for name, s := range situations() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, store, cfg := one(t)
				w, release := s.arrange(r, store, &cfg)
				defer release()
				_, err := r.store.Handoff(t.Context(), r.lease(shard0), "b")
				r.must(err)
				const notice = 4 * time.Second // a third of the lease duration, and a moment
				r.await(notice+s.within, "the lease is b's alone", func() bool { l := r.lease(shard0); return l.Owner == "b" && !l.InHandoff() })
				if !s.closes && r.seen.happened("a closes "+shard0+": shutdown requested") {
					t.Error("Close was called on no processor")
				}
				l := r.lease(shard0)
				time.Sleep(time.Minute)
				if now := r.lease(shard0); now.Counter != l.Counter || now.Owner != "b" {
					t.Errorf("the former owner wrote: %+v", now)
				}
				if n := len(w.Status().Shards); n != 0 && name != "ignoring its context" {
					t.Errorf("%d shards are still worked on", n)
				}
			})
		})
	}
}

// TestHandoffWhenCloseFails (spec S20): an error and a panic in Close do not keep the lease from the next owner.
func TestHandoffWhenCloseFails(t *testing.T) {
	for name, fail := range map[string]func() error{"error": func() error { return errors.New("no") }, "panic": func() error { panic("no") }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, cfg := one(t)
				cfg.NewProcessor = func(context.Context, stream.Assignment) (stream.Processor, error) { return closing{fail}, nil }
				w := r.start(cfg)
				r.await(3*time.Second, "the shard is read", func() bool { return len(w.Status().Shards) == 1 })
				_, err := r.store.Handoff(t.Context(), r.lease(shard0), "b")
				r.must(err)
				r.await(4*time.Second, "the lease is b's alone", func() bool { l := r.lease(shard0); return l.Owner == "b" && !l.InHandoff() })
				r.must(w.stop())
			})
		})
	}
}

// closing is a processor that does something in Close.
type closing struct{ do func() error }

func (closing) Process(context.Context, *stream.Batch, stream.Checkpointer) error { return nil }
func (c closing) Close(context.Context, stream.EndReason, stream.Checkpointer) error {
	return c.do()
}

// TestHandoffCheckpoints (spec lease-coordination 6.8): while the lease is on its way the old owner finishes the batch in hand and
// may checkpoint, and the next owner does nothing; then it goes on behind that checkpoint.
func TestHandoffCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		b := r.start(r.config("b"))
		hook, entered, release := block(true)
		r.seen.process = hook
		records := r.put("orders", "r", 10)
		r.start(cfg)
		<-entered
		_, err := r.store.Handoff(t.Context(), r.lease(shard0), "b")
		r.must(err)
		time.Sleep(4 * time.Second)
		if l := r.lease(shard0); !l.InHandoff() || len(b.Status().Shards) != 0 {
			t.Errorf("before the batch is done: %+v, b works on %d shards", l, len(b.Status().Shards))
		}
		r.seen.process = nil
		release()
		r.await(3*time.Second, "b reads", func() bool { return r.seen.happened("b starts " + shard0 + " at a number") })
		if l := r.lease(shard0); l.Owner != "b" || !l.Checkpoint.IsNumber() || r.seen.missing(records) != 0 || r.seen.duplicates() != 0 {
			t.Errorf("lease %+v\n%s", l, r.seen.summary())
		}
	})
}

// TestHandoffOfAnotherLife (spec lease-coordination 6.8): a worker that is started again in the middle of a handoff of its own
// neither reads the shard nor renews the lease; a leader sees it expire.
func TestHandoffOfAnotherLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		_, err := r.store.Handoff(t.Context(), r.lease(shard0), "b")
		r.must(err)
		before := r.lease(shard0)
		a, b := r.start(cfg), r.start(r.config("b"))
		time.Sleep(time.Minute)
		if now := r.lease(shard0); now.Counter != before.Counter || len(a.Status().Shards)+len(b.Status().Shards) != 0 {
			t.Errorf("lease %+v\n%s", now, r.seen.summary())
		}
	})
}

// TestHandoffIsForced (spec S21): the leader gives a lease to the next owner that a renewing old owner never lets go of, and a
// lease in a handoff whose both workers are dead to somebody else.
func TestHandoffIsForced(t *testing.T) {
	for _, dead := range []bool{false, true} {
		name := map[bool]string{false: "old owner does not let go", true: "both are dead"}[dead]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.row(shard0)
				r.give(shard0, "x")
				_, err := r.store.Handoff(t.Context(), r.lease(shard0), "b")
				r.must(err)
				done := make(chan struct{})
				go func() { // x renews for ever
					defer close(done)
					for !dead && r.lease(shard0).InHandoff() {
						_, _ = r.store.Renew(context.Background(), r.lease(shard0))
						time.Sleep(3 * time.Second)
					}
				}()
				cfg := r.config("a")
				cfg.HandoffTimeout = 20 * time.Second
				r.start(cfg)
				if !dead {
					r.start(r.config("b"))
				}
				records := r.put("orders", "r", 10)
				r.await(time.Minute, "somebody reads", func() bool { return r.seen.missing(records) == 0 })
				<-done
				if want := map[bool]string{false: "b", true: "a"}[dead]; r.lease(shard0).Owner != want {
					t.Errorf("the lease is %q's", r.lease(shard0).Owner)
				}
			})
		})
	}
}

// TestDrainWithSlowTable: a table that does not answer is what delays the end, and is named as that.
func TestDrainWithSlowTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store, cfg := one(t)
		cfg.DrainTimeout = time.Second
		w := r.start(cfg)
		r.await(3*time.Second, "the shard is read", func() bool { return len(w.Status().Shards) == 1 })
		store.fail(func(op, _ string) fault {
			if op == "Forget" || op == "Snapshot" {
				return fault{delay: time.Hour}
			}
			return fault{}
		})
		began := time.Now()
		err := w.stop()
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if got := errText(err); got != "worker: draining took longer than 1s, because the lease table answers slowly" {
			t.Errorf("Run = %q", got)
		}
		if l := r.lease(shard0); l.Owner != "" {
			t.Errorf("the lease is owned by %q", l.Owner)
		}
	})
}

// TestStopWhileStarting: a worker that is asked to stop before it could begin returns nil at once.
func TestStopWhileStarting(t *testing.T) {
	for _, call := range []string{"Setup", "streams"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, store, cfg := one(t)
				if call == "Setup" {
					store.fail(op("Setup", "", errDown))
				} else {
					r.server.Intercept(local.Rule{Operation: "DescribeStreamSummary", Effect: local.Effect{Error: local.Unavailable()}})
				}
				w := r.start(cfg)
				time.Sleep(time.Minute)
				what := map[string]string{"Setup": "cannot set up the lease table: lease: store unavailable: injected",
					"streams": "cannot find the streams: describe stream orders: operation error Kinesis: DescribeStreamSummary, "}[call]
				if s := w.Status(); s.Phase != worker.Starting || len(s.Problems) != 1 || !strings.HasPrefix(s.Problems[0].What, what) {
					t.Errorf("Status = %+v", s)
				}
				began := time.Now()
				r.must(w.stop())
				if took := time.Since(began); took > 0 {
					t.Errorf("stopping took %v", took)
				}
			})
		})
	}
}

// TestHandoffOfWhatNobodyBegan (spec lease-coordination 6.8): a new leader does not hand off a lease whose owner has yet to find it: that
// owner would never let go of it, and nobody would read the shard until the lease expires.
func TestHandoffOfWhatNobodyBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		for _, shard := range []stream.ShardID{shard0, shard1, shard2, shard3} {
			r.row(shard)
			r.give(string(shard), "b")
		}
		records := r.put("orders", "r", 100)
		store := r.faulty()
		store.fail(func(op, _ string) fault {
			switch op {
			case "Owned":
				return fault{delay: 2 * time.Second}
			case "TakeLock":
				return fault{instead: errDown}
			}
			return fault{}
		})
		cfg := r.config("b")
		cfg.Leases = store
		b := r.start(cfg)
		time.Sleep(100 * time.Millisecond)
		a := r.start(r.config("a"))
		r.await(4*time.Second, "all shards are read", func() bool { return r.seen.missing(records) == 0 })
		r.await(time.Minute, "the shards are shared", func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d duplicates\n%s", n, r.seen.summary())
		}
	})
}

// TestReportWhoseReplyWasLostIsWithdrawn: a worker that leaves is out of the fleet, also if it does not know that its last report
// arrived, or that the withdrawal of one did not: else it would be given leases that nobody reads for a while.
func TestReportWhoseReplyWasLostIsWithdrawn(t *testing.T) {
	lost := fault{after: errDown}
	tests := map[string]struct {
		arrange func(*rig, *faultyStore)
		want    int
	}{
		"the first": {arrange: func(r *rig, store *faultyStore) {
			store.fail(func(op, _ string) fault {
				if op == "Report" {
					return lost
				}
				return fault{}
			})
		}},
		"a later one": {arrange: func(_ *rig, store *faultyStore) {
			n := 0
			store.fail(func(op, _ string) fault {
				if op == "Report" {
					if n++; n > 1 {
						return lost
					}
				}
				return fault{}
			})
		}},
		"a withdrawal that failed": {arrange: func(_ *rig, store *faultyStore) {
			n := 0
			store.fail(func(op, _ string) fault {
				if op == "Forget" {
					if n++; n == 1 {
						return fault{instead: errDown}
					}
				}
				return fault{}
			})
		}},
		"a successor's of the same name": {want: 1, arrange: func(r *rig, store *faultyStore) {
			store.fail(func(op, _ string) fault {
				if op == "Forget" {
					r.must(r.store.Report(context.Background(), lease.Worker{ID: "a", ReportedAt: time.Now().Add(time.Minute).Truncate(time.Second)}))
				}
				return fault{}
			})
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, store, cfg := one(t)
				test.arrange(r, store)
				w := r.start(cfg)
				time.Sleep(20 * time.Second)
				r.must(w.stop())
				snap, err := r.store.Snapshot(t.Context())
				r.must(err)
				if len(snap.Workers) != test.want {
					t.Errorf("reports that remain: %+v, want %d", snap.Workers, test.want)
				}
			})
		})
	}
}
