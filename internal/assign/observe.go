package assign

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/lease"
)

const (
	// lateReport is how much older than a report interval a report may be when it is first seen: for the way and for
	// clocks that differ a little.
	lateReport = 5 * time.Second
	// staleReport is when a report may be deleted (the Java KCL's WorkerMetricStats: one day).
	staleReport = 24 * time.Hour
	// mostRefusals bounds for how long a worker is barred: 2^8 times AdoptTimeout, some 85 minutes.
	mostRefusals = 8
)

// Observation is what a leader knows of a table that it looks at repeatedly. The zero Observation knows nothing: a new
// leader begins with it, and must not use one of an earlier term. It is a value: Observe and Plan return new ones. It keeps the
// snapshot it was made from, whose slices must not be changed.
type Observation struct {
	began, ended time.Time // of the latest look; ended also has the wall clock's reading
	since        time.Time // the first look
	balancedAt   time.Time
	list         []lease.Lease // sorted by key
	leases       map[string]sight
	workers      map[string]standing
}

// sight is what was seen of one lease.
type sight struct {
	counter                int64
	owner, checkpointOwner string

	movedAt   time.Time // when the counter was first seen as it is
	adopted   bool      // the worker has raised the counter since it got the lease, or had the lease when first seen
	renewed   bool      // the worker has raised the counter under this leader's eyes: it knows of the lease for certain
	untouched bool      // the worker has not for certain: nothing but the giving itself moved the counter
	bumped    bool      // this leader is about to raise the counter itself
	handoffAt time.Time // when this handoff was first seen; zero: none
}

// standing is what was seen of one worker.
type standing struct {
	report     lease.Worker
	changedAt  time.Time // when the report was first seen as it is
	freshUntil time.Time // the report stands for a live worker until then; zero: it never did
	aliveAt    time.Time // the last sign of life: the report or a counter changed; zero: none yet
	shown      bool      // it gave a sign of life while this leader looked on; its last report alone may outlive it
	doubted    bool

	refusals    int // leases in a row that it was given and never began with
	barredUntil time.Time
}

// Observe adds one look at the table to prev. began is when the snapshot was asked for, ended when it was complete, both with
// the monotonic clock: what stood still between two looks did so from the end of the first to the beginning of the second.
func (c Config) Observe(prev Observation, snap lease.Snapshot, began, ended time.Time) Observation {
	c = c.withDefaults()
	o := Observation{began: began, ended: ended, since: prev.since, balancedAt: prev.balancedAt,
		list:    slices.SortedFunc(slices.Values(snap.Leases), func(a, b lease.Lease) int { return cmp.Compare(a.Key, b.Key) }),
		leases:  make(map[string]sight, len(snap.Leases)),
		workers: make(map[string]standing, len(snap.Workers)),
	}
	if o.since.IsZero() {
		o.since = ended
	}
	c.lookAtWorkers(&o, prev, snap.Workers)
	o.list = slices.CompactFunc(o.list, func(a, b lease.Lease) bool { return a.Key == b.Key })
	for i := range o.list {
		l := &o.list[i]
		before, known := prev.leases[l.Key]
		s, alive := look(before, known, l, ended)
		o.leases[l.Key] = s
		if w, ok := o.workers[l.Worker()]; ok && alive {
			w.aliveAt, w.doubted, w.shown = ended, false, true
			w.refusals, w.barredUntil = 0, time.Time{}
			o.workers[l.Worker()] = w
		}
	}
	c.doubt(&o)
	return o
}

// look compares a lease with how it was seen before; alive says that its worker itself has moved the counter.
func look(before sight, known bool, l *lease.Lease, now time.Time) (s sight, alive bool) {
	s = sight{counter: l.Counter, owner: l.Owner, checkpointOwner: l.CheckpointOwner, movedAt: now, adopted: true}
	if l.InHandoff() {
		s.handoffAt = now
		if known && before.owner == l.Owner && before.checkpointOwner == l.CheckpointOwner {
			s.handoffAt = before.handoffAt
		}
	}
	switch {
	case !known:
		return s, false
	case cmp.Or(before.checkpointOwner, before.owner) != l.Worker():
		// Two steps may be the giving and a renewal of the new worker, which trusts the lease from then on.
		s.adopted, s.untouched = false, l.Counter == before.counter+1
		return s, false
	case before.counter == l.Counter: // equal, not less: a row that was deleted and made again starts at 0
		s.movedAt, s.bumped = before.movedAt, before.bumped
		s.adopted, s.renewed, s.untouched = before.adopted, before.renewed, before.untouched
		return s, false
	case before.bumped && l.Counter == before.counter+1:
		s.adopted, s.untouched = false, true
		return s, false
	}
	s.renewed = true
	return s, true
}

