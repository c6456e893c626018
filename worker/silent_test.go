package worker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

const shard0, shard1, shard2, shard3 = "shardId-000000000000", "shardId-000000000001", "shardId-000000000002", "shardId-000000000003"

// named returns what a worker says is wrong, one problem a line: shard, then words.
func named(w *running) string {
	var lines []string
	for _, p := range w.Status().Problems {
		lines = append(lines, strings.TrimSpace(string(p.Shard)+" "+p.What))
	}
	return strings.Join(lines, "\n")
}

// wantProblem fails unless exactly one problem is named, that begins as wanted.
func wantProblem(t *testing.T, w *running, want string) {
	t.Helper()
	if got := named(w); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
		t.Errorf("problems:\n%s\nwant one:\n%s…", got, want)
	}
}

// wantHealthy fails if anything is named.
func wantHealthy(t *testing.T, w *running) {
	t.Helper()
	if got := named(w); got != "" {
		t.Errorf("problems remain:\n%s", got)
	}
}

// TestI6NewProcessorThatHangs: a shard whose processor is never made is named, as one whose call hangs is.
func TestI6NewProcessorThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cfg := r.config("a")
		cfg.NewProcessor = func(ctx context.Context, _ stream.Assignment) (stream.Processor, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		w := r.start(cfg)
		time.Sleep(2 * time.Minute)
		wantProblem(t, w, shard0+" one call to the processor has run for 2m0s")
	})
}

// TestI6ChildrenThatCannotBeStored: an ended shard whose children's rows cannot be written is named while that lasts, and not
// afterwards.
func TestI6ChildrenThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		store := r.faulty()
		cfg := r.config("a")
		cfg.Leases, cfg.KeepEndedLeases = store, true
		w := r.start(cfg)
		r.await(3*time.Second, "the shard is read", func() bool { return r.seen.happened("a starts " + shard0 + " at TRIM_HORIZON") })
		store.fail(op("Create", "", errDown))
		r.split(shard0)
		time.Sleep(time.Minute)
		wantProblem(t, w, shard0+" the shard has ended, but its children's leases cannot be stored: create the lease of child "+shard1)
		store.heal()
		r.await(15*time.Second, "the children are read", func() bool { return r.seen.happened("a starts " + shard2 + " at TRIM_HORIZON") })
		time.Sleep(time.Minute)
		wantHealthy(t, w)
	})
}

// TestI6ParentThatNobodyReads: a child that waits for a parent is silent by right, but not if nobody works on the parent.
func TestI6ParentThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.split(shard0)
		r.lead()
		r.row(shard0)
		r.row(shard1, shard0)
		r.give(shard1, "a")
		store := r.faulty()
		cfg := r.config("a")
		cfg.Leases = store
		w := r.start(cfg)
		time.Sleep(20 * time.Second)
		wantHealthy(t, w)
		time.Sleep(time.Minute)
		wantProblem(t, w, shard1+" waits for its parent "+shard0+", which nobody reads")

		r.give(shard0, "b")
		beat := time.NewTicker(3 * time.Second)
		defer beat.Stop()
		for range 20 { // b reads it for a long time
			<-beat.C
			_, err := r.store.Renew(t.Context(), r.lease(shard0))
			r.must(err)
		}
		wantHealthy(t, w)

		store.fail(op("Get", shard0, errors.New("row is garbled")))
		time.Sleep(time.Minute)
		wantProblem(t, w, shard1+" waits for its parents, whose leases cannot be read: read lease "+shard0+": row is garbled")
		store.heal()
		time.Sleep(2 * time.Second)
		_, err := r.store.Checkpoint(t.Context(), r.lease(shard0), stream.ShardEnd)
		r.must(err)
		r.await(3*time.Second, "the child is read", func() bool { return r.seen.happened("a starts " + shard1 + " at TRIM_HORIZON") })
		wantHealthy(t, w)
	})
}

// TestI6LeaseThatCannotBeTaken: a lease that the table gives to this worker, which cannot prove it, is named by this worker.
func TestI6LeaseThatCannotBeTaken(t *testing.T) {
	for name, call := range map[string]string{"read": "Get", "taken": "Renew"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				store := r.faulty()
				store.fail(op(call, shard0, errDown))
				cfg := r.config("a")
				cfg.Leases = store
				w := r.start(cfg)
				records := r.put("orders", "r", 100)
				time.Sleep(18 * time.Second)
				wantProblem(t, w, shard0+" the lease is assigned to this worker, but cannot be "+name+": lease: store unavailable: injected")
				store.heal()
				r.await(time.Minute, "both shards are read", func() bool { return r.seen.missing(records) == 0 })
				wantHealthy(t, w)
			})
		})
	}
}

