package multilang

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// processor is the parent's side of one conversation. Its calls come strictly one at a time; abandoned runs beside them.
type processor struct {
	child   *child
	command Command
	log     *slog.Logger
	unwatch func() bool // ends the watch for the end of the context

	mu     sync.Mutex
	active bool // a call is under way and looks after the child

	last   stream.Position // last record sent; before the first, where the assignment began
	ended  bool            // the end of the shard was checkpointed
	endErr error           // why the last checkpoint of it failed

	refused int // requests for a checkpoint in a row

	answers, sent []byte // to checkpoints: those that wait, and those under way
}

// buffers keeps the memory of messages from one batch to the next, of all children together: a thousand of them must not
// keep a large buffer each. It is the one variable of this package; nothing can be seen in it.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Process implements [stream.Processor]: it returns when the child has answered processRecords.
func (p *processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	defer p.enter()()
	err := p.answerPending(ctx, wire.ProcessRecords, cp)
	if err == nil {
		if n := len(b.Records); n > 0 {
			p.last = b.Records[n-1].Position
		}
		dateRecords(b.Records)
		message := buffers.Get().(*[]byte)
		*message = wire.AppendProcessRecords(append((*message)[:0], p.answers...), b)
		p.answers = p.answers[:0]
		if err = p.exchange(ctx, wire.ProcessRecords, *message, cp); err == nil {
			buffers.Put(message) // after a failure it may still be under way
		}
	}
	if err != nil {
		p.abort(ctx)
	}
	return err
}

// dateRecords gives the records that came without an arrival time that of their delivery: the Python child cannot read a
// record without one, and 1970 would mislead.
func dateRecords(records []stream.Record) {
	for i := range records {
		if records[i].Arrived.IsZero() {
			records[i].Arrived = time.Now()
		}
	}
}

// Close implements [stream.Processor]: it tells the child why, and returns when the child is gone.
func (p *processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	defer p.enter()()
	select {
	case <-p.child.gone:
		if why == stream.LeaseLost {
			return nil // there is nobody left to tell
		}
		return errors.New("multilang: the child is gone since an earlier call failed")
	default:
	}
	var err error
	switch why {
	case stream.LeaseLost:
		err = p.tell(ctx, wire.LeaseLost, nil)
	case stream.ShardEnded:
		err = p.tell(ctx, wire.ShardEnded, cp)
	case stream.ShutdownRequested:
		err = p.tell(ctx, wire.ShutdownRequested, cp)
		if wrong := (*answerError)(nil); err == nil || errors.As(err, &wrong) {
			err = errors.Join(err, p.tell(ctx, wire.LeaseLost, nil)) // even so: the child can still hear it
		}
	default:
		err = fmt.Errorf("multilang: Close for an unknown reason, %v", why)
	}
	if err != nil {
		p.abort(ctx)
		return err
	}
	p.unwatch()
	p.child.stop(ctx, politely)
	if code := p.child.exitCode(); code > 0 {
		p.log.Warn("child exited with an error after its last answer", "code", code)
	}
	if why == stream.ShardEnded {
		return p.checkEnd()
	}
	return nil
}

// tell sends an action that has no content and waits for its answer.
func (p *processor) tell(ctx context.Context, a wire.Action, cp stream.Checkpointer) error {
	if err := p.answerPending(ctx, a, cp); err != nil {
		return err
	}
	message := wire.AppendAction(p.answers, a)
	p.answers = nil
	return p.exchange(ctx, a, message, cp)
}

// checkEnd holds a child that has answered shardEnded to what that means.
func (p *processor) checkEnd() error {
	const what = "multilang: child answered shardEnded, but did not checkpoint the end of the shard"
	switch {
	case p.ended:
		return nil
	case p.endErr != nil:
		return fmt.Errorf(what+": %w", p.endErr)
	}
	return errors.New(what)
}

// abort ends the child after a failure.
func (p *processor) abort(ctx context.Context) {
	p.unwatch()
	how := firmly
	if cutOff(ctx) {
		how = atOnce
	}
	p.child.stop(ctx, how)
}

// enter marks a call as under way until what it returns is called.
func (p *processor) enter() (leave func()) {
	p.setActive(true)
	return func() { p.setActive(false) }
}

func (p *processor) setActive(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = on
}

func (p *processor) isActive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.active
}

// abandoned is called when the context has ended, and ends a child that nobody calls any more. After the loss of a lease
// Close follows and has something to tell, so the child may wait for that as long as it may wait to exit.
func (p *processor) abandoned(ctx context.Context) {
	for !cutOff(ctx) {
		select {
		case <-p.child.gone:
			return
		case <-time.After(p.command.ExitTimeout):
		}
		if !p.isActive() {
			break
		}
	}
	p.child.stop(ctx, atOnce)
}
