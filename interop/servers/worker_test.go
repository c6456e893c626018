//go:build interop

package servers_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// TestWorker: a worker with its leases in dynalite reads a stream of each Kinesis server, by polling and by fan-out, across reshards
// and a change of worker; and the commands work there.
func TestWorker(t *testing.T) {
	t.Parallel()
	kcl := stagetest.Build(t, "./cmd/kcl")
	tables := startDynalite(t)
	for _, start := range []func(*testing.T) server{startKinesisMock, startFerrokinesis} {
		s := start(t)
		t.Run(s.short(), func(t *testing.T) {
			t.Run("polling", func(t *testing.T) {
				t.Parallel()
				testWorker(t, &consumer{s: s, tables: tables, split: true, merge: true})
			})
			t.Run("fan-out", func(t *testing.T) {
				t.Parallel()
				// kinesis-mock never tells a subscriber of the end of a shard, which takes the worker half a minute to see;
				// ferrokinesis names the children and goes on, which no KCL takes for an end.
				testWorker(t, &consumer{s: s, tables: tables, fanOut: true, split: s.short() == "kinesis-mock"})
			})
			t.Run("commands", func(t *testing.T) {
				t.Parallel()
				testCommands(t, kcl, s, tables)
			})
		})
	}
}

// consumer is an application: its books, and how to run a worker of it.
type consumer struct {
	app, stream  string
	s, tables    server
	fanOut       bool
	split, merge bool
	books        ledger.Ledger
	ended        atomic.Bool // before it was told to
}

func (c *consumer) processor(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
	run := c.books.Begin(a.Shard)
	return stream.Func(func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		run.Deliver(b.Records, time.Now())
		return cp.Checkpoint(ctx, stream.Position{})
	})(ctx, a)
}

// run runs a worker until stop is called, which waits for its end. A worker that ends before is an error at once.
func (c *consumer) run(t *testing.T) (stop func()) {
	t.Helper()
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	leases, err := dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(c.tables.config()), Application: c.app, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	cfg := worker.Config{
		Application: c.app, Streams: []string{c.stream}, Leases: leases, NewProcessor: c.processor, Start: stream.TrimHorizon,
		Kinesis: kinesis.NewFromConfig(c.s.config()), LeaseDuration: 3 * time.Second, Logger: logger,
	}
	if c.fanOut {
		cfg.Reading.FanOut = &worker.FanOut{}
	}
	w, err := worker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1) // the result of Run
	go func() {
		err := w.Run(ctx)
		if ctx.Err() == nil {
			c.ended.Store(true)
		}
		ended <- err
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("worker: %v", err)
		}
		if t.Failed() || os.Getenv("SHOW") != "" {
			t.Logf("worker's log:\n%s", log.String())
		}
	})
	t.Cleanup(stop)
	return stop
}

// lockedBuffer takes the log of a worker.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func testWorker(t *testing.T, c *consumer) {
	way := "polling"
	if c.fanOut {
		way = "fan-out"
	}
	c.app, c.stream = c.s.short()+"-"+way, "worker-"+way
	client := kinesis.NewFromConfig(c.s.config())
	create(t, client, c.stream, 2)
	put := func(first, count int) {
		t.Helper()
		if err := (stagetest.Feed{Client: client, Stream: c.stream, Count: count, Size: 100}).Put(t.Context(), &c.books, first); err != nil {
			t.Fatal(err)
		}
	}
	ran := "clean stop, start again"
	put(0, 1000)
	stop := c.run(t)
	c.delivered(t, 1000)
	if c.split {
		ran = "split, " + ran
		if _, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{
			StreamName: &c.stream, ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("85070591730234615865843651857942052864"),
		}); err != nil {
			t.Fatal(err)
		}
		active(t, client, c.stream)
	}
	put(1000, 1000)
	c.delivered(t, 2000)
	stop()
	put(2000, 500)
	if c.merge {
		ran = "merge, " + ran
		if _, err := client.MergeShards(t.Context(), &kinesis.MergeShardsInput{
			StreamName: &c.stream, ShardToMerge: aws.String("shardId-000000000002"), AdjacentShardToMerge: aws.String("shardId-000000000003"),
		}); err != nil {
			t.Fatal(err)
		}
		active(t, client, c.stream)
	}
	put(2500, 500)
	stop = c.run(t)
	c.delivered(t, 3000)
	stop()
	v := c.books.Verdict()
	if !v.Good || v.Total.Duplicates > 0 {
		t.Errorf("records were lost, changed, out of order or, though nothing crashed, delivered twice: %+v", v)
	}
	result := stagetest.Result{
		Part: "servers", Pairing: "worker (" + way + ") on " + c.s.name + " and " + c.tables.name, Ran: ran,
		Records: v.Total.Delivered, Duplicates: v.Total.Duplicates, Gap: fmt.Sprintf("longest delay %.1f s", v.Delay.Max.Seconds()),
	}
	if v.Delay.Max > time.Hour {
		result.Gap, result.Findings = "", "the server's arrival times are in 1970: in CBOR it writes seconds for milliseconds"
	}
	stagetest.Report(t, result)
}

func (c *consumer) delivered(t *testing.T, count int64) {
	t.Helper()
	stagetest.Eventually(t, hang, fmt.Sprintf("%d records are delivered", count), func() bool {
		if c.ended.Load() {
			t.Fatal("the worker has ended")
		}
		return c.books.Totals().Delivered >= count
	})
}

func create(t *testing.T, client *kinesis.Client, name string, shards int32) {
	t.Helper()
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	active(t, client, name)
}

func active(t *testing.T, client *kinesis.Client, name string) {
	t.Helper()
	stagetest.Eventually(t, hang, name+" is active", func() bool {
		out, err := client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
	})
}

// testCommands puts, tails and looks at leases and lag of an application that a worker has run.
func testCommands(t *testing.T, kcl string, s, tables server) {
	const count = 500
	c := &consumer{app: s.short() + "-commands", stream: "commands", s: s, tables: tables}
	client := kinesis.NewFromConfig(s.config())
	create(t, client, c.stream, 2)
	var lines strings.Builder
	for i := range count {
		fmt.Fprintf(&lines, "{\"key\":\"k%d\",\"n\":%d}\n", i%20, i)
	}
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), kcl, args...)
		cmd.Stdin = strings.NewReader(stdin)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_KINESIS="+s.url, "AWS_ENDPOINT_URL_DYNAMODB="+tables.url, "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kcl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return string(out)
	}
	run(lines.String(), "put", "-stream", c.stream, "-key-field", "key")
	tailed := run("", "tail", "-stream", c.stream, "-from", "oldest", "-json", "-count", fmt.Sprint(count))
	if n := strings.Count(tailed, "\n"); n != count {
		t.Errorf("kcl tail printed %d records, want %d", n, count)
	}
	stop := c.run(t)
	c.delivered(t, count)
	stop()
	for _, verb := range []string{"leases", "lag"} {
		out := run("", verb, "-application", c.app, "-stream", c.stream, "-json")
		for _, shard := range []string{"shardId-000000000000", "shardId-000000000001"} {
			if !strings.Contains(out, shard) {
				t.Errorf("kcl %s does not name %s:\n%s", verb, shard, out)
			}
		}
	}
	stagetest.Report(t, stagetest.Result{
		Part: "servers", Pairing: "kcl put, tail, leases, lag on " + s.name + " and " + tables.name, Ran: "each once", Records: count,
	})
}
