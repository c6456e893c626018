package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// deleteTries is how often a row that its owner renews at the same time is read anew before the next round tries again.
const deleteTries = 3

// askInterval is how often the service is asked for the children of ended shards that name none; a stream that was deleted
// never has any.
const askInterval = 5 * time.Minute

// clean deletes the rows of finished shards whose children are under way, and of workers that have long been silent.
func (t *term) clean(ctx context.Context, snap lease.Snapshot) error {
	var errs []error
	for _, w := range t.l.cfg.Assign.Stale(t.seen) {
		errs = append(errs, t.l.cfg.Store.Forget(ctx, w))
	}
	if t.l.cfg.KeepEnded {
		return errors.Join(errs...)
	}
	errs = append(errs, t.collect(ctx, snap))
	done := lineage.Finished(snap.Leases)
	for _, row := range done.Delete {
		errs = append(errs, t.delete(ctx, row))
	}
	if now := time.Now(); len(done.AskChildren) > 0 && !now.Before(t.nextAsk) {
		t.nextAsk = now.Add(askInterval)
		errs = append(errs, t.askChildren(ctx, done.AskChildren))
	}
	return errors.Join(errs...)
}

// garbageInterval is how often the leader looks for leases of shards that have left the retention period. Such a lease goes when
// two looks in a row did not find its shard (the Java KCL's LeaseCleanupManager: every 30 min, one look).
const garbageInterval = 15 * time.Minute

// collect deletes the leases of shards that Kinesis does not list any more: nobody can end them properly.
func (t *term) collect(ctx context.Context, snap lease.Snapshot) error {
	now := time.Now()
	if now.Before(t.nextCollect) {
		return nil
	}
	t.nextCollect = now.Add(garbageInterval)
	before := t.garbage
	t.garbage = map[string]bool{}
	var errs []error
	for _, s := range t.l.cfg.Streams {
		listed, err := t.l.listShards(ctx, s, "")
		if err != nil {
			errs = append(errs, err) // also where the stream is gone: its leases are for a person to judge
			continue
		}
		for _, row := range lineage.Garbage(s.ID, listed, snap.Leases) {
			t.garbage[row.Key] = true
			if before[row.Key] {
				t.l.cfg.Logger.Warn("shard has left the retention period", "stream", s.Name, "shard", row.Shard, "checkpoint", row.Checkpoint.String())
				errs = append(errs, t.deleteIf(ctx, row, func(lease.Lease) bool { return true }))
			}
		}
	}
	return errors.Join(errs...)
}

// delete removes the row of a finished shard on condition that nothing but its renewals happened to it.
func (t *term) delete(ctx context.Context, row lease.Lease) error {
	return t.deleteIf(ctx, row, lease.Lease.Ended)
}

// deleteIf removes a row; one that has moved on meanwhile is removed if it still is what it was to be.
func (t *term) deleteIf(ctx context.Context, row lease.Lease, still func(lease.Lease) bool) error {
	for range deleteTries {
		err := t.l.cfg.Store.Delete(ctx, row)
		var moved *lease.HeldError
		switch {
		case err == nil:
			t.l.cfg.Logger.Info("lease deleted", "stream", row.StreamID, "shard", row.Shard)
			return nil
		case !errors.As(err, &moved):
			return err
		case !still(moved.Current):
			return nil // rewound meanwhile
		}
		row = moved.Current
	}
	return nil // the next round tries again
}

// askChildren stores the children of ended shards whose rows do not name any, as a row written by another tool may not.
func (t *term) askChildren(ctx context.Context, rows []lease.Lease) error {
	var errs []error
	for _, s := range t.l.cfg.Streams {
		of := lineage.Of(s.ID, rows)
		if len(of) == 0 {
			continue
		}
		listed, err := t.l.listShards(ctx, s, "")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, row := range of {
			var children []stream.ShardID
			for _, sh := range listed {
				if slices.Contains(sh.Parents, row.Shard) {
					children = append(children, sh.ID)
				}
			}
			if len(children) == 0 {
				continue
			}
			if err := t.l.cfg.Store.SetChildren(ctx, row.Key, children); err != nil && !errors.Is(err, lease.ErrNotFound) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
