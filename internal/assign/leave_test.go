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
