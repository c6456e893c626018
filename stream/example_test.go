package stream_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/stream"
)

// printer stands for the host: it makes checkpoints durable by printing them.
type printer struct{}

func (printer) Checkpoint(_ context.Context, at stream.Position) error {
	fmt.Println("checkpoint:", at)
	return nil
}

// Func makes processors of one function. It is enough for code that keeps nothing between batches.
func ExampleFunc() {
	newProcessor := stream.Func(func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		for _, r := range b.Records {
			fmt.Printf("%s: %s\n", r.PartitionKey, r.Data)
		}
		return cp.Checkpoint(ctx, stream.Position{})
	})

	// What a host does with it:
	ctx := context.Background()
	p, _ := newProcessor(ctx, stream.Assignment{Shard: "shardId-000000000000", From: stream.TrimHorizon})
	_ = p.Process(ctx, &stream.Batch{Records: []stream.Record{{PartitionKey: "k", Data: []byte("tea"), Position: stream.Position{Sequence: "17"}}}}, printer{})
	_ = p.Close(ctx, stream.ShardEnded, printer{})
	// Output:
	// k: tea
	// checkpoint: (all delivered)
	// checkpoint: (all delivered)
}

// counter counts the records of a shard and checkpoints every hundred, whatever the batches.
type counter struct{ n int }

func (c *counter) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	for _, r := range b.Records {
		if c.n++; c.n%100 != 0 {
			continue
		}
		err := cp.Checkpoint(ctx, r.Position)
		if errors.Is(err, stream.ErrThrottled) || errors.Is(err, stream.ErrUnavailable) {
			continue // nothing is lost: the next checkpoint covers this one
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	fmt.Println(why, "after", c.n)
	if why == stream.LeaseLost {
		return nil // another worker has the shard: no checkpoint is possible
	}
	return cp.Checkpoint(ctx, stream.Position{})
}

// A processor with state: one value for each period of ownership, called by one goroutine at a time.
func ExampleProcessor() {
	var newProcessor stream.NewProcessor = func(_ context.Context, a stream.Assignment) (stream.Processor, error) {
		fmt.Println(a.Shard, "from", a.From)
		return &counter{}, nil
	}

	ctx := context.Background()
	p, _ := newProcessor(ctx, stream.Assignment{Shard: "shardId-000000000000", From: stream.Position{Sequence: "49", Sub: 3}})
	_ = p.Process(ctx, &stream.Batch{Records: make([]stream.Record, 50)}, printer{})
	_ = p.Close(ctx, stream.ShutdownRequested, printer{})
	// Output:
	// shardId-000000000000 from 49/3
	// shutdown requested after 50
	// checkpoint: (all delivered)
}

// Positions compare by value, not as text; the sentinels lie around all numbers.
func ExamplePosition_Compare() {
	fmt.Println(stream.Position{Sequence: "9"}.Compare(stream.Position{Sequence: "10"}))
	fmt.Println(stream.Position{Sequence: "10", Sub: 2}.Compare(stream.Position{Sequence: "10"}))
	fmt.Println(stream.Latest.Compare(stream.Position{Sequence: "10"}), stream.ShardEnd.Compare(stream.Position{Sequence: "10"}))
	// Output:
	// -1
	// 1
	// -1 1
}

// A partition key belongs to the shard whose range has its hash.
func ExampleHashKeyOf() {
	lower, _ := stream.ParseHashKeyRange("0", "170141183460469231731687303715884105727")
	fmt.Println(stream.HashKeyOf("customer-7"))
	fmt.Println(lower.Contains(stream.HashKeyOf("customer-7")))
	// Output:
	// 18423839322852854807796920976199280094
	// true
}
