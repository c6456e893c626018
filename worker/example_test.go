package worker_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// A whole program on AWS. Start it as often as you like: the processes of one application share the shards. SIGTERM lets each
// processor finish its batch and passes the shards on at once.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	leases, err := dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(aws), Application: "billing"})
	if err != nil {
		log.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Application: "billing",
		Streams:     []string{"orders"},
		Kinesis:     kinesis.NewFromConfig(aws),
		Leases:      leases,
		Start:       stream.TrimHorizon,
		NewProcessor: stream.Func(func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
			for _, r := range b.Records {
				fmt.Println(r.PartitionKey, len(r.Data))
			}
			return cp.Checkpoint(ctx, stream.Position{}) // all of this batch is done
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// New names everything that is wrong with a configuration, at once.
func ExampleNew() {
	_, err := worker.New(worker.Config{
		Application:   "billing",
		Streams:       []string{"orders"},
		Leases:        memlease.New(),
		NewProcessor:  stream.Func(nil),
		Start:         stream.AtTimestamp,
		LeaseDuration: 500 * time.Millisecond,
	})
	fmt.Println(err)
	// Output:
	// worker: Kinesis is required
	// worker: StartAt is required with Start AT_TIMESTAMP
	// worker: LeaseDuration 500ms is under 1s
}

// served returns the embedded service with a stream "orders" of one shard and three records in it.
func served() *kinesis.Client {
	srv := local.New(local.Config{})
	if err := srv.CreateStream("orders", 1); err != nil {
		log.Fatal(err)
	}
	client := kinesis.NewFromConfig(srv.AWSConfig())
	for _, data := range []string{"tea", "milk", "sugar"} {
		name, key := "orders", "customer-7"
		if _, err := client.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: &name, PartitionKey: &key, Data: []byte(data)}); err != nil {
			log.Fatal(err)
		}
	}
	return client
}

// basket is a processor with state of its own: it needs no lock, since its methods are called one at a time.
type basket struct {
	stop  context.CancelFunc
	items []string
}

func (b *basket) Process(ctx context.Context, batch *stream.Batch, cp stream.Checkpointer) error {
	for _, r := range batch.Records {
		b.items = append(b.items, string(r.Data))
	}
	if err := cp.Checkpoint(ctx, stream.Position{}); err != nil {
		return err
	}
	if len(b.items) == 3 {
		b.stop() // asks the worker to stop; this context does not end by that
	}
	return nil
}

func (b *basket) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	fmt.Println(why, b.items)
	if why == stream.ShardEnded {
		return cp.Checkpoint(ctx, stream.Position{}) // without it the shards that follow would not start
	}
	return nil
}

