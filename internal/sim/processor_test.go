package sim_test

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

var errPoison = errors.New("sim: poison")

// processor behaves as applications do: it is slow, fails, and checkpoints now and then, sometimes in the middle of a batch, as
// its node's seed has it.
type processor struct {
	n      *node
	a      stream.Assignment
	id     shardID
	last   stream.Position
	busy   atomic.Bool
	closed bool
}

// stuck is a shard whose processors do not get on.
type stuck struct {
	shard shardID
	until chan struct{}
}

func (n *node) newProcessor(_ context.Context, a stream.Assignment) (stream.Processor, error) {
	if n.isDead() || n.chance(n.w.mood.Load().failures) {
		return nil, errPoison
	}
	p := &processor{n: n, a: a, id: shardID{a.Stream, a.Shard}}
	n.w.checkParents(n, p.id)
	n.w.ledger.begins(p.id, n, a.From)
	return p, nil
}

func (p *processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if p.busy.Swap(true) {
		p.n.w.ledger.breach("I2: two calls at once on %s in %s", p.id, p.n)
	}
	defer p.busy.Store(false)
	if p.closed {
		p.n.w.ledger.breach("I2: Process after Close on %s in %s", p.id, p.n)
	}
	for _, r := range b.Records {
		if r.Position.Compare(p.last) <= 0 || r.Position.Compare(p.a.From) <= 0 {
			p.n.w.ledger.breach("I2: %s came after %s, assigned from %s, on %s", r.Position, p.last, p.a.From, p.id)
		}
		if p.last.IsZero() {
			p.last = p.a.From
		}
		p.n.w.ledger.stepped(p.id, p.n, step{p.last, r.Position})
		p.last = r.Position
	}
	if p.n.isDead() {
		return errPoison
	}
	p.n.hold(worker.Shard{Stream: p.a.Stream, ID: p.a.Shard}, (*holding).began)
	p.n.w.ledger.called(p.id, p.n)
	defer p.n.w.ledger.returned(p.id)
	return p.work(ctx, b, cp)
}

func (p *processor) work(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	mood := p.n.w.mood.Load()
	wait := p.n.between(0, mood.work)
	if p.n.chance(mood.slow) {
		wait = p.n.between(time.Second, 20*time.Second)
	}
	if err := pause(ctx, wait); err != nil {
		return context.Cause(ctx)
	}
	if free := p.n.w.stuck.Load(); free != nil && free.shard == p.id {
		select {
		case <-free.until:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if thawed := p.n.frozen(); thawed != nil {
		<-thawed // whatever happened meanwhile, it goes on where it was
	}
	fails := p.n.chance(mood.failures)
	if fails { // with a part of the batch done
		b = &stream.Batch{Records: b.Records[:p.n.pick(len(b.Records)+1)]}
	}
	if p.n.isDead() {
		return errPoison
	}
	p.n.w.ledger.accept(p.id, b)
	if len(b.Records) > 0 && p.n.chance(mood.checkpoints) {
		at := stream.Position{}
		if fails || p.n.chance(mood.partly) {
			at = b.Records[p.n.pick(len(b.Records))].Position
		}
		if err := p.checkpoint(ctx, cp, at); err != nil {
			return err
		}
	}
	if fails {
		return errPoison
	}
	return nil
}

func (p *processor) checkpoint(ctx context.Context, cp stream.Checkpointer, at stream.Position) error {
	err := cp.Checkpoint(ctx, at)
	if err == nil {
		p.n.w.ledger.promise(p.id, cmp.Or(at, p.last))
	}
	if errors.Is(err, stream.ErrThrottled) || errors.Is(err, stream.ErrUnavailable) || errors.Is(err, stream.ErrLeaseLost) {
		return nil // the next one covers it
	}
	return err
}

func (p *processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	p.closed = true
	if !p.n.isDead() {
		p.n.w.ledger.excuse(p.id)
	}
	if why == stream.LeaseLost {
		if err := cp.Checkpoint(ctx, stream.Position{}); !errors.Is(err, stream.ErrLeaseLost) && !p.n.isDead() {
			p.n.w.ledger.breach("I3: a checkpoint after the lease was lost gave %v", err)
		}
		return nil
	}
	return cp.Checkpoint(ctx, stream.Position{})
}
