package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
)

// auditInterval is how often the leader looks for hash keys that no lease covers (the Java KCL's PeriodicShardSyncManager:
// 120 s). Looking costs nothing but time: the rows are at hand. Three audits in a row must agree before shards are listed.
const auditInterval = 20 * time.Second

// auditor sees to it that every shard has a row. It belongs to one term.
type auditor struct {
	l     *Leader
	next  time.Time
	holes map[string]lineage.Detector // by stream ID
	done  map[string]bool             // streams whose shards were listed in this term
}

// audit creates the rows that are missing: of streams that have none yet at once, of the others after a first look in each
// term and whenever a hole was confirmed. It reports whether it created any.
func (a *auditor) audit(ctx context.Context, snap lease.Snapshot, now time.Time) (created bool, err error) {
	due := !now.Before(a.next)
	if due {
		a.next = now.Add(auditInterval)
	}
	var errs []error
	for _, s := range a.l.cfg.Streams {
		needs := !a.done[s.ID]
		if due {
			next, confirmed := a.holes[s.ID].See(lineage.Holes(s.ID, snap.Leases))
			a.holes[s.ID] = next
			needs = needs || confirmed
		}
		if !needs {
			continue
		}
		n, err := a.sync(ctx, s, snap)
		created = created || n > 0
		if err != nil && !errors.Is(err, errStreamGone) {
			errs = append(errs, err)
			continue
		}
		a.done[s.ID] = true
	}
	return created, errors.Join(errs...)
}

// sync lists the shards of a stream and creates the rows that are missing; it returns how many it created.
func (a *auditor) sync(ctx context.Context, s Stream, snap lease.Snapshot) (int, error) {
	if len(snap.Leases) == 0 { // of any stream: the whole table is new (the Java KCL's EmptyLeaseTableSynchronizer)
		shards, err := a.l.listShards(ctx, s, lineage.FilterFor(a.l.cfg.Start))
		if err != nil {
			return 0, err
		}
		rows, err := lineage.First(s.ID, shards, a.l.cfg.Start)
		if err != nil {
			return 0, fmt.Errorf("stream %s: %w", s.Name, err)
		}
		return a.create(ctx, s, rows)
	}
	shards, err := a.l.listShards(ctx, s, "")
	if err != nil {
		return 0, err
	}
	for key, r := range lineage.Ranges(s.ID, shards, snap.Leases) {
		if err := a.l.cfg.Store.SetHashKeys(ctx, key, r); err != nil && !errors.Is(err, lease.ErrNotFound) {
			return 0, err
		}
	}
	missing := lineage.Missing(s.ID, shards, snap.Leases, a.l.cfg.Start)
	if len(missing.Skipped) > 0 {
		a.l.cfg.Logger.Warn("shards left out until their parents are listed as closed", "stream", s.Name, "shards", missing.Skipped)
	}
	return a.create(ctx, s, missing.Create)
}

func (a *auditor) create(ctx context.Context, s Stream, rows []lease.Lease) (created int, err error) {
	for _, row := range rows {
		ok, err := a.l.cfg.Store.Create(ctx, row)
		if err != nil {
			return created, fmt.Errorf("create the lease of %s: %w", row.Key, err)
		}
		if ok {
			created++
			a.l.cfg.Logger.Info("lease created", "stream", s.Name, "shard", row.Shard, "checkpoint", row.Checkpoint.String())
		}
	}
	return created, nil
}
