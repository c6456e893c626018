package stream

import (
	"context"
	"errors"
	"fmt"
)

// ErrLeaseLost says that this worker does not own the shard any more: stop working on it. It is an outcome, not a
// failure. [Checkpointer.Checkpoint] returns it, and it is the [context.Cause] of a processor's context after a loss.
var ErrLeaseLost = errors.New("stream: lease lost")

// ErrDrainTimeout is the [context.Cause] of a processor's context when the host was asked to stop and the time it had
// for draining is over.
var ErrDrainTimeout = errors.New("stream: drain timed out")

// ErrPosition says that a position cannot be checkpointed: malformed, behind the last checkpoint, or ahead of what was
// delivered. It is a mistake of the caller, and nothing was written.
var ErrPosition = errors.New("stream: position out of range")

// ErrThrottled says that the checkpoint was not written because the lease table had no capacity. Try again later.
var ErrThrottled = errors.New("stream: checkpoint throttled")

// ErrUnavailable says that it is not known whether the checkpoint was written, because the lease table did not answer.
// Trying again is safe.
var ErrUnavailable = errors.New("stream: lease table unavailable")

// ErrNoCheckpoint says that there is nothing to checkpoint here: the call was made outside Process and Close, or after
// they returned, or the lease table is unusable.
var ErrNoCheckpoint = errors.New("stream: no checkpoint possible now")

// Checkpointer makes positions of one assignment durable.
type Checkpointer interface {
	// Checkpoint makes at the position from which the shard would be read again: at itself and all before it are done.
	// It blocks until the position is durable or could not be made so. The zero Position stands for the last record
	// delivered, and for the end of the shard in Close with [ShardEnded].
	//
	// It may be called from several goroutines. Valid positions lie between the last checkpoint and the last record
	// delivered; checkpointing the last checkpoint again succeeds without a write. Errors, for errors.Is:
	// [ErrLeaseLost], [ErrPosition], [ErrThrottled], [ErrUnavailable], [ErrNoCheckpoint], and the context's own.
	Checkpoint(ctx context.Context, at Position) error
}

// Processor is the application's code for one shard during one [Assignment]. Its methods are called strictly one at a
// time, so its state needs no lock.
type Processor interface {
	// Process handles the records of one batch. The next batch comes only after it returned, however long it takes: the
	// lease is kept meanwhile. Returning an error, or a panic, restarts the shard from its last checkpoint with a new
	// Processor; nothing is skipped.
	//
	// ctx ends when the lease is lost or draining timed out; see [ErrLeaseLost] and [ErrDrainTimeout].
	Process(ctx context.Context, b *Batch, cp Checkpointer) error

	// Close is the last call, and says why. With [ShardEnded] it must checkpoint the zero Position, or the shard is not
	// finished and its children do not start; an error makes the library try again with a new Processor. With
	// [ShutdownRequested] it may checkpoint. With [LeaseLost] every checkpoint returns [ErrLeaseLost].
	//
	// Close is not called after NewProcessor, Process or an earlier Close failed, nor once draining timed out: whatever must be
	// let go of in any case belongs to the end of ctx. It is called with [LeaseLost] also after a Process that returned an
	// error because its ctx had ended.
	Close(ctx context.Context, why EndReason, cp Checkpointer) error
}

// EndReason says why an assignment ends.
type EndReason int

// The reasons of [Processor.Close].
const (
	// LeaseLost: another worker owns the shard now, or may.
	LeaseLost EndReason = iota + 1
	// ShardEnded: the last record of the shard was delivered; its children follow once this end is checkpointed.
	ShardEnded
	// ShutdownRequested: the worker stops, or hands this shard to another worker.
	ShutdownRequested
)

// String returns the reason in words.
func (r EndReason) String() string {
	switch r {
	case LeaseLost:
		return "lease lost"
	case ShardEnded:
		return "shard ended"
	case ShutdownRequested:
		return "shutdown requested"
	}
	return fmt.Sprintf("EndReason(%d)", int(r))
}

// NewProcessor makes the processor for one assignment, in place of an initialize call. It is called once for each
// assignment and again after each failure, concurrently for different shards. An error counts as a failure of the
// processor. ctx is the one that the processor's methods get.
type NewProcessor func(ctx context.Context, a Assignment) (Processor, error)

// Func makes a [NewProcessor] of one function that keeps no state. At the end of a shard it checkpoints; at a shutdown it
// leaves the last checkpoint as it is.
func Func(f func(context.Context, *Batch, Checkpointer) error) NewProcessor {
	return func(context.Context, Assignment) (Processor, error) { return funcProcessor(f), nil }
}

type funcProcessor func(context.Context, *Batch, Checkpointer) error

func (f funcProcessor) Process(ctx context.Context, b *Batch, cp Checkpointer) error {
	return f(ctx, b, cp)
}

func (f funcProcessor) Close(ctx context.Context, why EndReason, cp Checkpointer) error {
	if why != ShardEnded {
		return nil
	}
	return cp.Checkpoint(ctx, Position{})
}
