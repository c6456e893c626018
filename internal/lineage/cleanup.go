package lineage

import (
	"cmp"
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// CleanUp is what [Finished] finds.
type CleanUp struct {
	// Delete are the leases of ended shards that nothing needs any more, sorted by key. Delete them on condition of the
	// counter and checkpoint seen here.
	Delete []lease.Lease
	// AskChildren are the leases of ended shards whose children were not stored. Ask Kinesis and store them.
	AskChildren []lease.Lease
}

// Finished returns which leases of ended shards may go, of all streams. A lease may go if every child has a lease that
// left its beginning (neither TRIM_HORIZON nor AT_TIMESTAMP, so the child was begun) and no parent has one: rows go
// from the oldest on, so that none can come back as the ancestor of something. Of a family at most one generation is
// returned at once, so a delete that fails is no harm. A lease for which [Missing] would make a row is never returned.
func Finished(leases []lease.Lease) CleanUp {
	byKey := make(map[string]*lease.Lease, len(leases))
	for i := range leases {
		byKey[leases[i].Key] = &leases[i]
	}
	absent := func(key string) bool { return byKey[key] == nil }
	begun := func(key string) bool {
		l := byKey[key]
		return l != nil && l.Checkpoint != stream.TrimHorizon && l.Checkpoint != stream.AtTimestamp
	}
	var c CleanUp
	for _, l := range leases {
		switch {
		case !l.Ended():
		case len(l.Children) == 0:
			c.AskChildren = append(c.AskChildren, l)
		case all(ParentKeys(l), absent) && all(ChildKeys(l), begun):
			c.Delete = append(c.Delete, l)
		}
	}
	byLeaseKey(c.Delete)
	byLeaseKey(c.AskChildren)
	return c
}

func all(keys []string, is func(string) bool) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { return !is(key) })
}

func byLeaseKey(leases []lease.Lease) {
	slices.SortFunc(leases, func(a, b lease.Lease) int { return cmp.Compare(a.Key, b.Key) })
}

// Garbage returns the leases of the stream whose shards are not listed any more: they left the retention period, and
// nobody can end them properly. It returns none while the other leases leave a hole: what [Missing] makes in their place
// depends on these. Confirm each with Kinesis before deleting it; a list may be old.
func Garbage(streamID string, listed []Shard, leases []lease.Lease) []lease.Lease {
	byID := index(listed)
	var gone, rest []lease.Lease
	for _, l := range leases {
		if l.StreamID != streamID {
			continue
		}
		if _, ok := byID[l.Shard]; ok {
			rest = append(rest, l)
		} else {
			gone = append(gone, l)
		}
	}
	if len(Holes(streamID, rest)) > 0 {
		return nil
	}
	byLeaseKey(gone)
	return gone
}

// Removed returns the ids of streams that have leases but are not among those wanted, sorted. Whether their leases are to be
// deleted is for the user to say.
func Removed(wanted []string, leases []lease.Lease) []string {
	seen := map[string]bool{}
	var removed []string
	for _, l := range leases {
		if !seen[l.StreamID] && !slices.Contains(wanted, l.StreamID) {
			removed = append(removed, l.StreamID)
		}
		seen[l.StreamID] = true
	}
	slices.Sort(removed)
	return removed
}

// Of returns the leases of one stream, in the order given.
func Of(streamID string, leases []lease.Lease) []lease.Lease {
	var of []lease.Lease
	for _, l := range leases {
		if l.StreamID == streamID {
			of = append(of, l)
		}
	}
	return of
}