// TestI6LeaseOfAnotherStream: a lease of a stream that this worker does not read is named while this worker has it.
func TestI6LeaseOfAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.lead()
		l := lease.Lease{StreamID: "000000000000:gone:1", Shard: shard0, Checkpoint: stream.TrimHorizon}
		l.Key = l.StreamID + ":" + shard0
		_, err := r.store.Create(t.Context(), l)
		r.must(err)
		r.give(l.Key, "a")
		w := r.start(r.config("a"))
		time.Sleep(3 * time.Second)
		wantProblem(t, w, shard0+" the lease is assigned to this worker, which is not configured to read its stream")
		r.give(l.Key, "b")
		time.Sleep(3 * time.Second)
		wantHealthy(t, w)
	})
}

// TestI6TwoWorkersWithOneID: nothing is lost, and both say what is wrong.
func TestI6TwoWorkersWithOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		one := r.start(r.config("a"))
		records := r.put("orders", "one", 50)
		time.Sleep(5 * time.Second)
		two := r.start(r.config("a"))
		records = append(records, r.put("orders", "two", 50)...)
		time.Sleep(30 * time.Second)
		want := `another worker writes leases under this worker's id "a": give each worker an id of its own`
		if got := named(one); !strings.Contains(got, want) {
			t.Errorf("the first says %q", got)
		}
		if got := named(two); !strings.Contains(got, want) {
			t.Errorf("the second says %q", got)
		}
		r.must(two.stop())
		r.await(time.Minute, "all records", func() bool { return r.seen.missing(records) == 0 })
		time.Sleep(3 * time.Minute)
		wantHealthy(t, one)
	})
}

// TestI6LeaderThatAssignsNothing: a follower names the leases that nobody works on although another worker holds the lock.
func TestI6LeaderThatAssignsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.lead() // and do nothing
		r.row(shard0)
		w := r.start(r.config("a"))
		time.Sleep(11 * time.Minute)
		wantProblem(t, w, shard0+` nobody works on the lease, and the leader "test" does not assign it`)
		r.give(shard0, "a")
		time.Sleep(10 * time.Minute)
		wantHealthy(t, w)
	})
}

// TestI6NoLeader: a worker that cannot find out who leads says so.
func TestI6NoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		store := r.faulty()
		store.fail(op("ReadLock", "", errDown))
		cfg := r.config("a")
		cfg.Leases = store
		w := r.start(cfg)
		time.Sleep(time.Minute)
		wantProblem(t, w, "cannot read the leader's lock: lease: store unavailable: injected")
		store.heal()
		r.await(20*time.Second, "this worker leads", func() bool { return w.Status().Leading && w.Status().Healthy() })
	})
}

// TestI6Discovery: a worker that cannot ask for its leases says so.
func TestI6Discovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		store := r.faulty()
		cfg := r.config("a")
		cfg.Leases = store
		w := r.start(cfg)
		r.await(3*time.Second, "the shard is read", func() bool { return len(w.Status().Shards) == 1 })
		store.fail(op("Owned", "", errThrottled))
		time.Sleep(time.Minute)
		wantProblem(t, w, "cannot find this worker's leases: lease: store throttled: injected")
		store.heal()
		r.await(20*time.Second, "it is healthy", func() bool { return w.Status().Healthy() })
	})
}

// TestI6RenewalsFail: a lease that cannot be renewed is lost in time, and the shard is named until it is read again.
func TestI6RenewalsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		store := r.faulty()
		cfg := r.config("a")
		cfg.Leases = store
		w := r.start(cfg)
		records := r.put("orders", "one", 10)
		r.await(3*time.Second, "the first records", func() bool { return r.seen.missing(records) == 0 })
		store.fail(op("Renew", "", errDown))
		r.await(11*time.Second, "the lease is lost", func() bool { return r.seen.happened("a closes " + shard0 + ": lease lost") })
		records = append(records, r.put("orders", "two", 10)...)
		time.Sleep(20 * time.Second)
		if got := named(w); !strings.Contains(got, shard0+" the lease is assigned to this worker, but cannot be taken: ") {
			t.Errorf("problems:\n%s", got)
		}
		store.heal()
		r.await(30*time.Second, "the rest", func() bool { return r.seen.missing(records) == 0 })
		r.await(time.Second, "it is healthy", func() bool { return w.Status().Healthy() })
	})
}

