package memlease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

var _ lease.Store = (*Store)(nil)

// Store is a [lease.Store] in memory. The zero value is empty and ready; Setup and Check find nothing to complain of. All
// its methods may be called from several goroutines, and none blocks. It must not be copied.
type Store struct {
	mu      sync.Mutex
	rows    map[string]lease.Lease
	workers map[string]lease.Worker
	lock    *lease.LockItem
}

// New returns an empty store.
func New() *Store { return new(Store) }

// Setup implements [lease.Store]. A worker without a name is [lease.ErrUnusable].
func (s *Store) Setup(ctx context.Context, worker string) error {
	if worker == "" {
		return fmt.Errorf("%w: a worker needs a name", lease.ErrUnusable)
	}
	return ctx.Err()
}

// Check implements [lease.Store].
func (s *Store) Check(ctx context.Context) error { return ctx.Err() }

// Get implements [lease.Leases].
func (s *Store) Get(ctx context.Context, key string) (lease.Lease, error) {
	if err := ctx.Err(); err != nil {
		return lease.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[key]
	if !ok {
		return lease.Lease{}, fmt.Errorf("get %s: %w", key, lease.ErrNotFound)
	}
	return row, nil
}

// Snapshot implements [lease.Leases]. Leases and workers come in the order of their keys.
func (s *Store) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return lease.Snapshot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lease.Snapshot{
		Leases:  slices.SortedFunc(maps.Values(s.rows), func(a, b lease.Lease) int { return strings.Compare(a.Key, b.Key) }),
		Workers: slices.SortedFunc(maps.Values(s.workers), func(a, b lease.Worker) int { return strings.Compare(a.ID, b.ID) }),
	}, nil
}

// Glance implements [lease.Leases]. It never lags.
func (s *Store) Glance(ctx context.Context) (lease.Snapshot, error) { return s.Snapshot(ctx) }

