package leasetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// contend lets many do the same thing at the same time and counts how many did it. Errors other than being refused end
// the test.
func contend(t *testing.T, do func(ctx context.Context, i int) (bool, error)) int64 {
	t.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			did, err := do(t.Context(), i)
			if err != nil && !errors.Is(err, stream.ErrLeaseLost) && !errors.Is(err, lease.ErrLockHeld) {
				t.Errorf("contender %d: %v", i, err)
			}
			if did && err == nil {
				done.Add(1)
			}
		})
	}
	all.Wait()
	return done.Load()
}

func testAssign(t *testing.T, s suite) {
	l := s.create(t)
	want := l
	want.Owner, want.Counter = "A", 1
	a := s.assign(t, l, "A")
	s.stored(t, "Assign", a, want)

	for _, w := range leaderWrites { // whoever saw it unassigned is too late
		_, err := w.do(t.Context(), s, l)
		s.held(t, w.name, err, a)
	}
	// The counter is a condition too: a lease that seemed expired may have been renewed since.
	renewed := s.renew(t, a)
	_, err := s.Assign(t.Context(), a, "B")
	s.held(t, "Assign by what was known before", err, renewed)
	want = renewed
	want.Owner, want.Counter, want.OwnerSwitches = "B", renewed.Counter+1, 1
	s.stored(t, "Assign to another", s.assign(t, renewed, "B"), want)
	_, err = s.Renew(t.Context(), renewed)
	s.held(t, "Renew of the former owner", err, want)

	if _, err := s.Assign(t.Context(), want, ""); err == nil {
		t.Error("Assign to nobody: no error")
	}
	equal(t, "after a refusal", s.get(t), want)
}

func testAssignByMany(t *testing.T, s suite) {
	l := s.create(t)
	won := contend(t, func(ctx context.Context, i int) (bool, error) {
		_, err := s.Assign(ctx, l, fmt.Sprintf("worker-%d", i))
		return err == nil, err
	})
	if got := s.get(t); won != 1 || got.Counter != 1 {
		t.Errorf("%d won and the counter is %d, want 1 and 1", won, got.Counter)
	}
}

// Of all who write with the same counter one succeeds, whatever they write.
func testWriteByMany(t *testing.T, s suite) {
	l := s.owned(t, "A")
	for round := range 5 {
		won := contend(t, func(ctx context.Context, i int) (bool, error) {
			_, err := ownerWrites[(round+i)%3].do(ctx, s, l) // Renew, Checkpoint, Prepare
			return err == nil, err
		})
		now := s.get(t)
		if won != 1 || now.Counter != l.Counter+1 {
			t.Fatalf("%d won and the counter went from %d to %d", won, l.Counter, now.Counter)
		}
		l = now
	}
}