// TestI6TroublesOfAFormerLeader: what the leader could not do is no trouble of a worker that does not lead any more.
func TestI6TroublesOfAFormerLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		heal := r.server.Intercept(local.Rule{Operation: "ListShards", Skip: 1, Effect: local.Effect{Error: denied("kinesis:ListShards")}})
		a := r.start(r.config("a")) // which skips the one call at its start
		time.Sleep(time.Minute)
		wantProblem(t, a, "cannot list shards: list the shards of orders: operation error Kinesis: ListShards, ")
		if got := named(a); !strings.HasSuffix(got, ": check the credentials and the clock, and allow kinesis:ListShards on stream orders") {
			t.Errorf("problems:\n%s", got)
		}
		item, err := r.store.ReadLock(t.Context())
		r.must(err)
		r.must(r.store.TakeLock(t.Context(), item, lease.LockItem{Owner: "test", Version: "1", Duration: 24 * time.Hour}))
		heal()
		time.Sleep(30 * time.Second)
		wantHealthy(t, a)
	})
}

// TestI6NothingIsRead: a shard whose reads neither fail nor succeed is named.
func TestI6NothingIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.start(r.config("a"))
		r.await(3*time.Second, "the shard is read", func() bool { s := w.Status().Shards; return len(s) == 1 && !s[0].ReadAt.IsZero() })
		until := make(chan struct{})
		heal := r.server.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Until: until}})
		time.Sleep(40 * time.Second)
		if got := named(w); !strings.HasPrefix(got, shard0+" no") {
			t.Errorf("problems:\n%s", got)
		}
		close(until)
		heal()
		time.Sleep(15 * time.Second)
		wantHealthy(t, w)
	})
}

// TestI6ReadsAreDenied: a shard that may not be read is named with the call and the remedy.
func TestI6ReadsAreDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		heal := r.server.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Error: denied("kinesis:GetRecords")}})
		w := r.start(r.config("a"))
		time.Sleep(time.Minute)
		wantProblem(t, w, shard0+" nothing can be read: operation error Kinesis: GetRecords, https response error StatusCode: 400, RequestID: ")
		if got := named(w); !strings.HasSuffix(got, "AccessDeniedException: not authorized to perform: kinesis:GetRecords: check the credentials and the clock, "+
			"and allow kinesis:GetRecords on stream orders") {
			t.Errorf("problems:\n%s", got)
		}
		heal()
		time.Sleep(2 * time.Minute)
		wantHealthy(t, w)
	})
}

func denied(action string) *local.Error {
	return &local.Error{Code: "AccessDeniedException", Message: "not authorized to perform: " + action}
}

// split splits a shard in the middle of its hash keys.
func (r *rig) split(shard string) {
	r.t.Helper()
	out, err := r.client.ListShards(r.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("orders")})
	r.must(err)
	for _, s := range out.Shards {
		if aws.ToString(s.ShardId) != shard {
			continue
		}
		keys, err := stream.ParseHashKeyRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
		r.must(err)
		middle := stream.HashKey{Hi: keys.First.Hi/2 + keys.Last.Hi/2, Lo: 5}
		_, err = r.client.SplitShard(r.t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String("orders"), ShardToSplit: aws.String(shard), NewStartingHashKey: aws.String(middle.String())})
		r.must(err)
		return
	}
	r.t.Fatalf("no shard %s", shard)
}

func (r *rig) merge(one, other string) {
	r.t.Helper()
	_, err := r.client.MergeShards(r.t.Context(), &kinesis.MergeShardsInput{
		StreamName: aws.String("orders"), ShardToMerge: aws.String(one), AdjacentShardToMerge: aws.String(other)})
	r.must(err)
}

// TestI6FailuresAreForgotten: once a processor works again, nothing is said of its failures, also if no record ever comes.
func TestI6FailuresAreForgotten(t *testing.T) {
	tests := map[string]func(r *rig, cfg *worker.Config){
		"a processor could not be made": func(_ *rig, cfg *worker.Config) {
			n, make := 0, cfg.NewProcessor
			cfg.NewProcessor = func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
				if n++; n <= 2 {
					return nil, errors.New("no disk")
				}
				return make(ctx, a)
			}
		},
		"it failed behind its own checkpoint": func(r *rig, _ *worker.Config) {
			failed := false
			r.seen.process = func(ctx context.Context, _ stream.Assignment, _ *stream.Batch, cp stream.Checkpointer) error {
				if failed {
					return nil
				}
				failed = true
				if err := cp.Checkpoint(ctx, stream.Position{}); err != nil {
					return err
				}
				return errors.New("poison")
			}
			r.put("orders", "r", 5)
		},
		"it could not be closed at the end of the shard": func(r *rig, cfg *worker.Config) {
			cfg.Balance.MaxLeases = 1
			n := 0
			cfg.NewProcessor = always(script{close: func(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
				if n++; n <= 2 && why == stream.ShardEnded {
					return errors.New("no disk")
				}
				return cp.Checkpoint(ctx, stream.Position{})
			}})
			r.put("orders", "r", 5)
			r.split(shard0)
		},
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, cfg := one(t)
				arrange(r, &cfg)
				w := r.start(cfg)
				r.await(5*time.Second, "the failure is named", func() bool { return strings.HasPrefix(named(w), shard0+" the processor failed ") })
				time.Sleep(10 * time.Second)
				wantHealthy(t, w)
				if s := w.Status().Shards; len(s) != 1 || s[0].Attempt != 0 || s[0].Error != "" {
					t.Errorf("shards %+v", s)
				}
			})
		})
	}
}

