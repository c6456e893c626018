package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// Sharp edges of the Java KCL (spec lease-coordination.md section 12) that are this package's to avoid; internal/archtest's list of
// facts says where the others are tested.

// next is a fault that befalls the next n calls of an operation on a lease.
func next(n int, name, key string, f fault) func(op, key string) fault {
	return func(op, k string) fault {
		if op != name || k != key || n == 0 {
			return fault{}
		}
		n--
		return f
	}
}

// TestS5LostReplyInHandoff: a renewal of a lease on its way to another, whose reply is lost, does not cost the old owner the lease:
// it finishes its batch, checkpoints, and hands over.
func TestS5LostReplyInHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store, cfg := one(t)
		cfg.HandoffTimeout = 30 * time.Second
		hook, entered, release := block(true)
		r.seen.process = hook
		records := r.put("orders", "r", 10)
		r.start(cfg)
		<-entered
		_, err := r.store.Handoff(t.Context(), r.lease(shard0), "b")
		r.must(err)
		store.fail(next(2, "Renew", shard0, fault{after: errDown}))
		time.Sleep(12 * time.Second) // longer than a lease lasts
		if l := r.lease(shard0); !l.InHandoff() || r.seen.happened("a closes "+shard0+": lease lost") {
			t.Errorf("lease %+v\n%s", l, r.seen.summary())
		}
		r.seen.process = nil
		release()
		r.await(4*time.Second, "the lease is b's alone", func() bool { l := r.lease(shard0); return l.Owner == "b" && !l.InHandoff() })
		if l := r.lease(shard0); !l.Checkpoint.IsNumber() || r.seen.missing(records) != 0 {
			t.Errorf("lease %+v\n%s", l, r.seen.summary())
		}
	})
}

// TestS7ThrottledRenewalIsTriedAgain: of every four renewals three are refused, and no lease is lost in ten minutes.
func TestS7ThrottledRenewalIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store, cfg := one(t)
		n := 0
		store.fail(func(op, _ string) fault {
			if op != "Renew" {
				return fault{}
			}
			if n++; n%4 == 1 { // the first proves the lease
				return fault{}
			}
			return fault{instead: errThrottled}
		})
		r.start(cfg)
		time.Sleep(10 * time.Minute)
		if r.seen.happened("a closes " + shard0 + ": lease lost") {
			t.Errorf("the lease was lost\n%s", r.seen.summary())
		}
	})
}

// TestS9HungRenewalCostsOneLease: a request that never answers loses its own lease and no other.
func TestS9HungRenewalCostsOneLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		store := r.faulty()
		cfg := r.config("a")
		cfg.Leases = store
		w := r.start(cfg)
		r.await(3*time.Second, "all shards are read", func() bool { return len(w.Status().Shards) == 4 })
		store.fail(func(op, key string) fault {
			if op == "Renew" && key == shard1 {
				return fault{delay: time.Hour}
			}
			return fault{}
		})
		time.Sleep(time.Minute)
		for _, shard := range []string{shard0, shard1, shard2, shard3} {
			if lost := r.seen.happened("a closes " + shard + ": lease lost"); lost != (shard == shard1) {
				t.Errorf("lease %s lost: %v", shard, lost)
			}
		}
	})
}

// stale is a store whose index still names this worker as the owner of a lease.
type stale struct {
	lease.Store
	key string
}

func (s stale) Owned(ctx context.Context, id string) ([]string, error) {
	keys, err := s.Store.Owned(ctx, id)
	return append(keys, s.key), err
}

