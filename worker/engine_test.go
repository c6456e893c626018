package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// TestColdStart holds the engine to design.md section 6: from nothing to the first record within 2 s.
func TestColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		records := r.put("orders", "r", 1000)
		w := r.start(r.config("a"))
		r.await(2*time.Second, "all records delivered", func() bool { return r.seen.missing(records) == 0 })
		s := w.Status()
		if !s.Healthy() || len(s.Shards) != 4 || !s.Leading || s.Phase != worker.Running {
			t.Errorf("Status = %+v", s)
		}
		r.must(w.stop())
		for _, sh := range s.Shards {
			if l := r.lease(string(sh.Shard)); l.Owner != "" || !l.Checkpoint.IsNumber() {
				t.Errorf("after the stop lease %s is owned by %q at %s", l.Key, l.Owner, l.Checkpoint)
			}
		}
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d duplicates\n%s", n, r.seen.summary())
		}
	})
}

// TestResumeAtCheckpoint: a second run, with another id, goes on where the first stopped.
func TestResumeAtCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		before := r.put("orders", "before", 300)
		w := r.start(r.config("a"))
		r.await(5*time.Second, "the first records", func() bool { return r.seen.missing(before) == 0 })
		r.must(w.stop())
		after := r.put("orders", "after", 300)
		r.start(r.config("b"))
		r.await(3*time.Second, "the records put meanwhile", func() bool { return r.seen.missing(after) == 0 })
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d records came twice\n%s", n, r.seen.summary())
		}
	})
}

// TestI1SplitAndMerge: records put before, during and after a split and a merge all arrive, parents before children.
func TestI1SplitAndMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		w := r.start(r.config("a"))
		records := r.put("orders", "one", 200)
		_, err := r.client.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("orders"),
			ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("80000000000000000000000000000000000000")})
		r.must(err)
		records = append(records, r.put("orders", "two", 200)...)
		r.await(5*time.Second, "the parent's children run", func() bool {
			return r.seen.happened("a starts shardId-000000000002 at TRIM_HORIZON") && r.seen.happened("a starts shardId-000000000003 at TRIM_HORIZON")
		})
		_, err = r.client.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("orders"),
			ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: aws.String("shardId-000000000001")})
		r.must(err)
		records = append(records, r.put("orders", "three", 200)...)
		r.await(5*time.Second, "everything delivered", func() bool { return r.seen.missing(records) == 0 })
		order := []string{
			"a closes shardId-000000000000: shard ended", "a starts shardId-000000000003 at TRIM_HORIZON",
			"a closes shardId-000000000003: shard ended", "a starts shardId-000000000004 at TRIM_HORIZON",
		}
		at := -1
		for _, e := range order {
			i := slices.Index(r.seen.events, e)
			if i <= at {
				t.Fatalf("%q is not after what came before\n%s", e, r.seen.summary())
			}
			at = i
		}
		if slices.Index(r.seen.events, "a closes shardId-000000000001: shard ended") > at {
			t.Fatalf("the merged shard started before both parents ended\n%s", r.seen.summary())
		}
		r.await(time.Minute, "finished rows deleted", func() bool {
			_, err := r.store.Get(t.Context(), "shardId-000000000000")
			return errors.Is(err, lease.ErrNotFound)
		})
		r.must(w.stop())
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d duplicates", n)
		}
	})
}

