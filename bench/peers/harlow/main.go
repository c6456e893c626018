//go:build peer

// Command harlow is the record processor of the comparisons on harlow/kinesis-consumer, with its DynamoDB checkpoints. It is
// compiled inside a checkout of that module; see the README of bench.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	consumer "github.com/harlow/kinesis-consumer"
	"github.com/harlow/kinesis-consumer/store/ddb"

	"github.com/harlow/kinesis-consumer/kclbench/tally"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	app, tables := os.Getenv("KCL_BENCH_APPLICATION"), dynamodb.NewFromConfig(cfg)
	if err := createTable(ctx, tables, app); err != nil {
		return err
	}
	store, err := ddb.New(app, app, ddb.WithDynamoClient(tables), ddb.WithMaxInterval(time.Second))
	if err != nil {
		return err
	}
	c, err := consumer.New(os.Getenv("KCL_BENCH_STREAM"), consumer.WithClient(kinesis.NewFromConfig(cfg)), consumer.WithStore(store),
		consumer.WithShardIteratorType("TRIM_HORIZON"), consumer.WithScanInterval(time.Millisecond))
	if err != nil {
		return err
	}
	counts := &counter{shards: map[string]*shard{}}
	go counts.flush(ctx)
	if err := c.Scan(ctx, counts.add); err != nil {
		return err
	}
	return store.Shutdown()
}

func createTable(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(name), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("namespace"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("shard_id"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("namespace"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("shard_id"), KeyType: types.KeyTypeRange},
		},
	})
	return err
}

// counter collects, because this library delivers single records: a write for each would measure the writes.
type counter struct {
	mu     sync.Mutex
	shards map[string]*shard
}

type shard struct {
	file    *tally.File
	records int
	bytes   int64
}

func (c *counter) add(r *consumer.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shards[r.ShardID]
	if s == nil {
		f, err := tally.Open(os.Getenv("KCL_BENCH_DIR"), r.ShardID)
		if err != nil {
			return err
		}
		s = &shard{file: f}
		c.shards[r.ShardID] = s
	}
	s.records++
	s.bytes += int64(len(r.Data))
	return nil
}

func (c *counter) flush(ctx context.Context) {
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		for _, s := range c.shards {
			if s.records > 0 {
				if err := s.file.Add(s.records, s.bytes); err != nil {
					log.Print(err)
				}
				s.records, s.bytes = 0, 0
			}
		}
		c.mu.Unlock()
	}
}
