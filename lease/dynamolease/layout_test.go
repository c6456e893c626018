package dynamolease_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
)

const (
	coordinator = "app-CoordinatorState"
	metrics     = "app-WorkerMetricStats"
)

// legacy returns a server with the three tables of Java KCL 3.0 to 3.4, in a state of the move; "" for none stored.
func legacy(t *testing.T, state string) (*local.Server, *dynamodb.Client) {
	t.Helper()
	srv := server(local.Config{})
	client := dynamodb.NewFromConfig(srv.AWSConfig())
	createTable(t, client, "app", "leaseKey")
	createTable(t, client, coordinator, "key")
	createTable(t, client, metrics, "wid")
	put(t, client, coordinator, `{"key":{"S":"Migration3.0"},"cv":{"S":"CLIENT_VERSION_3X"}}`)
	put(t, client, "app", oldLease)
	move(t, client, state)
	return srv, client
}

// move stores a state of the move.
func move(t *testing.T, client *dynamodb.Client, state string) {
	t.Helper()
	if state != "" {
		put(t, client, coordinator, fmt.Sprintf(`{"key":{"S":"TableMigration3.5"},"tm":{"S":"TABLE_MIGRATION_STATUS_%s"}}`, state))
	}
	if state == "COMPLETE" { // together with the state the fleet's items have moved
		put(t, client, "app", version("CLIENT_VERSION_3X"))
	}
}

