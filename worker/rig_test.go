package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// rig is one application on the embedded services, all in one process and without sockets, so that it fits in a bubble.
type rig struct {
	t      *testing.T
	server *local.Server
	client *kinesis.Client
	store  lease.Store
	seen   *deliveries
	log    *slog.Logger
}

func newRig(t *testing.T, shards int, streams ...string) *rig {
	t.Helper()
	server := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
	r := &rig{
		t: t, server: server, store: memlease.New(), seen: newDeliveries(),
		client: kinesis.New(kinesis.Options{
			Region: "us-east-1", BaseEndpoint: aws.String("http://local"), HTTPClient: server.HTTPClient(),
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 2,
		}),
		log: logTo(t),
	}
	if len(streams) == 0 {
		streams = []string{"orders"}
	}
	for _, s := range streams {
		_, err := r.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(s), ShardCount: aws.Int32(int32(shards))})
		r.must(err)
	}
	return r
}

// logTo keeps the engine's log out of the way unless KCL_TEST_LOG is set.
func logTo(t *testing.T) *slog.Logger {
	if os.Getenv("KCL_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// config is what most tests run: the recording processor from the oldest record on.
func (r *rig) config(id string) worker.Config {
	return worker.Config{
		Application: "app", Streams: []string{"orders"}, ID: id, Kinesis: r.client, Leases: r.store,
		Start: stream.TrimHorizon, Logger: r.log, NewProcessor: r.seen.newProcessor(id),
	}
}

// running is a worker whose Run is under way.
type running struct {
	*worker.Worker
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (r *rig) start(cfg worker.Config) *running {
	r.t.Helper()
	w, err := worker.New(cfg)
	r.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Worker: w, t: r.t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(run.done)
		run.err = w.Run(ctx)
	}()
	r.t.Cleanup(func() { run.cancel(); <-run.done })
	return run
}

// stop asks the worker to stop and returns what Run returned.
func (run *running) stop() error {
	run.cancel()
	<-run.done
	return run.err
}

// put puts n records with keys that spread over the shards; their data is "name-0" and so on.
func (r *rig) put(streamName, name string, n int) []string {
	r.t.Helper()
	var all []string
	for from := 0; from < n; from += 500 {
		var in kinesis.PutRecordsInput
		in.StreamName = aws.String(streamName)
		for i := from; i < min(from+500, n); i++ {
			data := fmt.Sprintf("%s-%d", name, i)
			all = append(all, data)
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(data), PartitionKey: aws.String(data)})
		}
		out, err := r.client.PutRecords(r.t.Context(), &in)
		r.must(err)
		if aws.ToInt32(out.FailedRecordCount) != 0 {
			r.t.Fatalf("%d records were not taken", *out.FailedRecordCount)
		}
	}
	return all
}

// await returns once cond holds, checking every 20 ms, and fails the test after the bound.
func (r *rig) await(bound time.Duration, what string, cond func() bool) {
	r.t.Helper()
	for began := time.Now(); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > bound {
			r.t.Fatalf("not within %v: %s\n%s", bound, what, r.seen.summary())
		}
	}
}

func (r *rig) lease(key string) lease.Lease {
	r.t.Helper()
	l, err := r.store.Get(r.t.Context(), key)
	r.must(err)
	return l
}

// deliveries is what processors were given, and in which order.
type deliveries struct {
	mu     sync.Mutex
	data   map[string]int // how often each record came
	order  map[string][]stream.Position
	events []string
	// process, if set, decides what Process returns; it is called before anything is noted.
	process func(ctx context.Context, a stream.Assignment, b *stream.Batch, cp stream.Checkpointer) error
	// checkpoint says whether Process checkpoints the batch, insist whether it tries again when the table is in trouble.
	checkpoint, insist bool
}

func newDeliveries() *deliveries {
	return &deliveries{data: map[string]int{}, order: map[string][]stream.Position{}, checkpoint: true}
}

func (d *deliveries) newProcessor(id string) stream.NewProcessor {
	return func(_ context.Context, a stream.Assignment) (stream.Processor, error) {
		d.event("%s starts %s at %s", id, a.Shard, sentinel(a.From))
		return &recorder{d: d, id: id, a: a}, nil
	}
}

func (d *deliveries) event(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, fmt.Sprintf(format, args...))
}

func sentinel(p stream.Position) string {
	if p.IsNumber() {
		return "a number"
	}
	return p.String()
}

// happened reports whether an event has been noted.
func (d *deliveries) happened(event string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.events, event)
}

// missing returns how many of the records have not been delivered.
func (d *deliveries) missing(records []string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, r := range records {
		if d.data[r] == 0 {
			n++
		}
	}
	return n
}

func (d *deliveries) duplicates() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, times := range d.data {
		n += times - 1
	}
	return n
}

func (d *deliveries) summary() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%d records delivered\n%s", len(d.data), strings.Join(d.events, "\n"))
}

// recorder notes everything and holds the engine to the order of calls.
type recorder struct {
	d      *deliveries
	id     string
	a      stream.Assignment
	last   stream.Position
	inside sync.Mutex
	closed bool
}

func (r *recorder) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if !r.inside.TryLock() {
		r.d.event("two calls at once on %s", r.a.Shard)
		return errors.New("two calls at once")
	}
	defer r.inside.Unlock()
	if r.closed {
		r.d.event("Process after Close on %s", r.a.Shard)
	}
	if f := r.d.process; f != nil {
		if err := f(ctx, r.a, b, cp); err != nil {
			return err
		}
	}
	r.d.mu.Lock()
	for _, rec := range b.Records {
		if rec.Position.Compare(r.last) <= 0 || r.a.From.IsNumber() && rec.Position.Compare(r.a.From) <= 0 {
			r.d.events = append(r.d.events, fmt.Sprintf("out of order on %s: %s after %s", r.a.Shard, rec.Position, r.last))
		}
		r.last = rec.Position
		r.d.data[string(rec.Data)]++
	}
	r.d.mu.Unlock()
	if !r.d.checkpoint {
		return nil
	}
	return r.all(ctx, cp)
}

// all checkpoints all that was delivered.
func (r *recorder) all(ctx context.Context, cp stream.Checkpointer) error {
	for {
		err := cp.Checkpoint(ctx, stream.Position{})
		if passing := errors.Is(err, stream.ErrUnavailable) || errors.Is(err, stream.ErrThrottled); !passing || !r.d.insist {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (r *recorder) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	r.closed = true
	r.d.event("%s closes %s: %s", r.id, r.a.Shard, why)
	if why != stream.ShardEnded {
		return nil
	}
	return r.all(ctx, cp)
}
