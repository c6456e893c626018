package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// shape tells the kinds of writes of the lease table apart: by operation, by what they set, and by the item's kind. It is empty
// for what writes nothing.
func shape(c *local.Call) string {
	switch c.Operation {
	case "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems":
	default:
		return ""
	}
	var in struct {
		UpdateExpression, ConditionExpression string
		Key, Item                             map[string]map[string]any
	}
	_ = json.Unmarshal(c.Body, &in) // what is missing leaves the shape shorter
	kind := in.Item["entityType"]["S"]
	if key, ok := in.Key["leaseKey"]["S"]; ok && !strings.HasPrefix(key.(string), "shardId-") {
		kind = "other"
	}
	return fmt.Sprint(c.Operation, " ", kind, " ", in.UpdateExpression, " ", in.ConditionExpression)
}

// calm is a configuration that reads seldom where nothing is new, so that the many runs of one test take little time.
func (r *rig) calm(id string) worker.Config {
	r.t.Helper()
	cfg := r.onDynamo(id)
	cfg.Reading.Idle = time.Second
	return cfg
}

// whole is one life of an application: a cold start, a split read to its end, a clean stop, and a second worker that goes on. The
// reply to the first write by a of the shape given is lost, and the second such write itself. It returns the shapes of all of
// a's writes.
func whole(t *testing.T, only string) (shapes []string) {
	r := newRig(t, 1)
	r.seen.insist = true
	var mu sync.Mutex
	count := 0
	r.server.Intercept(local.Rule{Service: local.DynamoDB, Caller: "a", Choose: func(c *local.Call) local.Effect {
		mu.Lock()
		defer mu.Unlock()
		s := shape(c)
		if s != "" && !slices.Contains(shapes, s) {
			shapes = append(shapes, s)
		}
		if s == "" || s != only {
			return local.Effect{}
		}
		count++
		return local.Effect{LoseReply: count == 1, LoseRequest: count == 2}
	}})
	records := r.put("orders", "one", 20)
	a := r.start(r.calm("a"))
	r.await(20*time.Second, "the first records", func() bool { return r.seen.missing(records) == 0 })
	r.split(shard0)
	records = append(records, r.put("orders", "two", 20)...)
	r.await(20*time.Second, "the children's records", func() bool { return r.seen.missing(records) == 0 })
	r.await(25*time.Second, "the parent's row is deleted", func() bool {
		_, err := r.store.Get(t.Context(), shard0)
		return errors.Is(err, lease.ErrNotFound)
	})
	r.await(20*time.Second, "it is healthy", func() bool { return a.Status().Healthy() })
	r.must(a.stop())
	r.start(r.calm("b"))
	records = append(records, r.put("orders", "three", 20)...)
	r.await(20*time.Second, "the records after the change", func() bool { return r.seen.missing(records) == 0 })
	if strings.Contains(r.seen.summary(), "out of order") || strings.Contains(r.seen.summary(), "lease lost") {
		t.Errorf("%s", r.seen.summary())
	}
	if n := r.seen.duplicates(); n != 0 {
		t.Errorf("%d duplicates\n%s", n, r.seen.summary())
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(shapes)
}

// TestI3LostReplyOfEachWrite: the reply to any one write may be lost, and the next such write itself, without a lease lost, a record
// missing or a record delivered twice.
func TestI3LostReplyOfEachWrite(t *testing.T) {
	var shapes []string
	synctest.Test(t, func(t *testing.T) { shapes = whole(t, "") })
	if len(shapes) < 10 {
		t.Fatalf("only %d kinds of writes: %q", len(shapes), shapes)
	}
	for i, s := range shapes {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				whole(t, s)
				if t.Failed() {
					t.Logf("the write was: %s", s)
				}
			})
		})
	}
}

// TestI1PartitionAtEachWrite: a worker that is cut off for ever at any one of its writes costs no record: another reads on within
// the lease duration and a little.
func TestI1PartitionAtEachWrite(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 5, 8, 12, 16, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				var count atomic.Int64
				r.server.Intercept(local.Rule{Caller: "a", Choose: func(c *local.Call) local.Effect {
					if shape(c) != "" {
						count.Add(1)
					}
					return local.Effect{LoseRequest: count.Load() >= n}
				}})
				records := r.put("orders", "one", 20)
				a := r.start(r.onDynamo("a"))
				time.Sleep(2 * time.Second)
				b := r.start(r.onDynamo("b"))
				r.split(shard0)
				records = append(records, r.put("orders", "two", 20)...)
				time.Sleep(5 * time.Second)
				records = append(records, r.put("orders", "three", 20)...)
				r.await(40*time.Second, "b reads all", func() bool { return r.seen.missing(records) == 0 })
				if strings.Contains(r.seen.summary(), "out of order") {
					t.Errorf("%s", r.seen.summary())
				}
				_ = a.stop()
				r.await(20*time.Second, "b is healthy", func() bool { return b.Status().Healthy() })
			})
		})
	}
}

