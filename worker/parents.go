package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// parentPoll paces the look at the parents' leases: a consistent read of each, often enough that a child starts within a
// second of its parents' end.
var parentPoll = retry.Backoff{Min: 100 * time.Millisecond, Max: time.Second}

// awaitParents returns once every parent's lease is finished or gone. It may wait for hours by right, while the parents are read
// elsewhere; a parent that nobody reads is an obstacle that Status names.
func (a *assignment) awaitParents() lifecycle.Event {
	ctx, cancel := a.whileHeld(context.Background())
	defer cancel()
	defer a.seen.blocked("")
	row := a.held.current()
	still := idleness{patience: a.cfg.LeaseDuration}
	for attempt := 0; ; attempt++ {
		parents, err := a.present(ctx, lineage.ParentKeys(row))
		waiting := lineage.Blocking(row, parents)
		switch {
		case err != nil && ctx.Err() == nil:
			a.log.Warn("parents' leases could not be read, will retry", "attempt", attempt+1, "err", err)
			a.seen.blocked("waits for its parents, whose leases cannot be read: " + err.Error())
		case err == nil && len(waiting) == 0:
			return lifecycle.Event{Kind: lifecycle.ParentsEnded}
		case err == nil:
			if attempt == 0 {
				a.log.Info("shard waits for its parents to end", "parents", waiting)
			}
			a.seen.blocked(still.obstacle(parents, waiting, time.Now()))
		}
		if !sleep(ctx, parentPoll.Bound(attempt)) {
			return lifecycle.Event{Kind: lifecycle.ParentsEnded} // the assignment ends: nobody listens
		}
	}
}

// idleness notices leases that nobody works on: those whose counter stands still.
type idleness struct {
	patience time.Duration
	seen     map[stream.ShardID]standstill
}

type standstill struct {
	counter int64
	since   time.Time
}

// obstacle returns in words which of the shards that are waited for nobody reads; empty: none.
func (i *idleness) obstacle(parents []lease.Lease, waiting []stream.ShardID, now time.Time) string {
	if i.seen == nil {
		i.seen = map[stream.ShardID]standstill{}
	}
	var idle []string
	for _, p := range parents {
		s, known := i.seen[p.Shard]
		if !known || s.counter != p.Counter {
			s = standstill{counter: p.Counter, since: now}
			i.seen[p.Shard] = s
		}
		if now.Sub(s.since) > i.patience && slices.Contains(waiting, p.Shard) {
			idle = append(idle, string(p.Shard))
		}
	}
	if len(idle) == 0 {
		return ""
	}
	return "waits for its parent " + strings.Join(idle, " and ") + ", which nobody reads"
}

// blocking returns the parents that the shard of row must still wait for.
func (a *assignment) blocking(ctx context.Context, row lease.Lease) ([]stream.ShardID, error) {
	parents, err := a.present(ctx, lineage.ParentKeys(row))
	if err != nil {
		return nil, err
	}
	return lineage.Blocking(row, parents), nil
}

// present returns those of the leases that exist.
func (a *assignment) present(ctx context.Context, keys []string) ([]lease.Lease, error) {
	var rows []lease.Lease
	for _, key := range keys {
		row, err := a.cfg.Leases.Get(ctx, key)
		switch {
		case err == nil:
			rows = append(rows, row)
		case !errors.Is(err, lease.ErrNotFound):
			return nil, fmt.Errorf("read lease %s: %w", key, err)
		}
	}
	return rows, nil
}
