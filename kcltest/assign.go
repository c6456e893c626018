package kcltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kinesis-go/kcl/stream"
)

// Driver drives one processor through one assignment. Its methods that make a call belong to one goroutine at a time; the
// processor may checkpoint from any.
type Driver struct {
	processor stream.Processor
	ctx       context.Context // the processor's, the same in all calls
	cancel    context.CancelCauseFunc

	mu        sync.Mutex
	last      stream.Position // last record delivered
	stored    stream.Position
	faults    []error
	open      bool // a call is running
	lost, end bool
}

// Assign makes a processor for the assignment, as a worker does when it gets a lease.
func Assign(ctx context.Context, np stream.NewProcessor, a stream.Assignment) (*Driver, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	p, err := np(ctx, a)
	if err == nil && p == nil {
		err = errors.New("kcltest: NewProcessor returned nil")
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return &Driver{processor: p, ctx: ctx, cancel: cancel, last: a.From, stored: a.From}, nil
}

// Deliver hands the records over as one batch at the tip of the shard, and returns what Process returned.
func (d *Driver) Deliver(records ...stream.Record) error {
	return d.Process(&stream.Batch{Records: records})
}

// Process hands one batch over, and returns what Process returned.
func (d *Driver) Process(b *stream.Batch) error {
	if n := len(b.Records); n > 0 {
		d.mu.Lock()
		d.last = b.Records[n-1].Position
		d.mu.Unlock()
	}
	return d.call(func(cp stream.Checkpointer) error { return d.processor.Process(d.ctx, b, cp) })
}

// EndShard closes the processor because its shard has ended. Without a checkpoint of the end it fails, as in a worker.
func (d *Driver) EndShard() error {
	d.mu.Lock()
	d.end = true
	d.mu.Unlock()
	if err := d.close(stream.ShardEnded); err != nil {
		return err
	}
	if d.Checkpointed() != stream.ShardEnd {
		return errors.New("kcltest: the processor did not checkpoint the end of the shard")
	}
	return nil
}

// Shutdown closes the processor because the worker stops.
func (d *Driver) Shutdown() error { return d.close(stream.ShutdownRequested) }

// LoseLease ends the processor's context with cause [stream.ErrLeaseLost] and closes the processor. From a goroutine beside
// a running call it must not be used; see [Driver.StealLease].
func (d *Driver) LoseLease() error {
	d.StealLease()
	return d.close(stream.LeaseLost)
}

// StealLease gives the lease to somebody else while a call may be running: the context ends with cause
// [stream.ErrLeaseLost] and every checkpoint fails with it. It may be called from any goroutine.
func (d *Driver) StealLease() {
	d.mu.Lock()
	d.lost = true
	d.mu.Unlock()
	d.cancel(stream.ErrLeaseLost)
}

// FailCheckpoints makes the next checkpoints fail with these errors, one each.
func (d *Driver) FailCheckpoints(errs ...error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, errs...)
}

// Checkpointed returns the durable position: at first the assignment's From, at last [stream.ShardEnd].
func (d *Driver) Checkpointed() stream.Position {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stored
}

func (d *Driver) close(why stream.EndReason) error {
	defer d.cancel(nil)
	return d.call(func(cp stream.Checkpointer) error { return d.processor.Close(d.ctx, why, cp) })
}

func (d *Driver) call(f func(stream.Checkpointer) error) error {
	d.setOpen(true)
	defer d.setOpen(false)
	return f(checkpointer{d})
}

func (d *Driver) setOpen(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = open
}

// checkpointer keeps Checkpoint off the Driver, where a test would find it in its way.
type checkpointer struct{ d *Driver }

// Checkpoint implements [stream.Checkpointer] with the rules of a worker.
func (c checkpointer) Checkpoint(ctx context.Context, at stream.Position) error {
	d := c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := d.last
	if d.end {
		limit = stream.ShardEnd
	}
	switch {
	case d.lost:
		return fmt.Errorf("checkpoint %s: %w", at, stream.ErrLeaseLost)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !d.open:
		return fmt.Errorf("checkpoint %s: %w", at, stream.ErrNoCheckpoint)
	case len(d.faults) > 0:
		err := d.faults[0]
		d.faults = d.faults[1:]
		return fmt.Errorf("checkpoint %s: %w", at, err)
	}
	if at.IsZero() || d.end && at == d.last {
		at = limit
	}
	if !at.Valid() || at.Compare(d.stored) < 0 || at.Compare(limit) > 0 {
		return fmt.Errorf("checkpoint %s, between %s and %s: %w", at, d.stored, limit, stream.ErrPosition)
	}
	d.stored = at
	return nil
}
