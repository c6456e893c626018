package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

const (
	// lookInterval is how often the leader looks at the table. A dead worker's leases are noticed within the lease duration and
	// two looks, and given out within another second.
	lookInterval = time.Second
	// cleanInterval is how often rows that are not needed any more are deleted (the Java KCL's LeaseCleanupManager: 5 min).
	cleanInterval = 10 * time.Second
	// givingUpAfter is how many rounds in a row may fail before the leader lets others try (LeaseAssignmentManager: 3).
	givingUpAfter = 3
	// forceTries bounds how often the leader tries to overtake an owner that does not let go, until its next look.
	forceTries = 5
)

// term is what a leader remembers from look to look. It is forgotten with the leadership.
type term struct {
	l         *Leader
	seen      assign.Observation
	looked    bool // at least once
	auditor   auditor
	formers   formers
	seenAt    map[string]sighting // problems, by what they are
	nextClean time.Time
	nextAsk   time.Time

	collected map[string]collection // by stream ID
}

// serve does a leader's duties until ctx ends, or they have failed several times in a row.
func (l *Leader) serve(ctx context.Context) error {
	t := &term{l: l, seenAt: map[string]sighting{}, formers: formers{l: l, byID: map[string]*former{}}, collected: map[string]collection{},
		auditor: auditor{l: l, holes: map[string]lineage.Detector{}, done: map[string]bool{}, strays: map[string]map[string]*stray{}}}
	for failed := 0; ; {
		err := t.round(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.cfg.Note(assignLeases, err)
		wait := lookInterval
		switch {
		case err == nil:
			failed = 0
		case failed+1 >= givingUpAfter:
			return fmt.Errorf("%w: %w", errDuties, err)
		default:
			failed++
			wait = lookInterval << failed
			l.cfg.Logger.Warn("leases not assigned, will retry", "attempt", failed, "err", err)
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// sight is one look at the table and what to make of it.
type sight struct {
	sure    bool // made by a consistent read
	all     lease.Snapshot
	snap    lease.Snapshot // without the streams that are not read
	listing Listing
	plan    assign.Plan
	after   assign.Observation // to go on from if the plan is carried out
	at      time.Time
}

// look reads the table and plans. A sure look reads consistently, which costs double; of the looks at a table where all is
// well only the first of a term is one, so that a new leader does not take a table that is just being filled for an
// empty one. Where that is not enough, see [sight.decisive].
//
// What a glance can get wrong, and why that does no harm: it may show rows as they were a moment ago. A counter that seems to
// stand still may make a lease look expired, which is decisive; one that seems to go back looks like a renewal, and a dead
// worker's lease may be taken later by as much as the read was late. An owner who seems to be missing is given no lease on
// that account, because every write is conditional on the owner that was seen. A row that is not seen yet is not assigned
// until the next look.
func (t *term) look(ctx context.Context, sure bool) (sight, error) {
	read := t.l.cfg.Store.Glance
	if sure {
		read = t.l.cfg.Store.Snapshot
	}
	began := time.Now()
	all, err := read(ctx)
	if err != nil {
		return sight{}, err
	}
	s := sight{sure: sure, all: all, listing: t.l.known(), at: time.Now()}
	s.snap = t.formers.split(all, s.listing, s.at)
	t.seen = t.l.cfg.Assign.Observe(t.seen, s.snap, began, s.at)
	s.plan, s.after = t.l.cfg.Assign.Plan(t.seen)
	return s, nil
}

// decisive reports whether the plan takes a lease from a worker without asking it.
func (s sight) decisive() bool {
	return slices.ContainsFunc(s.plan.Moves, func(m assign.Move) bool { return m.Kind != assign.Handoff && m.From() != "" })
}

// round looks at the table once and mends what it finds. What takes something away, creates or deletes is decided by a sure look.
func (t *term) round(ctx context.Context) error {
	s, err := t.look(ctx, !t.looked)
	if err != nil {
		return err
	}
	missing := t.auditor.due(s.listing.Streams, s.snap, s.at)
	unclean := !s.at.Before(t.nextClean) && t.unclean(s)
	if !s.sure && (len(missing) > 0 || unclean || s.decisive()) {
		if s, err = t.look(ctx, true); err != nil {
			return err
		}
	}
	t.looked = true
	err = t.act(ctx, s) // first: what it takes away has waited long enough, and listing shards may take long
	created, listErr := t.auditor.audit(ctx, missing, s.all)
	t.l.cfg.Note(listShards, listErr) // no reason to stop leading
	if created {
		if s, listErr = t.look(ctx, true); listErr != nil {
			return errors.Join(err, listErr)
		}
		err = errors.Join(err, t.act(ctx, s))
	}
	if unclean {
		err = errors.Join(err, t.clean(ctx, s))
	}
	if !s.at.Before(t.nextClean) {
		t.nextClean = s.at.Add(cleanInterval)
	}
	return err
}

// act takes in what was seen and writes the plan made of it.
func (t *term) act(ctx context.Context, s sight) error {
	t.seen = s.after
	t.l.remember(t.seen, s.at)
	t.show(s)
	return t.move(ctx, s.plan)
}

// move writes the plan. A row that has moved on since it was seen is planned anew after the next look.
func (t *term) move(ctx context.Context, plan assign.Plan) error {
	var (
		mu   sync.Mutex
		mine []string
	)
	err := each(ctx, plan.Moves, func(m assign.Move) error {
		err := t.write(ctx, m)
		switch {
		case err == nil && m.To == t.l.cfg.ID:
			mu.Lock()
			defer mu.Unlock()
			mine = append(mine, m.Lease.Key)
		case err != nil && !errors.Is(err, stream.ErrLeaseLost) && !errors.Is(err, lease.ErrNotFound):
			return fmt.Errorf("%s lease %s for %s: %w", m.Kind, m.Lease.Key, m.To, err)
		}
		return nil
	})
	if len(mine) > 0 {
		t.l.cfg.Assigned(mine...)
	}
	return err
}

func (t *term) write(ctx context.Context, m assign.Move) (err error) {
	switch m.Kind {
	case assign.Handoff:
		_, err = t.l.cfg.Store.Handoff(ctx, m.Lease, m.To)
	case assign.Force, assign.Steal:
		err = t.force(ctx, m)
	default:
		_, err = t.l.cfg.Store.Assign(ctx, m.Lease, m.To)
	}
	if err == nil {
		t.l.cfg.Logger.Info("lease assigned", "kind", m.Kind.String(), "shard", m.Lease.Key, "from", m.From(), "owner", m.To)
	}
	return err
}

// force assigns a lease that its owner goes on renewing, so that its counter may have moved since the look.
func (t *term) force(ctx context.Context, m assign.Move) error {
	row := m.Lease
	for tries := 1; ; tries++ {
		_, err := t.l.cfg.Store.Assign(ctx, row, m.To)
		var moved *lease.HeldError
		if !errors.As(err, &moved) || tries == forceTries || moved.Current.Owner != row.Owner || moved.Current.CheckpointOwner != row.CheckpointOwner {
			return err
		}
		row = moved.Current
	}
}

// unplacedAfter is how long a lease may be without a worker before it is a problem of the fleet.
const unplacedAfter = 15 * time.Second

// show tells Status what is wrong with the fleet: rows that cannot be read, and leases that nobody works on.
func (t *term) show(s sight) {
	problems, now := append(t.formers.problems(), t.auditor.problems()...), s.at
	for _, b := range s.snap.Broken {
		problems = append(problems, Problem{What: fmt.Sprintf("row %s cannot be read and is left alone: %v", b.Key, b.Err), Since: t.since("broken "+b.Key, now)})
	}
	for _, key := range s.plan.Unplaced {
		if since := t.since("unplaced "+key, now); now.Sub(since) >= unplacedAfter {
			why := "no worker has room for the lease"
			if len(s.plan.Candidates) == 0 {
				why = "no worker reports itself alive"
			}
			problems = append(problems, t.l.problem(key, since, why+": nobody reads this shard"))
		}
	}
	for what, at := range t.seenAt {
		if !at.latest.Equal(now) {
			delete(t.seenAt, what)
		}
	}
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	t.l.problems = problems
}

// sighting is since when a problem has been seen at each look.
type sighting struct{ first, latest time.Time }

func (t *term) since(what string, now time.Time) time.Time {
	at, known := t.seenAt[what]
	if !known {
		at.first = now
	}
	at.latest = now
	t.seenAt[what] = at
	return at.first
}

// remember keeps what a leader has seen, for the moment at which it stops.
func (l *Leader) remember(seen assign.Observation, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen, l.seenAt = seen, now
}

// Heirs returns which worker takes over each lease of this one, which stops; leases that nobody has room for, and those of
// streams that are not read any more, are left out. The
// snapshot is to be made after Retire. A worker that has just led knows who is dead although a report still stands.
func (l *Leader) Heirs(snap lease.Snapshot) map[string]string {
	now := time.Now()
	l.mu.Lock()
	seen := l.seen
	if now.Sub(l.seenAt) > maxLockDuration {
		seen = assign.Observation{}
	}
	l.mu.Unlock()
	listing := l.known()
	snap.Leases = slices.DeleteFunc(slices.Clone(snap.Leases), func(s lease.Lease) bool { return !listing.reads(s.StreamID) })
	plan := l.cfg.Assign.Leave(l.cfg.Assign.Observe(seen, snap, now, now), l.cfg.ID)
	heirs := make(map[string]string, len(plan.Moves))
	for _, m := range plan.Moves {
		heirs[m.Lease.Key] = m.To
	}
	return heirs
}