// Owned implements [lease.Leases]. It never lags.
func (s *Store) Owned(ctx context.Context, worker string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key, row := range s.rows {
		if worker != "" && row.Owner == worker {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Create implements [lease.Leases].
func (s *Store) Create(ctx context.Context, l lease.Lease) (bool, error) {
	if err := errors.Join(l.Validate(), ctx.Err()); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[l.Key]; ok {
		return false, nil
	}
	if s.rows == nil {
		s.rows = make(map[string]lease.Lease)
	}
	s.rows[l.Key] = lease.Lease{
		Key: l.Key, StreamID: l.StreamID, Shard: l.Shard,
		Checkpoint: l.Checkpoint, Parents: l.Parents, Children: l.Children, HashKeys: l.HashKeys,
	}
	return true, nil
}

// update changes the row of key if it meets the condition.
func (s *Store) update(ctx context.Context, key string, meets func(row lease.Lease) bool, change func(row *lease.Lease)) (lease.Lease, error) {
	if err := ctx.Err(); err != nil {
		return lease.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[key]
	switch {
	case !ok:
		return lease.Lease{}, fmt.Errorf("update %s: %w", key, lease.ErrNotFound)
	case !meets(row):
		return lease.Lease{}, &lease.HeldError{Key: key, Current: row}
	}
	change(&row)
	s.rows[key] = row
	return row, nil
}

// sameCounter is the condition of what an owner writes.
func sameCounter(l lease.Lease) func(lease.Lease) bool {
	return func(row lease.Lease) bool { return row.Counter == l.Counter }
}

// sameOwners is the condition of what changes the ownership.
func sameOwners(l lease.Lease) func(lease.Lease) bool {
	return func(row lease.Lease) bool { return row.Owner == l.Owner && row.CheckpointOwner == l.CheckpointOwner }
}

// Renew implements [lease.Leases].
func (s *Store) Renew(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	meets := func(row lease.Lease) bool {
		return row.Counter == l.Counter && (l.InHandoff() || !row.InHandoff())
	}
	return s.update(ctx, l.Key, meets, func(row *lease.Lease) {
		row.Counter++
		if l.ThroughputKnown && l.Throughput >= 0 && !math.IsInf(l.Throughput, 0) { // NaN is not >= 0
			row.Throughput, row.ThroughputKnown = l.Throughput, true
		}
	})
}

// Checkpoint implements [lease.Leases].
func (s *Store) Checkpoint(ctx context.Context, l lease.Lease, at stream.Position) (lease.Lease, error) {
	if !at.Valid() {
		return lease.Lease{}, fmt.Errorf("checkpoint %s at %s: %w", l.Key, at, stream.ErrPosition)
	}
	return s.update(ctx, l.Key, sameCounter(l), func(row *lease.Lease) {
		row.Counter++
		row.OwnerSwitches = 0
		row.Checkpoint = at
		row.Pending, row.PendingState = stream.Position{}, nil
		storeKnown(row, l)
	})
}

// Prepare implements [lease.Leases].
func (s *Store) Prepare(ctx context.Context, l lease.Lease, at stream.Position, state []byte) (lease.Lease, error) {
	if !at.Valid() {
		return lease.Lease{}, fmt.Errorf("prepare %s at %s: %w", l.Key, at, stream.ErrPosition)
	}
	return s.update(ctx, l.Key, sameCounter(l), func(row *lease.Lease) {
		row.Counter++
		row.Pending, row.PendingState = at, slices.Clone(state)
		storeKnown(row, l)
	})
}

// storeKnown stores what the owner knows of the shard.
func storeKnown(row *lease.Lease, l lease.Lease) {
	if len(l.Children) > 0 {
		row.Children = l.Children
	}
	if l.HashKeys.IsKnown() {
		row.HashKeys = l.HashKeys
	}
}

// Assign implements [lease.Leases].
func (s *Store) Assign(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	if to == "" {
		return lease.Lease{}, fmt.Errorf("assign %s: the worker has no name", l.Key)
	}
	meets := func(row lease.Lease) bool { return sameOwners(l)(row) && sameCounter(l)(row) }
	return s.update(ctx, l.Key, meets, func(row *lease.Lease) {
		if l.Owner != "" && l.Owner != to || l.CheckpointOwner == to {
			row.OwnerSwitches++
		}
		row.Counter++
		row.Owner, row.CheckpointOwner = to, ""
	})
}

// Handoff implements [lease.Leases].
func (s *Store) Handoff(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	if l.Owner == "" || to == "" || l.Owner == to {
		return lease.Lease{}, fmt.Errorf("hand off %s: from %q to %q is no handoff", l.Key, l.Owner, to)
	}
	meets := func(row lease.Lease) bool { return row.Owner == l.Owner && !row.InHandoff() }
	return s.update(ctx, l.Key, meets, func(row *lease.Lease) {
		row.Owner, row.CheckpointOwner = to, row.Owner
	})
}

// Release implements [lease.Leases].
func (s *Store) Release(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	return s.update(ctx, l.Key, sameOwners(l), func(row *lease.Lease) {
		row.Counter++
		if !row.InHandoff() {
			row.Owner = ""
		}
		row.CheckpointOwner = ""
	})
}

func always(lease.Lease) bool { return true }

// SetChildren implements [lease.Leases].
func (s *Store) SetChildren(ctx context.Context, key string, children []stream.ShardID) error {
	if len(children) == 0 {
		return fmt.Errorf("set children of %s: there are none", key)
	}
	_, err := s.update(ctx, key, always, func(row *lease.Lease) { row.Children = slices.Clone(children) })
	return err
}

// SetHashKeys implements [lease.Leases].
func (s *Store) SetHashKeys(ctx context.Context, key string, r stream.HashKeyRange) error {
	if !r.IsKnown() {
		return fmt.Errorf("set hash keys of %s: the range is unknown", key)
	}
	_, err := s.update(ctx, key, always, func(row *lease.Lease) { row.HashKeys = r })
	return err
}

// Rewind implements [lease.Leases].
func (s *Store) Rewind(ctx context.Context, l lease.Lease, to stream.Position) (lease.Lease, error) {
	if !to.Valid() {
		return lease.Lease{}, fmt.Errorf("rewind %s to %s: %w", l.Key, to, stream.ErrPosition)
	}
	return s.update(ctx, l.Key, sameCounter(l), func(row *lease.Lease) {
		row.Counter++
		row.Owner, row.CheckpointOwner = "", ""
		row.Checkpoint = to
		row.Pending, row.PendingState = stream.Position{}, nil
	})
}

// Delete implements [lease.Leases].
func (s *Store) Delete(ctx context.Context, l lease.Lease) error {
	meets := func(row lease.Lease) bool {
		return row.Counter == l.Counter && row.Checkpoint.Sequence == l.Checkpoint.Sequence
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[l.Key]
	if ok && !meets(row) {
		return &lease.HeldError{Key: l.Key, Current: row}
	}
	delete(s.rows, l.Key)
	return nil
}
