package kcl

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/kinesis-go/kcl/stream"
)

// Adapt makes a [RecordProcessor] run in any host: in this process under package worker, under [Serve], in a test.
// newProcessor is called once for each assignment, concurrently for different shards, and again after each failure.
//
// Initialize gets the shard's ID, Record.Data is base64 text as ever, and each processor has a Checkpointer of its own that
// speaks to the host while a call runs. ShutdownRequested is followed by LeaseLost, as under the Java daemon. A ShardEnded
// that returns nil without a checkpoint of the end is an error, so the host tries again instead of waiting for ever.
func Adapt(newProcessor func() RecordProcessor) stream.NewProcessor {
	return func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
		p := newProcessor()
		if p == nil {
			return nil, errors.New("kcl: Adapt: no processor")
		}
		c := newClassic(p)
		if err := c.initialize(ctx, a); err != nil {
			return nil, err
		}
		return adapted{c}, nil
	}
}

// adapted is a [stream.Processor] made of an old one.
type adapted struct{ *classic }

// Process implements [stream.Processor].
func (a adapted) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	return a.process(ctx, b, cp)
}

// Close implements [stream.Processor].
func (a adapted) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	switch why {
	case stream.ShardEnded:
		if err := a.shardEnded(ctx, cp); err != nil || a.bound.ended {
			return err
		}
		return errUnended
	case stream.ShutdownRequested:
		if err := a.shutdownRequested(ctx, cp); err != nil {
			return err
		}
	}
	return a.leaseLost(ctx, cp)
}

// classic is the calls of a [RecordProcessor].
type classic struct {
	processor    RecordProcessor
	bound        *binding
	checkpointer *Checkpointer
}

func newClassic(p RecordProcessor) *classic {
	b := &binding{}
	return &classic{processor: p, bound: b, checkpointer: &Checkpointer{bound: b}}
}

func (c *classic) initialize(_ context.Context, a stream.Assignment) error {
	c.bound.mu.Lock()
	c.bound.last, c.bound.stored = a.From, a.From
	c.bound.mu.Unlock()
	return c.processor.Initialize(string(a.Shard))
}

func (c *classic) process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if n := len(b.Records); n > 0 {
		c.bound.mu.Lock()
		c.bound.last = b.Records[n-1].Position
		c.bound.mu.Unlock()
	}
	c.bound.enter(ctx, cp, false)
	defer c.bound.leave()
	return c.processor.ProcessRecords(classicRecords(b.Records), c.checkpointer)
}

func (c *classic) shutdownRequested(ctx context.Context, cp stream.Checkpointer) error {
	c.bound.enter(ctx, cp, false)
	defer c.bound.leave()
	return c.processor.ShutdownRequested(c.checkpointer)
}

func (c *classic) leaseLost(context.Context, stream.Checkpointer) error {
	c.bound.mu.Lock()
	c.bound.lost = true
	c.bound.mu.Unlock()
	return c.processor.LeaseLost()
}

func (c *classic) shardEnded(ctx context.Context, cp stream.Checkpointer) error {
	c.bound.enter(ctx, cp, true)
	defer c.bound.leave()
	return c.processor.ShardEnded(c.checkpointer)
}

// classicRecords makes the records of a batch in three pieces of memory, whatever their number.
func classicRecords(records []stream.Record) []*Record {
	size := 0
	for i := range records {
		size += base64.StdEncoding.EncodedLen(len(records[i].Data))
	}
	text := make([]byte, 0, size)
	for i := range records {
		text = base64.StdEncoding.AppendEncode(text, records[i].Data)
	}
	var all strings.Builder
	all.Write(text)
	data := all.String()
	values, pointers := make([]Record, len(records)), make([]*Record, len(records))
	for i := range records {
		r := &records[i]
		n := base64.StdEncoding.EncodedLen(len(r.Data))
		values[i] = Record{Data: data[:n], PartitionKey: r.PartitionKey, SequenceNumber: string(r.Position.Sequence)}
		pointers[i], data = &values[i], data[n:]
	}
	return pointers
}
