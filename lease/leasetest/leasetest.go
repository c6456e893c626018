package leasetest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Run tests a store. newStore returns an empty one of an application of its own; the suite calls its Setup. Each subtest
// has a store to itself, and subtests run in parallel.
func Run(t *testing.T, newStore func(t *testing.T) lease.Store) {
	for name, test := range map[string]func(*testing.T, suite){
		"setup":                   testSetup,
		"create":                  testCreate,
		"create refuses":          testCreateRefuses,
		"create by many":          testCreateByMany,
		"missing row":             testMissingRow,
		"renew":                   testRenew,
		"renew throughput":        testRenewThroughput,
		"checkpoint":              testCheckpoint,
		"checkpoint stores shard": testCheckpointStoresShard,
		"checkpoint positions":    testCheckpointPositions,
		"prepare":                 testPrepare,
		"pending stays":           testPendingStays,
		"rewind":                  testRewind,
		"delete":                  testDelete,
		"metadata":                testMetadata,
		"multi-stream":            testMultiStream,
		"assign":                  testAssign,
		"assign by many":          testAssignByMany,
		"write by many":           testWriteByMany,
		"release":                 testRelease,
		"release in handoff":      testReleaseInHandoff,
		"handoff":                 testHandoff,
		"handoff refuses":         testHandoffRefuses,
		"handoff, owner dies":     testHandoffOwnerDies,
		"handoff, next dies":      testHandoffNextDies,
		"handoff cancelled":       testHandoffCancelled,
		"handoff finished twice":  testHandoffFinishedTwice,
		"handoff seen at renewal": testHandoffSeenAtRenewal,
		"owner switches":          testOwnerSwitches,
		"owned":                   testOwned,
		"snapshot of many":        testSnapshotOfMany,
		"lock":                    testLock,
		"lock of the dead":        testLockOfTheDead,
		"lock released":           testLockReleased,
		"lock by many":            testLockByMany,
		"roster":                  testRoster,
		"cancelled":               testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite{Store: newStore(t)}
			if err := s.Setup(t.Context(), "A"); err != nil {
				t.Fatalf("Setup: %v", err)
			}
			test(t, s)
		})
	}
}

// suite is a store with the steps that many tests share; each ends the test if the step fails.
type suite struct{ lease.Store }

const key = "shardId-000000000000"

// fresh is a lease as shard sync creates it.
func fresh() lease.Lease {
	return lease.Lease{
		Key: key, Shard: key, Checkpoint: stream.TrimHorizon,
		Parents:  []stream.ShardID{"shardId-000000000007", "shardId-000000000008"},
		HashKeys: stream.HashKeyRange{First: stream.HashKey{Lo: 5}, Last: stream.MaxHashKey},
	}
}

func at(n string) stream.Position { return stream.Position{Sequence: stream.SequenceNumber(n)} }

// create stores a fresh lease and returns it.
func (s suite) create(t *testing.T) lease.Lease {
	t.Helper()
	created, err := s.Create(t.Context(), fresh())
	if err != nil || !created {
		t.Fatalf("Create = %v, %v", created, err)
	}
	return s.get(t)
}

// owned stores a lease that the worker owns, and returns it.
func (s suite) owned(t *testing.T, worker string) lease.Lease {
	t.Helper()
	return s.assign(t, s.create(t), worker)
}

// inHandoff stores a lease on its way from A to B, and returns it with the lease as A knew it before.
func (s suite) inHandoff(t *testing.T) (before, now lease.Lease) {
	t.Helper()
	before = s.owned(t, "A")
	now, err := s.Handoff(t.Context(), before, "B")
	if err != nil {
		t.Fatalf("Handoff: %v", err)
	}
	return before, now
}

func (s suite) get(t *testing.T) lease.Lease {
	t.Helper()
	l, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return l
}

func (s suite) assign(t *testing.T, l lease.Lease, to string) lease.Lease {
	t.Helper()
	l, err := s.Assign(t.Context(), l, to)
	if err != nil {
		t.Fatalf("Assign to %s: %v", to, err)
	}
	return l
}

func (s suite) renew(t *testing.T, l lease.Lease) lease.Lease {
	t.Helper()
	l, err := s.Renew(t.Context(), l)
	if err != nil {
		t.Fatalf("Renew: %v", err)
	}
	return l
}

// equal fails unless got is want, in everything.
func equal(t *testing.T, what string, got, want lease.Lease) {
	t.Helper()
	if d := diff(got, want); d != "" {
		t.Errorf("%s (-got +want):\n%s", what, d)
	}
}

// stored fails unless got is want and the store says the same.
func (s suite) stored(t *testing.T, what string, got, want lease.Lease) {
	t.Helper()
	equal(t, what+" returned", got, want)
	equal(t, what+" stored", s.get(t), want)
}

func diff(got, want any) string {
	ids := cmpopts.SortSlices(func(a, b stream.ShardID) bool { return a < b }) // sets, in DynamoDB
	return cmp.Diff(got, want, ids, cmpopts.EquateEmpty())
}

// held fails unless err refuses a write because the row is now as it is, and the row is still that.
func (s suite) held(t *testing.T, what string, err error, row lease.Lease) {
	t.Helper()
	refused, ok := errors.AsType[*lease.HeldError](err)
	if !ok {
		t.Fatalf("%s = %v, want a HeldError", what, err)
	}
	if !errors.Is(err, stream.ErrLeaseLost) {
		t.Errorf("%s: %v is not ErrLeaseLost", what, err)
	}
	if refused.Key != row.Key {
		t.Errorf("%s: HeldError.Key = %q, want %q", what, refused.Key, row.Key)
	}
	equal(t, what+": HeldError.Current", refused.Current, row)
	equal(t, what+": the row", s.get(t), row)
}

// write is a conditional write of the row.
type write struct {
	name string
	do   func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error)
}

// ownerWrites are the writes whose condition is the counter.
var ownerWrites = []write{
	{"Renew", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) { return s.Renew(ctx, l) }},
	{"Checkpoint", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) {
		return s.Checkpoint(ctx, l, at("99"))
	}},
	{"Prepare", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) {
		return s.Prepare(ctx, l, at("99"), []byte("state"))
	}},
	{"Rewind", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) {
		return s.Rewind(ctx, l, at("1"))
	}},
	{"Delete", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) {
		return l, s.Delete(ctx, l)
	}},
}

// leaderWrites are the writes whose condition names who owns the lease.
var leaderWrites = []write{
	{"Assign", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) {
		return s.Assign(ctx, l, "Z")
	}},
	{"Release", func(ctx context.Context, s lease.Leases, l lease.Lease) (lease.Lease, error) {
		return s.Release(ctx, l)
	}},
}
