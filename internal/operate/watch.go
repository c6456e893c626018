package operate

import (
	"slices"
	"time"

	"github.com/kinesis-go/kcl/lease"
)

// Look is what one look at an application found. Its snapshot is not consistent between rows.
type Look struct {
	Snapshot     lease.Snapshot
	Lock         *lease.LockItem // nil: there is none
	Began, Ended time.Time       // with the monotonic clock, before the first and after the last request
}

// Watch is what is known from looks in a row. The zero Watch knows nothing. It is a value: [Watch.See] returns a new one and
// leaves the old as it is.
type Watch struct {
	first, latest Look
	leases        map[string]sight
	workers       map[string]reportSight
	lock          lockSight
	holes         map[hole]time.Time // since when each has been seen at every look
}

// sight is what was seen of one lease.
type sight struct {
	lease.Lease
	moved     bool      // its worker raised the counter while it was watched
	counterAt time.Time // the end of the look that first saw the counter as it is
	ownersAt  time.Time // the same of owner and next owner
	newOwners bool      // that was not the first look: ownersAt is when they changed
}

// reportSight is what was seen of one worker's report.
type reportSight struct {
	report  lease.Worker
	changed bool
}

// lockSight is what was seen of the leader's lock.
type lockSight struct {
	item      *lease.LockItem
	versionAt time.Time // the end of the look that first saw the version as it is
	ownerAt   time.Time
	moved     bool // the version changed while watched
	newOwner  bool
}

// See adds one look, which must be later than those before.
func (w Watch) See(l Look) Watch {
	next := Watch{first: w.first, latest: l,
		leases:  make(map[string]sight, len(l.Snapshot.Leases)),
		workers: make(map[string]reportSight, len(l.Snapshot.Workers)),
		lock:    w.lock.see(l, w.known()),
		holes:   map[hole]time.Time{},
	}
	if !w.known() {
		next.first = l
	}
	for _, row := range l.Snapshot.Leases {
		next.leases[row.Key] = w.lookAt(row, l.Ended)
	}
	for _, r := range l.Snapshot.Workers {
		before, known := w.workers[r.ID]
		next.workers[r.ID] = reportSight{report: r, changed: known && (before.changed || !before.report.ReportedAt.Equal(r.ReportedAt))}
	}
	for _, h := range holesIn(l.Snapshot.Leases) {
		next.holes[h] = l.Ended
		if since, before := w.holes[h]; before {
			next.holes[h] = since
		}
	}
	return next
}

func (w Watch) known() bool { return !w.latest.Ended.IsZero() }

// lookAt compares a row with how it was seen before.
func (w Watch) lookAt(row lease.Lease, now time.Time) sight {
	before, known := w.leases[row.Key]
	s := sight{Lease: row, counterAt: now, ownersAt: now, newOwners: w.known()}
	if !known {
		return s
	}
	if before.Owner == row.Owner && before.CheckpointOwner == row.CheckpointOwner {
		s.ownersAt, s.newOwners = before.ownersAt, before.newOwners
	}
	sameWorker := before.Worker() == row.Worker()
	switch {
	case before.Counter == row.Counter: // equal, not less: a row that was made anew starts at 0
		s.counterAt = before.counterAt
		s.moved = before.moved && sameWorker
	case sameWorker && before.Owner == row.Owner && row.Worker() != "": // an owner that changed raised the counter itself
		s.moved = true
	}
	return s
}

func (k lockSight) see(l Look, known bool) lockSight {
	next := lockSight{item: l.Lock, versionAt: l.Ended, ownerAt: l.Ended, newOwner: known}
	if known && free(k.item) && free(l.Lock) {
		next.ownerAt, next.newOwner = k.ownerAt, k.newOwner
	}
	if k.item == nil || l.Lock == nil {
		return next
	}
	if k.item.Owner == l.Lock.Owner {
		next.ownerAt, next.newOwner = k.ownerAt, k.newOwner
		next.moved = k.moved || k.item.Version != l.Lock.Version
	}
	if k.item.Version == l.Lock.Version {
		next.versionAt = k.versionAt
	}
	return next
}

// free reports whether nobody holds a lock.
func free(l *lease.LockItem) bool { return l == nil || l.Released }

// Watched returns for how long the application has been watched: from the end of the first look to the beginning of the
// latest, so that what did not move between them stood still at least for that long.
func (w Watch) Watched() time.Duration {
	return w.stood(w.first.Ended)
}

// Leases returns the rows as last seen, sorted by key.
func (w Watch) Leases() []lease.Lease {
	rows := slices.Clone(w.latest.Snapshot.Leases)
	byKey(rows)
	return rows
}

// stood returns for how long something stood still that has been as it is since the look that ended then.
func (w Watch) stood(since time.Time) time.Duration {
	return max(0, w.latest.Began.Sub(since))
}

// Settled reports whether watching longer would show nothing new: every lease is ended, or its worker has shown that it lives,
// and so has the leader.
func (w Watch) Settled() bool {
	for _, s := range w.leases {
		if !s.Ended() && (!s.moved || s.InHandoff()) {
			return false
		}
	}
	return w.known() && w.lock.moved && len(w.holes) == 0
}
