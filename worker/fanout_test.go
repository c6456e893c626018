package worker_test

import (
	"context"
	"errors"
	"fmt"
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

// counted counts the calls of each operation.
func (r *rig) counted() func(op string) int {
	var mu sync.Mutex
	n := map[string]int{}
	r.server.Intercept(local.Rule{Service: local.Kinesis, Choose: func(c *local.Call) local.Effect {
		mu.Lock()
		defer mu.Unlock()
		n[c.Operation]++
		return local.Effect{}
	}})
	return func(op string) int {
		mu.Lock()
		defer mu.Unlock()
		return n[op]
	}
}

func (r *rig) fanOut(id string) worker.Config {
	cfg := r.config(id)
	cfg.Reading.FanOut = &worker.FanOut{}
	return cfg
}

// TestFanOutFleet: two workers share two streams by fan-out, with a consumer for each stream, through a split and a clean stop.
func TestFanOutFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, "orders", "returns")
		calls := r.counted()
		start := func(id string) *running {
			cfg := r.fanOut(id)
			cfg.Streams = []string{"orders", "returns"}
			return r.start(cfg)
		}
		a := start("a")
		records := append(r.put("orders", "o1", 100), r.put("returns", "r1", 100)...)
		r.await(3*time.Second, "the first records", func() bool { return r.seen.missing(records) == 0 })
		b := start("b")
		r.await(2*time.Minute, "the shards are shared", func() bool { return len(a.Status().Shards) == 4 && len(b.Status().Shards) == 4 })
		time.Sleep(10 * time.Second)
		records = append(records, r.put("orders", "o2", 100)...)
		r.await(time.Second, "the records of both", func() bool { return r.seen.missing(records) == 0 })
		_, err := r.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String("orders"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("12345")})
		r.must(err)
		records = append(records, r.put("orders", "o3", 100)...)
		r.await(3*time.Second, "the records behind the split", func() bool { return r.seen.missing(records) == 0 })
		time.Sleep(10 * time.Second)
		r.must(a.stop())
		records = append(records, r.put("returns", "r2", 100)...)
		r.await(3*time.Second, "b reads all", func() bool { return r.seen.missing(records) == 0 })
		if p := b.Status().Problems; len(p) != 0 {
			t.Errorf("problems %v", p)
		}
		r.must(b.stop())
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d duplicates\n%s", n, r.seen.summary())
		}
		if n, polls := calls("RegisterStreamConsumer"), calls("GetRecords"); n != 2 || polls != 0 {
			t.Errorf("%d registrations and %d polls, want 2 and 0", n, polls)
		}
		if n := calls("DeregisterStreamConsumer"); n != 0 {
			t.Errorf("%d deregistrations, want none", n)
		}
	})
}

// TestFanOutIdleShardsAreHealthy: what the service sends where there are no records counts as being read.
func TestFanOutIdleShardsAreHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		w := r.start(r.fanOut("a"))
		r.await(3*time.Second, "the shards", func() bool { return len(w.Status().Shards) == 4 })
		for range 120 {
			time.Sleep(10 * time.Second)
			if s := w.Status(); !s.Healthy() || len(s.Problems) > 0 {
				t.Fatalf("problems %v", s.Problems)
			}
		}
		r.must(w.stop())
	})
}

// TestFanOutProcessorThatFails: its shard begins again at the checkpoint without being refused.
func TestFanOutProcessorThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cfg := r.fanOut("a")
		fails := 3
		inner := cfg.NewProcessor
		cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
			if fails--; fails >= 0 {
				return stream.Func(func(context.Context, *stream.Batch, stream.Checkpointer) error { return errors.New("not now") })(ctx, a)
			}
			return inner(ctx, a)
		}
		var refused []error
		records := r.put("orders", "o", 10)
		w := r.start(cfg)
		r.await(time.Minute, "the records", func() bool { return r.seen.missing(records) == 0 })
		for _, s := range w.Status().Shards {
			if s.Error != "" {
				refused = append(refused, errors.New(s.Error))
			}
		}
		if len(refused) > 0 {
			t.Errorf("errors %v", refused)
		}
		r.must(w.stop())
	})
}

// TestFanOutNotPermitted: a worker polls, or says what it lacks.
func TestFanOutNotPermitted(t *testing.T) {
	for _, required := range []bool{false, true} {
		t.Run(fmt.Sprint("required=", required), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				calls := r.counted()
				r.server.Intercept(local.Rule{Service: local.Kinesis, Operation: "RegisterStreamConsumer",
					Effect: local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "no"}}})
				cfg := r.fanOut("a")
				cfg.Reading.FanOut.Required = required
				w := r.start(cfg)
				records := r.put("orders", "o", 10)
				if required {
					time.Sleep(5 * time.Minute)
					text := fmt.Sprint(w.Status().Problems)
					if w.Status().Healthy() || !strings.Contains(text, "allow kinesis:RegisterStreamConsumer") {
						t.Errorf("problems %s", text)
					}
				} else {
					r.await(20*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
				}
				if polls := calls("GetRecords"); (polls > 0) == required {
					t.Errorf("%d polls", polls)
				}
				r.must(w.stop())
			})
		})
	}
}
