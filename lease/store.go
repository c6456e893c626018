package lease

import (
	"context"

	"github.com/kinesis-go/kcl/stream"
)

// Store keeps the leases of one application with all that its workers must agree on. Its methods may be called from
// several goroutines; each returns within the time its context allows.
type Store interface {
	// Setup makes the store ready for the given worker: it creates what a new application needs and tolerates that others do the
	// same at the same time. It returns once leases can be read and written; an index may become ready later. It refuses,
	// with an error that names the remedy, a store this version must not join.
	Setup(ctx context.Context, worker string) error
	// Check tells whether the worker may go on working on the store: nil, or an error as Setup would give it now.
	// [ErrUnavailable] and [ErrThrottled] say nothing about that.
	Check(ctx context.Context) error

	Leases
	Lock
	Roster
}

// Leases is the part of a [Store] that holds the rows.
//
// Every write to a row takes the lease as the caller knows it and is refused with a [*HeldError] if the row has moved on;
// the error carries the row as it is. A successful write returns the lease as it is now. Common errors: [ErrNotFound],
// [ErrThrottled] (nothing was written), [ErrUnavailable] (it is not known whether it was). Any other error is a mistake in
// the arguments, such as a worker without a name; nothing was written.
type Leases interface {
	// Get returns one lease as the last successful write left it (a consistent read); [ErrMalformed] if it cannot be read.
	Get(ctx context.Context, key string) (Lease, error)
	// Snapshot returns everything as the last successful writes left it: all pages of all segments. Rows that cannot be read are in Broken.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Glance returns the same, but may lag behind the latest writes, of one row more than of another, by a second or so as a
	// rule. It may cost less.
	Glance(ctx context.Context) (Snapshot, error)
	// Owned returns the keys of the leases whose Owner is the worker, those in handoff to it too. It may lag: Get is the proof.
	Owned(ctx context.Context, worker string) ([]string, error)

	// Create stores a new, unassigned lease with counter 0 and reports whether it did; false means there is one already.
	// Of l it takes what belongs to the shard: key, checkpoint, parents, children and hash keys. See [Lease.Validate].
	Create(ctx context.Context, l Lease) (created bool, err error)

	// Renew raises the counter, and stores l.Throughput if known and a rate, rounded to 6 decimals at most. Condition: the counter is l's, and no handoff is under way
	// unless l says so. It returns l with the new counter: what changed in the row without raising the counter (children, hash
	// keys) may be missing.
	Renew(ctx context.Context, l Lease) (Lease, error)
	// Checkpoint stores at, clears Pending and PendingState, sets OwnerSwitches to 0 and raises the counter. It also
	// stores the hash keys and children that l knows. Condition: the counter is l's. A handoff that began meanwhile does not
	// hinder it and shows in what it returns. A position that is not [stream.Position.Valid] is [stream.ErrPosition], here and
	// in Prepare and Rewind.
	Checkpoint(ctx context.Context, l Lease, at stream.Position) (Lease, error)
	// Prepare stores at and state as the pending checkpoint and raises the counter. Condition: the counter is l's.
	Prepare(ctx context.Context, l Lease, at stream.Position, state []byte) (Lease, error)

	// Assign makes to the owner at once, ends a handoff and raises the counter. With to == l.Owner during a handoff it is
	// how the old owner completes it. Condition: Owner, CheckpointOwner and the counter are l's: a lease that looked expired is
	// not taken from an owner that has just renewed it.
	Assign(ctx context.Context, l Lease, to string) (Lease, error)
	// Handoff makes to the next owner and l.Owner the CheckpointOwner; the counter stays. Condition: Owner is l's, and no
	// handoff is under way.
	Handoff(ctx context.Context, l Lease, to string) (Lease, error)
	// Release makes the lease unassigned, or, during a handoff, gives it to the next owner; it raises the counter.
	// Condition: Owner and CheckpointOwner are l's.
	Release(ctx context.Context, l Lease) (Lease, error)

	// SetChildren stores the children of an ended shard, and SetHashKeys the range of a shard; neither changes the counter.
	// Condition: the row exists, else [ErrNotFound].
	SetChildren(ctx context.Context, key string, children []stream.ShardID) error
	SetHashKeys(ctx context.Context, key string, r stream.HashKeyRange) error
	// Rewind stores a checkpoint that may lie behind the present one, clears Pending, makes the lease unassigned and raises the
	// counter, so that the present owner loses the lease and it is assigned anew. (Raising the counter alone would not do: an
	// owner whose renewal is refused at its own counter + 1 takes that for a reply that was lost, and would write its old
	// place over the new.) For operators, not for workers. Condition: the counter is l's.
	Rewind(ctx context.Context, l Lease, to stream.Position) (Lease, error)
	// Delete removes the row. Condition: the counter and the checkpoint's sequence number are l's. That it is gone already is
	// not an error.
	Delete(ctx context.Context, l Lease) error
}

// Lock is the part of a [Store] that elects the leader. It keeps the item; observing it by one's own clock is the caller's.
type Lock interface {
	// ReadLock returns the item, or nil if there is none (a consistent read).
	ReadLock(ctx context.Context) (*LockItem, error)
	// TakeLock stores mine in place of seen, which is what ReadLock returned, and fails with [ErrLockHeld] if the item is
	// another by now.
	TakeLock(ctx context.Context, seen *LockItem, mine LockItem) error
	// BeatLock stores a new version and duration of a lock that is held, and fails with [ErrLockHeld] if it is not.
	BeatLock(ctx context.Context, held LockItem, version string) (LockItem, error)
	// DropLock deletes a lock that is held; [ErrLockHeld] if it is not.
	DropLock(ctx context.Context, held LockItem) error
}

// Roster is the part of a [Store] that holds what workers report of themselves. A worker that does not report is given
// no leases by a Java leader.
type Roster interface {
	// Report stores w, replacing what the same worker said before.
	Report(ctx context.Context, w Worker) error
	// Forget removes a worker's report if it is still the one given; that it is not is no error.
	Forget(ctx context.Context, w Worker) error
}