// TestI4FailureRestartsThatShardAlone: an error and a panic restart the shard at its last checkpoint; no record is skipped and the
// other shard goes on.
func TestI4FailureRestartsThatShardAlone(t *testing.T) {
	for _, how := range []string{"error", "panic"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				var failures atomic.Int32
				r.seen.process = func(_ context.Context, a stream.Assignment, b *stream.Batch, _ stream.Checkpointer) error {
					if a.Shard == "shardId-000000000000" && failures.Load() < 3 {
						failures.Add(1)
						if how == "panic" {
							panic("poison")
						}
						return errors.New("poison")
					}
					return nil
				}
				w := r.start(r.config("a"))
				records := r.put("orders", "r", 100)
				r.await(time.Second, "the first failure", func() bool { return failures.Load() == 1 })
				r.await(time.Second, "health names it", func() bool {
					p := w.Status().Problems
					return len(p) == 1 && p[0].Shard == "shardId-000000000000" && strings.Contains(p[0].What, "poison")
				})
				r.await(time.Second, "the other shard goes on", func() bool { return r.seen.missing(records) < len(records) })
				if failures.Load() == 3 || r.seen.missing(records) == 0 {
					t.Error("the shard did not fail long enough to tell")
				}
				r.await(time.Minute, "all records", func() bool { return r.seen.missing(records) == 0 })
				if !w.Status().Healthy() {
					t.Errorf("still unhealthy: %+v", w.Status().Problems)
				}
				r.must(w.stop())
				starts := 0
				for _, e := range r.seen.events {
					if e == "a starts shardId-000000000000 at TRIM_HORIZON" {
						starts++
					}
				}
				if starts != 4 || r.seen.duplicates() != 0 {
					t.Errorf("%d starts, %d duplicates\n%s", starts, r.seen.duplicates(), r.seen.summary())
				}
			})
		})
	}
}

// TestExitWorker: on request a failure ends the worker, with the stream and the shard in the error.
func TestExitWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error {
			return errors.New("poison")
		}
		cfg := r.config("a")
		cfg.OnFailure = worker.ExitWorker
		w := r.start(cfg)
		r.put("orders", "r", 1)
		<-w.done
		if w.err == nil || !strings.Contains(w.err.Error(), "worker: stream orders shard shardId-000000000000: process 1 records from ") ||
			!strings.HasSuffix(w.err.Error(), ": poison") {
			t.Errorf("Run = %v", w.err)
		}
		if l := r.lease("shardId-000000000000"); l.Owner != "" || l.Checkpoint != stream.TrimHorizon {
			t.Errorf("the lease is owned by %q at %s", l.Owner, l.Checkpoint)
		}
	})
}

// TestI8DrainTimeout: a processor that heeds its context is cut off in time, and Run says so.
func TestI8DrainTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		entered := make(chan error, 1)
		r.seen.process = func(ctx context.Context, _ stream.Assignment, _ *stream.Batch, _ stream.Checkpointer) error {
			<-ctx.Done()
			entered <- context.Cause(ctx)
			return ctx.Err()
		}
		cfg := r.config("a")
		cfg.DrainTimeout = 7 * time.Second
		w := r.start(cfg)
		r.put("orders", "r", 1)
		r.await(3*time.Second, "Process is called", func() bool {
			s := w.Status().Shards
			return len(s) == 1 && !s[0].CallSince.IsZero()
		})
		began := time.Now()
		err := w.stop()
		if took := time.Since(began); took < 7*time.Second || took > 9*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if cause := <-entered; !errors.Is(cause, stream.ErrDrainTimeout) {
			t.Errorf("the context's cause is %v", cause)
		}
		if err == nil || err.Error() != "worker: draining took longer than 7s; processors were cut off on orders shardId-000000000000" {
			t.Errorf("Run = %v", err)
		}
	})
}

// TestI6StuckProcessorKeepsLease: a call that runs for an hour keeps its lease, is warned of, and turns health red.
func TestI6StuckProcessorKeepsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		release := make(chan struct{})
		r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error {
			<-release
			return nil
		}
		w := r.start(r.config("a"))
		other := r.start(r.config("b"))
		records := r.put("orders", "r", 1)
		time.Sleep(time.Hour)
		all := append(w.Status().Problems, other.Status().Problems...)
		if len(all) != 1 || !strings.HasPrefix(all[0].What, "one call to the processor has run for ") || time.Since(all[0].Since) < 59*time.Minute {
			t.Errorf("problems: %+v", all)
		}
		if l := r.lease("shardId-000000000000"); l.Owner == "" || l.Counter < 3600/4 {
			t.Errorf("lease: %+v", l)
		}
		close(release)
		r.await(time.Second, "the record", func() bool { return r.seen.missing(records) == 0 })
		if n := len(w.Status().Problems) + len(other.Status().Problems); n != 0 {
			t.Errorf("%d problems remain", n)
		}
	})
}