// Where things are in each state (spec lease-coordination.md 3.4).
func TestLayouts(t *testing.T) {
	const lease35 = "app"
	for _, c := range []struct {
		state          string
		single         bool
		lock, reports  string
		readsBothRolls bool
	}{
		{"", false, coordinator, metrics, true},
		{"INIT", false, coordinator, metrics, true},
		{"DEPLOYED", false, coordinator, metrics, true},
		{"PENDING", false, coordinator, metrics, true}, // as Java with migrateAllEntitiesToLeaseTable off
		{"DEPLOYED", true, coordinator, lease35, true},
		{"PENDING", true, coordinator, lease35, true},
		{"COMPLETE", false, lease35, lease35, false},
		{"COMPLETE", true, lease35, lease35, false},
	} {
		name := fmt.Sprintf("state %q, single table %v", c.state, c.single)
		srv, client := legacy(t, c.state)
		s := storeOn(t, srv, dynamolease.Config{SingleTable: c.single})
		if err := s.Setup(t.Context(), "A"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		keys := map[string]string{"app": "leaseKey", coordinator: "key", metrics: "wid"}
		in := func(table, key string) bool { return get(t, client, table, keys[table], key) != nil }

		mine := lease.LockItem{Owner: "A", Version: "1", Duration: time.Minute}
		if err := s.TakeLock(t.Context(), nil, mine); err != nil {
			t.Errorf("%s: TakeLock: %v", name, err)
		}
		if in("app", "Leader") != (c.lock == "app") || in(coordinator, "Leader") != (c.lock == coordinator) {
			t.Errorf("%s: the lock is not in %s alone", name, c.lock)
		}
		if seen, err := s.ReadLock(t.Context()); err != nil || seen == nil || *seen != mine {
			t.Errorf("%s: ReadLock = %v, %v", name, seen, err)
		}
		beaten, err := s.BeatLock(t.Context(), mine, "2")
		if err == nil {
			err = s.DropLock(t.Context(), beaten)
		}
		if err != nil || in(c.lock, "Leader") {
			t.Errorf("%s: BeatLock or DropLock: %v", name, err)
		}

		when := time.Unix(1_700_000_000, 0)
		a := lease.Worker{ID: "A", ReportedAt: when}
		if err := s.Report(t.Context(), a); err != nil {
			t.Errorf("%s: Report: %v", name, err)
		}
		if in("app", "A") != (c.reports == "app") || in(metrics, "A") != (c.reports == metrics) {
			t.Errorf("%s: the report is not in %s alone", name, c.reports)
		}
		put(t, client, metrics, `{"wid":{"S":"J"},"lut":{"N":"1700000001"}}`) // a Java 3.4 worker
		// S32: a worker that reports in both tables counts once, with its newest report.
		put(t, client, "app", `{"leaseKey":{"S":"J"},"entityType":{"S":"WORKER_METRIC_STATS"},"lut":{"N":"1700000009"}}`)
		snap, err := s.Snapshot(t.Context())
		if err != nil {
			t.Errorf("%s: Snapshot: %v", name, err)
		}
		seen := map[string]int64{}
		for _, w := range snap.Workers {
			if seen[w.ID] != 0 {
				t.Errorf("%s: worker %s twice", name, w.ID)
			}
			seen[w.ID] = w.ReportedAt.Unix()
		}
		if len(snap.Leases) != 1 || len(snap.Broken) != 0 || seen["J"] != 1700000009 || seen["A"] != 1700000000 {
			t.Errorf("%s: leases %v, workers %v, broken %v", name, snap.Leases, seen, snap.Broken)
		}
		if err := s.Forget(t.Context(), a); err != nil || in(c.reports, "A") {
			t.Errorf("%s: Forget: %v", name, err)
		}
		if c.readsBothRolls { // the 3.4 worker's report is read where it is the only one, too
			put(t, client, metrics, `{"wid":{"S":"K"},"lut":{"N":"5"}}`)
			snap, err := s.Snapshot(t.Context())
			if err != nil || len(snap.Workers) != 2 {
				t.Errorf("%s: Snapshot with a legacy report = %v, %v", name, snap.Workers, err)
			}
		}
		if state := get(t, client, coordinator, "key", "TableMigration3.5")["tm"]; strings.TrimPrefix(state, "TABLE_MIGRATION_STATUS_") != c.state {
			t.Errorf("%s: the state became %q", name, state)
		}
	}
}

// The fleet moves while the worker runs: it follows, and there is never a second lock.
func TestLayoutMoves(t *testing.T) {
	srv, client := legacy(t, "PENDING")
	s := storeOn(t, srv, dynamolease.Config{SingleTable: true})
	if err := s.Setup(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	seen, err := s.ReadLock(t.Context())
	if err != nil || seen != nil {
		t.Fatalf("ReadLock = %v, %v", seen, err)
	}
	move(t, client, "COMPLETE") // between our reading the lock and our taking it
	mine := lease.LockItem{Owner: "A", Version: "1", Duration: time.Minute}
	if err := s.TakeLock(t.Context(), seen, mine); !errors.Is(err, lease.ErrLockHeld) {
		t.Errorf("TakeLock of the old lock = %v, want ErrLockHeld", err)
	}
	if got := get(t, client, coordinator, "key", "Leader"); got != nil {
		t.Errorf("the old lock was left taken: %v", got)
	}
	if seen, err = s.ReadLock(t.Context()); err != nil || seen != nil {
		t.Fatalf("ReadLock = %v, %v", seen, err)
	}
	if err := s.TakeLock(t.Context(), seen, mine); err != nil {
		t.Fatal(err)
	}
	if get(t, client, "app", "leaseKey", "Leader") == nil {
		t.Error("the lock is not in the lease table")
	}
	n := count(srv)
	if err := s.Check(t.Context()); err != nil || n.take("GetItem") != 1 {
		t.Errorf("Check after the move: %v", err)
	}
}

// The lock is looked for where it is now, not where it was at the start.
func TestReadLockAfterMove(t *testing.T) {
	srv, client := legacy(t, "PENDING")
	s := storeOn(t, srv, dynamolease.Config{})
	if err := s.Setup(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	move(t, client, "COMPLETE")
	put(t, client, "app", `{"leaseKey":{"S":"Leader"},"entityType":{"S":"LEADER"},"ownerName":{"S":"J"},"leaseDuration":{"S":"1"},"recordVersionNumber":{"S":"v"}}`)
	if lock, err := s.ReadLock(t.Context()); err != nil || lock == nil || lock.Owner != "J" {
		t.Errorf("ReadLock = %v, %v; want that of J", lock, err)
	}
}

// A worker that started before the move, without SingleTable, reports in the lease table once the move is complete.
func TestReportAfterMove(t *testing.T) {
	srv, client := legacy(t, "INIT")
	s := storeOn(t, srv, dynamolease.Config{})
	if err := s.Setup(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"DEPLOYED", "PENDING", "COMPLETE"} {
		move(t, client, state)
		if err := s.Check(t.Context()); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		if err := s.Report(t.Context(), lease.Worker{ID: "A", ReportedAt: time.Unix(1, 0)}); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		if got := get(t, client, "app", "leaseKey", "A"); (got != nil) != (state == "COMPLETE") {
			t.Errorf("%s: report in the lease table: %v", state, got)
		}
	}
}

func TestLayoutsRefused(t *testing.T) {
	remove := func(t *testing.T, client *dynamodb.Client, table string) {
		t.Helper()
		if _, err := client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(table)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, state string
		cfg         dynamolease.Config
		spoil       func(t *testing.T, client *dynamodb.Client)
		want        string
	}{
		{"single table too early", "INIT", dynamolease.Config{SingleTable: true}, nil,
			"table app-CoordinatorState: lease: store unusable: SingleTable is set, but not all workers are ready for it (TABLE_MIGRATION_STATUS_INIT); " +
				"start without it until TableMigration3.5 says TABLE_MIGRATION_STATUS_DEPLOYED"},
		{"state from the future", "BEYOND", dynamolease.Config{}, nil,
			`table app-CoordinatorState: lease: store unusable: item TableMigration3.5 has tm "TABLE_MIGRATION_STATUS_BEYOND", which this version does not know; use a newer one`},
		{"S34: half of the legacy tables", "DEPLOYED", dynamolease.Config{}, func(t *testing.T, client *dynamodb.Client) { remove(t, client, metrics) },
			"table app-WorkerMetricStats: lease: store unusable: it is gone while app-CoordinatorState is still in use; " +
				"if no worker of Java KCL 3.0 to 3.4 runs any more, delete app-CoordinatorState too, else restore it"},
		{"rolled back", "DEPLOYED", dynamolease.Config{}, func(t *testing.T, client *dynamodb.Client) {
			put(t, client, coordinator, `{"key":{"S":"Migration3.0"},"cv":{"S":"CLIENT_VERSION_2X"}}`)
		}, `table app-CoordinatorState: lease: store unusable: item Migration3.0 says "CLIENT_VERSION_2X": the application was rolled back to KCL 2.x; ` +
			`stop this worker, or roll forward with the Java KCL's migration tool`},
		{"Java 3.4 is just starting", "", dynamolease.Config{}, func(t *testing.T, client *dynamodb.Client) {
			remove(t, client, coordinator)
			createTable(t, client, coordinator, "key")
		}, "table app-CoordinatorState: lease: store unusable: there is no item Migration3.0, neither here nor in app: an application of Java KCL 3.0 to 3.4 is just starting; " +
			"start this worker when it runs, or delete the table if no such application runs any more"},
	} {
		srv, client := legacy(t, c.state)
		if c.spoil != nil {
			c.spoil(t, client)
		}
		err := storeOn(t, srv, c.cfg).Setup(t.Context(), "A")
		if want := "set up leases of app: " + c.want; err == nil || err.Error() != want || !errors.Is(err, lease.ErrUnusable) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, want)
		}
	}
}

// Tables that Java is just creating are waited for by asking again.
func TestLegacyTablesUnderCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{CreateDelay: time.Minute})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		time.Sleep(time.Minute)
		createTable(t, client, coordinator, "key")
		s := storeOn(t, srv, dynamolease.Config{})
		if err := s.Setup(t.Context(), "A"); !errors.Is(err, lease.ErrUnavailable) {
			t.Errorf("Setup = %v, want ErrUnavailable", err)
		}
	})
}

// A tool that only looks need not set anything up.
func TestWithoutSetup(t *testing.T) {
	srv, _ := legacy(t, "DEPLOYED")
	s := storeOn(t, srv, dynamolease.Config{})
	if snap, err := s.Snapshot(t.Context()); err != nil || len(snap.Leases) != 1 {
		t.Errorf("Snapshot = %v, %v", snap, err)
	}
	n := count(srv)
	none := storeOn(t, server(local.Config{}), dynamolease.Config{})
	if _, err := none.Snapshot(t.Context()); !errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Snapshot of nothing = %v, want ErrUnusable", err)
	}
	if n.take("CreateTable") > 0 {
		t.Error("looking created a table")
	}
}
