package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// rig is one stream and one table, on which leaders can be started.
type rig struct {
	t      *testing.T
	server *local.Server
	client *kinesis.Client
	store  lease.Store
	mu     sync.Mutex
	leads  map[string]bool
}

func newRig(t *testing.T, shards int) *rig {
	r := &rig{t: t, server: local.New(local.Config{}), store: memlease.New(), leads: map[string]bool{}}
	r.client = kinesis.NewFromConfig(r.server.AWSConfig())
	r.must(r.server.CreateStream("s", shards))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// lead starts a leader; the result stops it and waits.
func (r *rig) lead(id string, store lease.Store) (stop func()) {
	streams, err := fleet.FindStreams(r.t.Context(), r.client, []string{"s"}, false)
	r.must(err)
	streams[0].Start = stream.TrimHorizon
	l := fleet.New(fleet.Config{
		ID: id, Store: store, Kinesis: r.client, Streams: streams, Gone: func(fleet.Stream) {},
		Assign: assign.Config{Me: id}, Logger: slog.New(slog.DiscardHandler),
		Assigned: func(...string) {}, Note: func(string, error) {},
		Leading: func(leads bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if leads && r.leads[other(id)] {
				r.t.Errorf("%s leads while %s does", id, other(id))
			}
			r.leads[id] = leads
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	return func() { cancel(); <-done }
}

func other(id string) string {
	if id == "a" {
		return "b"
	}
	return "a"
}

func (r *rig) isLeader(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads[id]
}

// TestLeaderCreatesAndAssigns: a new application has its rows, and the rows an owner, at once.
func TestLeaderCreatesAndAssigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		defer r.lead("a", r.store)()
		time.Sleep(time.Second)
		snap, err := r.store.Snapshot(t.Context())
		r.must(err)
		for _, l := range snap.Leases {
			if l.Owner != "a" || l.Checkpoint != stream.TrimHorizon || !l.HashKeys.IsKnown() {
				t.Errorf("lease %+v", l)
			}
		}
		if len(snap.Leases) != 3 || len(snap.Workers) != 1 || !r.isLeader("a") {
			t.Errorf("%d leases, %d workers, a leads: %v", len(snap.Leases), len(snap.Workers), r.isLeader("a"))
		}
	})
}

// TestLockPassesOn: a leader that leaves is followed at once, and one that is silent after its lock's duration, never before.
func TestLockPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		stopA := r.lead("a", r.store)
		time.Sleep(time.Second)
		defer r.lead("b", r.store)()
		time.Sleep(time.Minute)
		if !r.isLeader("a") || r.isLeader("b") {
			t.Fatal("b leads beside a leader that lives")
		}
		stopA()
		time.Sleep(3 * time.Second)
		if !r.isLeader("b") {
			t.Fatal("nobody follows a leader that left")
		}
	})
}

func TestSilentLeaderIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cut := &breakable{Store: r.store}
		defer r.lead("a", cut)()
		time.Sleep(time.Second)
		defer r.lead("b", r.store)()
		time.Sleep(5 * time.Second)
		cut.set(true)
		began := time.Now()
		for !r.isLeader("b") && time.Since(began) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 15*time.Second || took < 5*time.Second {
			t.Errorf("replaced after %v", took)
		}
		cut.set(false)
		time.Sleep(time.Minute)
		if r.isLeader("a") || !r.isLeader("b") {
			t.Error("the old leader leads again")
		}
	})
}

// TestS2LeaderThatCannotServeAbstains: a leader that has the lock but cannot do its duties gives it up and stays away.
func TestS2LeaderThatCannotServeAbstains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		blind := &breakable{Store: r.store, onlySnapshots: true}
		blind.set(true)
		defer r.lead("a", blind)()
		time.Sleep(time.Second)
		defer r.lead("b", r.store)()
		time.Sleep(15 * time.Second)
		if !r.isLeader("b") || r.isLeader("a") {
			t.Error("a leader that cannot assign keeps the lock")
		}
	})
}

// TestLoneLeaderComesBack: a leader that was cut off, and so could not give its lock up, need not wait for it to expire once more
// after it has stayed away.
func TestLoneLeaderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cut := &breakable{Store: r.store}
		defer r.lead("a", cut)()
		time.Sleep(5 * time.Second)
		cut.set(true)
		time.Sleep(16 * time.Second)
		if r.isLeader("a") {
			t.Fatal("it leads although it is cut off")
		}
		cut.set(false)
		time.Sleep(14 * time.Second)
		if !r.isLeader("a") {
			t.Error("nobody leads 30 s after the only worker was cut off for 16 s")
		}
	})
}

