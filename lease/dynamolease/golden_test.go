package dynamolease_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
)

var update = flag.Bool("update", false, "rewrite testdata")

// I9: what we write never breaks a Java worker on the same table. The numbers W1 to W11 are those of spec
// lease-coordination.md 2.4; a change of this file is a change of what Java workers see.
func TestI9Requests(t *testing.T) {
	a := lease.Lease{
		Key: "shardId-000000000003", Shard: "shardId-000000000003", Owner: "A", Counter: 41, OwnerSwitches: 2,
		Checkpoint: stream.Position{Sequence: "4959", Sub: 7},
	}
	handoff := a
	handoff.Owner, handoff.CheckpointOwner = "B", "A"
	unassigned := a
	unassigned.Owner = ""
	rated := a
	rated.Throughput, rated.ThroughputKnown = 12.3456789, true
	ended := a
	ended.Checkpoint = stream.ShardEnd
	knowing := a
	knowing.Children = []stream.ShardID{"shardId-000000000009", "shardId-000000000008"}
	knowing.HashKeys = stream.HashKeyRange{First: stream.HashKey{Lo: 7}, Last: stream.MaxHashKey}
	born := knowing
	born.Children, born.Checkpoint = nil, stream.TrimHorizon
	born.Parents = []stream.ShardID{"shardId-000000000001", "shardId-000000000002"}
	multi := a
	multi.StreamID = "123456789012:orders:1700000000"
	multi.Key = multi.StreamID + ":" + string(a.Shard)
	at := stream.Position{Sequence: "4960", Sub: 1}
	lock := lease.LockItem{Owner: "A", Version: "v1", Duration: 120 * time.Second}
	free := lock
	free.Released = true
	worker := lease.Worker{
		ID: "A", ReportedAt: time.Unix(1_700_000_000, 0),
		Stats: map[string][]float64{"C": {12.3456789, -1}, "M": {}}, Limits: map[string]float64{"C": 100},
	}

	var out strings.Builder
	for _, c := range []struct {
		name string
		do   func(ctx context.Context, s *dynamolease.Store) error
	}{
		{"W1 create", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Create(ctx, born)) }},
		{"W1 create, several streams", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Create(ctx, multi)) }},
		{"W2 renew", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Renew(ctx, a)) }},
		{"W2 renew with throughput", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Renew(ctx, rated)) }},
		{"W3 renew during handoff", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Renew(ctx, handoff)) }},
		{"W5 start handoff", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Handoff(ctx, a, "B")) }},
		{"W6 assign, unassigned", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Assign(ctx, unassigned, "B")) }},
		{"W6 assign, expired", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Assign(ctx, a, "B")) }},
		{"W6 assign to the same", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Assign(ctx, a, "A")) }},
		{"W6 assign back during handoff", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Assign(ctx, handoff, "A")) }},
		{"W7 finish handoff", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Assign(ctx, handoff, "B")) }},
		{"W8 release", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Release(ctx, a)) }},
		{"W8 release during handoff", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Release(ctx, handoff)) }},
		{"W9 checkpoint", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Checkpoint(ctx, a, at)) }},
		{"W9 checkpoint, all known", func(ctx context.Context, s *dynamolease.Store) error {
			return err2(s.Checkpoint(ctx, knowing, stream.ShardEnd))
		}},
		{"W9 checkpoint, several streams", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Checkpoint(ctx, multi, at)) }},
		{"W9 prepare", func(ctx context.Context, s *dynamolease.Store) error {
			return err2(s.Prepare(ctx, a, at, []byte("state")))
		}},
		{"W9 prepare without state", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Prepare(ctx, a, at, nil)) }},
		{"W10 children", func(ctx context.Context, s *dynamolease.Store) error {
			return s.SetChildren(ctx, a.Key, knowing.Children)
		}},
		{"W10 hash keys", func(ctx context.Context, s *dynamolease.Store) error {
			return s.SetHashKeys(ctx, a.Key, knowing.HashKeys)
		}},
		{"W11 delete", func(ctx context.Context, s *dynamolease.Store) error { return s.Delete(ctx, ended) }},
		{"rewind", func(ctx context.Context, s *dynamolease.Store) error {
			return err2(s.Rewind(ctx, a, stream.TrimHorizon))
		}},
		{"get", func(ctx context.Context, s *dynamolease.Store) error { return missing(err2(s.Get(ctx, a.Key))) }},
		{"snapshot", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.Snapshot(ctx)) }},
		{"lock read", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.ReadLock(ctx)) }},
		{"lock take, missing", func(ctx context.Context, s *dynamolease.Store) error { return s.TakeLock(ctx, nil, lock) }},
		{"lock take, released", func(ctx context.Context, s *dynamolease.Store) error { return s.TakeLock(ctx, &free, lock) }},
		{"lock take, expired", func(ctx context.Context, s *dynamolease.Store) error { return s.TakeLock(ctx, &lock, lock) }},
		{"lock beat", func(ctx context.Context, s *dynamolease.Store) error { return err2(s.BeatLock(ctx, lock, "v2")) }},
		{"lock drop", func(ctx context.Context, s *dynamolease.Store) error { return s.DropLock(ctx, lock) }},
		{"report", func(ctx context.Context, s *dynamolease.Store) error { return s.Report(ctx, worker) }},
		{"report, nothing measured", func(ctx context.Context, s *dynamolease.Store) error {
			return s.Report(ctx, lease.Worker{ID: "A", ReportedAt: worker.ReportedAt})
		}},
		{"forget", func(ctx context.Context, s *dynamolease.Store) error { return s.Forget(ctx, worker) }},
	} {
		f := &fake{}
		s := onFake(t, f)
		if err := c.do(t.Context(), s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		fmt.Fprintf(&out, "# %s\n\n", c.name)
		for _, r := range f.take() {
			if r.op != "DescribeTable" {
				fmt.Fprintf(&out, "%s %s\n\n", r.op, indented(t, r.body))
			}
		}
	}
	golden(t, "testdata/requests.txt", out.String())
}

