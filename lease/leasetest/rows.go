package leasetest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Setting up what is set up, also by another worker, changes nothing.
func testSetup(t *testing.T, s suite) {
	want := s.create(t)
	for _, worker := range []string{"A", "B"} {
		if err := s.Setup(t.Context(), worker); err != nil {
			t.Errorf("Setup of %s again: %v", worker, err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
	}
	equal(t, "after Setup", s.get(t), want)
	if err := s.Setup(t.Context(), ""); !errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Setup of a worker without a name = %v, want ErrUnusable", err)
	}
}

func testCreate(t *testing.T, s suite) {
	given := fresh()
	// What does not belong to a new lease is not stored.
	given.Owner, given.CheckpointOwner, given.Counter, given.OwnerSwitches = "A", "B", 7, 3
	given.Pending, given.PendingState = at("5"), []byte("x")
	given.Throughput, given.ThroughputKnown = 3, true
	if created, err := s.Create(t.Context(), given); err != nil || !created {
		t.Fatalf("Create = %v, %v", created, err)
	}
	equal(t, "a new lease", s.get(t), fresh())

	want := s.assign(t, s.get(t), "A")
	again := fresh()
	again.Checkpoint = stream.Latest
	if created, err := s.Create(t.Context(), again); err != nil || created {
		t.Errorf("Create of what is there = %v, %v; want false, nil", created, err)
	}
	equal(t, "after a second Create", s.get(t), want)

	bare := lease.Lease{Key: "shardId-000000000001", Shard: "shardId-000000000001", Checkpoint: stream.AtTimestamp}
	if created, err := s.Create(t.Context(), bare); err != nil || !created {
		t.Fatalf("Create of a bare lease = %v, %v", created, err)
	}
	got, err := s.Get(t.Context(), bare.Key)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "a bare lease", got, bare)
}

func testCreateRefuses(t *testing.T, s suite) {
	for name, spoil := range map[string]func(*lease.Lease){
		"no key":            func(l *lease.Lease) { l.Key = "" },
		"no shard":          func(l *lease.Lease) { l.Shard = "" },
		"key of another":    func(l *lease.Lease) { l.Shard = "shardId-000000000001" },
		"stream not in key": func(l *lease.Lease) { l.StreamID = "1:s:2" },
		"no checkpoint":     func(l *lease.Lease) { l.Checkpoint = stream.Position{} },
		"bad checkpoint":    func(l *lease.Lease) { l.Checkpoint = at("12x") },
	} {
		l := fresh()
		spoil(&l)
		if created, err := s.Create(t.Context(), l); err == nil || created {
			t.Errorf("%s: Create = %v, %v; want an error", name, created, err)
		}
	}
	if snap, err := s.Snapshot(t.Context()); err != nil || len(snap.Leases) > 0 {
		t.Errorf("Snapshot = %v, %v; want nothing", snap, err)
	}
}

func testCreateByMany(t *testing.T, s suite) {
	created := contend(t, func(ctx context.Context, _ int) (bool, error) { return s.Create(ctx, fresh()) })
	if created != 1 {
		t.Errorf("%d created the lease, want 1", created)
	}
}

func testMissingRow(t *testing.T, s suite) {
	ctx := t.Context()
	if _, err := s.Get(ctx, key); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
	gone := fresh()
	gone.Owner, gone.Counter = "A", 3
	for _, w := range append(leaderWrites, ownerWrites...) {
		_, err := w.do(ctx, s, gone)
		if w.name == "Delete" {
			if err != nil {
				t.Errorf("Delete of what is gone: %v", err)
			}
			continue
		}
		if !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("%s = %v, want ErrNotFound", w.name, err)
		}
	}
	if _, err := s.Handoff(ctx, gone, "B"); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Handoff = %v, want ErrNotFound", err)
	}
	if err := s.SetChildren(ctx, key, []stream.ShardID{"c"}); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("SetChildren = %v, want ErrNotFound", err)
	}
	if err := s.SetHashKeys(ctx, key, fresh().HashKeys); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("SetHashKeys = %v, want ErrNotFound", err)
	}
	if snap, err := s.Snapshot(ctx); err != nil || len(snap.Leases) > 0 {
		t.Errorf("a write made a row: %v, %v", snap.Leases, err)
	}
}