// Run works until its context ends, then drains.
func ExampleWorker_Run() {
	ctx, stop := context.WithCancel(context.Background())
	w, err := worker.New(worker.Config{
		Application: "billing", Streams: []string{"orders"}, Kinesis: served(), Leases: memlease.New(), Logger: slog.New(slog.DiscardHandler),
		Start: stream.TrimHorizon,
		NewProcessor: func(_ context.Context, a stream.Assignment) (stream.Processor, error) {
			fmt.Println(a.Stream, a.Shard, "from", a.From)
			return &basket{stop: stop}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Run(ctx))
	// Output:
	// orders shardId-000000000000 from TRIM_HORIZON
	// shutdown requested [tea milk sugar]
	// <nil>
}

// Status is for a readiness probe and for people. Its problems say what is wrong, with which shard, and since when.
func ExampleWorker_Status() {
	ctx, stop := context.WithCancel(context.Background())
	var w *worker.Worker
	w, err := worker.New(worker.Config{
		Application: "billing", Streams: []string{"orders"}, Kinesis: served(), Leases: memlease.New(), Logger: slog.New(slog.DiscardHandler),
		Start: stream.TrimHorizon,
		NewProcessor: stream.Func(func(context.Context, *stream.Batch, stream.Checkpointer) error {
			return fmt.Errorf("the database does not answer")
		}),
		Trace: &worker.Trace{Failed: func(worker.Shard, int, time.Duration, error) { time.AfterFunc(10*time.Millisecond, stop) }},
	})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	<-ctx.Done()
	s := w.Status()
	fmt.Println(s.Application, s.Healthy())
	fmt.Println(<-done)
	// Output:
	// billing false
	// <nil>
}

// Trace is for metrics: its functions are called as things happen.
func ExampleTrace() {
	ctx, stop := context.WithCancel(context.Background())
	w, err := worker.New(worker.Config{
		Application: "billing", Streams: []string{"orders"}, Kinesis: served(), Leases: memlease.New(), Logger: slog.New(slog.DiscardHandler),
		Start: stream.TrimHorizon,
		NewProcessor: stream.Func(func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
			return cp.Checkpoint(ctx, stream.Position{})
		}),
		Trace: &worker.Trace{
			LeaseTaken: func(s worker.Shard) { fmt.Println("taken:", s.ID) },
			Processed: func(s worker.Shard, records int, bytes int64, _ time.Duration, err error) {
				fmt.Println("processed:", records, "records,", bytes, "bytes,", err)
				stop()
			},
			LeaseEnded: func(s worker.Shard, why stream.EndReason) { fmt.Println("ended:", why) },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// taken: shardId-000000000000
	// processed: 3 records, 12 bytes, <nil>
	// ended: shutdown requested
}

// Every stream whose name begins with "orders-" is read, also one that is created while workers run. Each worker calls this each
// minute.
func ExampleLister() {
	srv := local.New(local.Config{})
	for _, name := range []string{"orders-eu", "orders-us", "returns"} {
		if err := srv.CreateStream(name, 1); err != nil {
			log.Fatal(err)
		}
		if _, _, err := srv.Put(name, "customer-7", []byte("tea")); err != nil {
			log.Fatal(err)
		}
	}
	client := kinesis.NewFromConfig(srv.AWSConfig())
	list := func(ctx context.Context) (streams []worker.Stream, err error) {
		for pages := kinesis.NewListStreamsPaginator(client, &kinesis.ListStreamsInput{}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err // not an empty list, which would end all reading
			}
			for _, name := range page.StreamNames {
				if strings.HasPrefix(name, "orders-") {
					streams = append(streams, worker.Stream{Name: name, Start: stream.TrimHorizon})
				}
			}
		}
		return streams, nil
	}

	ctx, stop := context.WithCancel(context.Background())
	var read atomic.Int32
	w, err := worker.New(worker.Config{
		Application: "billing", ListStreams: list, Kinesis: client, Leases: memlease.New(), Logger: slog.New(slog.DiscardHandler),
		NewProcessor: func(_ context.Context, a stream.Assignment) (stream.Processor, error) {
			print := func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
				fmt.Println(a.Stream, len(b.Records), "record")
				if read.Add(1) == 2 {
					stop()
				}
				return cp.Checkpoint(ctx, stream.Position{})
			}
			return stream.Func(print)(ctx, a)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// orders-eu 1 record
	// orders-us 1 record
}

// Enhanced fan-out. The worker registers a consumer under the application's name, which costs until it is deregistered.
func ExampleFanOut() {
	client := served()
	ctx, stop := context.WithCancel(context.Background())
	w, err := worker.New(worker.Config{
		Application: "billing", Streams: []string{"orders"}, Kinesis: client, Leases: memlease.New(), Logger: slog.New(slog.DiscardHandler),
		Start:   stream.TrimHorizon,
		Reading: worker.Reading{FanOut: &worker.FanOut{Required: true}}, // without Required: polls, with a warning, if it is not permitted
		NewProcessor: func(context.Context, stream.Assignment) (stream.Processor, error) {
			return &basket{stop: stop}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
	out, err := client.ListStreamConsumers(context.Background(), &kinesis.ListStreamConsumersInput{StreamARN: &arn})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("registered:", *out.Consumers[0].ConsumerName)
	// Output:
	// shutdown requested [tea milk sugar]
	// registered: billing
}
