package memlease_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/stream"
)

// A store in memory keeps the same rules as one in DynamoDB: who writes with an old counter is refused.
func Example() {
	ctx := context.Background()
	store := memlease.New()

	const shard = "shardId-000000000000"
	free := lease.Lease{Key: shard, Shard: shard, Checkpoint: stream.TrimHorizon}
	created, _ := store.Create(ctx, free)
	fmt.Println("created:", created)

	mine, _ := store.Assign(ctx, free, "worker-1")
	mine, _ = store.Checkpoint(ctx, mine, stream.Position{Sequence: "17"})
	fmt.Println(mine.Owner, "at", mine.Checkpoint, "counter", mine.Counter)

	_, err := store.Renew(ctx, lease.Lease{Key: shard, Counter: 1})
	var held *lease.HeldError
	fmt.Println(errors.Is(err, stream.ErrLeaseLost), errors.As(err, &held) && held.Current.Counter == 2)
	// Output:
	// created: true
	// worker-1 at 17 counter 2
	// true true
}