// TestThrottlingNeverEndsAWorker: neither service takes a call for two minutes; then all goes on.
func TestThrottlingNeverEndsAWorker(t *testing.T) {
	for _, when := range []string{"at the start", "while it runs"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				records := r.put("orders", "one", 50)
				throttle := func() (heal func()) {
					kinesis := r.server.Intercept(local.Rule{Service: local.Kinesis, Caller: "a", Effect: local.Effect{Error: local.Throttled()}})
					dynamo := r.server.Intercept(local.Rule{Service: local.DynamoDB, Caller: "a", Effect: local.Effect{Error: local.Throttled()}})
					return func() { kinesis(); dynamo() }
				}
				heal := func() {}
				if when == "at the start" {
					heal = throttle()
				}
				w := r.start(r.onDynamo("a"))
				if when != "at the start" {
					r.await(5*time.Second, "the first records", func() bool { return r.seen.missing(records) == 0 })
					heal = throttle()
				}
				time.Sleep(2 * time.Minute)
				if w.Status().Healthy() {
					t.Error("nobody says that nothing goes on")
				}
				heal()
				records = append(records, r.put("orders", "two", 50)...)
				r.await(time.Minute, "all records", func() bool { return r.seen.missing(records) == 0 })
				time.Sleep(15 * time.Second)
				wantHealthy(t, w)
			})
		})
	}
}

// TestEachOperationFailsHalfTheTime: half of all calls of one operation fail for a minute, for each operation that a running worker
// makes. No lease is lost, no record is missing, none comes twice, and nothing remains wrong.
func TestEachOperationFailsHalfTheTime(t *testing.T) {
	for _, operation := range []string{"GetRecords", "GetShardIterator", "ListShards", "GetItem", "UpdateItem", "PutItem", "DeleteItem", "Query", "Scan"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				r.seen.insist = true
				w := r.start(r.calm("a"))
				records := r.put("orders", "one", 50)
				r.await(5*time.Second, "the first records", func() bool { return r.seen.missing(records) == 0 })
				var n atomic.Int64
				heal := r.server.Intercept(local.Rule{Operation: operation, Caller: "a", Choose: func(*local.Call) local.Effect {
					return []local.Effect{{}, {LoseReply: true}, {}, {Error: local.Unavailable()}}[n.Add(1)%4]
				}})
				r.split(shard0)
				for i := range 4 {
					records = append(records, r.put("orders", fmt.Sprint("meanwhile", i), 10)...)
					time.Sleep(10 * time.Second)
				}
				heal()
				records = append(records, r.put("orders", "two", 50)...)
				r.await(time.Minute, "all records", func() bool { return r.seen.missing(records) == 0 })
				r.await(20*time.Second, "it is healthy", func() bool { return w.Status().Healthy() })
				if n := r.seen.duplicates(); n != 0 || strings.Contains(r.seen.summary(), "lease lost") {
					t.Errorf("%d duplicates\n%s", n, r.seen.summary())
				}
			})
		})
	}
}

// TestI4CheckpointInDoubt: a processor fails while its checkpoint is in doubt, or still under way. Its successor begins where that
// checkpoint ended up, so that its own do not seem to lie behind.
func TestI4CheckpointInDoubt(t *testing.T) {
	for name, f := range map[string]fault{
		"in doubt":  {after: errDown},
		"under way": {delay: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				store := r.faulty()
				var once sync.Once
				store.fail(func(op, _ string) (out fault) {
					if op == "Checkpoint" {
						once.Do(func() { out = f })
					}
					return out
				})
				cfg := r.config("a")
				cfg.Leases = store
				records := r.put("orders", "r", 10)
				failed := false
				var refused []error
				r.seen.checkpoint = false
				r.seen.process = func(ctx context.Context, _ stream.Assignment, b *stream.Batch, cp stream.Checkpointer) error {
					if !failed {
						failed = true
						done := make(chan error, 1)
						go func() { done <- cp.Checkpoint(context.Background(), b.Records[5].Position) }()
						if name == "in doubt" {
							<-done
						} else {
							time.Sleep(time.Millisecond)
						}
						return errors.New("poison")
					}
					for _, rec := range b.Records {
						if err := cp.Checkpoint(ctx, rec.Position); err != nil {
							refused = append(refused, err)
						}
					}
					return nil
				}
				w := r.start(cfg)
				r.await(10*time.Second, "the records behind the checkpoint", func() bool { return r.seen.missing(records[6:]) == 0 })
				if len(refused) != 0 {
					t.Errorf("checkpoints were refused: %v", refused)
				}
				if !r.seen.happened("a starts " + shard0 + " at a number") {
					t.Errorf("the successor did not begin at the checkpoint\n%s", r.seen.summary())
				}
				r.must(w.stop())
			})
		})
	}
}