func testRelease(t *testing.T, s suite) {
	l := s.owned(t, "A")
	renewed := s.renew(t, l)
	want := renewed
	want.Owner, want.Counter = "", renewed.Counter+1
	got, err := s.Release(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Release", got, want)
	_, err = s.Release(t.Context(), l)
	s.held(t, "Release again", err, want)
	_, err = s.Renew(t.Context(), renewed)
	s.held(t, "Renew after Release", err, want)
	s.assign(t, got, "B")
}

// A worker that leaves during a handoff gives the lease to the next owner at once.
func testReleaseInHandoff(t *testing.T, s suite) {
	before, l := s.inHandoff(t)
	_, err := s.Release(t.Context(), before)
	s.held(t, "Release without knowing of the handoff", err, l)
	want := l
	want.CheckpointOwner, want.Counter = "", l.Counter+1
	got, err := s.Release(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Release", got, want)
}

// The table of ownership states (spec lease-coordination.md 2.6) and the regular handoff (6.8).
func testHandoff(t *testing.T, s suite) {
	before, l := s.inHandoff(t)
	want := before
	want.Owner, want.CheckpointOwner = "B", "A" // the counter stays
	s.stored(t, "Handoff", l, want)
	if l.Worker() != "A" || !l.InHandoff() {
		t.Errorf("during the handoff %q works, in handoff %v", l.Worker(), l.InHandoff())
	}

	_, err := s.Renew(t.Context(), before)
	s.held(t, "Renew without knowing of the handoff", err, l)
	want.Counter++
	l = s.renew(t, l)
	s.stored(t, "Renew during the handoff", l, want)

	want.Counter++
	want.Checkpoint = at("40")
	l, err = s.Checkpoint(t.Context(), l, at("40"))
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Checkpoint during the handoff", l, want)

	want.Counter++
	want.CheckpointOwner = ""
	done := s.assign(t, l, l.Owner)
	s.stored(t, "the end of the handoff", done, want)
	for _, w := range ownerWrites {
		_, err := w.do(t.Context(), s, l)
		s.held(t, w.name+" of the former owner", err, done)
	}
	s.renew(t, done)
}

func testHandoffRefuses(t *testing.T, s suite) {
	unassigned := s.create(t)
	for _, c := range []struct{ from, to string }{{"", "B"}, {"A", ""}, {"A", "A"}} {
		l := unassigned
		l.Owner = c.from
		if _, err := s.Handoff(t.Context(), l, c.to); err == nil {
			t.Errorf("Handoff from %q to %q: no error", c.from, c.to)
		}
	}
	ofA := unassigned
	ofA.Owner = "A"
	_, err := s.Handoff(t.Context(), ofA, "B")
	s.held(t, "Handoff of an unassigned lease", err, unassigned)

	l := s.assign(t, unassigned, "A")
	ofC := l
	ofC.Owner = "C"
	_, err = s.Handoff(t.Context(), ofC, "B")
	s.held(t, "Handoff from another", err, l)

	under, err := s.Handoff(t.Context(), l, "B")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Handoff(t.Context(), l, "C")
	s.held(t, "a second Handoff", err, under)
	// Not even from the owner to be, which the row names as owner.
	_, err = s.Handoff(t.Context(), under, "C")
	s.held(t, "Handoff during a handoff", err, under)
}

// The old owner dies: the leader gives the lease to whomever it likes, the next owner or the old one included.
func testHandoffOwnerDies(t *testing.T, s suite) {
	_, l := s.inHandoff(t)
	for _, to := range []string{"C", "B", "A"} {
		want := l
		want.Owner, want.CheckpointOwner = to, ""
		want.Counter++
		if to != "B" {
			want.OwnerSwitches++
		}
		got := s.assign(t, l, to)
		s.stored(t, "Assign to "+to, got, want)
		_, err := s.Renew(t.Context(), l)
		s.held(t, "Renew of the old owner", err, got)

		// Back to a handoff from A to B for the next round.
		got = s.assign(t, got, "A")
		var err2 error
		if l, err2 = s.Handoff(t.Context(), got, "B"); err2 != nil {
			t.Fatal(err2)
		}
	}
}

// The next owner dies: the old one finishes all the same, and the lease is assigned anew when it has expired.
func testHandoffNextDies(t *testing.T, s suite) {
	_, l := s.inHandoff(t)
	ofB := s.assign(t, l, l.Owner)
	got := s.assign(t, ofB, "C")
	want := ofB
	want.Owner, want.Counter, want.OwnerSwitches = "C", ofB.Counter+1, 1
	s.stored(t, "Assign", got, want)
}

// The leader gives up waiting at its deadline while the old owner still renews.
func testHandoffCancelled(t *testing.T, s suite) {
	_, l := s.inHandoff(t)
	renewed := s.renew(t, l)
	_, err := s.Assign(t.Context(), l, "B") // by what the leader knew
	s.held(t, "Assign of a lease that was renewed meanwhile", err, renewed)
	taken := s.assign(t, renewed, "B")
	if taken.Counter != renewed.Counter+1 || taken.InHandoff() || taken.Owner != "B" {
		t.Errorf("Assign at the deadline gave %+v", taken)
	}
	for _, w := range ownerWrites {
		_, err := w.do(t.Context(), s, renewed)
		s.held(t, w.name+" of the old owner", err, taken)
	}
	_, err = s.Assign(t.Context(), renewed, renewed.Owner)
	s.held(t, "the old owner's end of the handoff", err, taken)
}

func testHandoffFinishedTwice(t *testing.T, s suite) {
	_, l := s.inHandoff(t)
	done := s.assign(t, l, l.Owner)
	_, err := s.Assign(t.Context(), l, l.Owner)
	s.held(t, "the end of the handoff again", err, done)
	_, err = s.Release(t.Context(), l)
	s.held(t, "Release after the end", err, done)
}

// A handoff leaves the counter alone, so a checkpoint by an owner that has not noticed succeeds, and tells it.
func testHandoffSeenAtRenewal(t *testing.T, s suite) {
	before, l := s.inHandoff(t)
	want := l
	want.Counter++
	want.Checkpoint = at("8")
	got, err := s.Checkpoint(t.Context(), before, at("8"))
	if err != nil {
		t.Fatal(err)
	}
	s.stored(t, "Checkpoint", got, want)
	if !got.InHandoff() {
		t.Error("the owner did not learn of the handoff")
	}
	prepared, err := s.Prepare(t.Context(), got, at("9"), nil)
	if err != nil || !prepared.InHandoff() {
		t.Errorf("Prepare = %+v, %v", prepared, err)
	}
}

func testOwnerSwitches(t *testing.T, s suite) {
	l := s.create(t)
	for _, step := range []struct {
		to   string
		want int64
	}{{"A", 0}, {"A", 0}, {"B", 1}, {"C", 2}, {"C", 2}} {
		if l = s.assign(t, l, step.to); l.OwnerSwitches != step.want {
			t.Errorf("after Assign to %s: OwnerSwitches = %d, want %d", step.to, l.OwnerSwitches, step.want)
		}
	}
	l, err := s.Handoff(t.Context(), l, "D")
	if err != nil {
		t.Fatal(err)
	}
	if l = s.assign(t, l, "D"); l.OwnerSwitches != 2 {
		t.Errorf("a handoff raised OwnerSwitches to %d; the Java KCL does not", l.OwnerSwitches)
	}
	if l, err = s.Handoff(t.Context(), l, "E"); err != nil {
		t.Fatal(err)
	}
	if l = s.assign(t, l, "D"); l.OwnerSwitches != 3 {
		t.Errorf("a handoff taken back: OwnerSwitches = %d, want 3", l.OwnerSwitches)
	}
}

func testOwned(t *testing.T, s suite) {
	for i := range 6 {
		id := fmt.Sprintf("shardId-%012d", i)
		if _, err := s.Create(t.Context(), lease.Lease{Key: id, Shard: stream.ShardID(id), Checkpoint: stream.Latest}); err != nil {
			t.Fatal(err)
		}
	}
	ofShard := func(i int) lease.Lease {
		l, err := s.Get(t.Context(), fmt.Sprintf("shardId-%012d", i))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	s.ownedIs(t, "A")
	for i, worker := range []string{"A", "B", "A", "A", "B"} { // shard 5 stays unassigned
		s.assign(t, ofShard(i), worker)
	}
	s.ownedIs(t, "A", ofShard(0).Key, ofShard(2).Key, ofShard(3).Key)
	s.ownedIs(t, "B", ofShard(1).Key, ofShard(4).Key)
	if _, err := s.Handoff(t.Context(), ofShard(0), "B"); err != nil {
		t.Fatal(err)
	}
	s.ownedIs(t, "B", ofShard(0).Key, ofShard(1).Key, ofShard(4).Key)
	if _, err := s.Release(t.Context(), ofShard(2)); err != nil {
		t.Fatal(err)
	}
	s.ownedIs(t, "A", ofShard(3).Key)
	s.ownedIs(t, "nobody")
}

// ownedIs waits until the store, which may lag, says that the worker owns the keys.
func (s suite) ownedIs(t *testing.T, worker string, want ...string) {
	t.Helper()
	var got []string
	for range 500 {
		keys, err := s.Owned(t.Context(), worker)
		if err != nil {
			t.Fatalf("Owned: %v", err)
		}
		slices.Sort(keys)
		if got = keys; slices.Equal(got, want) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	t.Errorf("Owned(%s) = %v, want %v", worker, got, want)
}

// More rows than one page or segment holds.
func testSnapshotOfMany(t *testing.T, s suite) {
	const rows = 160
	pad := make([]byte, 8<<10) // in all over 1 MB, DynamoDB's page
	want := map[string]bool{}
	for i := range rows {
		id := fmt.Sprintf("shardId-%012d", i)
		l := lease.Lease{Key: id, Shard: stream.ShardID(id), Checkpoint: stream.Latest}
		if _, err := s.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Prepare(t.Context(), l, at("1"), pad); err != nil {
			t.Fatal(err)
		}
		want[id] = true
	}
	if err := s.Report(t.Context(), lease.Worker{ID: "A", ReportedAt: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := s.TakeLock(t.Context(), nil, lease.LockItem{Owner: "A", Version: "1", Duration: time.Second}); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range snap.Leases {
		if !want[l.Key] {
			t.Errorf("lease %s twice, or not created", l.Key)
		}
		delete(want, l.Key)
		if len(l.PendingState) != len(pad) {
			t.Errorf("lease %s lacks its state", l.Key)
		}
	}
	if len(want) > 0 || len(snap.Workers) != 1 || len(snap.Broken) > 0 {
		t.Errorf("%d leases missing, %d workers, broken: %v", len(want), len(snap.Workers), snap.Broken)
	}
}
