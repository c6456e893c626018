package worker_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// TestI6StreamCreatedAnew: the leases of a stream that was deleted and created anew under the same name are not silently taken for
// those of its shards, which have the same ids.
func TestI6StreamCreatedAnew(t *testing.T) {
	const anew = "if the stream was deleted and created anew, stop the workers, and delete the lease table or give the application another name"
	tests := map[string]struct {
		shards int32 // of the new stream
		want   []string
	}{
		"read to its end": {shards: 1, want: []string{
			shard0 + " the lease says that the shard was read to its end, but the shard is open, so nobody reads it: " + anew + "; else kcl rewind -shard " + shard0 + " -to oldest"}},
		"checkpoints and parents of the former": {shards: 3, want: []string{
			shard0 + " the lease says that the shard has the hash keys ",
			shard1 + " nothing can be read: fetch: the checkpoint is not in the shard",
			shard1 + " the lease says that the shard has the hash keys ",
			shard2 + " nothing can be read: fetch: the checkpoint is not in the shard",
			shard2 + " the lease says that the shard has the hash keys "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				cfg := r.config("a")
				cfg.KeepEndedLeases = true
				w := r.start(cfg)
				r.await(5*time.Second, "the shard is read", func() bool { return r.seen.happened("a starts " + shard0 + " at TRIM_HORIZON") })
				r.split(shard0)
				records := r.put("orders", "r", 20)
				r.await(10*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
				time.Sleep(10 * time.Second)
				wantHealthy(t, w)
				r.must(w.stop())
				r.deleteStream("orders")
				time.Sleep(time.Minute)
				r.createStream("orders", test.shards)
				time.Sleep(time.Minute)
				w = r.start(cfg)
				time.Sleep(90 * time.Second)
				got := strings.Split(named(w), "\n")
				slices.Sort(got)
				if len(got) != len(test.want) {
					t.Fatalf("problems:\n%s\nwant\n%s", named(w), strings.Join(test.want, "\n"))
				}
				for i, want := range test.want {
					if !strings.HasPrefix(got[i], want) {
						t.Errorf("problem %s\nwant    %s", got[i], want)
					}
				}
			})
		})
	}
}

// TestI6FinishedButOpen: a shard that is open although its lease is finished is named until an operator has it read again.
func TestI6FinishedButOpen(t *testing.T) {
	for _, multi := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 2)
			cfg := r.config("a")
			cfg.MultiStream = multi
			w := r.start(cfg)
			r.await(5*time.Second, "both are read", func() bool { return len(w.Status().Shards) == 2 })
			key := shard1
			if multi {
				key = w.Status().Streams[0].ID + ":" + shard1
			}
			_, err := r.store.Rewind(t.Context(), r.lease(key), stream.ShardEnd)
			r.must(err)
			records := r.put("orders", "r", 50)
			time.Sleep(3 * time.Minute)
			for range 60 {
				time.Sleep(time.Second)
				wantProblem(t, w, shard1+" the lease says that the shard was read to its end, but the shard is open, so nobody reads it: ")
				if w.Status().Problems[0].Stream != "orders" || strings.Contains(named(w), "anew") == multi {
					t.Fatalf("problems %+v", w.Status().Problems)
				}
			}
			_, err = r.store.Rewind(t.Context(), r.lease(key), stream.TrimHorizon)
			r.must(err)
			r.await(10*time.Second, "it is read", func() bool { return r.seen.missing(records) == 0 })
			time.Sleep(time.Minute)
			wantHealthy(t, w)
			r.must(w.stop())
		})
	}
}
