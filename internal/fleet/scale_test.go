package fleet_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/local"
)

// counting is a store that counts calls, and whose leases are renewed by their owners as often as it is looked at.
type counting struct {
	lease.Store
	mu    sync.Mutex
	calls map[string]int
	ticks int64
	most  int // calls at the same time
	now   int
}

func (c *counting) count(what string) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[what]++
	c.now++
	c.most = max(c.most, c.now)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
	}
}

func (c *counting) live(snap lease.Snapshot, err error) (lease.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticks++
	snap.Leases = slices.Clone(snap.Leases)
	for i := range snap.Leases {
		if snap.Leases[i].Owner != "" {
			snap.Leases[i].Counter += c.ticks
		}
	}
	return snap, err
}

func (c *counting) Glance(ctx context.Context) (lease.Snapshot, error) {
	defer c.count("Glance")()
	return c.live(c.Store.Glance(ctx))
}

func (c *counting) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	defer c.count("Snapshot")()
	return c.live(c.Store.Snapshot(ctx))
}

func (c *counting) Create(ctx context.Context, l lease.Lease) (bool, error) {
	defer c.count("Create")()
	time.Sleep(10 * time.Millisecond) // of the bubble: what a request takes
	return c.Store.Create(ctx, l)
}

func (c *counting) Assign(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	defer c.count("Assign")()
	return c.Store.Assign(ctx, l, to)
}

// reset returns what was counted, and begins anew.
func (c *counting) reset() (calls map[string]int, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls, most = c.calls, c.most
	c.calls, c.most = map[string]int{}, 0
	return calls, most
}

// scaled is what a leader of a stream of so many shards does: as it begins, and in a quiet while.
func scaled(t *testing.T, shards int) (first, quiet map[string]int, most int, bytesPerLook float64) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, shards)
		store := &counting{Store: r.store, calls: map[string]int{}}
		var mu sync.Mutex
		lists := 0
		r.server.Intercept(local.Rule{Service: local.Kinesis, Operation: "ListShards", Choose: func(*local.Call) local.Effect {
			mu.Lock()
			defer mu.Unlock()
			lists++
			return local.Effect{}
		}})
		listed := func(calls map[string]int) map[string]int {
			mu.Lock()
			defer mu.Unlock()
			calls["ListShards"], lists = lists, 0
			return calls
		}
		stop := r.lead("a", store)
		defer stop()
		time.Sleep(20 * time.Second)
		first, most = store.reset()
		first = listed(first)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		time.Sleep(40 * time.Second)
		runtime.ReadMemStats(&after)
		quiet, _ = store.reset()
		quiet = listed(quiet)
		bytesPerLook = float64(after.TotalAlloc-before.TotalAlloc) / float64(quiet["Glance"])
	})
	return first, quiet, most, bytesPerLook
}

// TestLinear: what a leader asks for and how much memory it takes grow with the number of shards, and not faster.
func TestLinear(t *testing.T) {
	const few, many = 1_000, 10_000
	_, _, _, small := scaled(t, few)
	first, quiet, most, large := scaled(t, many)
	if first["Create"] != many || first["Assign"] != many || first["Snapshot"] > 3 {
		t.Errorf("a new application takes %v", first)
	}
	// One page of 1,000 shards each (ListShards' default): one list to find the shards, one to collect garbage; and the first look.
	if first["ListShards"] > 2*many/1000+1 {
		t.Errorf("%d pages of shards were listed", first["ListShards"])
	}
	if most < 8 || most > 16 {
		t.Errorf("%d requests at the same time", most)
	}
	if n := quiet["Glance"]; n < 38 || n > 41 {
		t.Errorf("%d looks in 40 s", n)
	}
	delete(quiet, "Glance")
	for what, n := range quiet {
		if n > 0 {
			t.Errorf("%d calls of %s in a quiet while", n, what)
		}
	}
	t.Logf("a look allocates %.0f bytes for each of %d leases, %.0f for each of %d", small/few, few, large/many, many)
	if large/many > 1.5*small/few {
		t.Errorf("a look allocates %.0f bytes for each of %d leases, but %.0f for each of %d", small/few, few, large/many, many)
	}
}