// lookAtWorkers notes the reports; of several by one worker, as there are while a table is migrated, the newest counts.
func (c Config) lookAtWorkers(o *Observation, prev Observation, reports []lease.Worker) {
	for _, r := range reports {
		if other, twice := o.workers[r.ID]; twice && !other.report.ReportedAt.Before(r.ReportedAt) {
			continue
		}
		w, known := prev.workers[r.ID]
		changed := known && !w.report.ReportedAt.Equal(r.ReportedAt)
		switch {
		case !known:
			w = standing{changedAt: o.ended}
			// The one use of another machine's clock. A worker whose clock is slow comes in with its next report.
			age := o.ended.Sub(r.ReportedAt)
			if age <= c.ReportInterval+lateReport {
				w.freshUntil = o.ended.Add(2 * c.ReportInterval)
			}
			if age < c.LeaseDuration {
				w.aliveAt = o.ended
				w.shown = !o.since.Equal(o.ended) // it has just come
			}
		case changed:
			w.changedAt, w.aliveAt, w.doubted, w.shown = o.ended, o.ended, false, true
			w.freshUntil = o.ended.Add(2 * c.ReportInterval)
		}
		w.report = r
		o.workers[r.ID] = w
	}
}

// doubt marks the workers that let a lease expire without a sign of life in the last third of its time; a live worker
// renews each lease in a third of the lease duration. One that never began with a lease is barred for a while, longer
// each time: it may report and be unable to work.
func (c Config) doubt(o *Observation) {
	for i := range o.list {
		l := &o.list[i]
		w, ok := o.workers[l.Worker()]
		s := o.leases[l.Key]
		if !ok || l.Worker() == c.Me || o.began.Before(c.expiresAt(s)) {
			continue
		}
		if !w.aliveAt.After(c.expiresAt(s).Add(-c.LeaseDuration / 3)) {
			w.doubted = true
		}
		if !s.adopted && !o.began.Before(w.barredUntil) {
			w.barredUntil = o.ended.Add(c.AdoptTimeout << min(w.refusals, mostRefusals))
			w.refusals++
		}
		o.workers[l.Worker()] = w
	}
}

// expiresAt is when a lease expires unless its counter moves.
func (c Config) expiresAt(s sight) time.Time {
	if s.adopted {
		return s.movedAt.Add(c.LeaseDuration)
	}
	return s.movedAt.Add(c.AdoptTimeout)
}

// free reports whether nobody works on the lease. A worker that never began with it and is not a candidate will not; one that
// may have begun unseen, between two looks, trusts it for a lease duration.
func (c Config) free(o Observation, l *lease.Lease) bool {
	s := o.leases[l.Key]
	if l.Worker() == "" || !o.began.Before(c.expiresAt(s)) {
		return true
	}
	if s.adopted || c.candidate(o, l.Worker()) {
		return false
	}
	return s.untouched || !o.began.Before(s.movedAt.Add(c.LeaseDuration))
}

// overdue reports whether a handoff has had its time.
func (c Config) overdue(o Observation, l *lease.Lease) bool {
	s := o.leases[l.Key]
	return l.InHandoff() && !o.began.Before(s.handoffAt.Add(c.HandoffTimeout+c.LeaseDuration))
}

// candidate reports whether a worker may be given leases.
func (c Config) candidate(o Observation, id string) bool {
	w, ok := o.workers[id]
	return ok && !w.doubted && !o.began.Before(w.barredUntil) && w.freshUntil.After(o.began) && sound(w.report)
}

// wary reports whether workers are to be trusted only while they show life: at the beginning of a term, when those that
// died with the last leader still look alive, and after a death, since workers die together.
func (c Config) wary(o Observation) bool {
	if o.ended.Sub(o.since) < c.LeaseDuration {
		return true
	}
	for _, w := range o.workers {
		if w.doubted && w.freshUntil.After(o.began) {
			return true
		}
	}
	return false
}

// lively reports whether a worker has shown life within d. A worker without leases only does when it reports.
func (c Config) lively(o Observation, id string, d time.Duration) bool {
	return id == c.Me || o.ended.Sub(o.workers[id].aliveAt) < d
}

// unproven reports whether nothing but a report says that a worker lives: it may have died with a report that still stands.
func (o Observation) unproven(me, id string) bool { return id != me && !o.workers[id].shown }

// sound reports whether a report can be used: each metric has samples, the latest among them, and a limit (the Java KCL's
// WorkerMetricStats.isValidWorkerMetric and isAnyWorkerMetricFailing).
func sound(w lease.Worker) bool {
	for name, values := range w.Stats {
		if len(values) == 0 || !(w.Limits[name] > 0) {
			return false
		}
		for _, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
		if values[len(values)-1] < 0 {
			return false
		}
	}
	return true
}

// Stale returns the reports that may be deleted, sorted by worker: over a day old by their own time, and not renewed while
// this leader looked on for as long as a report is good.
func (c Config) Stale(o Observation) []lease.Worker {
	c = c.withDefaults()
	var stale []lease.Worker
	for _, w := range o.workers {
		if o.ended.Sub(w.report.ReportedAt) > staleReport && o.began.Sub(w.changedAt) > 2*c.ReportInterval {
			stale = append(stale, w.report)
		}
	}
	slices.SortFunc(stale, func(a, b lease.Worker) int { return cmp.Compare(a.ID, b.ID) })
	return stale
}
