package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
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

// unclean reports whether there is something to clean up.
func (t *term) unclean(s sight) bool {
	if len(t.l.cfg.Assign.Stale(t.seen)) > 0 || t.formers.due(s.at) {
		return true
	}
	if t.l.cfg.KeepEnded {
		return false
	}
	done := lineage.Finished(s.snap.Leases)
	return len(done.Delete) > 0 || len(done.AskChildren) > 0 && !s.at.Before(t.nextAsk) || len(t.uncollected(s.listing.Streams, s.at)) > 0
}

// clean deletes the rows of finished shards whose children are under way, of streams that are not read any more, and of workers that
// have long been silent.
func (t *term) clean(ctx context.Context, s sight) error {
	var errs []error
	for _, w := range t.l.cfg.Assign.Stale(t.seen) {
		errs = append(errs, t.l.cfg.Store.Forget(ctx, w))
	}
	errs = append(errs, t.formers.delete(ctx, s.at))
	if t.l.cfg.KeepEnded {
		return errors.Join(errs...)
	}
	errs = append(errs, t.collect(ctx, s))
	done := lineage.Finished(s.snap.Leases)
	errs = append(errs, each(ctx, done.Delete, func(row lease.Lease) error { return t.delete(ctx, row) }))
	if now := time.Now(); len(done.AskChildren) > 0 && !now.Before(t.nextAsk) {
		t.nextAsk = now.Add(askInterval)
		errs = append(errs, t.askChildren(ctx, s.listing.Streams, done.AskChildren))
	}
	return errors.Join(errs...)
}

const (
	// garbageInterval is how often the leader looks for leases of shards that have left the retention period. Such a lease goes when
	// two looks in a row did not find its shard (the Java KCL's LeaseCleanupManager: every 30 min, one look).
	garbageInterval = 15 * time.Minute
	// collectsAtOnce is for how many streams it looks at most each time it cleans up.
	collectsAtOnce = 16
)

// collection is a look for leases of shards that are not listed any more.
type collection struct {
	next    time.Time       // when the next one is due
	garbage map[string]bool // leases whose shards this one did not find
}

// uncollected returns the streams that are to be looked at now, and forgets those that are not read any more.
func (t *term) uncollected(streams []Stream, now time.Time) []Stream {
	read := make(map[string]bool, len(streams))
	var due []Stream
	for _, s := range streams {
		read[s.ID] = true
		if len(due) < collectsAtOnce && !now.Before(t.collected[s.ID].next) {
			due = append(due, s)
		}
	}
	maps.DeleteFunc(t.collected, func(id string, _ collection) bool { return !read[id] })
	return due
}

// collect deletes the leases of shards that Kinesis does not list any more: nobody can end them properly.
func (t *term) collect(ctx context.Context, s sight) error {
	rows := byStream(s.snap.Leases)
	var mu sync.Mutex
	return eachStream(ctx, t.uncollected(s.listing.Streams, s.at), func(s Stream) error {
		listed, err := t.l.listShards(ctx, s, "")
		now := collection{next: time.Now().Add(garbageInterval), garbage: map[string]bool{}}
		var gone []lease.Lease
		if err == nil {
			gone = lineage.Garbage(s.ID, listed, rows[s.ID])
			t.auditor.compare(s, listed, rows[s.ID])
		}
		for _, row := range gone {
			now.garbage[row.Key] = true
		}
		mu.Lock()
		before := t.collected[s.ID].garbage
		t.collected[s.ID] = now
		mu.Unlock()
		if errors.Is(err, errStreamGone) { // what is to become of its leases is not decided here
			return nil
		}
		errs := []error{err}
		for _, row := range gone {
			if before[row.Key] {
				t.l.cfg.Logger.Warn("shard has left the retention period", "stream", s.Name, "shard", row.Shard, "checkpoint", row.Checkpoint.String())
				errs = append(errs, t.deleteIf(ctx, row, func(lease.Lease) bool { return true }))
			}
		}
		return errors.Join(errs...)
	})
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
func (t *term) askChildren(ctx context.Context, streams []Stream, rows []lease.Lease) error {
	unasked := slices.DeleteFunc(slices.Clone(streams), func(s Stream) bool { return len(lineage.Of(s.ID, rows)) == 0 })
	return eachStream(ctx, unasked, func(s Stream) error {
		listed, err := t.l.listShards(ctx, s, "")
		if err != nil {
			return err
		}
		var errs []error
		for _, row := range lineage.Of(s.ID, rows) {
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
		return errors.Join(errs...)
	})
}
