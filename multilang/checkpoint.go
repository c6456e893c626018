package multilang

import (
	"context"
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// maxAnswers bounds, in bytes, the answers that wait for a child that asks and does not read. Beyond it the child is not
// listened to until it does.
const maxAnswers = 1 << 20

// answerPending answers the requests that the child wrote since its last status, before the next action is sent. The Java
// daemon carries them out as part of that action: without a number they would checkpoint records that the child has not seen.
// A status at this point answers something that was never asked; taken for the answer to what comes next, it would put the
// child behind for ever.
func (p *processor) answerPending(ctx context.Context, next wire.Action, cp stream.Checkpointer) error {
	for len(p.answers) < maxAnswers {
		select {
		case r, open := <-p.child.replies:
			switch {
			case !open:
				return nil // sending will say it
			case r.Action == wire.Status:
				return &answerError{fmt.Sprintf("multilang: child answered %s once more before %s was sent", r.ResponseFor, next)}
			}
			at, err := positionOf(r)
			if at.IsZero() && err == nil {
				at = p.last
			}
			p.answer(r, p.checkpoint(ctx, at, err, cp))
		default:
			return nil
		}
	}
	return nil
}

// request carries out a request that the child made in the midst of an action.
func (p *processor) request(ctx context.Context, during wire.Action, r wire.Reply, cp stream.Checkpointer) {
	at, err := positionOf(r)
	atEnd := during == wire.ShardEnded
	if atEnd && err == nil && p.meansEnd(r, at) {
		at = stream.Position{}
	}
	err = p.checkpoint(ctx, at, err, cp)
	if atEnd && at.IsZero() {
		p.ended, p.endErr = p.ended || err == nil, err
	}
	p.answer(r, err)
}

// meansEnd reports whether a position that a child gives in shardEnded is the end of the shard.
func (p *processor) meansEnd(r wire.Reply, at stream.Position) bool {
	switch {
	case at == stream.ShardEnd:
		return true
	case !at.IsNumber() || at.Sequence.Compare(p.last.Sequence) != 0:
		return false
	}
	return r.Sub == nil || at.Sub == p.last.Sub
}

// positionOf returns the position that a request names; the zero Position where it names none.
func positionOf(r wire.Reply) (stream.Position, error) {
	if r.Sequence == nil {
		return stream.Position{}, nil // whatever subSequenceNumber says
	}
	at := stream.Position{Sequence: stream.SequenceNumber(*r.Sequence)}
	if r.Sub != nil {
		at.Sub = *r.Sub
	}
	if !at.Valid() {
		return at, fmt.Errorf("%.40q with sub-sequence number %d: %w", *r.Sequence, at.Sub, stream.ErrPosition)
	}
	return at, nil
}

func (p *processor) checkpoint(ctx context.Context, at stream.Position, bad error, cp stream.Checkpointer) error {
	switch {
	case cp == nil:
		return stream.ErrNoCheckpoint
	case bad != nil:
		return bad
	}
	return cp.Checkpoint(ctx, at)
}

// answer queues the answer to a request.
func (p *processor) answer(r wire.Reply, err error) {
	name := exceptionOf(err)
	p.refused++
	if err == nil {
		p.refused = 0
	}
	if p.refused&(p.refused-1) == 0 && err != nil { // the 1st, 2nd, 4th, …: a child may ask again as fast as it is answered
		p.log.Info("checkpoint of the child is refused", "answer", name, "times", p.refused, "err", err)
	}
	p.answers = wire.AppendCheckpointAnswer(p.answers, r.Sequence, r.Sub, name)
}

// exceptionOf returns the name by which children know an error: the simple name of the exception of the Java KCL (packages
// software.amazon.kinesis.exceptions and java.lang). Empty means success.
func exceptionOf(err error) string {
	for _, known := range [...]struct {
		err  error
		name string
	}{
		{nil, ""},
		{stream.ErrLeaseLost, "ShutdownException"},
		{stream.ErrDrainTimeout, "ShutdownException"}, // no time is left to ask again
		{stream.ErrPosition, "IllegalArgumentException"},
		{stream.ErrThrottled, "ThrottlingException"},
		{stream.ErrNoCheckpoint, "InvalidStateException"},
		{stream.ErrUnavailable, "KinesisClientLibDependencyException"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "RuntimeException" // an error outside the contract of stream.Checkpointer: nothing that is worth trying again
}
