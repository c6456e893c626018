package kcl

import (
	"context"
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/stream"
)

// gate is the checkpointer of one call of the application. It is open while the call runs: a goroutine that outlives its
// call must not write a request between two messages, where the parent would take it for part of the next one.
type gate struct {
	requests chan *request // received by the conversation while no other request is outstanding
	closed   chan struct{} // closed when the call has returned
	atEnd    bool          // the shard has ended: try again what may succeed
}

// request is one checkpoint that waits to be asked for, or for its answer.
type request struct {
	at     stream.Position
	answer chan error // one; the asker may have left
}

func newGate(atEnd bool) *gate {
	return &gate{requests: make(chan *request), closed: make(chan struct{}), atEnd: atEnd}
}

// Checkpoint implements [stream.Checkpointer].
func (g *gate) Checkpoint(ctx context.Context, at stream.Position) error {
	if !at.IsZero() && !at.Valid() {
		return fmt.Errorf("checkpoint %s: %w", at, &CheckpointError{Name: illegalArgumentException})
	}
	ask := func() error { return g.ask(ctx, at) }
	var err error
	if g.atEnd {
		err = RetryCheckpoint(ctx, ask)
	} else {
		err = ask()
	}
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", at, err)
	}
	return nil
}

func (g *gate) ask(ctx context.Context, at stream.Position) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := &request{at: at, answer: make(chan error, 1)}
	select {
	case g.requests <- r:
	case <-g.closed:
		return errOutside
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-r.answer: // what the parent said counts for more than an end that came with it
		return err
	default:
		return context.Cause(ctx)
	}
}

// errOutside and errLost are values, never changed.
var (
	errOutside error = &CheckpointError{Name: invalidStateException, Err: errors.New("no call that may checkpoint is running")}
	errLost    error = &CheckpointError{Name: shutdownException, Err: stream.ErrLeaseLost}
)
