package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// childrenOf returns the children that the last page of a shard names.
func childrenOf(p fetch.Page) []lineage.Shard {
	kids := make([]lineage.Shard, 0, len(p.Children))
	for _, c := range p.Children {
		kids = append(kids, lineage.Shard{ID: c.ID, Parents: c.Parents, HashKeys: c.HashKeys})
	}
	return kids
}

// missingParentPatience is how long the end of a merged shard waits for a lease of the other parent that ought to exist before it asks
// whether there still is such a shard. A leader's audit finds such a hole and mends it well within this time, or, of Java, within
// twice that.
const missingParentPatience = 3 * time.Minute

// goneLooks is how many looks in a row must not find a shard before it is taken for gone, as for the deletion of its lease.
const goneLooks = 2

// absence is how often in a row the service did not list a parent that has no lease.
type absence struct {
	since time.Time
	looks map[stream.ShardID]int
}

// isGone reports whether the shard can never be read any more. While the service lists it, or cannot be asked, the child must wait:
// nobody knows whether the parent was read, and if it was not, its records would be skipped or come after the child's.
func (a *assignment) isGone(ctx context.Context, seen *absence, parent stream.ShardID) (bool, error) {
	if time.Since(seen.since) <= missingParentPatience {
		return false, nil
	}
	listed, err := fleet.Lists(ctx, a.cfg.Kinesis, a.source, parent)
	if err != nil || listed {
		seen.looks[parent] = 0
		return false, err
	}
	seen.looks[parent]++
	return seen.looks[parent] >= goneLooks, nil
}

// storeChildren makes sure that each child of this ended shard has a row, then that this row names them. It goes on until it has
// worked; it gives up only when the shard is left, and then whoever comes next reads the shard's last page again.
func (a *assignment) storeChildren(processor context.Context) lifecycle.Event {
	ctx, cancel := a.whileHeld(processor)
	defer cancel()
	defer a.seen.blocked("")
	absent := absence{since: time.Now(), looks: map[stream.ShardID]int{}}
	end := lineage.End{Parent: a.held.current(), Children: a.kids}
	for attempt := 0; ; attempt++ {
		err := a.tryStoreChildren(ctx, end)
		if err == nil {
			return lifecycle.Event{Kind: lifecycle.Stored}
		}
		var missing *lineage.ParentMissingError
		if errors.As(err, &missing) {
			gone, askErr := a.isGone(ctx, &absent, missing.Parent)
			if gone {
				a.log.Error("parent of a merged shard has no lease, and has left the retention period: if it was not read, its last records are lost",
					"parent", missing.Parent, "child", missing.Child)
				end.Gone = append(end.Gone, missing.Parent)
				continue
			}
			if askErr != nil {
				err = fmt.Errorf("%w; %w", err, askErr)
			}
		}
		if ctx.Err() == nil {
			a.log.Warn("children's leases could not be stored, will retry", "attempt", attempt+1, "err", err)
			a.seen.blocked("the shard has ended, but its children's leases cannot be stored: " + err.Error())
		}
		select {
		case <-ctx.Done():
			return lifecycle.Event{Kind: lifecycle.Stored, Err: err}
		case <-a.leaving:
			return lifecycle.Event{Kind: lifecycle.Stored, Err: err}
		case <-time.After(insistBackoff.Bound(attempt)):
		}
	}
}

func (a *assignment) tryStoreChildren(ctx context.Context, end lineage.End) (err error) {
	if len(end.Children) == 0 {
		return nil // the shard is gone from the stream: there is nothing to follow
	}
	if end.Present, err = a.present(ctx, end.Keys()); err != nil {
		return err
	}
	rows, err := end.Rows()
	if err != nil {
		return err
	}
	for _, row := range rows {
		created, err := a.cfg.Leases.Create(ctx, row)
		if err != nil {
			return fmt.Errorf("create the lease of child %s: %w", row.Shard, err)
		}
		if created {
			a.log.Info("child shard found", "child", row.Shard, "parents", row.Parents)
		}
	}
	if ids := end.IDs(); !slices.Equal(a.held.current().Children, ids) {
		if err := a.cfg.Leases.SetChildren(ctx, end.Parent.Key, ids); err != nil {
			return fmt.Errorf("store the children: %w", err)
		}
		a.held.learnChildren(ids)
	}
	return nil
}

// claimChildren takes over the children of a shard that has just ended here, unless they have an owner or wait for another
// parent: whoever ends the last parent is the first to know that they may start.
func (w *Worker) claimChildren(a *assignment) {
	select {
	case <-w.stop:
		return
	case <-a.held.handedOff:
		return
	default:
	}
	ctx, cancel := a.whileHeld(context.Background())
	defer cancel()
	for _, kid := range a.kids {
		row, err := w.cfg.Leases.Get(ctx, lineage.Key(a.source.ID, kid.ID))
		if err != nil || row.Owner != "" || row.InHandoff() || w.count() >= w.cfg.Balance.MaxLeases {
			continue // the leader assigns it
		}
		if waiting, err := a.blocking(ctx, row); err != nil || len(waiting) > 0 {
			continue
		}
		if _, err := w.cfg.Leases.Assign(ctx, row, w.cfg.ID); err != nil && !errors.Is(err, lease.ErrUnavailable) {
			continue
		}
		w.expect(row.Key)
	}
}

// whileHeld returns a context that ends with the lease, the assignment, or parent.
func (a *assignment) whileHeld(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	a.calls.Go(func() {
		select {
		case <-a.held.gone:
		case <-a.over:
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, cancel
}

// sleep waits, and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
