package dynamolease_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// Two workers contend for a lease; the second learns that it came too late.
func Example() {
	cfg := local.New(local.Config{}).AWSConfig() // in production: config.LoadDefaultConfig(ctx)
	store, err := dynamolease.New(dynamolease.Config{
		Client:      dynamodb.NewFromConfig(cfg),
		Application: "orders",
		Logger:      quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := store.Setup(ctx, "worker-1"); err != nil {
		log.Fatal(err)
	}

	const shard = "shardId-000000000000"
	free := lease.Lease{Key: shard, Shard: shard, Checkpoint: stream.TrimHorizon}
	if _, err := store.Create(ctx, free); err != nil {
		log.Fatal(err)
	}
	mine, err := store.Assign(ctx, free, "worker-1")
	fmt.Println(mine.Owner, mine.Counter, err)

	_, err = store.Assign(ctx, free, "worker-2")
	fmt.Println(errors.Is(err, stream.ErrLeaseLost), err)
	// Output:
	// worker-1 1 <nil>
	// true assign shardId-000000000000: lease shardId-000000000000 is held by "worker-1" at counter 1
}

// New makes no call; it names everything that is wrong with the configuration at once.
func ExampleNew() {
	_, err := dynamolease.New(dynamolease.Config{
		Client: dynamodb.NewFromConfig(local.New(local.Config{}).AWSConfig()), Application: "my orders", Segments: 99,
	})
	fmt.Println(err)
	// Output:
	// dynamolease: Table "my orders" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'
	// dynamolease: CoordinatorTable "my orders-CoordinatorState" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'
	// dynamolease: WorkerMetricsTable "my orders-WorkerMetricStats" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'
	// dynamolease: Segments 99 is not within 1 to 32
}