func testRenew(t *testing.T, s suite) {
	first := s.owned(t, "A")
	want := first
	want.Counter++
	second := s.renew(t, first)
	s.stored(t, "Renew", second, want)

	// A counter that moved refuses every write that has it as condition: behind, and ahead.
	for _, counter := range []int64{first.Counter, second.Counter + 1} {
		stale := second
		stale.Counter = counter
		for _, w := range ownerWrites {
			_, err := w.do(t.Context(), s, stale)
			s.held(t, w.name, err, second)
		}
	}
}

func testRenewThroughput(t *testing.T, s suite) {
	l := s.owned(t, "A")
	for _, rate := range []float64{0.5, 0, 1234.25, 1e-6} {
		l.Throughput, l.ThroughputKnown = rate, true
		want := l
		want.Counter++
		l = s.renew(t, l)
		s.stored(t, "Renew", l, want)
	}
	// What cannot be a rate is not stored, and does not hinder the renewal.
	for _, rate := range []float64{math.NaN(), math.Inf(1), -1} {
		want := s.get(t)
		want.Counter++
		l.Throughput = rate
		l = s.renew(t, l)
		equal(t, "stored", s.get(t), want)
	}
	unknown := l
	unknown.Throughput, unknown.ThroughputKnown = 0, false
	s.renew(t, unknown)
	if got := s.get(t); got.Throughput != 1e-6 {
		t.Errorf("a renewal without throughput left %v, want the old 1e-6", got.Throughput)
	}
}

func testCheckpoint(t *testing.T, s suite) {
	l := s.owned(t, "A")
	l = s.assign(t, l, "B") // for OwnerSwitches
	for _, pos := range []stream.Position{at("100"), {Sequence: "100", Sub: 3}, at("5"), stream.ShardEnd} {
		want := l
		want.Counter++
		want.OwnerSwitches = 0
		want.Checkpoint = pos
		got, err := s.Checkpoint(t.Context(), l, pos)
		if err != nil {
			t.Fatalf("Checkpoint at %v: %v", pos, err)
		}
		s.stored(t, "Checkpoint", got, want)
		l = got
	}
}

// A checkpoint carries what the owner learned of its shard.
func testCheckpointStoresShard(t *testing.T, s suite) {
	l := s.owned(t, "A")
	l.Children = []stream.ShardID{"shardId-000000000002", "shardId-000000000003"}
	l.HashKeys = stream.HashKeyRange{First: stream.HashKey{Lo: 1}, Last: stream.HashKey{Lo: 2}}
	want := l
	want.Counter++
	want.Checkpoint = at("1")
	got, err := s.Checkpoint(t.Context(), l, at("1"))
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Checkpoint", got, want)

	// What the owner does not know stays.
	got.Children, got.HashKeys = nil, stream.HashKeyRange{}
	want.Counter++
	want.Checkpoint = at("2")
	got, err = s.Checkpoint(t.Context(), got, at("2"))
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Checkpoint without knowledge", got, want)
}

func testCheckpointPositions(t *testing.T, s suite) {
	l := s.owned(t, "A")
	for _, pos := range []stream.Position{{}, at("x"), {Sequence: "1", Sub: -1}, at("latest")} {
		_, errCheckpoint := s.Checkpoint(t.Context(), l, pos)
		_, errPrepare := s.Prepare(t.Context(), l, pos, nil)
		_, errRewind := s.Rewind(t.Context(), l, pos)
		for what, err := range map[string]error{"Checkpoint": errCheckpoint, "Prepare": errPrepare, "Rewind": errRewind} {
			if !errors.Is(err, stream.ErrPosition) {
				t.Errorf("%s at %+v = %v, want ErrPosition", what, pos, err)
			}
		}
	}
	equal(t, "the row", s.get(t), l)
}

