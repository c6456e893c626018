package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/stream"
)

// make starts reading at the last checkpoint and makes a processor at the same time.
func (a *assignment) make() {
	row := a.held.current()
	s := newSession(a, row)
	a.session = s
	a.seen.checkpointed(row.Checkpoint)
	a.startReading(row)
	a.call(func() lifecycle.Event {
		a.seen.calling(time.Now())
		err := s.guard("start the processor", func() error {
			p, err := a.cfg.NewProcessor(s.ctx, stream.Assignment{
				Stream: a.shard.Stream, Shard: a.shard.ID, HashKeys: row.HashKeys, From: row.Checkpoint,
				Pending: row.Pending, PendingState: row.PendingState,
			})
			if err == nil && p == nil {
				err = errors.New("NewProcessor returned neither a processor nor an error")
			}
			s.processor = p
			return err
		})
		a.seen.called(nil, err)
		return lifecycle.Event{Kind: lifecycle.Made, Err: err}
	})
}

// take feeds a page to the machine; a page that it does not deliver gives its bytes back at once.
func (a *assignment) take(p fetch.Page) {
	a.page = p
	if p.End {
		a.kids = childrenOf(p)
	}
	last := stream.Position{}
	if n := len(p.Records); n > 0 {
		last = p.Records[n-1].Position
	}
	a.step(lifecycle.Event{Kind: lifecycle.Page, Records: len(p.Records), Last: last, End: p.End})
	if a.machine.State() != lifecycle.Calling {
		a.page.Release()
	}
}

func (a *assignment) process() lifecycle.Event {
	p := &a.page
	defer p.Release()
	s := a.session
	if err := a.held.wake(s.ctx); err != nil {
		<-s.ctx.Done() // the machine hears of the loss by itself, and the processor has not failed
		return lifecycle.Event{Kind: lifecycle.Returned, Err: context.Cause(s.ctx)}
	}
	if n := len(p.Records); n > 0 {
		s.delivered(p.Records[n-1].Position)
	}
	batch := &stream.Batch{Records: p.Records, Behind: p.Behind, BehindUnknown: p.BehindUnknown}
	began := time.Now()
	a.seen.calling(began)
	err := s.guard(fmt.Sprintf("process %d records from %s", len(p.Records), firstOf(p.Records)), func() error {
		return s.processor.Process(s.ctx, batch, s)
	})
	took := time.Since(began)
	a.seen.called(p, err)
	if err == nil {
		a.meter.add(p.Bytes)
	}
	if f := a.cfg.Trace.Processed; f != nil {
		f(a.shard, len(p.Records), p.Bytes, took, err)
	}
	return lifecycle.Event{Kind: lifecycle.Returned, Err: err}
}

func firstOf(records []stream.Record) stream.Position {
	if len(records) == 0 {
		return stream.Position{}
	}
	return records[0].Position
}

func (a *assignment) close(why stream.EndReason) lifecycle.Event {
	s := a.session
	a.seen.calling(time.Now())
	err := s.guard("close the processor: "+why.String(), func() error { return s.processor.Close(s.ctx, why, s) })
	a.seen.called(nil, err)
	ended := why == stream.ShardEnded && a.held.current().Ended()
	if err != nil && ended {
		a.log.Warn("processor failed after it had checkpointed the end of the shard", "err", err)
	}
	return lifecycle.Event{Kind: lifecycle.Closed, Err: err, EndStored: ended}
}

// drop forgets the processor. Its context ends, so that what still runs on its behalf ends too, and its checkpoints are refused.
func (a *assignment) drop() {
	a.stopReading()
	if a.session != nil {
		a.session.end()
		a.session, a.former = nil, a.session
	}
}

func (a *assignment) backOff(act lifecycle.Action) {
	wait := failureBackoff.Wait(act.Attempt-1, a.rand)
	a.log.Warn("processor failed, will restart from the last checkpoint",
		"attempt", act.Attempt, "wait", wait, "checkpoint", a.held.current().Checkpoint.String(), "err", act.Cause)
	a.seen.failed(act.Cause)
	if f := a.cfg.Trace.Failed; f != nil {
		f(a.shard, act.Attempt, wait, act.Cause)
	}
	resume, former := make(chan struct{}), a.former
	a.resume = resume
	a.calls.Go(func() {
		defer close(resume)
		ctx, cancel := a.whileHeld(context.Background())
		defer cancel()
		if sleep(ctx, wait) {
			former.settle(ctx)
		}
	})
}

// warnIfSlow speaks up each interval while one call to the processor runs.
func (a *assignment) warnIfSlow() {
	if since := a.seen.inCall(); !since.IsZero() && time.Since(since) >= a.cfg.SlowAfter {
		a.log.Warn("processor is still busy with one call, its lease is kept", "took", time.Since(since))
	}
}
