package worker_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// sleeper is a worker on one shard whose machine can be made to have slept.
type sleeper struct {
	*running
	r     *rig
	store *faultyStore

	mu    sync.Mutex
	slept time.Time
}

func newSleeper(t *testing.T, long time.Duration) *sleeper {
	r, store, cfg := one(t)
	s := &sleeper{r: r, store: store}
	w, err := worker.New(cfg)
	r.must(err)
	w.SleepUntil(func() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.slept }, long)
	ctx, cancel := context.WithCancel(context.Background())
	s.running = &running{Worker: w, t: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = w.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-s.done })
	records := r.put("orders", "before", 5)
	r.await(5*time.Second, "the shard is read", func() bool { return r.seen.missing(records) == 0 })
	return s
}

func (s *sleeper) sleep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slept = time.Now()
}

// renewals counts the renewals that follow, of the kind that the lease itself makes each third of its duration or otherwise.
func (s *sleeper) renewals() *int {
	n := new(int)
	s.store.fail(func(op, _ string) fault {
		if op == "Renew" {
			*n++
		}
		return fault{}
	})
	return n
}

// TestI5SleepIsNoTrust: after the machine has slept nothing is delivered on a lease that another has taken meanwhile, although the
// monotonic clock says that it may still be trusted.
func TestI5SleepIsNoTrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSleeper(t, time.Minute)
		s.r.give(shard0, "b")
		s.sleep()
		late := s.r.put("orders", "late", 5)
		s.r.await(2*time.Second, "the lease is lost", func() bool { return s.r.seen.happened("a closes " + shard0 + ": " + stream.LeaseLost.String()) })
		if n := s.r.seen.missing(late); n != len(late) {
			t.Errorf("%d records were delivered on another's lease", len(late)-n)
		}
	})
}

// TestClockStepCostsARenewal: a wall clock that is set ahead costs one renewal and no lease; a little costs nothing.
func TestClockStepCostsARenewal(t *testing.T) {
	for step, want := range map[time.Duration]int{time.Hour: 1, -time.Hour: 0, 400 * time.Millisecond: 0} {
		synctest.Test(t, func(t *testing.T) {
			s := newSleeper(t, step)
			n := s.renewals()
			s.sleep()
			for range 3 {
				late := s.r.put("orders", time.Now().String(), 5)
				s.r.await(2*time.Second, "the records", func() bool { return s.r.seen.missing(late) == 0 })
			}
			if *n != want {
				t.Errorf("after a step by %v: %d renewals, want %d", step, *n, want)
			}
			if l := s.r.lease(shard0); l.Owner != "a" || s.r.seen.duplicates() > 0 {
				t.Errorf("lease %+v, %s", l, s.r.seen.summary())
			}
		})
	}
}

// TestI5AsleepWithoutTable: while the table does not answer after a sleep, nothing is delivered; the lease is lost when its trust is.
func TestI5AsleepWithoutTable(t *testing.T) {
	for _, heals := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSleeper(t, time.Minute)
			s.store.fail(func(op, _ string) fault {
				if op == "Renew" || op == "Get" {
					return fault{instead: lease.ErrUnavailable}
				}
				return fault{}
			})
			s.sleep()
			late := s.r.put("orders", "late", 5)
			time.Sleep(4 * time.Second)
			if n := s.r.seen.missing(late); n != len(late) {
				t.Errorf("%d records were delivered without proof", len(late)-n)
			}
			if heals {
				s.store.heal()
				s.r.await(4*time.Second, "the records", func() bool { return s.r.seen.missing(late) == 0 })
				return
			}
			s.r.await(7*time.Second, "the lease is lost", func() bool { return s.r.seen.happened("a closes " + shard0 + ": " + stream.LeaseLost.String()) })
		})
	}
}
