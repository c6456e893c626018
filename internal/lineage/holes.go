package lineage

import (
	"math/bits"
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Confidence is how many audits in a row must find a hole before it is believed, since rows are read one after another
// while they change (the Java KCL's DEFAULT_CONSECUTIVE_HOLES_FOR_TRIGGERING_LEASE_RECOVERY).
const Confidence = 3

// Holes returns the hash keys that no lease of the stream covers, in order. Leases of ended shards cover nothing any more;
// those whose range is unknown are left out, see [Ranges]. Overlaps are no fault: a parent and its children overlap.
func Holes(streamID string, leases []lease.Lease) []stream.HashKeyRange {
	var covered []stream.HashKeyRange
	for _, l := range leases {
		if l.StreamID == streamID && !l.Ended() && l.HashKeys.IsKnown() {
			covered = append(covered, l.HashKeys)
		}
	}
	return uncovered(covered)
}

// uncovered returns what the ranges leave of 0 to 2^128 − 1. It sorts them.
func uncovered(ranges []stream.HashKeyRange) []stream.HashKeyRange {
	slices.SortFunc(ranges, func(a, b stream.HashKeyRange) int { return a.First.Compare(b.First) })
	var holes []stream.HashKeyRange
	var next stream.HashKey // the lowest key of which nothing is known yet
	for _, r := range ranges {
		if r.First.Compare(next) > 0 {
			holes = append(holes, stream.HashKeyRange{First: next, Last: before(r.First)})
		}
		if r.Last == stream.MaxHashKey {
			return holes
		}
		if r.Last.Compare(next) >= 0 {
			next = r.Last.Next()
		}
	}
	return append(holes, stream.HashKeyRange{First: next, Last: stream.MaxHashKey})
}

// before returns k − 1; k is not zero.
func before(k stream.HashKey) stream.HashKey {
	lo, borrow := bits.Sub64(k.Lo, 1, 0)
	return stream.HashKey{Hi: k.Hi - borrow, Lo: lo}
}

func overlap(a, b stream.HashKeyRange) bool {
	return a.IsKnown() && b.IsKnown() && a.First.Compare(b.Last) <= 0 && b.First.Compare(a.Last) <= 0
}

// Detector counts how often in a row each hole of one stream was found. It is a value; the zero Detector has seen nothing.
type Detector struct{ seen map[stream.HashKeyRange]int }

// See takes the holes of the next audit, and reports whether one of them was there [Confidence] times in a row, now
// included: then make the rows that [Missing] names. It says so again at each further audit until the hole is gone.
func (d Detector) See(holes []stream.HashKeyRange) (next Detector, confirmed bool) {
	next.seen = make(map[stream.HashKeyRange]int, len(holes))
	for _, hole := range holes {
		next.seen[hole] = d.seen[hole] + 1
		confirmed = confirmed || next.seen[hole] >= Confidence
	}
	return next, confirmed
}

// Ranges returns the hash keys of the stream's leases that do not have theirs yet, by lease key, as far as their shards
// are listed. Old versions of the KCL did not store them.
func Ranges(streamID string, listed []Shard, leases []lease.Lease) map[string]stream.HashKeyRange {
	byID := index(listed)
	found := map[string]stream.HashKeyRange{}
	for _, l := range leases {
		if s, ok := byID[l.Shard]; ok && l.StreamID == streamID && !l.HashKeys.IsKnown() && s.HashKeys.IsKnown() {
			found[l.Key] = s.HashKeys
		}
	}
	return found
}

// index returns the shards by id. A listing of several pages may show a shard twice; closed is the later state.
func index(listed []Shard) map[stream.ShardID]Shard {
	byID := make(map[stream.ShardID]Shard, len(listed))
	for _, s := range listed {
		if old, ok := byID[s.ID]; !ok || !old.Closed {
			byID[s.ID] = s
		}
	}
	return byID
}