func err2[T any](_ T, err error) error { return err }

// missing is an answer that the fake's empty ones lead to.
func missing(err error) error {
	if err != nil && strings.Contains(err.Error(), lease.ErrNotFound.Error()) {
		return nil
	}
	return err
}

// What a new application creates, with all that can be configured.
func TestI9SetupRequests(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		name string
		cfg  dynamolease.Config
	}{
		{"as it comes", dynamolease.Config{}},
		{"all configured", dynamolease.Config{
			Provisioned: dynamolease.Capacity{Read: 10, Write: 20}, DeletionProtection: true, PointInTimeRecovery: true,
			Tags: map[string]string{"team": "orders", "cost": "7"}, Table: "leases",
		}},
	} {
		synctest.Test(t, func(t *testing.T) { // for its fixed time
			f := &fake{answer: newApplication(c.cfg.Provisioned)}
			c.cfg.Client, c.cfg.Application, c.cfg.Logger = clientOf(f), "app", quiet
			s, err := dynamolease.New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Setup(t.Context(), "worker-1"); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "# %s\n\n", c.name)
			for _, r := range f.take() {
				fmt.Fprintf(&out, "%s %s\n\n", r.op, indented(t, r.body))
			}
		})
	}
	golden(t, "testdata/setup.txt", out.String())
}

// newApplication answers for an account without tables, in which a table is active at the second look.
func newApplication(p dynamolease.Capacity) func(op string, body []byte) (int, string) {
	looks := 0
	return func(op string, body []byte) (int, string) {
		if op != "DescribeTable" {
			return http.StatusOK, "{}"
		}
		looks++
		if looks == 1 || strings.Contains(string(body), "CoordinatorState") {
			return refusal("ResourceNotFoundException", "no such table")
		}
		status := "ACTIVE"
		if looks == 2 {
			status = "CREATING"
		}
		return http.StatusOK, fmt.Sprintf(`{"Table":{"TableName":"app","TableStatus":%q,"TableSizeBytes":0,
			"AttributeDefinitions":[{"AttributeName":"leaseKey","AttributeType":"S"}],
			"KeySchema":[{"AttributeName":"leaseKey","KeyType":"HASH"}],
			"ProvisionedThroughput":{"ReadCapacityUnits":%d,"WriteCapacityUnits":%d}}}`, status, p.Read, p.Write)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(got, "\n"), strings.Split(string(want), "\n")); d != "" {
		t.Errorf("%s differs, -update rewrites it (-got +want):\n%s", file, d)
	}
}
