package lineage

import (
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Sync is what [Missing] finds.
type Sync struct {
	// Create are the rows to create, in this order.
	Create []lease.Lease
	// Skipped are the shards that were left out because the list shows an ancestor of theirs as still open: it was made
	// while the stream changed. They are looked at again next time.
	Skipped []stream.ShardID
}

// Missing returns the rows without which some open shard of the stream would never be read. listed are all shards of the
// stream, without filter; leases may hold those of other streams too. start is where a shard is read from of which the
// application knows nothing: stream.Latest, TrimHorizon or AtTimestamp.
//
// An open shard needs no row of its own while an ancestor has one that is not ended: it gets its row when its parents end.
// Otherwise, going up through the parents that are listed:
//
//   - from TrimHorizon and AtTimestamp the oldest listed ancestors get rows;
//   - from Latest the open shard itself does;
//   - a parent of a merged shard gets one if the other parent has: only together can they end into their child.
//
// All rows begin at start; the Java KCL's rule "TRIM_HORIZON for an ancestor of something that has a lease" can never
// give another position, since such an ancestor is made only from TrimHorizon and AtTimestamp. Two cases begin at TrimHorizon
// whatever start is, because the application has read up to there and may skip nothing (the Java KCL would):
//
//   - a child whose parent's row is ended: the row was lost after it was made, or never made;
//   - a shard whose hash keys overlap those of a row whose own shard is no longer listed: what was to be read there
//     before has left the retention period.
//
// The result is a function of the inputs alone, and empty once its rows exist.
func Missing(streamID string, listed []Shard, leases []lease.Lease, start stream.Position) Sync {
	m := missing{
		start:  start,
		listed: index(listed),
		leases: make(map[stream.ShardID]lease.Lease, len(leases)),
		known:  map[stream.ShardID]standing{},
		create: map[stream.ShardID]stream.Position{},
	}
	for _, l := range leases {
		if l.StreamID == streamID {
			m.leases[l.Shard] = l
		}
	}
	skipped := m.dropInconsistent()
	for _, id := range skipped {
		if _, ok := m.leases[id]; ok {
			m.coverAncestors(m.listed[id])
		}
	}
	for before := -1; before < len(m.create); { // a planned row may need another beside it
		before = len(m.create)
		for _, id := range m.needed() {
			if st := m.visit(id); st == unknown || st == oldest {
				m.plan(id, start)
			}
		}
	}
	m.neverSkip()
	return Sync{Create: m.rows(streamID), Skipped: skipped}
}

// standing says how a shard is going to be read.
type standing int

const (
	unknown standing = iota // neither it nor an ancestor is going to be, so far
	oldest                  // it has no row and no ancestor that will be read, and start asks for the oldest
	ended                   // its row is ended: it makes no further rows
	covered                 // it has a live row, or gets one, or an ancestor's end will make one
)

type missing struct {
	start  stream.Position
	listed map[stream.ShardID]Shard
	shards map[stream.ShardID]Shard // the listed ones that are consistent
	leases map[stream.ShardID]lease.Lease
	known  map[stream.ShardID]standing
	create map[stream.ShardID]stream.Position
}

// needed returns the shards that must be going to be read, sorted: the open ones, and those into which the shard of a
// live or planned row is merged. The latter matter although their own children may have rows: the shard cannot end while the other
// parent has none.
func (m *missing) needed() []stream.ShardID {
	var ids []stream.ShardID
	for id, s := range m.shards {
		merged := len(s.Parents) > 1 && slices.ContainsFunc(s.Parents, func(p stream.ShardID) bool {
			l, has := m.leases[p]
			_, gets := m.create[p]
			return has && !l.Ended() || gets
		})
		if !s.Closed || merged {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *missing) plan(id stream.ShardID, at stream.Position) {
	if _, ok := m.create[id]; !ok {
		m.create[id] = at
	}
}

// visit returns how the shard stands, planning rows for ancestors on the way. Each shard is visited once. A shard that is its own
// ancestor, which only a corrupted list can have, is unknown while it is being visited, and so the recursion ends.
func (m *missing) visit(id stream.ShardID) standing {
	s, listed := m.shards[id]
	if !listed {
		return unknown
	}
	if st, ok := m.known[id]; ok {
		return st
	}
	m.known[id] = unknown
	st := m.stand(s)
	m.known[id] = st
	return st
}

func (m *missing) stand(s Shard) standing {
	if l, ok := m.leases[s.ID]; ok {
		if l.Ended() {
			return ended
		}
		return covered
	}
	var read, finished bool // some parent will be read; some parent was read to its end
	for _, p := range s.Parents {
		st := m.visit(p)
		read = read || st == covered || st == oldest
		finished = finished || st == ended
	}
	switch {
	case read:
		m.joinParents(s)
		return covered
	case finished:
		m.plan(s.ID, stream.TrimHorizon)
		return covered
	case m.start == stream.TrimHorizon || m.start == stream.AtTimestamp:
		return oldest
	}
	return unknown
}

// joinParents plans rows for the parents of a shard that is made when they end, where they have none and get none. If one of
// them is over without having made the shard, its hash keys would stay uncovered until the other one ends; then the
// shard gets its row now, unless it could start before a parent that has no row yet.
func (m *missing) joinParents(s Shard) {
	lost, waits := false, true
	for _, p := range s.Parents {
		_, listed := m.shards[p]
		st := m.known[p]
		switch {
		case !listed || st == ended:
			lost = true
		case st == covered:
			_, has := m.leases[p]
			_, gets := m.create[p]
			waits = waits && (has || gets)
		default:
			m.plan(p, m.start)
		}
	}
	if lost && waits {
		m.plan(s.ID, stream.TrimHorizon)
	}
}

// neverSkip lets the planned shards begin at the trim horizon where the application has read before: Latest would skip what
// came since. From AtTimestamp nothing is skipped.
func (m *missing) neverSkip() {
	if m.start != stream.Latest {
		return
	}
	var gone []stream.HashKeyRange
	for id, l := range m.leases {
		if _, listed := m.listed[id]; !listed {
			gone = append(gone, l.HashKeys)
		}
	}
	for id := range m.create {
		r := m.shards[id].HashKeys
		if slices.ContainsFunc(gone, func(g stream.HashKeyRange) bool { return overlap(g, r) }) {
			m.create[id] = stream.TrimHorizon
		}
	}
}

func (m *missing) rows(streamID string) []lease.Lease {
	var shards []Shard
	for id := range m.create {
		shards = append(shards, m.shards[id])
	}
	return rows(streamID, shards, func(s Shard) stream.Position { return m.create[s.ID] })
}

// dropInconsistent leaves out the descendants of open shards, which cannot be, and returns their ids. To fail as the Java KCL
// does would leave every other shard waiting; to make rows for them would let a child start before its parent.
func (m *missing) dropInconsistent() []stream.ShardID {
	below := map[stream.ShardID]bool{} // is a proper descendant of an open shard
	var check func(id stream.ShardID) bool
	check = func(id stream.ShardID) bool {
		s, listed := m.listed[id]
		if !listed {
			return false
		}
		if is, ok := below[id]; ok {
			return is
		}
		below[id] = false // a cycle ends here
		is := slices.ContainsFunc(s.Parents, func(p stream.ShardID) bool {
			parent, listed := m.listed[p]
			return listed && (!parent.Closed || check(p))
		})
		below[id] = is
		return is
	}
	var dropped []stream.ShardID
	m.shards = make(map[stream.ShardID]Shard, len(m.listed))
	for id, shard := range m.listed {
		if check(id) {
			dropped = append(dropped, id)
		} else {
			m.shards[id] = shard
		}
	}
	slices.Sort(dropped)
	return dropped
}

// coverAncestors keeps the ancestors of a shard that has a row from getting one: the list shows one of them as open, but
// the row proves that they have ended, and they may be read and cleaned up already.
func (m *missing) coverAncestors(s Shard) {
	for _, p := range s.Parents {
		parent, listed := m.listed[p]
		if _, done := m.known[p]; listed && !done {
			m.known[p] = covered
			m.coverAncestors(parent)
		}
	}
}
