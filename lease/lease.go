package lease

import (
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Lease is one row: what is known of one shard. It is a value; slices in it are not changed once set.
type Lease struct {
	// Key names the row: the shard id, or, in a table of several streams, "<account>:<stream>:<epoch>:<shard>".
	Key string
	// StreamID is "<account>:<stream>:<epoch>" in a table of several streams, else empty.
	StreamID string
	Shard    stream.ShardID

	// Owner is the worker that owns the lease, or, while CheckpointOwner is set, the one that will. Empty: unassigned.
	Owner string
	// CheckpointOwner is set during a handoff only: the worker that still works on the shard and finishes.
	CheckpointOwner string
	// Counter rises by one with each write that proves or changes ownership.
	Counter int64
	// OwnerSwitches counts changes of owner since the last checkpoint. For people to look at; nothing may rest on it.
	OwnerSwitches int64

	Checkpoint stream.Position // never zero in a stored lease
	// Pending is a prepared checkpoint with the application's bytes; the zero Position if there is none.
	Pending      stream.Position
	PendingState []byte

	Parents  []stream.ShardID // raw shard ids, none to two; may name shards that are long gone
	Children []stream.ShardID // known once the shard has ended
	HashKeys stream.HashKeyRange

	// Throughput is the smoothed rate of the shard in KiB per second; meaningful if ThroughputKnown.
	Throughput      float64
	ThroughputKnown bool
}

// Worker returns the worker that may work on the shard now: during a handoff the old owner. Empty: nobody.
func (l Lease) Worker() string {
	if l.CheckpointOwner != "" {
		return l.CheckpointOwner
	}
	return l.Owner
}

// InHandoff reports whether the lease is on its way from one worker to another.
func (l Lease) InHandoff() bool { return l.CheckpointOwner != "" }

// Ended reports whether the shard is finished.
func (l Lease) Ended() bool { return l.Checkpoint == stream.ShardEnd }

// Validate names everything that keeps l from being created in a store: no key, no shard, a key that is not made of the
// stream and the shard, no valid checkpoint.
func (l Lease) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("lease: "+format, args...)) }
	switch {
	case l.Key == "":
		bad("Key is required")
	case l.Shard == "":
		bad("Shard is required (lease %s)", l.Key)
	case l.StreamID == "" && l.Key != string(l.Shard), l.StreamID != "" && l.Key != l.StreamID+":"+string(l.Shard):
		bad("Key %q is not that of shard %q of stream %q", l.Key, l.Shard, l.StreamID)
	}
	if !l.Checkpoint.Valid() {
		bad("Checkpoint %q is neither a sentinel nor a sequence number (lease %s)", l.Checkpoint, l.Key)
	}
	return errors.Join(errs...)
}

// LockItem is the leader's lock as stored: the item format of Amazon's DynamoDB lock client, which the Java KCL uses.
type LockItem struct {
	Owner    string
	Version  string        // changes with each acquisition and heartbeat (recordVersionNumber)
	Duration time.Duration // how long an observer must see one Version before the lock may be taken
	Released bool          // free, although the item is there
}

// Worker is what one worker reports of itself.
type Worker struct {
	ID string
	// ReportedAt is the reporter's wall clock, in whole seconds. Compare it with an earlier report of the same worker,
	// not with one's own clock, wherever the choice is ours.
	ReportedAt time.Time
	// Stats has, for each metric ("C" for CPU), the latest averages in percent, oldest first; −1 for an interval without
	// a sample. Limits has one value for each metric: the percentage it should stay under. Both empty: not measured.
	Stats  map[string][]float64
	Limits map[string]float64
}

// Broken is a row that claims to be a lease or a worker but cannot be read. It is left alone.
type Broken struct {
	Key string
	Err error
}

// Snapshot is a whole table at one time, not consistent between rows.
type Snapshot struct {
	Leases  []Lease
	Workers []Worker
	Broken  []Broken
}
