package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// levels is a log that keeps the level of each message that is of interest.
type levels struct {
	slog.Handler
	mu   *sync.Mutex
	of   string
	seen *[]slog.Level
}

func (l levels) Enabled(context.Context, slog.Level) bool { return true }
func (l levels) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l levels) Handle(_ context.Context, rec slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.Message == l.of {
		*l.seen = append(*l.seen, rec.Level)
	}
	return nil
}

// Test16SixthRefusalIsAnError: a few reads that are throttled are usual, more of them in a row need a person; one that succeeds
// begins the count anew.
func Test16SixthRefusalIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		var got []slog.Level
		cfg.Logger = slog.New(levels{mu: new(sync.Mutex), of: "shard not read, will retry", seen: &got})
		throttle := func(skip, times int) {
			r.server.Intercept(local.Rule{Operation: "GetRecords", Skip: skip, Times: times, Effect: local.Effect{Error: local.Throttled()}})
		}
		throttle(0, 7)
		throttle(8, 1)
		w := r.start(cfg)
		time.Sleep(2 * time.Minute)
		r.must(w.stop())
		const warn, fail = slog.LevelWarn, slog.LevelError
		if want := []slog.Level{warn, warn, warn, warn, warn, fail, fail, warn}; !slices.Equal(got, want) {
			t.Errorf("levels %v, want %v", got, want)
		}
	})
}

// Test32ReadingDoesNotWaitForTheProcessor: what is read while a processor is being made is a page in hand and one that waits.
func Test32ReadingDoesNotWaitForTheProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cfg := one(t)
		reads := r.counted()
		cfg.Reading.MaxRecords = 5
		made := make(chan time.Time, 1)
		inner := cfg.NewProcessor
		cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
			time.Sleep(10 * time.Second)
			made <- time.Now()
			return inner(ctx, a)
		}
		var first time.Time
		r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error {
			if first.IsZero() {
				first = time.Now()
			}
			return nil
		}
		records := r.put("orders", "r", 100)
		r.start(cfg)
		time.Sleep(9 * time.Second)
		if n := reads("GetRecords"); n < 1 || n > 3 {
			t.Errorf("%d reads while the processor is being made, want 1 to 3", n)
		}
		at := <-made
		r.await(10*time.Second, "all records", func() bool { return r.seen.missing(records) == 0 })
		if wait := first.Sub(at); wait != 0 {
			t.Errorf("the first records came %v after the processor was made", wait)
		}
	})
}

// Test35ConsumerHasTheApplicationsName unless it is given another.
func Test35ConsumerHasTheApplicationsName(t *testing.T) {
	for given, want := range map[string]string{"": "app", "mine": "mine"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			cfg := r.fanOut("a")
			cfg.Reading.FanOut.ConsumerName = given
			w := r.start(cfg)
			records := r.put("orders", "r", 5)
			r.await(5*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
			r.must(w.stop())
			stream, err := r.client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("orders")})
			r.must(err)
			out, err := r.client.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: stream.StreamDescriptionSummary.StreamARN})
			r.must(err)
			if len(out.Consumers) != 1 || aws.ToString(out.Consumers[0].ConsumerName) != want {
				t.Errorf("consumers %+v, want %s alone", out.Consumers, want)
			}
		})
	}
}

// Test120OneSlowProcessorOfMany: of 1,000 shards one has a processor that never ends; the records of the others come as fast as ever.
func Test120OneSlowProcessorOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shards = 1000
		r := newRig(t, shards)
		var mu sync.Mutex
		late := map[stream.ShardID]time.Duration{}
		r.seen.process = func(ctx context.Context, a stream.Assignment, b *stream.Batch, _ stream.Checkpointer) error {
			if a.Shard == shard0 {
				<-ctx.Done()
				return ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			late[a.Shard] = max(late[a.Shard], time.Since(b.Records[0].Arrived))
			return nil
		}
		cfg := r.config("a")
		cfg.Reading.Idle, cfg.DrainTimeout = time.Second, time.Second
		w := r.start(cfg)
		r.await(time.Minute, "all shards are read", func() bool {
			s := w.Status().Shards
			return len(s) == shards && !slices.ContainsFunc(s, func(s worker.ShardStatus) bool { return s.ReadAt.IsZero() })
		})
		var records []string
		for i := range 2 {
			records = append(records, r.put("orders", fmt.Sprint("round", i), 3*shards)...)
			time.Sleep(3 * time.Second)
		}
		mu.Lock()
		n, most := len(late), time.Duration(0)
		for _, d := range late {
			most = max(most, d)
		}
		mu.Unlock()
		if n < shards*9/10 || most > 1500*time.Millisecond {
			t.Errorf("%d shards delivered, the latest record after %v", n, most)
		}
		if left := r.seen.missing(records); left == 0 || left > len(records)/100 {
			t.Errorf("%d of %d records are missing, want those of one shard", left, len(records))
		}
		_ = w.stop() // it cuts the slow one off
	})
}

