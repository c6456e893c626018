package kcl

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/kinesis-go/kcl/stream"
)

// Serve is the child of a MultiLang daemon: it reads the parent's messages from in, makes np's processor do what they say,
// and answers on out, until in ends.
//
//	initialize          np, with the shard and the last checkpoint
//	processRecords      Process
//	shutdownRequested   Close with ShutdownRequested; a leaseLost that follows is only answered
//	leaseLost           Close with LeaseLost; the context has ended with cause stream.ErrLeaseLost
//	shardEnded          Close with ShardEnded; answered only once the end is checkpointed
//
// It returns nil when in ends between two messages, which is how a parent ends a conversation. When in ends during a call,
// the call's context ends with cause [ErrParentGone]. When ctx ends, Serve returns its cause: at once between messages, and
// otherwise after the running call, whose context ends with cause [stream.ErrDrainTimeout] after 10 s. A call that goes on
// 10 s after its context ended is left behind, with an error.
//
// An error or a panic of the processor ends Serve without an answer, so that the parent delivers the same records again.
// [stream.ErrLeaseLost] alone is no failure: the message is answered, later batches are not delivered, and Close follows
// with LeaseLost. At the end of a shard, checkpoints are tried again as in [RetryCheckpoint].
//
// Serve writes whole messages, each with one call of out.Write, and nothing else. Where out is [os.Stdout], everything else
// that is printed there goes to stderr meanwhile, as under [Run]; signals are the caller's. A Read of in that is under way when Serve returns before in ended is left behind. Neither Stream nor HashKeys
// of the assignment is known.
func Serve(ctx context.Context, in io.Reader, out io.Writer, np stream.NewProcessor) error {
	if np == nil {
		return errors.New("kcl: Serve: no NewProcessor")
	}
	if f, ok := out.(*os.File); ok && f == os.Stdout {
		defer protocol.redirect()()
		out = protocol.stdout()
	}
	c := conversation{
		in: &input{feed: newFeed(in)},
		write: func(message []byte) error {
			_, err := out.Write(message)
			return err
		},
		app: &modern{start: np},
	}
	return c.run(ctx)
}

// modern is the calls of a [stream.Processor].
type modern struct {
	start     stream.NewProcessor
	processor stream.Processor // nil before initialize and after Close
	closed    bool
}

func (m *modern) initialize(ctx context.Context, a stream.Assignment) error {
	if m.processor != nil || m.closed {
		return errors.New("said twice")
	}
	p, err := m.start(ctx, a)
	if err == nil && p == nil {
		err = errors.New("NewProcessor returned nil")
	}
	m.processor = p
	return err
}

func (m *modern) process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if m.processor == nil {
		return m.misplaced()
	}
	return m.processor.Process(ctx, b, cp)
}

func (m *modern) shutdownRequested(ctx context.Context, cp stream.Checkpointer) error {
	return m.close(ctx, stream.ShutdownRequested, cp)
}

func (m *modern) leaseLost(ctx context.Context, cp stream.Checkpointer) error {
	return m.close(ctx, stream.LeaseLost, cp)
}

// shardEnded needs the processor: after a shutdownRequested it is closed, and only a new one, in a new child, can tell
// whether all records are done.
func (m *modern) shardEnded(ctx context.Context, cp stream.Checkpointer) error {
	if m.processor == nil {
		return m.misplaced()
	}
	return m.close(ctx, stream.ShardEnded, cp)
}

// close makes the last call, if there is a processor to receive it.
func (m *modern) close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	p := m.processor
	m.processor, m.closed = nil, true
	if p == nil {
		return nil
	}
	return p.Close(ctx, why, cp)
}

func (m *modern) misplaced() error {
	if m.closed {
		return errors.New("the processor is closed")
	}
	return errors.New("said before initialize")
}

func (m *modern) unended() error {
	return errUnended
}

var errUnended = errors.New("the processor did not checkpoint the end of the shard")
