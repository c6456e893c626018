package operate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/stream"
)

// table is a store with two shards, owned by a and b, of which a reports and leads.
func table(t *testing.T) *memlease.Store {
	t.Helper()
	store := memlease.New()
	half := stream.HashKey{Hi: 1 << 63}
	for _, l := range []lease.Lease{
		{Key: "shard-0", Shard: "shard-0", Checkpoint: stream.Position{Sequence: "10"}, HashKeys: stream.HashKeyRange{Last: stream.HashKey{Hi: 1<<63 - 1, Lo: 1<<64 - 1}}},
		{Key: "shard-1", Shard: "shard-1", Checkpoint: stream.TrimHorizon, HashKeys: stream.HashKeyRange{First: half, Last: stream.MaxHashKey}},
	} {
		must(t, create(t.Context(), store, l))
	}
	assign(t, store, "shard-0", "a")
	assign(t, store, "shard-1", "b")
	must(t, store.Report(t.Context(), lease.Worker{ID: "a", ReportedAt: time.Now().Add(-7 * time.Second), Stats: map[string][]float64{"C": {10, 35.5}}}))
	must(t, store.TakeLock(t.Context(), nil, lease.LockItem{Owner: "a", Version: "1", Duration: 10 * time.Second}))
	return store
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(ctx context.Context, s lease.Store, l lease.Lease) error {
	_, err := s.Create(ctx, l)
	return err
}

func get(t *testing.T, s lease.Store, key string) lease.Lease {
	t.Helper()
	l, err := s.Get(t.Context(), key)
	must(t, err)
	return l
}

func assign(t *testing.T, s lease.Store, key, to string) {
	t.Helper()
	_, err := s.Assign(t.Context(), get(t, s, key), to)
	must(t, err)
}

func renew(t *testing.T, s lease.Store, key string) {
	t.Helper()
	_, err := s.Renew(t.Context(), get(t, s, key))
	must(t, err)
}

// lives says in one line what a view shows of who lives, and then what is wrong.
func lives(v operate.View) string {
	var b strings.Builder
	for _, l := range v.Leases {
		fmt.Fprintf(&b, "%s %s of %q %s; ", l.Shard, l.State, l.Worker, l.Life)
	}
	for _, w := range v.Workers {
		fmt.Fprintf(&b, "%s %s %d; ", w.ID, w.Life, w.Leases)
	}
	if v.Leader != nil {
		fmt.Fprintf(&b, "leader %s %s", v.Leader.Worker, v.Leader.Life)
	}
	for _, p := range v.Problems {
		fmt.Fprintf(&b, "\n%s %s: %s (%s)", p.Shard, p.Worker, p.What, time.Duration(p.For))
	}
	return b.String()
}

func TestOneLookJudgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := operate.App{Name: "app", Store: table(t)}
		w, err := app.Observe(t.Context(), 0)
		must(t, err)
		want := `shard-0 owned of "a" unknown; shard-1 owned of "b" unknown; a unknown 1; b unknown 1; leader a unknown`
		if got := lives(w.View("app", operate.Bounds{}, time.Now())); got != want {
			t.Errorf("View = %s\nwant   %s", got, want)
		}
	})
}

// TestSilentOwner: b does not renew; the rest moves. It is known once the lease duration is over, and not before.
func TestSilentOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := table(t)
		app := operate.App{Name: "app", Store: store}
		watch := beat(t, app, store, 5)
		want := `shard-0 owned of "a" moving; shard-1 owned of "b" still; a moving 1; b still 1; leader a moving`
		if got := lives(watch.View("app", operate.Bounds{}, time.Now())); got != want {
			t.Errorf("after 5 s: %s\nwant %s", got, want)
		}
		if watch.Settled() {
			t.Error("settled although b was not seen to live")
		}
		for range 11 {
			watch = tick(t, app, store, watch)
		}
		want = `shard-0 owned of "a" moving; shard-1 owned of "b" silent; a moving 1; b silent 1; leader a moving
shard-1 b: b has not renewed the lease for 15s: the shard may not be read (15s)`
		if got := lives(watch.View("app", operate.Bounds{}, time.Now())); got != want {
			t.Errorf("after 15 s: %s\nwant %s", got, want)
		}
		assign(t, store, "shard-1", "a")
		watch = tick(t, app, store, watch)
		v := watch.View("app", operate.Bounds{}, time.Now())
		if l := v.Leases[1]; len(v.Problems) != 0 || l.Since != 0 || l.AtLeast || l.Life != operate.Still {
			t.Errorf("after the takeover: %+v, problems %v", l, v.Problems)
		}
	})
}

// beat watches for so many seconds while a renews and leads.
func beat(t *testing.T, app operate.App, store lease.Store, seconds int) operate.Watch {
	var w operate.Watch
	for range seconds {
		w = tick(t, app, store, w)
	}
	return w
}

func tick(t *testing.T, app operate.App, store lease.Store, w operate.Watch) operate.Watch {
	t.Helper()
	renew(t, store, "shard-0")
	item, err := store.ReadLock(t.Context())
	must(t, err)
	_, err = store.BeatLock(t.Context(), *item, fmt.Sprint(time.Now().UnixNano()))
	must(t, err)
	look, err := app.Look(t.Context())
	must(t, err)
	time.Sleep(time.Second)
	return w.See(look)
}

func TestSettlesEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := table(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				time.Sleep(1500 * time.Millisecond)
				renew(t, store, "shard-0")
				renew(t, store, "shard-1")
				item, _ := store.ReadLock(t.Context())
				store.BeatLock(t.Context(), *item, fmt.Sprint(time.Now().UnixNano()))
			}
		}()
		began := time.Now()
		w, err := operate.App{Name: "app", Store: store}.Observe(t.Context(), time.Minute)
		must(t, err)
		if took := time.Since(began); took != 2*time.Second || !w.Settled() {
			t.Errorf("watched for %v, settled %v; want 2s, true", took, w.Settled())
		}
		cancel()
		<-done
	})
}

// TestProblems: each of these is told at one look, because it may be all there is, and the passing ones not while they are young.
func TestProblems(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, s *memlease.Store)
		want  string
		stays bool // it is a problem as soon as it is there, even while watching
	}{
		{"no owner", func(t *testing.T, s *memlease.Store) { release(t, s, "shard-1") },
			"nobody owns the lease: the shard is not read", false},
		{"hole", func(t *testing.T, s *memlease.Store) { must(t, s.Delete(t.Context(), get(t, s, "shard-1"))) },
			"no lease covers the hash keys 170141183460469231731687303715884105728-340282366920938463463374607431768211455: " +
				"what is put there is not read until the leader makes the missing leases", false},
		{"no leader", func(t *testing.T, s *memlease.Store) {
			item, _ := s.ReadLock(t.Context())
			must(t, s.DropLock(t.Context(), *item))
		}, "nobody leads: leases are not assigned", false},
		{"two formats", func(t *testing.T, s *memlease.Store) {
			must(t, create(t.Context(), s, lease.Lease{Key: "1:orders:5:shard-0", StreamID: "1:orders:5", Shard: "shard-0", Checkpoint: stream.ShardEnd}))
		}, "1 rows name their stream and 2 do not: a table is of one format for ever, and workers of the one do not read the other's rows", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := table(t)
				app := operate.App{Name: "app", Store: store}
				before, err := app.Look(t.Context())
				must(t, err)
				tt.spoil(t, store)
				has := func(w operate.Watch) bool {
					return slices.ContainsFunc(w.View("app", operate.Bounds{}, time.Now()).Problems, func(p operate.Problem) bool { return p.What == tt.want })
				}
				one, err := app.Observe(t.Context(), 0)
				must(t, err)
				if !has(one) {
					t.Errorf("one look: problems %v, want %q", one.View("app", operate.Bounds{}, time.Now()).Problems, tt.want)
				}
				w := operate.Watch{}.See(before)
				for second := 1; second <= 6; second++ {
					time.Sleep(time.Second)
					l, err := app.Look(t.Context())
					must(t, err)
					w = w.See(l)
					if want := tt.stays || second >= 4; has(w) != want {
						t.Errorf("after %d s: told %v, want %v", second, has(w), want)
					}
				}
			})
		})
	}
}

func release(t *testing.T, s lease.Store, key string) {
	t.Helper()
	_, err := s.Release(t.Context(), get(t, s, key))
	must(t, err)
}

// TestStuckHandoff: a live owner that never lets go is a problem after the handoff and lease durations.
func TestStuckHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := table(t)
		app := operate.App{Name: "app", Store: store}
		_, err := store.Handoff(t.Context(), get(t, store, "shard-0"), "b")
		must(t, err)
		w := beat(t, app, store, 40)
		stuck := func() int {
			return len(slices.DeleteFunc(w.View("app", operate.Bounds{}, time.Now()).Problems, func(p operate.Problem) bool { return p.Shard != "shard-0" }))
		}
		if n := stuck(); n != 0 {
			t.Errorf("%d problems after 39 s, want none yet", n)
		}
		w = tick(t, app, store, tick(t, app, store, w))
		if n := stuck(); n != 1 {
			t.Errorf("%d problems after 41 s, want 1: %v", n, w.View("app", operate.Bounds{}, time.Now()).Problems)
		}
	})
}

func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := table(t)
		app := operate.App{Name: "app", Store: store}
		var w operate.Watch
		var prev operate.View
		next := func() string {
			w = tick(t, app, store, w)
			v := w.View("app", operate.Bounds{}, time.Now())
			lines := operate.Changes(prev, v)
			prev = v
			return strings.Join(lines, "\n")
		}
		steps := []struct {
			do   func()
			want string
		}{
			{func() {}, "shard-0: new, owned by a\nshard-1: new, owned by b\nleader: a, was nobody"},
			{func() {}, ""},
			{func() { _, err := store.Handoff(t.Context(), get(t, store, "shard-1"), "a"); must(t, err) }, "shard-1: on its way from b to a, was owned by b"},
			{func() { assign(t, store, "shard-1", "a") }, "shard-1: owned by a, was on its way from b to a"},
			{func() { release(t, store, "shard-1") }, "shard-1: nobody's, was owned by a"},
			{func() {}, ""}, {func() {}, ""}, {func() {}, "problem: shard-1: nobody owns the lease: the shard is not read"},
			{func() {}, ""},
			{func() { assign(t, store, "shard-1", "b") }, "shard-1: owned by b, was nobody's\nno more: shard-1: nobody owns the lease: the shard is not read"},
		}
		for i, s := range steps {
			s.do()
			if got := next(); got != s.want {
				t.Errorf("step %d: %q, want %q", i, got, s.want)
			}
		}
	})
}