// TestStartPositions: a shard without a checkpoint is read from where Config.Start says.
func TestStartPositions(t *testing.T) {
	tests := map[string]struct {
		set  func(*worker.Config, time.Time)
		want []string
	}{
		"latest":       {func(c *worker.Config, _ time.Time) { c.Start = stream.Latest }, []string{"late"}},
		"trim horizon": {func(c *worker.Config, _ time.Time) { c.Start = stream.TrimHorizon }, []string{"early", "middle", "late"}},
		"at timestamp": {func(c *worker.Config, at time.Time) { c.Start, c.StartAt = stream.AtTimestamp, at }, []string{"middle", "late"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				puts := map[string][]string{"early": r.put("orders", "early", 10)}
				time.Sleep(time.Minute)
				at := time.Now()
				time.Sleep(time.Second)
				puts["middle"] = r.put("orders", "middle", 10)
				time.Sleep(time.Minute)
				cfg := r.config("a")
				test.set(&cfg, at)
				r.start(cfg)
				time.Sleep(3 * time.Second)
				puts["late"] = r.put("orders", "late", 10)
				time.Sleep(3 * time.Second)
				for when, records := range puts {
					want := 10
					if slices.Contains(test.want, when) {
						want = 0
					}
					if got := r.seen.missing(records); got != want {
						t.Errorf("%d of the %s records are missing, want %d\n%s", got, when, want, r.seen.summary())
					}
				}
			})
		})
	}
}

// TestSeveralStreams: one worker reads two streams, by name and by ARN, with rows that carry their stream.
func TestSeveralStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, "orders", "returns")
		records := append(r.put("orders", "o", 50), r.put("returns", "r", 50)...)
		out, err := r.client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("returns")})
		r.must(err)
		cfg := r.config("a")
		cfg.Streams = []string{"orders", aws.ToString(out.StreamDescriptionSummary.StreamARN)}
		w := r.start(cfg)
		r.await(3*time.Second, "the records of both", func() bool { return r.seen.missing(records) == 0 })
		r.must(w.stop())
		snap, err := r.store.Snapshot(t.Context())
		r.must(err)
		if len(snap.Leases) != 4 {
			t.Fatalf("%d leases", len(snap.Leases))
		}
		for _, l := range snap.Leases {
			if l.Key != l.StreamID+":"+string(l.Shard) || !strings.HasPrefix(l.StreamID, "000000000000:") {
				t.Errorf("key %q of stream %q, shard %q", l.Key, l.StreamID, l.Shard)
			}
		}
	})
}

func TestMissingStreamNamesTheRemedy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cfg := r.config("a")
		cfg.Streams = []string{"ordres"}
		w := r.start(cfg)
		<-w.done
		want := "worker: stream ordres does not exist in region us-east-1: create it, or correct the name, the account or the region: "
		if w.err == nil || !strings.HasPrefix(w.err.Error(), want) {
			t.Errorf("Run = %v\nwant %s…", w.err, want)
		}
	})
}

// TestI2HandOverBetweenWorkers: a second worker gets its share by handoffs, without duplicates, and everything when the first leaves.
func TestI2HandOverBetweenWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 8)
		a := r.start(r.config("a"))
		records := r.put("orders", "one", 400)
		r.await(3*time.Second, "the first records", func() bool { return r.seen.missing(records) == 0 })
		b := r.start(r.config("b"))
		r.await(2*time.Minute, "the shards are shared", func() bool {
			return len(a.Status().Shards) == 4 && len(b.Status().Shards) == 4
		})
		records = append(records, r.put("orders", "two", 400)...)
		r.await(3*time.Second, "the records of both", func() bool { return r.seen.missing(records) == 0 })
		began := time.Now()
		r.must(a.stop())
		records = append(records, r.put("orders", "three", 400)...)
		r.await(1500*time.Millisecond, "b reads all", func() bool { return r.seen.missing(records) == 0 })
		t.Logf("clean stop to all shards read: %v", time.Since(began))
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d duplicates\n%s", n, r.seen.summary())
		}
	})
}
