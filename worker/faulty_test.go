package worker_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// The errors of a store that is in trouble, as package lease promises them.
var (
	errThrottled = fmt.Errorf("%w: injected", lease.ErrThrottled)
	errDown      = fmt.Errorf("%w: injected", lease.ErrUnavailable)
)

// fault says what befalls one call: an error instead of it, or one after it took effect.
type fault struct {
	instead, after error
	delay          time.Duration // before the call
}

// faultyStore is a store whose calls can be made to fail.
type faultyStore struct {
	lease.Store

	mu     sync.Mutex
	choose func(op, key string) fault
}

func (s *faultyStore) fail(choose func(op, key string) fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.choose = choose
}

// heal ends all faults.
func (s *faultyStore) heal() { s.fail(nil) }

func (s *faultyStore) call(ctx context.Context, op, key string, do func() error) error {
	s.mu.Lock()
	var f fault
	if s.choose != nil {
		f = s.choose(op, key)
	}
	s.mu.Unlock()
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", lease.ErrUnavailable, ctx.Err())
		}
	}
	if f.instead != nil {
		return f.instead
	}
	if err := do(); err != nil {
		return err
	}
	return f.after
}

func (s *faultyStore) lease(ctx context.Context, op, key string, do func() (lease.Lease, error)) (l lease.Lease, err error) {
	var out lease.Lease
	err = s.call(ctx, op, key, func() (err error) { out, err = do(); return err })
	if err != nil {
		return lease.Lease{}, err
	}
	return out, nil
}

func (s *faultyStore) Setup(ctx context.Context, id string) error {
	return s.call(ctx, "Setup", id, func() error { return s.Store.Setup(ctx, id) })
}

func (s *faultyStore) Check(ctx context.Context) error {
	return s.call(ctx, "Check", "", func() error { return s.Store.Check(ctx) })
}

func (s *faultyStore) Get(ctx context.Context, key string) (lease.Lease, error) {
	return s.lease(ctx, "Get", key, func() (lease.Lease, error) { return s.Store.Get(ctx, key) })
}

func (s *faultyStore) Snapshot(ctx context.Context) (out lease.Snapshot, err error) {
	err = s.call(ctx, "Snapshot", "", func() (err error) { out, err = s.Store.Snapshot(ctx); return err })
	return out, err
}

func (s *faultyStore) Glance(ctx context.Context) (lease.Snapshot, error) { return s.Snapshot(ctx) }

func (s *faultyStore) Owned(ctx context.Context, id string) (keys []string, err error) {
	err = s.call(ctx, "Owned", id, func() (err error) { keys, err = s.Store.Owned(ctx, id); return err })
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func (s *faultyStore) Create(ctx context.Context, l lease.Lease) (created bool, err error) {
	err = s.call(ctx, "Create", l.Key, func() (err error) { created, err = s.Store.Create(ctx, l); return err })
	return created && err == nil, err
}

func (s *faultyStore) Renew(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	return s.lease(ctx, "Renew", l.Key, func() (lease.Lease, error) { return s.Store.Renew(ctx, l) })
}

func (s *faultyStore) Checkpoint(ctx context.Context, l lease.Lease, at stream.Position) (lease.Lease, error) {
	return s.lease(ctx, "Checkpoint", l.Key, func() (lease.Lease, error) { return s.Store.Checkpoint(ctx, l, at) })
}

func (s *faultyStore) Assign(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	return s.lease(ctx, "Assign", l.Key, func() (lease.Lease, error) { return s.Store.Assign(ctx, l, to) })
}

func (s *faultyStore) Release(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	return s.lease(ctx, "Release", l.Key, func() (lease.Lease, error) { return s.Store.Release(ctx, l) })
}

func (s *faultyStore) SetChildren(ctx context.Context, key string, children []stream.ShardID) error {
	return s.call(ctx, "SetChildren", key, func() error { return s.Store.SetChildren(ctx, key, children) })
}

func (s *faultyStore) ReadLock(ctx context.Context) (item *lease.LockItem, err error) {
	err = s.call(ctx, "ReadLock", "", func() (err error) { item, err = s.Store.ReadLock(ctx); return err })
	return item, err
}

func (s *faultyStore) TakeLock(ctx context.Context, seen *lease.LockItem, mine lease.LockItem) error {
	return s.call(ctx, "TakeLock", "", func() error { return s.Store.TakeLock(ctx, seen, mine) })
}

func (s *faultyStore) BeatLock(ctx context.Context, held lease.LockItem, version string) (item lease.LockItem, err error) {
	err = s.call(ctx, "BeatLock", "", func() (err error) { item, err = s.Store.BeatLock(ctx, held, version); return err })
	return item, err
}

func (s *faultyStore) DropLock(ctx context.Context, held lease.LockItem) error {
	return s.call(ctx, "DropLock", "", func() error { return s.Store.DropLock(ctx, held) })
}

func (s *faultyStore) Report(ctx context.Context, w lease.Worker) error {
	return s.call(ctx, "Report", w.ID, func() error { return s.Store.Report(ctx, w) })
}

func (s *faultyStore) Forget(ctx context.Context, w lease.Worker) error {
	return s.call(ctx, "Forget", w.ID, func() error { return s.Store.Forget(ctx, w) })
}

// op fails the calls of one operation on one key with an error instead of them; an empty key is any.
func op(name, key string, err error) func(string, string) fault {
	return func(o, k string) fault {
		if o == name && (key == "" || k == key) {
			return fault{instead: err}
		}
		return fault{}
	}
}

// lead makes the test the leader for a day, so that workers find one and neither create nor assign rows.
func (r *rig) lead() {
	r.t.Helper()
	r.must(r.store.TakeLock(r.t.Context(), nil, lease.LockItem{Owner: "test", Version: "1", Duration: 24 * time.Hour}))
}

// row creates a lease to be read from the trim horizon.
func (r *rig) row(shard stream.ShardID, parents ...stream.ShardID) lease.Lease {
	r.t.Helper()
	_, err := r.store.Create(r.t.Context(), lease.Lease{Key: string(shard), Shard: shard, Checkpoint: stream.TrimHorizon, Parents: parents})
	r.must(err)
	return r.lease(string(shard))
}

// give assigns a lease.
func (r *rig) give(key, to string) {
	r.t.Helper()
	_, err := r.store.Assign(r.t.Context(), r.lease(key), to)
	r.must(err)
}

// faulty puts a store in front of the rig's whose calls can be made to fail; the rig's own calls never do.
func (r *rig) faulty() *faultyStore { return &faultyStore{Store: r.store} }
