package lineage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Shard is what Kinesis tells of one shard.
type Shard struct {
	ID       stream.ShardID
	Parents  []stream.ShardID // the parent and the adjacent parent; may name shards that are long gone
	HashKeys stream.HashKeyRange
	Starting stream.SequenceNumber // of the shard itself, not of its first record
	Closed   bool                  // it has an ending sequence number: no record will be added
}

// Filter says which shards of a stream to ask for, as ListShards' ShardFilter names it.
type Filter string

// The filters that a new application uses.
const (
	AtLatest      Filter = "AT_LATEST"       // the shards that are open now
	AtTrimHorizon Filter = "AT_TRIM_HORIZON" // those that were open at the oldest retained record
	AtTimestamp   Filter = "AT_TIMESTAMP"    // those that were open at a time, which the request names
)

// FilterFor returns the filter with which the shards for [First] are to be listed.
func FilterFor(start stream.Position) Filter {
	switch start {
	case stream.TrimHorizon:
		return AtTrimHorizon
	case stream.AtTimestamp:
		return AtTimestamp
	}
	return AtLatest
}

// ErrIncomplete says that a list of shards does not cover all hash keys exactly once: it was made while the stream changed.
// Listing again soon helps.
var ErrIncomplete = errors.New("lineage: shards do not cover the hash keys once each")

// NewLease returns the row of a shard that has none yet: unassigned, its counter 0, to be read from at.
func NewLease(streamID string, s Shard, at stream.Position) lease.Lease {
	return lease.Lease{
		Key: Key(streamID, s.ID), StreamID: streamID, Shard: s.ID,
		Checkpoint: at, Parents: slices.Clone(s.Parents), HashKeys: s.HashKeys,
	}
}

// First returns the rows for a table that holds no lease at all, in the order in which to create them: every listed
// shard, from start. The list must be made with [FilterFor](start), and start be one of stream.Latest, TrimHorizon and
// AtTimestamp. The descendants of closed shards get their rows as their parents end.
//
// The error wraps [ErrIncomplete] and names the place where the list does not fit.
func First(streamID string, listed []Shard, start stream.Position) ([]lease.Lease, error) {
	if err := tiles(listed); err != nil {
		return nil, err
	}
	return rows(streamID, listed, func(Shard) stream.Position { return start }), nil
}

// rows makes leases of shards, in the order of creation: by starting sequence number, then by id.
func rows(streamID string, shards []Shard, at func(Shard) stream.Position) []lease.Lease {
	shards = slices.Clone(shards)
	slices.SortFunc(shards, func(a, b Shard) int {
		return cmp.Or(a.Starting.Compare(b.Starting), cmp.Compare(a.ID, b.ID))
	})
	leases := make([]lease.Lease, len(shards))
	for i, s := range shards {
		leases[i] = NewLease(streamID, s, at(s))
	}
	return leases
}

// tiles checks that the shards cover 0 to 2^128 − 1 with neither gap nor overlap.
func tiles(shards []Shard) error {
	sorted := slices.SortedFunc(slices.Values(shards), func(a, b Shard) int {
		return cmp.Or(a.HashKeys.First.Compare(b.HashKeys.First), cmp.Compare(a.ID, b.ID))
	})
	var next stream.HashKey
	for i, s := range sorted {
		if s.HashKeys.First != next || !s.HashKeys.IsKnown() {
			return fmt.Errorf("%w: want hash key %s to begin a shard, found %s with %s", ErrIncomplete, next, s.ID, s.HashKeys)
		}
		if last := i == len(sorted)-1; last != (s.HashKeys.Last == stream.MaxHashKey) {
			return fmt.Errorf("%w: %s with %s is followed by %d shards", ErrIncomplete, s.ID, s.HashKeys, len(sorted)-1-i)
		}
		next = s.HashKeys.Last.Next()
	}
	if len(sorted) == 0 {
		return fmt.Errorf("%w: there is no shard", ErrIncomplete)
	}
	return nil
}
