package memlease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/lease"
)

// ReadLock implements [lease.Lock].
func (s *Store) ReadLock(ctx context.Context) (*lease.LockItem, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil, nil
	}
	item := *s.lock
	return &item, nil
}

// TakeLock implements [lease.Lock].
func (s *Store) TakeLock(ctx context.Context, seen *lease.LockItem, mine lease.LockItem) error {
	return s.changeLock(ctx, func(now *lease.LockItem) bool {
		switch {
		case seen == nil || now == nil:
			return seen == nil && now == nil
		case seen.Released:
			return now.Released
		}
		return now.Version == seen.Version
	}, &mine)
}

// BeatLock implements [lease.Lock].
func (s *Store) BeatLock(ctx context.Context, held lease.LockItem, version string) (lease.LockItem, error) {
	next := held
	next.Version = version
	if err := s.changeLock(ctx, isLock(held), &next); err != nil {
		return lease.LockItem{}, err
	}
	return next, nil
}

// DropLock implements [lease.Lock].
func (s *Store) DropLock(ctx context.Context, held lease.LockItem) error {
	return s.changeLock(ctx, isLock(held), nil)
}

func isLock(held lease.LockItem) func(*lease.LockItem) bool {
	return func(now *lease.LockItem) bool {
		return now != nil && now.Version == held.Version && now.Owner == held.Owner
	}
}

func (s *Store) changeLock(ctx context.Context, meets func(now *lease.LockItem) bool, next *lease.LockItem) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !meets(s.lock) {
		return lease.ErrLockHeld
	}
	s.lock = next
	return nil
}

// Report implements [lease.Roster].
func (s *Store) Report(ctx context.Context, w lease.Worker) error {
	if w.ID == "" || w.ReportedAt.IsZero() {
		return fmt.Errorf("report of worker %q at %v: needs a name and a time", w.ID, w.ReportedAt)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers == nil {
		s.workers = make(map[string]lease.Worker)
	}
	s.workers[w.ID] = copyOf(w)
	return nil
}

// copyOf keeps the store apart from maps that the reporter goes on changing. Times are kept as the DynamoDB format has
// them, in whole seconds.
func copyOf(w lease.Worker) lease.Worker {
	stats, limits := make(map[string][]float64, len(w.Stats)), make(map[string]float64, len(w.Limits))
	for metric, values := range w.Stats {
		if len(values) > 0 {
			stats[metric] = slices.Clone(values)
		}
	}
	maps.Copy(limits, w.Limits)
	return lease.Worker{ID: w.ID, ReportedAt: time.Unix(w.ReportedAt.Unix(), 0), Stats: stats, Limits: limits}
}

// Forget implements [lease.Roster].
func (s *Store) Forget(ctx context.Context, w lease.Worker) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.workers[w.ID]; ok && now.ReportedAt.Unix() == w.ReportedAt.Unix() {
		delete(s.workers, w.ID)
	}
	return nil
}
