package lineage

import (
	"fmt"
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// End is what is known when a shard has been read to its end. The order of writes is: the rows of [End.Rows], then the
// children into the parent's row, then the parent's checkpoint stream.ShardEnd; so no child can be forgotten.
type End struct {
	Parent   lease.Lease
	Children []Shard       // from the last read of the shard
	Present  []lease.Lease // the leases that were found under Keys
	// Gone are shards that Kinesis does not list any more. Without a row of their own they can never be read, and must not be
	// waited for.
	Gone []stream.ShardID
}

// ParentMissingError says that the other parent of a merged shard has no row, so it is not known whether it was read.
// Try again: the leader's [Missing] makes the row while Kinesis lists the shard. Once it does not, name it in [End.Gone].
type ParentMissingError struct{ Child, Parent stream.ShardID }

// Error names both shards.
func (e *ParentMissingError) Error() string {
	return fmt.Sprintf("shard %s waits for its parent %s, which has no lease", e.Child, e.Parent)
}

// IDs returns the ids of the children, to be stored in the parent's row.
func (e End) IDs() []stream.ShardID {
	ids := make([]stream.ShardID, len(e.Children))
	for i, c := range e.Children {
		ids[i] = c.ID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Keys returns the keys of the leases to be read for Present: the children, and their other parents.
func (e End) Keys() []string {
	ids := e.IDs()
	for _, c := range e.Children {
		for _, p := range c.Parents {
			if p != e.Parent.Shard && !slices.Contains(ids, p) {
				ids = append(ids, p)
			}
		}
	}
	return keys(e.Parent.StreamID, ids)
}

// Rows returns the rows to create for the children that have none, in order. Children are read from their beginning,
// whatever the application's start is: their parent was read up to there.
//
// It is an error if the children are not such as an ended shard has: then the shard has not ended, or the reply was
// cut short, and reading it again is the remedy. A [*ParentMissingError] asks to wait. A shard that Kinesis does not know
// any more ends without children, and without asking here.
func (e End) Rows() ([]lease.Lease, error) {
	if len(e.Children) == 0 {
		return nil, fmt.Errorf("shard %s has no next iterator, but no children either", e.Parent.Shard)
	}
	present := make(map[stream.ShardID]bool, len(e.Present))
	for _, l := range e.Present {
		present[l.Shard] = present[l.Shard] || l.StreamID == e.Parent.StreamID
	}
	var create []Shard
	for _, c := range e.Children {
		if !slices.Contains(c.Parents, e.Parent.Shard) || c.ID == "" {
			return nil, fmt.Errorf("shard %s ends in child %q, whose parents are %q", e.Parent.Shard, c.ID, c.Parents)
		}
		if len(e.Children) == 1 && len(c.Parents) != 2 {
			return nil, fmt.Errorf("shard %s ends in the one child %s, which is merged from %d shards, not two",
				e.Parent.Shard, c.ID, len(c.Parents))
		}
		if present[c.ID] {
			continue
		}
		for _, p := range c.Parents {
			if p != e.Parent.Shard && !present[p] && !slices.Contains(e.Gone, p) {
				return nil, &ParentMissingError{Child: c.ID, Parent: p}
			}
		}
		present[c.ID] = true
		create = append(create, c)
	}
	return rows(e.Parent.StreamID, create, func(Shard) stream.Position { return stream.TrimHorizon }), nil
}

// Blocking returns the parents that l's shard must still wait for: those whose row is there and not ended. parents are
// the leases found under [ParentKeys]; a parent without a row was read and cleaned up, or never was to be read. The shard
// may start when nothing is returned.
func Blocking(l lease.Lease, parents []lease.Lease) []stream.ShardID {
	var blocking []stream.ShardID
	for _, p := range parents {
		if p.StreamID == l.StreamID && slices.Contains(l.Parents, p.Shard) && !p.Ended() {
			blocking = append(blocking, p.Shard)
		}
	}
	return blocking
}
