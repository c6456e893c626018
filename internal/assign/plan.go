package assign

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
)

// Plan returns what to write after the latest look, and the observation to go on from: it remembers what was planned.
func (c Config) Plan(o Observation) (Plan, Observation) {
	c = c.withDefaults()
	f := c.newFleet(o, "")
	items := f.items(o.list)
	var loose []*item
	for i := range items {
		if it := &items[i]; !c.settle(o, f, it) {
			loose = append(loose, it)
		}
	}
	p := Plan{Candidates: f.ids()}
	if len(f.bearers) == 0 {
		p.Unplaced = keysOf(loose)
		return p, o
	}
	f.measureUp(weigh(loose))
	p.Unplaced = f.place(loose, Take)
	if f.balance(o) {
		o.balancedAt = o.ended
	}
	p.Moves = f.sorted()
	return p, o.remember(p.Moves)
}

// settle counts a lease that somebody works on, or that has a sure destination, to that bearer. It returns false for a
// lease that is to be placed.
func (c Config) settle(o Observation, f *fleet, it *item) bool {
	l := it.lease
	next := f.byID[l.Owner]
	free, overdue := c.free(o, l), c.overdue(o, l)
	switch {
	case l.InHandoff() && (free || overdue) && next != nil && !next.shy:
		// The old owner is dead or does not let go; the new one was chosen already.
		kind := Take
		if !free {
			kind = Force
		}
		f.moves = append(f.moves, Move{Lease: *l, To: l.Owner, Kind: kind})
		next.bear(it)
		return true
	case free || overdue:
		it.from = f.byID[l.Worker()]
		it.never, it.force = !o.leases[l.Key].adopted, !free
		return false
	case next != nil:
		next.bear(it)
		it.from = next
		// A lease whose counter has not moved yet may be one that its owner has still to find, given to it by a leaving worker
		// or the last leader. Handed off now, nobody would let go of it: the row would name the next owner, and it would be
		// read by nobody until it expires.
		if s := o.leases[l.Key]; !l.InHandoff() && !l.Ended() && s.adopted && s.renewed {
			next.movable = append(next.movable, it)
		}
	}
	return true
}

// place gives each loose lease to the emptiest worker that has room, the heaviest first, and returns the keys of those
// nobody has room for. A worker that was given a lease and never began gets it again only if there is no other.
func (f *fleet) place(loose []*item, kind Kind) (unplaced []string) {
	slices.SortStableFunc(loose, func(a, b *item) int { return cmp.Compare(b.weight, a.weight) })
	q := &queue{order: emptier}
	for _, b := range f.bearers {
		if f.hasRoom(b) {
			q.b = append(q.b, b)
		}
	}
	heap.Init(q)
	for i, it := range loose {
		if it.lease.Ended() { // they weigh nothing, so only such follow
			f.placeEnded(loose[i:], kind)
			break
		}
		if q.Len() == 0 {
			unplaced = append(unplaced, it.lease.Key)
			continue
		}
		at := q.firstBut(it)
		to := q.b[at]
		f.hand(it, to, it.kind(kind, to))
		if f.hasRoom(to) {
			heap.Fix(q, at)
		} else {
			heap.Remove(q, at)
		}
	}
	slices.Sort(unplaced)
	return unplaced
}

// placeEnded shares the leases of ended shards out by number.
func (f *fleet) placeEnded(loose []*item, kind Kind) {
	q := &queue{order: fewerEnded, b: slices.Clone(f.bearers)}
	heap.Init(q)
	for _, it := range loose {
		at := q.firstBut(it)
		f.hand(it, q.b[at], it.kind(kind, q.b[at]))
		heap.Fix(q, at)
	}
}

// firstBut returns the index of the first bearer in order, not counting one that had the item and never began.
func (q *queue) firstBut(it *item) int {
	if !it.never || q.b[0] != it.from || q.Len() == 1 {
		return 0
	}
	if q.Len() > 2 && q.Less(2, 1) {
		return 2
	}
	return 1
}

func (it *item) kind(kind Kind, to *bearer) Kind {
	switch {
	case kind == Give:
		return Give
	case it.force:
		return Force
	case it.from == to:
		return Bump
	}
	return kind
}

// remember notes the leases whose counter this leader raises although their worker stays: that is no sign of its life.
func (o Observation) remember(moves []Move) Observation {
	cloned := false
	for _, m := range moves {
		if m.From() != m.To {
			continue
		}
		if !cloned { // rare, and o is a value
			o.leases = maps.Clone(o.leases)
			cloned = true
		}
		s := o.leases[m.Lease.Key]
		s.bumped = true
		o.leases[m.Lease.Key] = s
	}
	return o
}

// Leave returns where the leases of a worker that stops are to go, at once and without the leader: call it on a look made
// after the worker's own report was removed, or others give it more meanwhile. o may be a first look; workers that own leases
// are then preferred to those that do not, whose last report may outlive them. Leases that
// nobody has room for are named; release those. A lease that is on its way to me is left to its old owner.
func (c Config) Leave(o Observation, me string) Plan {
	c = c.withDefaults()
	f := c.newFleet(o.trustOwners(), me)
	items := f.items(o.list)
	var mine []*item
	for i := range items {
		it := &items[i]
		next := f.byID[it.lease.Owner]
		switch {
		case it.lease.Worker() == me && next != nil: // handed off: its destination is sure
			f.moves = append(f.moves, Move{Lease: *it.lease, To: next.id, Kind: Give})
			next.bear(it)
		case it.lease.Worker() == me:
			mine = append(mine, it)
		case next != nil:
			next.bear(it)
		}
	}
	p := Plan{Candidates: f.ids()}
	if len(f.bearers) == 0 {
		p.Unplaced = keysOf(mine)
		return p
	}
	f.measureUp(weigh(mine))
	p.Unplaced = f.place(mine, Give)
	p.Moves = f.sorted()
	return p
}

// trustOwners takes owning a lease for a sign of life where there was only one look: a worker that died some time ago has lost
// its leases, but its report stands for a minute.
func (o Observation) trustOwners() Observation {
	if !o.since.Equal(o.ended) {
		return o
	}
	o.workers = maps.Clone(o.workers)
	for i := range o.list {
		l := &o.list[i]
		if w, ok := o.workers[l.Worker()]; ok && !l.Ended() {
			w.aliveAt, w.shown = o.ended, true
			o.workers[l.Worker()] = w
		}
	}
	return o
}

func (f *fleet) ids() []string {
	ids := make([]string, len(f.bearers))
	for i, b := range f.bearers {
		ids[i] = b.id
	}
	return ids
}

func (f *fleet) sorted() []Move {
	slices.SortFunc(f.moves, func(a, b Move) int { return cmp.Compare(a.Lease.Key, b.Lease.Key) })
	return f.moves
}

func weigh(items []*item) (total float64) {
	for _, it := range items {
		total += it.weight
	}
	return total
}

func keysOf(items []*item) []string {
	var keys []string
	for _, it := range items {
		keys = append(keys, it.lease.Key)
	}
	slices.Sort(keys)
	return keys
}
