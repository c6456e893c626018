package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/kinesis-go/kcl/lease"
)

// The leader's lock lasts as long as a lease, so that a dead leader is noticed as soon as a dead worker, but no longer than ten
// seconds. The Java KCL holds it for 120 s; observers obey the duration in the item.
const (
	maxLockDuration = 10 * time.Second
	lockPollMin     = 2 * time.Second // while the lock lasts ten seconds or longer
	lockPollMax     = 10 * time.Second
)

// newLock returns a lock that is not held.
func newLock(cfg Config) lock {
	duration := cfg.Assign.LeaseDuration
	if duration <= 0 || duration > maxLockDuration {
		duration = maxLockDuration
	}
	return lock{store: cfg.Store, me: cfg.ID, duration: duration}
}

// lock is the leader's lock as this process sees it. It is used by one goroutine at a time.
type lock struct {
	store lease.Lock
	me    string
	// duration is how long our own lock lasts.
	duration time.Duration

	held       *lease.LockItem // what we wrote last; nil while we do not hold it
	validUntil time.Time

	seen      *lease.LockItem // another's item, when last read
	seenSince time.Time       // when its version was first seen

	tried   *lease.LockItem // a write whose reply was lost: the item may be this, and then it is ours
	triedAt time.Time
}

// valid reports whether the lock is ours for certain.
func (l *lock) valid(now time.Time) bool { return l.held != nil && now.Before(l.validUntil) }

// leader returns the worker that holds the lock as far as is known.
func (l *lock) leader() string {
	switch {
	case l.held != nil:
		return l.held.Owner
	case l.seen != nil && !l.seen.Released:
		return l.seen.Owner
	}
	return ""
}

// campaign reads the lock and takes it if it is free: missing, released, or unchanged for its whole duration on our clock.
// It reports whether the lock is ours now. Losing the race for it is no error.
func (l *lock) campaign(ctx context.Context) (bool, error) {
	item, err := l.store.ReadLock(ctx)
	if err != nil {
		return false, err
	}
	now := time.Now()
	if tried := l.tried; tried != nil {
		l.tried = nil
		if item != nil && item.Owner == tried.Owner && item.Version == tried.Version {
			l.held, l.validUntil, l.seen = tried, l.triedAt.Add(l.duration), nil
			return l.valid(now), nil
		}
	}
	if item == nil || l.seen == nil || item.Version != l.seen.Version || item.Owner != l.seen.Owner {
		l.seenSince = now
	}
	l.seen = item
	free := item == nil || item.Released || now.Sub(l.seenSince) > item.Duration
	if !free {
		return false, nil
	}
	mine := lease.LockItem{Owner: l.me, Version: uuid.NewString(), Duration: l.duration}
	asked := time.Now()
	err = l.store.TakeLock(ctx, item, mine)
	switch {
	case errors.Is(err, lease.ErrLockHeld):
		return false, nil
	case err != nil:
		l.tried, l.triedAt = &mine, asked
		return false, err
	}
	l.held, l.validUntil, l.seen = &mine, asked.Add(l.duration), nil
	return true, nil
}

// beat proves the lock anew. ErrLockHeld means that it is lost. If the reply to the last beat was lost, it first finds out what
// became of it.
func (l *lock) beat(ctx context.Context) error {
	if l.tried != nil {
		if err := l.recognise(ctx); err != nil {
			return err
		}
	}
	asked, version := time.Now(), uuid.NewString()
	next, err := l.store.BeatLock(ctx, *l.held, version)
	switch {
	case err == nil:
		l.held, l.validUntil = &next, asked.Add(l.duration)
	case errors.Is(err, lease.ErrUnavailable):
		mine := *l.held
		mine.Version = version
		l.tried, l.triedAt = &mine, asked
	}
	return err
}

// recognise reads the lock after a beat whose reply was lost: it is as it was, or as the beat was to leave it, or lost.
func (l *lock) recognise(ctx context.Context) error {
	item, err := l.store.ReadLock(ctx)
	if err != nil {
		return err
	}
	tried := l.tried
	l.tried = nil
	switch {
	case item == nil || item.Owner != l.me:
		return lease.ErrLockHeld
	case item.Version == tried.Version:
		l.held, l.validUntil = tried, l.triedAt.Add(l.duration)
	case item.Version != l.held.Version:
		return lease.ErrLockHeld
	}
	return nil
}

// drop gives the lock up. It is deleted if it can be; if not, it expires.
func (l *lock) drop(ctx context.Context) error {
	if l.held == nil {
		return nil
	}
	held := *l.held
	l.held, l.validUntil = nil, time.Time{}
	err := l.store.DropLock(ctx, held)
	if err != nil { // it is left as it is and expires, for us as for the others
		l.seen, l.seenSince = &held, time.Now()
	}
	return err
}

// poll returns how long to wait before looking at another's lock again.
func (l *lock) poll() time.Duration {
	least := min(lockPollMin, l.duration/5)
	if l.seen == nil {
		return least
	}
	return min(max(l.seen.Duration/5, least), lockPollMax)
}

// pulse is how often a lock that is held is proved anew.
func (l *lock) pulse() time.Duration { return l.duration / 4 }
