package leasetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kinesis-go/kcl/lease"
)

func lockOf(owner, version string) lease.LockItem {
	return lease.LockItem{Owner: owner, Version: version, Duration: 120 * time.Second}
}

// lockIs fails unless the lock is want; nil means that there is none.
func (s suite) lockIs(t *testing.T, what string, want *lease.LockItem) {
	t.Helper()
	got, err := s.ReadLock(t.Context())
	if err != nil {
		t.Fatalf("ReadLock: %v", err)
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("lock %s (-got +want):\n%s", what, d)
	}
}

// lockHeld fails unless err says so and the lock is still now.
func (s suite) lockHeld(t *testing.T, what string, err error, now *lease.LockItem) {
	t.Helper()
	if !errors.Is(err, lease.ErrLockHeld) {
		t.Errorf("%s = %v, want ErrLockHeld", what, err)
	}
	s.lockIs(t, "after "+what, now)
}

func testLock(t *testing.T, s suite) {
	ctx := t.Context()
	s.lockIs(t, "of a new application", nil)
	a := lockOf("A", "v1")
	if err := s.TakeLock(ctx, nil, a); err != nil {
		t.Fatal(err)
	}
	s.lockIs(t, "taken", &a)
	s.lockHeld(t, "TakeLock by another", s.TakeLock(ctx, nil, lockOf("B", "b1")), &a)

	a2, err := s.BeatLock(ctx, a, "v2")
	if err != nil {
		t.Fatal(err)
	}
	want := lockOf("A", "v2")
	if a2 != want {
		t.Errorf("BeatLock = %+v, want %+v", a2, want)
	}
	s.lockIs(t, "after a beat", &want)
	_, err = s.BeatLock(ctx, a, "v3")
	s.lockHeld(t, "BeatLock with an old version", err, &want)
	s.lockHeld(t, "DropLock with an old version", s.DropLock(ctx, a), &want)
	foreign := want
	foreign.Owner = "B"
	_, err = s.BeatLock(ctx, foreign, "v3")
	s.lockHeld(t, "BeatLock by another", err, &want)
	s.lockHeld(t, "DropLock by another", s.DropLock(ctx, foreign), &want)

	shorter := want
	shorter.Duration = 20 * time.Second
	a3, err := s.BeatLock(ctx, shorter, "v3")
	if err != nil {
		t.Fatal(err)
	}
	s.lockIs(t, "with another duration", &a3)
	if a3.Duration != 20*time.Second {
		t.Errorf("BeatLock left the duration at %v", a3.Duration)
	}

	if err := s.DropLock(ctx, a3); err != nil {
		t.Fatal(err)
	}
	s.lockIs(t, "dropped", nil)
	s.lockHeld(t, "DropLock again", s.DropLock(ctx, a3), nil)
	_, err = s.BeatLock(ctx, a3, "v4")
	s.lockHeld(t, "BeatLock after the drop", err, nil)
	s.lockHeld(t, "TakeLock of what is gone", s.TakeLock(ctx, &a3, lockOf("B", "b1")), nil)
}

// A lock whose version has not moved for its duration is taken; by whom it was held does not matter.
func testLockOfTheDead(t *testing.T, s suite) {
	ctx := t.Context()
	dead := lockOf("A", "v1")
	if err := s.TakeLock(ctx, nil, dead); err != nil {
		t.Fatal(err)
	}
	b := lockOf("B", "b1")
	if err := s.TakeLock(ctx, &dead, b); err != nil {
		t.Fatal(err)
	}
	s.lockIs(t, "taken over", &b)
	s.lockHeld(t, "TakeLock by a third", s.TakeLock(ctx, &dead, lockOf("C", "c1")), &b)
	_, err := s.BeatLock(ctx, dead, "v2")
	s.lockHeld(t, "BeatLock of the dead", err, &b)
}

// A released lock that is still there may be taken at once.
func testLockReleased(t *testing.T, s suite) {
	ctx := t.Context()
	free := lockOf("A", "v1")
	free.Released = true
	if err := s.TakeLock(ctx, nil, free); err != nil {
		t.Fatal(err)
	}
	s.lockIs(t, "released", &free)
	b := lockOf("B", "b1")
	if err := s.TakeLock(ctx, &free, b); err != nil {
		t.Fatal(err)
	}
	s.lockIs(t, "taken", &b)
	s.lockHeld(t, "TakeLock by a third", s.TakeLock(ctx, &free, lockOf("C", "c1")), &b)
}

func testLockByMany(t *testing.T, s suite) {
	for range 3 {
		seen, err := s.ReadLock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		won := contend(t, func(ctx context.Context, i int) (bool, error) {
			err := s.TakeLock(ctx, seen, lockOf(fmt.Sprint("worker-", i), fmt.Sprintf("%p-%d", seen, i)))
			return err == nil, err
		})
		if won != 1 {
			t.Fatalf("%d took the lock, want 1", won)
		}
	}
}

func testRoster(t *testing.T, s suite) {
	ctx := t.Context()
	when := time.Unix(1_700_000_000, 0)
	a := lease.Worker{
		ID: "A", ReportedAt: when,
		Stats: map[string][]float64{"C": {12.5, -1, 100}}, Limits: map[string]float64{"C": 80},
	}
	b := lease.Worker{ID: "B", ReportedAt: when.Add(time.Second)} // measures nothing
	for _, w := range []lease.Worker{a, b} {
		if err := s.Report(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	s.rosterIs(t, "reported", a, b)

	later := a
	later.ReportedAt = when.Add(30 * time.Second)
	later.Stats = map[string][]float64{"C": {-1, 100, 3}}
	if err := s.Report(ctx, later); err != nil {
		t.Fatal(err)
	}
	s.rosterIs(t, "reported again", later, b)
	if err := s.Forget(ctx, a); err != nil {
		t.Errorf("Forget of an older report: %v", err)
	}
	s.rosterIs(t, "after Forget of an older report", later, b)
	for range 2 {
		if err := s.Forget(ctx, later); err != nil {
			t.Errorf("Forget: %v", err)
		}
	}
	s.rosterIs(t, "forgotten", b)

	for _, bad := range []lease.Worker{{ReportedAt: when}, {ID: "C"}} {
		if err := s.Report(ctx, bad); err == nil {
			t.Errorf("Report of %+v: no error", bad)
		}
	}
	s.rosterIs(t, "after refusals", b)
}

func (s suite) rosterIs(t *testing.T, what string, want ...lease.Worker) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(snap.Workers, func(a, b lease.Worker) int { return strings.Compare(a.ID, b.ID) })
	if d := cmp.Diff(snap.Workers, want, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("workers %s (-got +want):\n%s", what, d)
	}
	if len(snap.Leases) > 0 || len(snap.Broken) > 0 {
		t.Errorf("workers %s: leases %v, broken %v", what, snap.Leases, snap.Broken)
	}
}

// A call whose context has ended says so.
func testCancelled(t *testing.T, s suite) {
	l := s.owned(t, "A")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errGet := s.Get(ctx, key)
	_, errRenew := s.Renew(ctx, l)
	_, errSnapshot := s.Snapshot(ctx)
	_, errGlance := s.Glance(ctx)
	_, errLock := s.ReadLock(ctx)
	for what, err := range map[string]error{
		"Get": errGet, "Renew": errRenew, "Snapshot": errSnapshot, "Glance": errGlance, "ReadLock": errLock, "Check": s.Check(ctx),
		"Delete": s.Delete(ctx, l), "Forget": s.Forget(ctx, lease.Worker{ID: "A"}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v, want context.Canceled", what, err)
		}
	}
	equal(t, "the row", s.get(t), l)
}
