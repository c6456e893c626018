package assign_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// TestBegunBetweenTwoLooks (I5): a worker is given a lease, begins with it before the leader looks again, and is not a candidate any
// more. It trusts the lease for a lease duration, so it must not lose it earlier; only one that has not touched it loses it at once.
func TestBegunBetweenTwoLooks(t *testing.T) {
	for _, tt := range []struct {
		steps int64 // of the counter from the last look of the old owner to the first of the new
		taken int   // in how many seconds from then it is taken
	}{{1, 0}, {2, 10}, {3, 10}} {
		t.Run(fmt.Sprint(tt.steps), func(t *testing.T) {
			now := time.Now()
			c := assign.Config{Me: "leader", LeaseDuration: 10 * time.Second}
			var o assign.Observation
			look := func(at time.Duration, owner string, counter int64, reports ...string) assign.Plan {
				row := lease.Lease{Key: "s0", Shard: "s0", Owner: owner, Counter: counter, Checkpoint: stream.Latest}
				snap := lease.Snapshot{Leases: []lease.Lease{row}}
				for _, id := range reports {
					snap.Workers = append(snap.Workers, lease.Worker{ID: id, ReportedAt: now.Add(at)})
				}
				o = c.Observe(o, snap, now.Add(at), now.Add(at))
				var plan assign.Plan
				plan, o = c.Plan(o)
				return plan
			}
			look(0, "old", 7, "leader", "new", "old")
			first := time.Second // "new" has begun, and stops: its report is gone
			for at := first; ; at += time.Second {
				plan := look(at, "new", 7+tt.steps, "leader")
				if len(plan.Moves) == 0 && at < time.Minute {
					continue
				}
				if after := int((at - first) / time.Second); after != tt.taken {
					t.Errorf("taken %d s after it was first seen so, want %d", after, tt.taken)
				}
				return
			}
		})
	}
}
