package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Selection chooses leases: by shard or by worker. Exactly one must be set.
type Selection struct {
	Shards []stream.ShardID
	Worker string
}

// Release is one lease that is to be given up.
type Release struct {
	Lease lease.Lease `json:"-"`
	Key   string      `json:"key"`
	From  string      `json:"from"`         // loses the lease
	To    string      `json:"to,omitempty"` // gets it, because a handoff to it was under way; empty: the leader assigns it anew
}

// Left is a lease that is left as it is, with the reason.
type Left struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

// PlanRelease returns what to release of the leases given, sorted by key, and what not. It is an error if the selection
// chooses nothing at all.
func PlanRelease(leases []lease.Lease, sel Selection) (plan []Release, left []Left, err error) {
	leases = slices.Clone(leases)
	byKey(leases)
	for _, shard := range sel.Shards {
		if !slices.ContainsFunc(leases, func(l lease.Lease) bool { return l.Shard == shard || l.Key == string(shard) }) {
			return nil, nil, fmt.Errorf("there is no lease of shard %s", shard)
		}
	}
	for _, l := range leases {
		byShard := slices.Contains(sel.Shards, l.Shard) || slices.Contains(sel.Shards, stream.ShardID(l.Key))
		switch {
		case sel.Worker != "" && l.Worker() != sel.Worker && l.Owner == sel.Worker:
			left = append(left, Left{l.Key, fmt.Sprintf("on its way from %s, which finishes first", l.CheckpointOwner)})
		case !byShard && (sel.Worker == "" || l.Worker() != sel.Worker):
		case l.Worker() == "":
			left = append(left, Left{l.Key, "nobody owns it"})
		default:
			plan = append(plan, releaseOf(l))
		}
	}
	if sel.Worker != "" && len(plan)+len(left) == 0 {
		return nil, nil, fmt.Errorf("worker %s owns no lease", sel.Worker)
	}
	return plan, left, nil
}

func releaseOf(l lease.Lease) Release {
	r := Release{Lease: l, Key: l.Key, From: l.Worker()}
	if l.InHandoff() && l.Owner != l.CheckpointOwner {
		r.To = l.Owner
	}
	return r
}

func byKey(leases []lease.Lease) {
	slices.SortFunc(leases, func(a, b lease.Lease) int { return compareKeys(a.Key, b.Key) })
}

// tries bounds how often a row that its worker writes at the same time is read anew.
const tries = 20

// errMoved says that a row has changed in a way that the plan did not foresee.
var errMoved = errors.New("changed meanwhile and was left as it is; plan again")

// Release gives up one lease as planned, if it still belongs to the same worker. A reply that was lost is made certain by
// reading the row. An error says what became of the lease.
func (a App) Release(ctx context.Context, r Release) error {
	return a.insist(ctx, r.Lease, attempt{
		done: func(now lease.Lease) bool { return now.Worker() != r.From },
		may:  func(now lease.Lease) bool { return now.Worker() == r.From },
		put: func(row lease.Lease) error {
			next, err := a.Store.Release(ctx, row)
			if err == nil && next.Worker() == r.From { // the row named it as old and as next owner
				_, err = a.Store.Release(ctx, next)
			}
			return err
		},
	})
}

// attempt is one conditional write that is tried on a row that moves.
type attempt struct {
	// done says whether the row already is as it should be, after a write whose reply was lost.
	done func(now lease.Lease) bool
	// may says whether the row, which has moved, may still be written as planned.
	may func(now lease.Lease) bool
	put func(row lease.Lease) error
}

// insist tries until the row is written, or must not be any more.
func (a App) insist(ctx context.Context, row lease.Lease, t attempt) error {
	var err error
	doubtful := false
	for range tries {
		err = t.put(row)
		if err == nil {
			return nil
		}
		if moved, ok := errors.AsType[*lease.HeldError](err); ok && !errors.Is(err, lease.ErrMalformed) {
			row = moved.Current
		} else if errors.Is(err, lease.ErrUnavailable) || errors.Is(err, lease.ErrThrottled) {
			doubtful = doubtful || errors.Is(err, lease.ErrUnavailable)
			if !pause(ctx, lookInterval/4) {
				return ctx.Err()
			}
			now, readErr := a.Store.Get(ctx, row.Key)
			if readErr != nil {
				continue
			}
			row = now
		} else {
			return err
		}
		if doubtful && t.done(row) {
			return nil
		}
		if !t.may(row) {
			return fmt.Errorf("lease %s (now of %q at %s): %w", row.Key, row.Worker(), row.Checkpoint, errMoved)
		}
	}
	return err
}
