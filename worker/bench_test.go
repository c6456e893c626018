package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// TestMain lets the test binary be the child of a benchmark.
func TestMain(m *testing.M) {
	if os.Getenv("KCL_BENCH_CHILD") == "" {
		os.Exit(m.Run())
	}
	processor := stream.Func(func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
		return cp.Checkpoint(ctx, stream.Position{})
	})
	if err := kcl.Serve(context.Background(), os.Stdin, os.Stdout, processor); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// quiet drops the engine's log.
var quiet = slog.New(slog.DiscardHandler)

// benchBytes is the payload that each run of a throughput benchmark reads, spread over four shards.
const benchBytes = 64 << 20

// BenchmarkEngine reads a backlog of 64 MiB from four shards of the embedded service, checkpointing each batch: over real HTTP
// on loopback into a processor in this process, and into child processes. Server and worker share the processors.
func BenchmarkEngine(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 100 << 10} {
		for _, how := range []string{"process", "children"} {
			b.Run(fmt.Sprintf("%s/%dB", how, size), func(b *testing.B) { benchEngine(b, how, size) })
		}
	}
}

func benchEngine(b *testing.B, how string, size int) {
	srv := local.Start(b)
	client := kinesis.NewFromConfig(srv.AWSConfig())
	must(b, srv.CreateStream("bench", 4))
	total := int64(min(benchBytes/size, 200_000))
	data := make([]byte, size)
	for i := range total {
		_, _, err := srv.Put("bench", fmt.Sprint(i), data)
		must(b, err)
	}
	b.SetBytes(total * int64(size))
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range b.N {
		var seen atomic.Int64
		ctx, stop := context.WithCancel(context.Background())
		w, err := worker.New(worker.Config{
			Application: "bench", Streams: []string{"bench"}, Kinesis: client, Leases: memlease.New(), Start: stream.TrimHorizon,
			Reading: worker.Reading{Unpaced: true}, NewProcessor: benchProcessor(how), Logger: quiet,
			Trace: &worker.Trace{Processed: func(_ worker.Shard, n int, _ int64, _ time.Duration, _ error) {
				if seen.Add(int64(n)) >= total {
					stop()
				}
			}},
		})
		must(b, err)
		must(b, w.Run(ctx))
		stop()
		if seen.Load() < total {
			b.Fatalf("%d of %d records", seen.Load(), total)
		}
	}
	runtime.ReadMemStats(&after)
	records := float64(total) * float64(b.N)
	b.ReportMetric(records/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/records, "B/record")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/records, "allocs/record")
}

func benchProcessor(how string) stream.NewProcessor {
	if how == "children" {
		return multilang.Command{Path: os.Args[0], Env: append(os.Environ(), "KCL_BENCH_CHILD=1"), Logger: quiet}.NewProcessor
	}
	return stream.Func(func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
		return cp.Checkpoint(ctx, stream.Position{})
	})
}

// BenchmarkDelivery measures the time from a put to the processor on a stream that is idle otherwise, with Idle as a user
// would leave it.
func BenchmarkDelivery(b *testing.B) {
	srv := local.Start(b)
	client := kinesis.NewFromConfig(srv.AWSConfig())
	must(b, srv.CreateStream("bench", 1))
	arrived := make(chan time.Time, 1)
	w, err := worker.New(worker.Config{
		Application: "bench", Streams: []string{"bench"}, Kinesis: client, Leases: memlease.New(), Start: stream.TrimHorizon, Logger: quiet,
		NewProcessor: stream.Func(func(context.Context, *stream.Batch, stream.Checkpointer) error {
			arrived <- time.Now()
			return nil
		}),
	})
	must(b, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	put := func() time.Duration {
		at := time.Now()
		_, err := client.PutRecord(b.Context(), &kinesis.PutRecordInput{StreamName: aws.String("bench"), PartitionKey: aws.String("k"), Data: []byte("x")})
		must(b, err)
		return (<-arrived).Sub(at)
	}
	put()
	b.ResetTimer()
	var took []time.Duration
	for range b.N {
		time.Sleep(1500 * time.Millisecond) // the stream is idle, so reading has slowed down
		took = append(took, put())
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-worst")
	stop()
	must(b, <-done)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
