// Command inprocess reads a stream in its own process: no daemon, no child. It appends the data of each shard's records to a
// file named after the shard, one record to a line, and checkpoints after each batch. Start it as often as you like, here
// or elsewhere: the processes of one application share the shards. Ctrl-C stops it cleanly.
//
//	kcl local -stream orders:4                                        # prints the environment to set
//	go run ./examples/inprocess -stream orders -dir /tmp/orders
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

func main() {
	name := flag.String("stream", "orders", "the stream to read")
	dir := flag.String("dir", ".", "where the files go")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *name, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name, dir string) error {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	application := name + "-inprocess"
	leases, err := dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(aws), Application: application})
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{
		Application: application,
		Streams:     []string{name},
		Kinesis:     kinesis.NewFromConfig(aws),
		Leases:      leases,
		Start:       stream.TrimHorizon,
		NewProcessor: func(_ context.Context, a stream.Assignment) (stream.Processor, error) {
			f, err := os.OpenFile(filepath.Join(dir, string(a.Shard)+".txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			return fileWriter{f}, err
		},
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// fileWriter is the processor of one shard while this process owns it.
type fileWriter struct{ file *os.File }

// Process writes the batch, then lets it be known that all of it is done. An error would bring the records back.
func (w fileWriter) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	for _, r := range b.Records {
		if _, err := fmt.Fprintf(w.file, "%s\n", r.Data); err != nil {
			return err
		}
	}
	return cp.Checkpoint(ctx, stream.Position{})
}

// Close is the last call. At the end of a shard the checkpoint lets the shards that follow it start.
func (w fileWriter) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	if err := w.file.Close(); err != nil || why != stream.ShardEnded {
		return err
	}
	return cp.Checkpoint(ctx, stream.Position{})
}
