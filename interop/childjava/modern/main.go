// Command modern is a child of a MultiLang daemon in the new interface, which keeps a diary of what it is told.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/interop/childjava/internal/diary"
	"github.com/kinesis-go/kcl/stream"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".", "folder of the diaries")
	flag.StringVar(&o.checkpoint, "checkpoint", "bare", "bare, sequence, sub (of the last record) or middle (of a batch)")
	flag.DurationVar(&o.slow, "slow", 0, "how long to take over each batch")
	flag.IntVar(&o.retry, "retry", 0, "try a checkpoint so often in all, and note each refusal")
	flag.BoolVar(&o.probe, "probe", false, "ask for checkpoints that must be refused, once, and note the answers")
	flag.StringVar(&o.hold, "hold", "", "after a first batch, wait with its checkpoint until this file exists")
	flag.Parse()
	if err := kcl.Serve(context.Background(), os.Stdin, os.Stdout, o.start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	dir, checkpoint, hold string
	slow                  time.Duration
	retry                 int
	probe                 bool
}

type processor struct {
	options
	diary *diary.Diary
	held  bool
}

func (o options) start(_ context.Context, a stream.Assignment) (stream.Processor, error) {
	d, err := diary.Open(o.dir, string(a.Shard))
	if err != nil {
		return nil, err
	}
	return &processor{options: o, diary: d}, d.Note("initialize from %s/%d", a.From.Sequence, a.From.Sub)
}

// Process implements [stream.Processor].
func (p *processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if len(b.Records) == 0 {
		return nil
	}
	if err := p.diary.Deliver(b.Records); err != nil {
		return err
	}
	if err := wait(ctx, p.slow); err != nil {
		return err
	}
	if err := p.waitForFile(ctx); err != nil {
		return err
	}
	if p.probe {
		p.probe = false
		if err := p.provoke(ctx, b, cp); err != nil {
			return err
		}
	}
	at := b.Records[len(b.Records)-1].Position
	switch p.checkpoint {
	case "bare":
		at = stream.Position{}
	case "sequence":
		at.Sub = 0
	case "middle":
		at = b.Records[min(len(b.Records)/2+1, len(b.Records)-1)].Position
	}
	return p.ask(ctx, cp, at, "processRecords")
}

// Close implements [stream.Processor].
func (p *processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	var err error
	switch why {
	case stream.LeaseLost:
		err = p.diary.Note("leaseLost")
	case stream.ShutdownRequested:
		err = p.ask(ctx, cp, stream.Position{}, "shutdownRequested")
	case stream.ShardEnded:
		err = p.ask(ctx, cp, stream.Position{}, "shardEnded")
	}
	return errors.Join(err, p.diary.Close())
}

// ask makes one checkpoint, again where that is worth it, and notes each answer.
func (p *processor) ask(ctx context.Context, cp stream.Checkpointer, at stream.Position, during string) error {
	for attempt := 1; ; attempt++ {
		asked := time.Now()
		err := cp.Checkpoint(ctx, at)
		if refused, ok := errors.AsType[*kcl.CheckpointError](err); ok {
			if note := p.diary.Note("%s came after %v", refused.Name, time.Since(asked).Round(100*time.Millisecond)); note != nil {
				return note
			}
		}
		if note := p.diary.Note("%s checkpoint %v", during, err); note != nil {
			return note
		}
		again := errors.Is(err, stream.ErrThrottled) || errors.Is(err, stream.ErrUnavailable)
		if !again || attempt >= p.retry {
			return err
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// provoke asks for what a daemon must refuse.
func (p *processor) provoke(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	first := b.Records[0].Position
	if err := p.ask(ctx, cp, first, "provoke"); err != nil {
		return err
	}
	for _, bad := range []struct {
		what string
		at   stream.Position
	}{
		{"ahead", stream.Position{Sequence: "9" + first.Sequence}},
		{"behind", stream.Position{Sequence: "1"}},
		{"end", stream.ShardEnd},
	} {
		if err := p.diary.Note("%s: %v", bad.what, cp.Checkpoint(ctx, bad.at)); err != nil {
			return err
		}
	}
	return nil
}

// waitForFile keeps the first batch until the test has done something.
func (p *processor) waitForFile(ctx context.Context) error {
	if p.hold == "" || p.held {
		return nil
	}
	p.held = true
	if err := p.diary.Note("holding"); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(p.hold); err == nil {
			return nil
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