func testPrepare(t *testing.T, s suite) {
	l := s.owned(t, "A")
	state := []byte{0, 1, 255}
	want := l
	want.Counter++
	want.Pending, want.PendingState = stream.Position{Sequence: "7", Sub: 2}, []byte{0, 1, 255}
	got, err := s.Prepare(t.Context(), l, want.Pending, state)
	if err != nil {
		t.Fatal(err)
	}
	state[0] = 9 // the caller's again
	s.stored(t, "Prepare", got, want)

	want.Counter++
	want.Pending, want.PendingState = at("8"), nil
	got, err = s.Prepare(t.Context(), got, at("8"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Prepare without state", got, want)

	got, err = s.Prepare(t.Context(), got, at("8"), []byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	want = got
	want.Counter++
	want.Checkpoint, want.Pending, want.PendingState = at("8"), stream.Position{}, nil
	got, err = s.Checkpoint(t.Context(), got, at("8"))
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Checkpoint after Prepare", got, want)
}

// Only a checkpoint, a new prepare and a rewind touch what is pending.
func testPendingStays(t *testing.T, s suite) {
	l, err := s.Prepare(t.Context(), s.owned(t, "A"), at("7"), []byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	stays := func(what string) {
		t.Helper()
		if got := s.get(t); got.Pending != at("7") || string(got.PendingState) != "state" {
			t.Errorf("after %s: pending %v %q", what, got.Pending, got.PendingState)
		}
	}
	l = s.renew(t, l)
	stays("Renew")
	l, err = s.Handoff(t.Context(), l, "B")
	if err != nil {
		t.Fatal(err)
	}
	stays("Handoff")
	l = s.assign(t, l, "B")
	stays("Assign")
	if l, err = s.Release(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	stays("Release")
	if err := errors.Join(s.SetChildren(t.Context(), key, []stream.ShardID{"c"}), s.SetHashKeys(t.Context(), key, l.HashKeys)); err != nil {
		t.Fatal(err)
	}
	stays("SetChildren and SetHashKeys")
}

// A rewind must not look like a renewal of the owner's whose reply was lost: the row has another owner, or none.
func testRewind(t *testing.T, s suite) {
	before, _ := s.inHandoff(t)
	l, err := s.Checkpoint(t.Context(), s.get(t), at("500"))
	if err != nil {
		t.Fatal(err)
	}
	if l, err = s.Prepare(t.Context(), l, at("600"), []byte("s")); err != nil {
		t.Fatal(err)
	}
	want := l
	want.Counter++
	want.Owner, want.CheckpointOwner = "", ""
	want.Checkpoint, want.Pending, want.PendingState = at("20"), stream.Position{}, nil
	got, err := s.Rewind(t.Context(), l, at("20"))
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Rewind", got, want)
	for _, w := range ownerWrites {
		_, err := w.do(t.Context(), s, before)
		s.held(t, w.name+" of the former owner", err, want)
	}
}

func testDelete(t *testing.T, s suite) {
	l := s.owned(t, "A")
	ended, err := s.Checkpoint(t.Context(), l, stream.ShardEnd)
	if err != nil {
		t.Fatal(err)
	}
	other := ended
	other.Checkpoint = at("1")
	s.held(t, "Delete with another checkpoint", s.Delete(t.Context(), other), ended)
	if err := s.Delete(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), key); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Get after Delete = %v", err)
	}
	if err := s.Delete(t.Context(), ended); err != nil {
		t.Errorf("Delete again: %v", err)
	}
	if s.create(t).Counter != 0 {
		t.Error("a lease created anew does not start at counter 0")
	}
}

func testMetadata(t *testing.T, s suite) {
	want := s.owned(t, "A")
	want.Children = []stream.ShardID{"shardId-000000000002", "shardId-000000000003"}
	if err := s.SetChildren(t.Context(), key, want.Children); err != nil {
		t.Fatal(err)
	}
	equal(t, "SetChildren", s.get(t), want)
	want.HashKeys = stream.HashKeyRange{First: stream.HashKey{}, Last: stream.HashKey{Hi: 1}}
	if err := s.SetHashKeys(t.Context(), key, want.HashKeys); err != nil {
		t.Fatal(err)
	}
	equal(t, "SetHashKeys", s.get(t), want)
	if err := s.SetChildren(t.Context(), key, nil); err == nil {
		t.Error("SetChildren of none: no error")
	}
	if err := s.SetHashKeys(t.Context(), key, stream.HashKeyRange{}); err == nil {
		t.Error("SetHashKeys of unknown: no error")
	}
	equal(t, "after refusals", s.get(t), want)
}

func testMultiStream(t *testing.T, s suite) {
	l := lease.Lease{
		Key: "123456789012:orders:1700000000:shardId-000000000000", StreamID: "123456789012:orders:1700000000",
		Shard: "shardId-000000000000", Checkpoint: stream.Latest, Parents: []stream.ShardID{"shardId-000000000009"},
	}
	if created, err := s.Create(t.Context(), l); err != nil || !created {
		t.Fatalf("Create = %v, %v", created, err)
	}
	got, err := s.Get(t.Context(), l.Key)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Get", got, l)
	if got, err = s.Assign(t.Context(), got, "A"); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Checkpoint(t.Context(), got, at("3")); err != nil {
		t.Fatal(err)
	}
	l.Owner, l.Counter, l.Checkpoint = "A", 2, at("3")
	equal(t, "Checkpoint", got, l)
}