// TestI6HoleThatCannotBeMended: a shard without a lease is a problem for as long as the leader cannot list the shards to give it one.
func TestI6HoleThatCannotBeMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		w := r.start(r.config("a"))
		r.await(5*time.Second, "both are read", func() bool { return len(w.Status().Shards) == 2 })
		time.Sleep(time.Minute)
		remove := r.server.Intercept(local.Rule{Operation: "ListShards", Effect: local.Effect{Error: &local.Error{Code: "InternalFailure", Status: 500, Message: "injected"}}})
		for {
			row := r.lease("shardId-000000000001")
			if r.store.Delete(t.Context(), row) == nil {
				break
			}
		}
		time.Sleep(2 * time.Minute)
		for range 60 {
			time.Sleep(time.Second)
			wantProblem(t, w, "cannot list shards: ")
		}
		remove()
		records := r.put("orders", "r", 20)
		r.await(time.Minute, "both are read again", func() bool { return r.seen.missing(records) == 0 })
		wantHealthy(t, w)
		r.must(w.stop())
	})
}

// TestI6ParentWithoutLease: the end of a merged shard waits for its other parent, which has no lease, for as long as that may still be
// read: while the service lists it, and while the service cannot be asked. Health names it meanwhile.
func TestI6ParentWithoutLease(t *testing.T) {
	tests := map[string]struct {
		refuse bool // no shard can be listed
		want   string
	}{
		"listed":      {want: shard0 + " the shard has ended, but its children's leases cannot be stored: shard " + shard2 + " waits for its parent " + shard1 + ", which has no lease"},
		"not to know": {refuse: true, want: shard0 + " the shard has ended, but its children's leases cannot be stored: shard " + shard2 + " waits for its parent " + shard1 + ", which has no lease; list the shards of orders: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				r.lead()
				r.row(shard0)
				r.give(shard0, "a")
				w := r.start(r.config("a"))
				r.await(5*time.Second, "the shard is read", func() bool { return r.seen.happened("a starts " + shard0 + " at TRIM_HORIZON") })
				heal := nothing
				if test.refuse {
					heal = r.server.Intercept(local.Rule{Operation: "ListShards", Effect: local.Effect{Error: &local.Error{Code: "InternalFailure", Status: 500, Message: "injected"}}})
				}
				r.merge(shard0, shard1)
				time.Sleep(10 * time.Minute)
				if got := named(w); !strings.HasPrefix(got, test.want) {
					t.Errorf("problems:\n%s\nwant\n%s", got, test.want)
				}
				if _, err := r.store.Get(t.Context(), shard2); !errors.Is(err, lease.ErrNotFound) {
					t.Errorf("the child has a lease before its parent: %v", err)
				}
				heal()
				r.row(shard1)
				_, err := r.store.Checkpoint(t.Context(), r.lease(shard1), stream.ShardEnd)
				r.must(err)
				r.await(15*time.Second, "the parent's end is stored", func() bool { return r.lease(shard0).Ended() })
				time.Sleep(time.Second)
				wantHealthy(t, w)
			})
		})
	}
}

// noShards is a service that lists no shards.
type noShards struct{ kinesis.HTTPClient }

func (n noShards) Do(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ListShards") {
		return n.HTTPClient.Do(r)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(`{"Shards":[]}`)), Request: r}, nil
}

// TestParentThatIsGone: a parent without a lease that has left the retention period is not waited for.
func TestParentThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.lead()
		r.row(shard0)
		r.give(shard0, "a")
		cfg := r.config("a")
		options := r.client.Options()
		options.HTTPClient = noShards{r.server.HTTPClient()}
		cfg.Kinesis = kinesis.New(options)
		r.start(cfg)
		r.await(5*time.Second, "the shard is read", func() bool { return r.seen.happened("a starts " + shard0 + " at TRIM_HORIZON") })
		r.merge(shard0, shard1)
		time.Sleep(2 * time.Minute)
		if r.lease(shard0).Ended() {
			t.Error("not waited for")
		}
		r.await(3*time.Minute, "the child has its lease", func() bool { return r.lease(shard0).Ended() })
		if l := r.lease(shard2); l.Checkpoint != stream.TrimHorizon {
			t.Errorf("child %+v", l)
		}
	})
}
