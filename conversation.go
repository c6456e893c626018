package kcl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// stopStep bounds each step of stopping: how long a running call may go on when the host is asked to stop, and how long it
// may go on once its context has ended.
const stopStep = 10 * time.Second

// calls is what a conversation makes the application do, one at a time.
type calls interface {
	initialize(ctx context.Context, a stream.Assignment) error
	process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error
	shutdownRequested(ctx context.Context, cp stream.Checkpointer) error
	leaseLost(ctx context.Context, cp stream.Checkpointer) error
	shardEnded(ctx context.Context, cp stream.Checkpointer) error

	// unended is called when shardEnded succeeded without a checkpoint of the end. An error keeps the status back.
	unended() error
}

// conversation talks to one parent about one shard. All reading, deciding and writing is done by the goroutine of run; only
// the application's calls run beside it, one at a time, and talk to it through a gate. So lines cannot interleave, requests
// queue, and a status cannot overtake the answer to a checkpoint.
type conversation struct {
	in    *input
	write func(message []byte) error
	app   calls

	message wire.Message
	out     []byte // the message written last; its memory is used again
	cancel  context.CancelCauseFunc

	last  stream.Position // last record delivered; before the first the initial position
	lost  bool            // the lease is lost: no batch reaches the application any more
	gone  bool            // the input ended while a call was running
	ended bool            // the end of the shard is checkpointed
	// endErr is why the last checkpoint of the end failed; nil if there was none, or it succeeded.
	endErr error
}

// run holds the conversation until the input ends, which is no error, or something fails. The end of ctx lets a running call
// finish; see stopStep.
func (c *conversation) run(ctx context.Context) error {
	app, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	c.cancel = cancel
	defer func() { c.in.close() }()
	for {
		more, err := c.receive(ctx)
		if err != nil || !more {
			return err
		}
		if err := c.act(ctx, app); err != nil {
			return err
		}
	}
}

// receive reads the next action into c.message. It returns false at the end of the input.
func (c *conversation) receive(ctx context.Context) (bool, error) {
	for {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		l, ok := c.in.unhold()
		if !ok {
			c.in.ahead()
			select {
			case l = <-c.in.lines():
				c.in.took()
			case <-ctx.Done():
				return false, context.Cause(ctx)
			}
		}
		switch {
		case l.isEnd():
			return false, nil
		case l.err != nil:
			return false, fmt.Errorf("kcl: read from parent: %w", l.err)
		case l.isBlank():
			continue
		}
		if err := wire.DecodeForChild(l.text, &c.message); err != nil {
			return false, fmt.Errorf("kcl: read from parent: %w", err)
		}
		return true, nil
	}
}

// act does what c.message asks for and answers it.
func (c *conversation) act(ctx, app context.Context) error {
	action := c.message.Action
	does, err := meaning(&c.message)
	if err != nil {
		return err
	}
	if err := c.perform(ctx, app, does); err != nil {
		return fmt.Errorf("kcl: %s: %w", action, err)
	}
	c.out = wire.AppendStatus(c.out[:0], action)
	if err := c.write(c.out); err != nil && !c.gone {
		return fmt.Errorf("kcl: answer %s: %w", action, err)
	}
	return nil
}

// meaning returns the action of a message in today's words: daemons of the 1.x line end with shutdown and a reason.
func meaning(m *wire.Message) (wire.Action, error) {
	switch m.Action {
	case wire.Checkpoint:
		return "", errors.New("kcl: the parent answered a checkpoint that was not asked for")
	case wire.Shutdown:
		switch m.Reason {
		case "ZOMBIE", "LEASE_LOST":
			return wire.LeaseLost, nil
		case "TERMINATE", "SHARD_END":
			return wire.ShardEnded, nil
		case "REQUESTED":
			return wire.ShutdownRequested, nil
		}
		return "", fmt.Errorf("kcl: shutdown with the unknown reason %.40q", m.Reason)
	}
	return m.Action, nil
}

// perform makes the application do one action.
func (c *conversation) perform(ctx, app context.Context, does wire.Action) error {
	switch does {
	case wire.Initialize:
		a := stream.Assignment{Shard: c.message.Shard, From: c.message.From}
		c.last = a.From
		return c.call(ctx, newGate(false), func(*gate) error { return c.app.initialize(app, a) })
	case wire.ProcessRecords:
		return c.process(ctx, app)
	case wire.ShutdownRequested:
		if c.lost {
			return nil // leaseLost follows and says all
		}
		return c.quietly(c.call(ctx, newGate(false), func(g *gate) error { return c.app.shutdownRequested(app, g) }))
	case wire.LeaseLost:
		c.lose()
		err := c.call(ctx, newGate(false), func(g *gate) error { return c.app.leaseLost(app, g) })
		if errors.Is(err, context.Canceled) {
			return nil // its context had ended before it began; saying so is no failure
		}
		return c.quietly(err)
	case wire.ShardEnded:
		return c.shardEnded(ctx, app)
	}
	return fmt.Errorf("a parent does not say %s", does)
}

func (c *conversation) process(ctx, app context.Context) error {
	b := c.message.Batch
	if c.lost {
		// The application was told that it does not own the shard. What is not delivered cannot be checkpointed either.
		return nil
	}
	if n := len(b.Records); n > 0 {
		c.last = b.Records[n-1].Position
	}
	return c.quietly(c.call(ctx, newGate(false), func(g *gate) error { return c.app.process(app, b, g) }))
}

func (c *conversation) shardEnded(ctx, app context.Context) error {
	c.ended, c.endErr = false, nil
	g := newGate(true)
	if err := c.call(ctx, g, func(g *gate) error { return c.app.shardEnded(app, g) }); err != nil {
		return err
	}
	switch {
	case c.ended:
		return nil
	case c.endErr != nil:
		return fmt.Errorf("the end of the shard is not checkpointed: %w", c.endErr)
	}
	return c.app.unended()
}

// lose notes that the lease is gone and ends the application's context.
func (c *conversation) lose() {
	c.lost = true
	c.cancel(stream.ErrLeaseLost)
}

// quietly takes a lost lease for what it is: an outcome.
func (c *conversation) quietly(err error) error {
	if !errors.Is(err, stream.ErrLeaseLost) {
		return err
	}
	c.lose()
	return nil
}
