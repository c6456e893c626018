package operate_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// deliveries are the records that processors got, in the order in which they got them.
type deliveries struct {
	mu   sync.Mutex
	data []string
}

func (d *deliveries) process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	d.mu.Lock()
	for _, r := range b.Records {
		d.data = append(d.data, string(r.Data))
	}
	d.mu.Unlock()
	return cp.Checkpoint(ctx, stream.Position{})
}

func (d *deliveries) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	data := d.data
	d.data = nil
	return data
}

// TestRewindLiveFleet: two workers have read a stream past a split. Taken back to a time before the split while they run, they
// deliver all that arrived since, however slowly the rows are written: the parent's records before its children's, and go on with what is put then.
func TestRewindLiveFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var seen deliveries
		stop := r.fleet(&seen, "a", "b")
		defer stop()
		time.Sleep(5 * time.Second)
		r.putMany("before", 20)
		time.Sleep(5 * time.Second)
		then := time.Now()
		r.putMany("parent", 50)
		r.split()
		r.putMany("child", 50)
		time.Sleep(30 * time.Second)
		if got := len(seen.take()); got != 120 {
			t.Fatalf("%d records delivered before the rewind, want 120", got)
		}
		in, err := r.app.Find(t.Context())
		must(t, err)
		in.Chosen = []stream.ShardID{first}
		p, err := r.app.PlanTo(t.Context(), in, operate.Target{At: then})
		must(t, err)
		slow := r.app
		slow.Store = slowStore{r.store}
		_, err = slow.Rewind(t.Context(), p)
		must(t, err)
		time.Sleep(20 * time.Second)
		r.putMany("after", 10)
		time.Sleep(5 * time.Second)
		got := seen.take()
		for kind, n := range map[string]int{"before": 0, "parent": 50, "child": 50, "after": 10} {
			if have := countOf(got, kind); have != n {
				t.Errorf("%d of %s delivered after the rewind, want %d", have, kind, n)
			}
		}
		lastParent := lastOf(got, "parent")
		firstChild := slices.IndexFunc(got, func(s string) bool { return s[:5] == "child" })
		if lastParent > firstChild {
			t.Errorf("a child's record came before its parent's: %v", got)
		}
		v, err := r.app.Observe(t.Context(), 15*time.Second)
		must(t, err)
		if problems := v.View("app", operate.Bounds{}, time.Now()).Problems; len(problems) > 0 || !v.Settled() {
			t.Errorf("afterwards: settled %v, problems %v", v.Settled(), problems)
		}
	})
}

// slowStore leaves the fleet time to act between two steps of a plan.
type slowStore struct{ *memlease.Store }

func (s slowStore) Rewind(ctx context.Context, l lease.Lease, to stream.Position) (lease.Lease, error) {
	time.Sleep(3 * time.Second)
	if now, err := s.Store.Get(ctx, l.Key); err == nil {
		l = now
	}
	return s.Store.Rewind(ctx, l, to)
}

// TestReleaseLiveFleet: the leases of one of two workers are given up, and all records come all the same.
func TestReleaseLiveFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var seen deliveries
		stop := r.fleet(&seen, "a", "b")
		defer stop()
		time.Sleep(5 * time.Second)
		look, err := r.app.Look(t.Context())
		must(t, err)
		owner := look.Snapshot.Leases[0].Owner
		plan, _, err := operate.PlanRelease(look.Snapshot.Leases, operate.Selection{Worker: owner})
		must(t, err)
		for _, p := range plan {
			must(t, r.app.Release(t.Context(), p))
		}
		r.putMany("x", 30)
		time.Sleep(15 * time.Second)
		got := seen.take()
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != 30 {
			t.Errorf("%d different records delivered, want 30", n)
		}
	})
}

func countOf(data []string, kind string) int {
	n := 0
	for _, d := range data {
		if len(d) > len(kind) && d[:len(kind)] == kind {
			n++
		}
	}
	return n
}

func lastOf(data []string, kind string) int {
	for i, d := range slices.Backward(data) {
		if len(d) > len(kind) && d[:len(kind)] == kind {
			return i
		}
	}
	return -1
}

func (r *rig) putMany(kind string, n int) {
	r.t.Helper()
	for i := range n {
		data := fmt.Sprintf("%s-%d", kind, i)
		_, err := r.client.PutRecord(r.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), Data: []byte(data), PartitionKey: aws.String(data)})
		must(r.t, err)
	}
}

// fleet runs workers until stop is called.
func (r *rig) fleet(seen *deliveries, ids ...string) (stop func()) {
	r.t.Helper()
	r.store = memlease.New()
	r.app.Store = r.store
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, id := range ids {
		w, err := worker.New(worker.Config{Application: "app", Streams: []string{"orders"}, ID: id, Kinesis: r.client, Leases: r.store,
			Start: stream.TrimHorizon, Logger: slog.New(slog.DiscardHandler), NewProcessor: stream.Func(seen.process)})
		must(r.t, err)
		running.Go(func() {
			if err := w.Run(ctx); err != nil {
				r.t.Errorf("worker %s: %v", id, err)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}