// TestOverdueHandoffIsForced: an old owner that never lets go, and renews at the very moment at which it is overtaken, is overtaken.
func TestOverdueHandoffIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		const key = "shardId-000000000000"
		_, err := r.store.Create(t.Context(), lease.Lease{Key: key, Shard: key, Checkpoint: stream.TrimHorizon})
		r.must(err)
		row, err := r.store.Get(t.Context(), key)
		r.must(err)
		row, err = r.store.Assign(t.Context(), row, "stubborn")
		r.must(err)
		_, err = r.store.Handoff(t.Context(), row, "a")
		r.must(err)
		defer r.lead("a", &renewing{Store: r.store})()
		for range 60 {
			time.Sleep(time.Second)
			row, err = r.store.Get(t.Context(), key)
			r.must(err)
			if !row.InHandoff() {
				break
			}
			_, err = r.store.Renew(t.Context(), row)
			r.must(err)
		}
		if row.Owner != "a" || row.InHandoff() {
			t.Errorf("after a minute the lease is %+v", row)
		}
	})
}

// renewing is a store in which the owner of a lease renews it just before it is assigned after a look.
type renewing struct {
	lease.Store
	last time.Time
}

func (s *renewing) Assign(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	if time.Since(s.last) > time.Second/2 {
		s.last = time.Now()
		if _, err := s.Renew(ctx, l); err != nil {
			return l, err
		}
	}
	return s.Store.Assign(ctx, l, to)
}

// breakable is a store that can be cut off.
type breakable struct {
	lease.Store
	onlySnapshots bool
	mu            sync.Mutex
	broken        bool
}

var errCut = errors.New("cut")

func (b *breakable) set(broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = broken
}

func (b *breakable) fails(snapshot bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken && (snapshot || !b.onlySnapshots) {
		return errors.Join(lease.ErrUnavailable, errCut)
	}
	return nil
}

func (b *breakable) Glance(ctx context.Context) (lease.Snapshot, error) { return b.Snapshot(ctx) }

func (b *breakable) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	if err := b.fails(true); err != nil {
		return lease.Snapshot{}, err
	}
	return b.Store.Snapshot(ctx)
}

func (b *breakable) ReadLock(ctx context.Context) (*lease.LockItem, error) {
	if err := b.fails(false); err != nil {
		return nil, err
	}
	return b.Store.ReadLock(ctx)
}

func (b *breakable) DropLock(ctx context.Context, held lease.LockItem) error {
	if err := b.fails(false); err != nil {
		return err
	}
	return b.Store.DropLock(ctx, held)
}

func (b *breakable) BeatLock(ctx context.Context, held lease.LockItem, version string) (lease.LockItem, error) {
	if err := b.fails(false); err != nil {
		return lease.LockItem{}, err
	}
	return b.Store.BeatLock(ctx, held, version)
}

// TestGarbageIsCollected: the lease of a shard that left the retention period before it was read goes, after two looks.
func TestGarbageIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		stop := r.lead("a", r.store)
		time.Sleep(time.Second)
		stop()
		_, err := r.client.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s"),
			ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("170141183460469231731687303715884105728")})
		r.must(err)
		time.Sleep(25 * time.Hour) // the parent is not listed any more, and nobody has read it
		defer r.lead("a", r.store)()
		time.Sleep(time.Hour)
		snap, err := r.store.Snapshot(t.Context())
		r.must(err)
		keys := map[string]bool{}
		for _, l := range snap.Leases {
			keys[l.Key] = true
		}
		if keys["shardId-000000000000"] || !keys["shardId-000000000001"] || !keys["shardId-000000000002"] {
			t.Errorf("leases: %v", keys)
		}
	})
}

// TestLeaderAssignsWhileListingHangs: a service that takes calls and never answers keeps the leader from nothing but listing shards.
func TestLeaderAssignsWhileListingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		defer r.lead("a", r.store)()
		time.Sleep(time.Second)
		never := make(chan struct{})
		defer close(never)
		r.server.Intercept(local.Rule{Operation: "ListShards", Effect: local.Effect{Until: never}})
		for range 40 {
			time.Sleep(time.Minute)
			row, err := r.store.Get(t.Context(), "shardId-000000000000")
			r.must(err)
			_, err = r.store.Release(t.Context(), row)
			r.must(err)
			time.Sleep(25 * time.Second)
			if row, err = r.store.Get(t.Context(), row.Key); err != nil || row.Owner != "a" {
				t.Fatalf("lease %+v, %v", row, err)
			}
		}
	})
}