// Test121ChainOfReshards: splits of splits and merges of their children while records keep coming: none is missing, each shard's
// come in order, parents end before their children begin, and each shard ends once.
func Test121ChainOfReshards(t *testing.T) {
	for _, fanOut := range []*worker.FanOut{nil, {}} {
		t.Run(fmt.Sprint("fan-out=", fanOut != nil), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chainOfReshards(t, fanOut) })
		})
	}
}

// slowToEnd is a processor whose children's leases are given away while it is being closed.
type slowToEnd struct{ stream.Processor }

func (p slowToEnd) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	if why == stream.ShardEnded {
		time.Sleep(1500 * time.Millisecond)
	}
	return p.Processor.Close(ctx, why, cp)
}

func chainOfReshards(t *testing.T, fanOut *worker.FanOut) {
	r := newRig(t, 1)
	cfg := r.config("a")
	cfg.Reading.FanOut = fanOut
	inner := cfg.NewProcessor
	cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
		p, err := inner(ctx, a)
		return slowToEnd{p}, err
	}
	w := r.start(cfg)
	stop, put := make(chan struct{}), make(chan []string)
	go func() {
		var all []string
		for i := 0; ; i++ {
			select {
			case <-stop:
				put <- all
				return
			case <-time.After(50 * time.Millisecond):
				all = append(all, r.put("orders", fmt.Sprint("r", i), 10)...)
			}
		}
	}()
	// 0 → 1 2; 2 → 3 4; 1 3 → 5; 5 4 → 6: a split, a split of its child, a merge across generations, and one of all.
	steps := []func(){
		func() { r.split(shard0) }, func() { r.split(shard2) },
		func() { r.merge(shard1, shard3) }, func() { r.merge("shardId-000000000005", "shardId-000000000004") },
	}
	for _, step := range steps {
		time.Sleep(2 * time.Second)
		step()
	}
	time.Sleep(2 * time.Second)
	close(stop)
	records := <-put
	r.await(30*time.Second, "all records", func() bool { return r.seen.missing(records) == 0 })
	r.must(w.stop())
	if n := r.seen.duplicates(); n != 0 || strings.Contains(r.seen.summary(), "out of order") {
		t.Errorf("%d duplicates\n%s", n, r.seen.summary())
	}
	parents := map[int][]int{1: {0}, 2: {0}, 3: {2}, 4: {2}, 5: {1, 3}, 6: {5, 4}}
	at := func(event string) int { return slices.Index(r.seen.events, event) }
	for child := 1; child <= 6; child++ {
		for _, parent := range parents[child] {
			end := fmt.Sprintf("a closes shardId-%012d: shard ended", parent)
			if begin := at(fmt.Sprintf("a starts shardId-%012d at TRIM_HORIZON", child)); at(end) < 0 || at(end) > begin {
				t.Errorf("shard %d began before its parent %d ended\n%s", child, parent, r.seen.summary())
			}
		}
	}
	ended := map[string]int{}
	for _, e := range r.seen.events {
		if strings.HasSuffix(e, ": shard ended") {
			ended[e]++
		}
	}
	for e, n := range ended {
		if n != 1 {
			t.Errorf("%d times: %s", n, e)
		}
	}
	if len(ended) != 6 {
		t.Errorf("%d shards ended, want 6", len(ended))
	}
}
