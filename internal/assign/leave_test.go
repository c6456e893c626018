package assign_test

import (
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// TestLeavePrefersOwners: the report of a worker that died stands for a minute, but it has lost its leases by then. A leaving
// worker that never led, and so sees the table once, must not give its leases to the dead.
func TestLeavePrefersOwners(t *testing.T) {
	now := time.Now()
	report := func(id string) lease.Worker { return lease.Worker{ID: id, ReportedAt: now.Add(-12 * time.Second)} }
	row := func(key, owner string) lease.Lease {
		return lease.Lease{Key: key, Shard: stream.ShardID(key), Owner: owner, Counter: 5, Checkpoint: stream.Latest}
	}
	snap := lease.Snapshot{
		Leases:  []lease.Lease{row("1", "leaving"), row("2", "leaving"), row("3", "alive")},
		Workers: []lease.Worker{report("alive"), report("dead")},
	}
	c := assign.Config{Me: "leaving", LeaseDuration: 3 * time.Second}
	plan := c.Leave(c.Observe(assign.Observation{}, snap, now, now), "leaving")
	for _, m := range plan.Moves {
		if m.To != "alive" {
			t.Errorf("lease %s goes to %s", m.Lease.Key, m.To)
		}
	}
	if len(plan.Moves) != 2 {
		t.Errorf("moves: %+v", plan.Moves)
	}
}

// TestBalanceWaitsForASignOfLife: a new leader finds the report of a worker that died under the last one. It must not hand leases
// off to it, however empty it looks, until the report changes.
func TestBalanceWaitsForASignOfLife(t *testing.T) {
	now := time.Now()
	c := assign.Config{Me: "alive", LeaseDuration: 3 * time.Second}
	last := lease.Worker{ID: "dead", ReportedAt: now.Add(-8 * time.Second)}
	var o assign.Observation
	look := func(at time.Time, counter int64) assign.Plan {
		snap := lease.Snapshot{Workers: []lease.Worker{{ID: "alive", ReportedAt: at}, last}}
		for _, key := range []string{"1", "2", "3", "4"} {
			snap.Leases = append(snap.Leases, lease.Lease{Key: key, Shard: stream.ShardID(key), Owner: "alive", Counter: counter, Checkpoint: stream.Latest})
		}
		o = c.Observe(o, snap, at, at)
		var plan assign.Plan
		plan, o = c.Plan(o)
		return plan
	}
	for i := range 40 {
		if plan := look(now.Add(time.Duration(i)*time.Second), int64(i)); len(plan.Moves) > 0 {
			t.Fatalf("after %d s: %+v", i, plan.Moves)
		}
	}
	last.ReportedAt = now.Add(40 * time.Second) // it lives after all
	if plan := look(now.Add(41*time.Second), 41); len(plan.Moves) == 0 {
		t.Error("a worker that lives and has nothing is given nothing")
	}
}
