package kcl

import (
	"context"
	"errors"
	"sync"

	"github.com/kinesis-go/kcl/stream"
)

// Checkpointer makes the progress on one shard durable, in the frozen interface. It may be used from several goroutines.
//
// A [RecordProcessor] receives the one of its host. The zero Checkpointer speaks to the parent of this process over stdin
// and stdout, whether [Run] is running or not.
type Checkpointer struct {
	bound *binding // nil: the parent of this process
}

// Checkpoint makes the record with the given sequence number, and all before it, done: after a restart the shard is read
// from behind it. nil stands for all records delivered so far, and for the end of the shard in ShardEnded, where the number
// of the last record stands for the end too.
//
// It blocks until the host has answered. Its errors are of type [*CheckpointError], whose text begins with the name that the
// protocol carries, ThrottlingException for instance; any other means that there is no parent to answer. Nothing is tried
// again except in ShardEnded; see [RetryCheckpoint].
func (cp *Checkpointer) Checkpoint(sequenceNumber *string) error {
	if cp == nil || cp.bound == nil {
		return checkpointOfProcess(sequenceNumber)
	}
	return cp.bound.checkpoint(sequenceNumber)
}

// binding ties the Checkpointer of one processor to the call that is running.
type binding struct {
	mu     sync.Mutex
	ctx    context.Context // of the running call: the frozen interface has no room for it
	host   stream.Checkpointer
	atEnd  bool
	ended  bool            // the end of the shard is checkpointed
	lost   bool            // the lease is lost: say so rather than that no call is running
	last   stream.Position // last record delivered, or where the assignment began
	stored stream.Position // the last checkpoint, as far as this processor knows
}

// enter opens the Checkpointer for a call.
func (b *binding) enter(ctx context.Context, host stream.Checkpointer, atEnd bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ctx, b.host, b.atEnd = ctx, host, atEnd
}

// leave closes the Checkpointer after a call.
func (b *binding) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ctx, b.host, b.atEnd = nil, nil, false
}

func (b *binding) checkpoint(number *string) error {
	b.mu.Lock()
	ctx, host, delivered := b.ctx, b.host, b.last
	at, err := b.positionLocked(number)
	atEnd, lost := b.atEnd, b.lost
	b.mu.Unlock()
	switch {
	case lost:
		return errLost
	case host == nil:
		return errOutside
	case err != nil:
		return err
	}
	if err := host.Checkpoint(ctx, at); err != nil {
		return named(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if at.IsZero() {
		at = delivered
		b.ended = b.ended || atEnd
	}
	if b.stored.Compare(at) < 0 {
		b.stored = at
	}
	return nil
}

// positionLocked says what a number means now.
func (b *binding) positionLocked(number *string) (stream.Position, error) {
	if number == nil {
		return stream.Position{}, nil
	}
	at := stream.Position{Sequence: stream.SequenceNumber(*number)}
	if b.atEnd && (at.Sequence == b.last.Sequence || at == stream.ShardEnd) {
		// Also where both are empty: a processor that saw no record has no number to give. The Java daemon can lose the end
		// of a shard that is checkpointed with the number of its last record (amazon-kinesis-client issue 211).
		return stream.Position{}, nil
	}
	if !at.Valid() {
		return at, &CheckpointError{Name: illegalArgumentException, Err: errors.New("a sequence number is decimal digits")}
	}
	if at.Sequence == b.stored.Sequence {
		// A number alone means the first of the records that share it, and a checkpoint must not move back among them.
		return b.stored, nil
	}
	return at, nil
}