// TestS10OwnershipIsProved: what an index that lags says starts no processor; nor does a row that cannot be renewed.
func TestS10OwnershipIsProved(t *testing.T) {
	t.Run("the index lags", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, _, cfg := one(t)
			r.give(shard0, "b")
			before := r.lease(shard0)
			cfg.Leases = stale{r.store, shard0}
			cfg.Trace = &worker.Trace{LeaseTaken: func(s worker.Shard) { t.Errorf("%s was taken", s.ID) }}
			r.start(cfg)
			time.Sleep(8 * time.Second)
			if now := r.lease(shard0); now.Counter != before.Counter || now.Owner != "b" {
				t.Errorf("lease %+v", now)
			}
		})
	})
	t.Run("the row is another's by then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, store, cfg := one(t)
			store.fail(func(op, _ string) fault {
				if op == "Renew" {
					return fault{delay: time.Second} // meanwhile the lease is given to b
				}
				return fault{}
			})
			cfg.Trace = &worker.Trace{LeaseTaken: func(s worker.Shard) { t.Errorf("%s was taken", s.ID) }}
			r.start(cfg)
			time.Sleep(500 * time.Millisecond)
			r.give(shard0, "b")
			time.Sleep(8 * time.Second)
			if l := r.lease(shard0); l.Owner != "b" || r.seen.summary() != "0 records delivered\n" {
				t.Errorf("lease %+v\n%s", l, r.seen.summary())
			}
		})
	})
}

// TestS12ThroughputMovesWithTheLease: a shard that moves weighs at its new owner what it weighed, and one that was silent for an hour
// weighs what it brings, not what it brought on average since.
func TestS12ThroughputMovesWithTheLease(t *testing.T) {
	load := func(r *rig, seconds int) { // 10 KiB/s
		data := make([]byte, 10<<10)
		for range seconds {
			_, _, err := r.server.Put("orders", "k", data)
			r.must(err)
			time.Sleep(time.Second)
		}
	}
	near := func(t *testing.T, r *rig, when string) {
		t.Helper()
		if l := r.lease(shard0); !l.ThroughputKnown || l.Throughput < 5 || l.Throughput > 12 {
			t.Errorf("%s: throughput %v (known: %v), want about 10 KiB/s", when, l.Throughput, l.ThroughputKnown)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		w := r.start(cfg)
		time.Sleep(time.Hour)
		load(r, 7)
		near(t, r, "after an hour of silence")
		load(r, 60)
		near(t, r, "under load")
		r.must(w.stop())
		r.give(shard0, "b")
		r.start(r.config("b"))
		time.Sleep(time.Second)
		near(t, r, "taken by the new owner")
		load(r, 4)
		near(t, r, "renewed by the new owner")
		load(r, 20)
		near(t, r, "later")
	})
}

// TestS19NothingRemainsOfAWorkerThatLeft: neither its report nor its lock nor its name on a lease.
func TestS19NothingRemainsOfAWorkerThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		w := r.start(r.config("a"))
		r.await(3*time.Second, "it leads and reads", func() bool { return w.Status().Leading && len(w.Status().Shards) == 3 })
		snap, err := r.store.Snapshot(t.Context())
		r.must(err)
		if lock, err := r.store.ReadLock(t.Context()); err != nil || lock == nil || len(snap.Workers) != 1 {
			t.Fatalf("before: lock %v, %v, reports %v", lock, err, snap.Workers)
		}
		r.must(w.stop())
		snap, err = r.store.Snapshot(t.Context())
		r.must(err)
		if lock, err := r.store.ReadLock(t.Context()); err != nil || lock != nil && !lock.Released || len(snap.Workers) != 0 {
			t.Errorf("after: lock %v, %v, reports %v", lock, err, snap.Workers)
		}
		for _, l := range snap.Leases {
			if l.Owner != "" || l.CheckpointOwner != "" {
				t.Errorf("lease %+v", l)
			}
		}
	})
}

// TestX12FailureEndsAtOnce: a worker that ends for a failure does not wait for the drain time-out when all other processors are done.
func TestX12FailureEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.seen.process = func(_ context.Context, a stream.Assignment, _ *stream.Batch, _ stream.Checkpointer) error {
			if a.Shard == shard1 {
				return errors.New("poison")
			}
			return nil
		}
		cfg := r.config("a")
		cfg.OnFailure, cfg.DrainTimeout = worker.ExitWorker, time.Hour
		w := r.start(cfg)
		r.await(3*time.Second, "all shards are read", func() bool { return len(w.Status().Shards) == 3 })
		r.put("orders", "r", 30)
		began := time.Now()
		<-w.done
		if took := time.Since(began); took > 3*time.Second || w.err == nil {
			t.Errorf("Run = %v after %v", w.err, took)
		}
		if !r.seen.happened("a closes " + shard0 + ": shutdown requested") {
			t.Errorf("the others were not drained\n%s", r.seen.summary())
		}
	})
}
