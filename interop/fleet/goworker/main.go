// Command goworker is one worker on package worker for the mixed fleets of interop/fleet and interop/tables: what
// fleet/java is in Java. SIGTERM stops it in order; exit code 1 says that the worker ended with an error.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// options are the command line.
type options struct {
	endpoint, app, stream, id, deliveries string
	lease                                 time.Duration
	adopt, single, fanOut                 bool
}

func main() {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "", "URL of the services")
	flag.StringVar(&o.app, "app", "", "application")
	flag.StringVar(&o.stream, "stream", "", "stream to read")
	flag.StringVar(&o.id, "worker", "", "id of this worker")
	flag.StringVar(&o.deliveries, "deliveries", "", "folder for the files of deliveries")
	flag.DurationVar(&o.lease, "lease", 10*time.Second, "lease duration")
	flag.BoolVar(&o.adopt, "adopt", false, "set AdoptOldTable")
	flag.BoolVar(&o.single, "single", false, "set SingleTable")
	flag.BoolVar(&o.fanOut, "fanout", false, "read by enhanced fan-out instead of polling")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "goworker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &o.endpoint, AppID: o.id, // the id tells the workers' requests apart
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	leases, err := dynamolease.New(dynamolease.Config{
		Client: dynamodb.NewFromConfig(cfg), Application: o.app, AdoptOldTable: o.adopt, SingleTable: o.single, Logger: log,
	})
	if err != nil {
		return err
	}
	var assignments atomic.Int64
	var reading worker.Reading
	if o.fanOut {
		reading.FanOut = &worker.FanOut{}
	}
	w, err := worker.New(worker.Config{
		Reading:     reading,
		Application: o.app,
		Streams:     []string{o.stream},
		NewProcessor: func(_ context.Context, a stream.Assignment) (stream.Processor, error) {
			name := fmt.Sprintf("%s-%d-%s.jsonl", o.id, assignments.Add(1), a.Shard)
			f, err := os.Create(filepath.Join(o.deliveries, name))
			if err != nil {
				return nil, err
			}
			return &processor{shard: a.Shard, file: f}, nil
		},
		Kinesis:       kinesis.NewFromConfig(cfg),
		Leases:        leases,
		ID:            o.id,
		Start:         stream.TrimHorizon,
		LeaseDuration: o.lease,
		Logger:        log,
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// delivery is the line that stagetest.Deliveries reads.
type delivery struct {
	Shard    string `json:"shard"`
	Sequence string `json:"seq"`
	Key      string `json:"key"`
	Data     []byte `json:"data"`
	At       int64  `json:"at"` // milliseconds since 1970
}

// processor writes a line for each record into a file of this assignment, then checkpoints.
type processor struct {
	shard stream.ShardID
	file  *os.File
}

// Process implements [stream.Processor].
func (p *processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	now := time.Now().UnixMilli()
	out := bufio.NewWriter(p.file)
	lines := json.NewEncoder(out)
	for _, r := range b.Records {
		line := delivery{Shard: string(p.shard), Sequence: string(r.Position.Sequence), Key: r.PartitionKey, Data: r.Data, At: now}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return cp.Checkpoint(ctx, stream.Position{})
}

// Close implements [stream.Processor].
func (p *processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	if err := p.file.Close(); err != nil {
		return err
	}
	if why == stream.LeaseLost {
		return nil
	}
	return cp.Checkpoint(ctx, stream.Position{})
}