// TestLeaderLosesLockMidRound: what a leader has under way when another takes its lock is refused or harmless, and there is one
// leader again.
func TestLeaderLosesLockMidRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		store := r.faulty()
		cfg := r.config("a")
		cfg.Leases = store
		a := r.start(cfg)
		r.await(3*time.Second, "a leads", func() bool { return len(a.Status().Shards) == 4 })
		store.fail(func(op, _ string) fault { // its duties take long, and its lock cannot be proved
			switch op {
			case "Snapshot":
				return fault{delay: 8 * time.Second}
			case "BeatLock", "ReadLock":
				return fault{instead: errDown}
			}
			return fault{}
		})
		b := r.start(r.config("b"))
		r.await(40*time.Second, "b leads", func() bool { return b.Status().Leading && !a.Status().Leading })
		store.heal()
		r.await(2*time.Minute, "the shards are shared", func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
		records := r.put("orders", "r", 100)
		r.await(3*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
		time.Sleep(20 * time.Second) // a stays away for so long
		if !b.Status().Leading || a.Status().Leading || a.Status().Leader != "b" {
			t.Errorf("a: %+v\nb: %+v", a.Status(), b.Status())
		}
		wantHealthy(t, a)
		wantHealthy(t, b)
	})
}

// TestLostBeats: a leader whose proofs take effect without an answer, now and then, goes on leading.
func TestLostBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		store := r.faulty()
		var beats, changes atomic.Int64
		store.fail(func(op, _ string) fault {
			switch {
			case op == "BeatLock" && beats.Add(1)%2 == 0:
				return fault{after: errDown}
			case op == "BeatLock" && beats.Load()%5 == 0:
				return fault{instead: errDown}
			}
			return fault{}
		})
		cfg := r.config("a")
		cfg.Leases = store
		cfg.Trace = &worker.Trace{Leading: func(bool) { changes.Add(1) }}
		w := r.start(cfg)
		time.Sleep(2 * time.Minute)
		if n := changes.Load(); n != 1 || !w.Status().Leading {
			t.Errorf("the leadership changed %d times", n)
		}
	})
}

// TestI5OwnersDoNotOverlap: whatever keeps a worker from its table, it has let its processor go before another worker may start one.
func TestI5OwnersDoNotOverlap(t *testing.T) {
	for name, effect := range map[string]local.Effect{
		"requests are lost":   {LoseRequest: true},
		"replies are lost":    {LoseReply: true}, // the counter goes on moving
		"requests take long":  {Delay: 3 * time.Second},
		"replies take long":   {DelayReply: 3 * time.Second},
		"the table throttles": {Error: local.Throttled()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				var mu sync.Mutex
				var believes string // who believes that it owns the shard
				var lostAt time.Time
				cfg := func(id string) worker.Config {
					c := r.onDynamo(id)
					c.NewProcessor = func(ctx context.Context, _ stream.Assignment) (stream.Processor, error) {
						mu.Lock()
						defer mu.Unlock()
						if believes != "" {
							t.Errorf("%s starts while %s believes that it owns the shard", id, believes)
						}
						believes = id
						context.AfterFunc(ctx, func() {
							mu.Lock()
							defer mu.Unlock()
							believes, lostAt = "", time.Now()
						})
						return script{}, nil
					}
					return c
				}
				owner := func() string {
					mu.Lock()
					defer mu.Unlock()
					return believes
				}
				a := r.start(cfg("a"))
				r.await(3*time.Second, "a reads", func() bool { return owner() == "a" })
				r.start(cfg("b"))
				time.Sleep(7 * time.Second)
				cut := time.Now()
				r.server.Intercept(local.Rule{Service: local.DynamoDB, Caller: "a", Effect: effect})
				r.await(time.Minute, "b reads", func() bool { return owner() == "b" })
				if lostAt.Sub(cut) > 10*time.Second && name != "replies are lost" {
					t.Errorf("a believed for %v without a word from the table", lostAt.Sub(cut))
				}
				_ = a.stop()
			})
		})
	}
}
