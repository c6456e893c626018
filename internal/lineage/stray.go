package lineage

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Stray is a lease that cannot be of the shard whose id it has, so that the shard is not read, or not from where it should be.
type Stray struct {
	Lease lease.Lease
	Ended bool   // the lease is finished, the shard is not; what else it says fits
	Why   string // in words, beginning with what the lease says
}

// Strays returns the leases of the stream that contradict what is listed, sorted by key. The ids of shards are the same in all
// streams: where a stream was deleted and created anew under its name, a table of one stream still has the leases of the former
// one (Amazon's advice is another application name). [Missing] takes them for those of the shards, as the Java KCL does.
//
// The leases must have been read before the shards were listed. A list may be older all the same: believe what several in a row
// show.
func Strays(streamID string, listed []Shard, leases []lease.Lease) []Stray {
	byID := index(listed)
	parent := map[stream.ShardID]bool{}
	for _, s := range byID {
		for _, p := range s.Parents {
			parent[p] = true
		}
	}
	open := func(id stream.ShardID) bool {
		s, listed := byID[id]
		return listed && !s.Closed && !parent[id] // one that has a child has ended, whatever the list says of it
	}
	var strays []Stray
	for _, l := range leases {
		s, listed := byID[l.Shard]
		if l.StreamID != streamID || !listed {
			continue
		}
		stray := Stray{Lease: l, Why: differs(l, s, open)}
		if stray.Why == "" && l.Ended() && open(l.Shard) {
			stray.Ended, stray.Why = true, "the lease says that the shard was read to its end, but the shard is open"
		}
		if stray.Why != "" {
			strays = append(strays, stray)
		}
	}
	slices.SortFunc(strays, func(a, b Stray) int { return cmp.Compare(a.Lease.Key, b.Lease.Key) })
	return strays
}

// differs returns what of a lease cannot be of a shard: its hash keys never change, and a parent has ended before there is a child. A
// checkpoint that is not of the shard is left to those who read it: the service refuses it, and they may have been told to skip it.
func differs(l lease.Lease, s Shard, open func(stream.ShardID) bool) string {
	switch at := slices.IndexFunc(l.Parents, open); {
	case l.HashKeys.IsKnown() && s.HashKeys.IsKnown() && l.HashKeys != s.HashKeys:
		return fmt.Sprintf("the lease says that the shard has the hash keys %s, but it has %s", l.HashKeys, s.HashKeys)
	case at >= 0:
		return fmt.Sprintf("the lease names the parent %s, which is open and so has no child", l.Parents[at])
	}
	return ""
}
