package dynamolease_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// put stores an item given as DynamoDB's JSON, of strings and numbers.
func put(t *testing.T, client *dynamodb.Client, table, item string) {
	t.Helper()
	var attrs map[string]map[string]string
	if err := json.Unmarshal([]byte(item), &attrs); err != nil {
		t.Fatal(err)
	}
	in := dynamodb.PutItemInput{TableName: &table, Item: map[string]types.AttributeValue{}}
	for name, v := range attrs {
		if s, ok := v["S"]; ok {
			in.Item[name] = &types.AttributeValueMemberS{Value: s}
		} else {
			in.Item[name] = &types.AttributeValueMemberN{Value: v["N"]}
		}
	}
	if _, err := client.PutItem(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
}

// get returns the strings and numbers of an item; nil if there is none.
func get(t *testing.T, client *dynamodb.Client, table, keyName, key string) map[string]string {
	t.Helper()
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table, Key: map[string]types.AttributeValue{keyName: &types.AttributeValueMemberS{Value: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var attrs map[string]string
	for name, v := range out.Item {
		if attrs == nil {
			attrs = map[string]string{}
		}
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			attrs[name] = v.Value
		case *types.AttributeValueMemberN:
			attrs[name] = v.Value
		}
	}
	return attrs
}

func createTable(t *testing.T, client *dynamodb.Client, table, key string) {
	t.Helper()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func version(cv string) string {
	return fmt.Sprintf(`{"leaseKey":{"S":"Migration3.0"},"entityType":{"S":"CLIENT_VERSION_MIGRATION"},"cv":{"S":%q}}`, cv)
}

// indexes returns the status of each index of the lease table.
func indexes(t *testing.T, client *dynamodb.Client) map[string]types.IndexStatus {
	t.Helper()
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("app")})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]types.IndexStatus{}
	for _, x := range out.Table.GlobalSecondaryIndexes {
		all[aws.ToString(x.IndexName)] = x.IndexStatus
	}
	return all
}

// S1: many workers start at once on an empty account, and all of them come up.
func TestSetupTogether(t *testing.T) {
	for _, delay := range []time.Duration{0, 7 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			srv := server(local.Config{CreateDelay: delay})
			began := time.Now()
			var all sync.WaitGroup
			for i := range 8 {
				s := storeOn(t, srv, dynamolease.Config{})
				all.Go(func() {
					if err := s.Setup(t.Context(), fmt.Sprint("worker-", i)); err != nil {
						t.Errorf("worker %d: %v", i, err)
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took > delay+3*time.Second {
				t.Errorf("setup took %v with tables that take %v", took, delay)
			}
			client := dynamodb.NewFromConfig(srv.AWSConfig())
			if got := get(t, client, "app", "leaseKey", "Migration3.0")["cv"]; got != "CLIENT_VERSION_3X" {
				t.Errorf("client version %q", got)
			}
			if x := indexes(t, client); len(x) != 1 || x["LeaseOwnerToLeaseKeyIndex"] == "" {
				t.Errorf("indexes %v", x)
			}
		})
	}
}

// S29, and the time to the first record: nobody waits for the index, and discovery works without it.
func TestOwnedWithoutIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{CreateDelay: 10 * time.Minute})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		time.Sleep(10 * time.Minute) // the table is there, an index takes as long
		put(t, client, "app", version("CLIENT_VERSION_3X"))
		s := storeOn(t, srv, dynamolease.Config{})
		if err := s.Setup(t.Context(), "A"); err != nil {
			t.Fatal(err)
		}
		owned(t, s)
		n := count(srv)
		discovers := func(what string, queries int) {
			t.Helper()
			keys, err := s.Owned(t.Context(), "A")
			if err != nil || len(keys) != 1 || keys[0] != shard0 {
				t.Errorf("%s: Owned = %v, %v", what, keys, err)
			}
			if got := n.take("Query"); got != queries {
				t.Errorf("%s: %d queries, want %d", what, got, queries)
			}
		}
		discovers("no index", 0)
		if got := n.take("UpdateTable"); got != 0 {
			t.Error("the index of a table that another created was asked for at once")
		}
		for range 20 {
			time.Sleep(2 * time.Second)
			discovers("no index", 0)
		}
		if got := n.take("UpdateTable"); got != 1 {
			t.Errorf("the missing index was asked for %d times within 40s, want once", got)
		}
		if got := n.take("DescribeTable"); got > 22 {
			t.Errorf("%d looks at the table in 40s", got)
		}
		time.Sleep(5 * time.Minute)
		discovers("index under creation", 0)
		time.Sleep(6 * time.Minute)
		discovers("index active", 1)
		n.take("DescribeTable")
		discovers("index active", 1)
		if got := n.take("DescribeTable"); got != 0 {
			t.Errorf("%d looks at the table with an active index", got)
		}

		_, err := client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
			TableName:                   aws.String("app"),
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("LeaseOwnerToLeaseKeyIndex")}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		discovers("index deleted", 1)
		discovers("index deleted", 0)
	})
}

// An index that may not be created is no reason not to work, and what the log says of it is true: the table is usable.
func TestIndexRefused(t *testing.T) {
	for code, remedy := range map[string]string{
		"AccessDeniedException": "allow dynamodb:UpdateTable on the table, or create the index by hand, with the key leaseOwner, leaseKey: ",
		"ValidationException":   "the server refuses the request itself, which is valid on DynamoDB; another server may not know it: ",
		"InternalServerError":   "it is asked for again: ",
	} {
		srv := server(local.Config{})
		srv.Intercept(local.Rule{Operation: "UpdateTable", Effect: local.Effect{Error: &local.Error{Code: code}}})
		var log bytes.Buffer
		s := storeOn(t, srv, dynamolease.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := s.Setup(t.Context(), "A"); err != nil {
			t.Fatal(err)
		}
		owned(t, s)
		if keys, err := s.Owned(t.Context(), "A"); err != nil || len(keys) != 1 {
			t.Errorf("%s: Owned = %v, %v", code, keys, err)
		}
		if want := `err="UpdateTable on table app: ` + remedy; !strings.Contains(log.String(), want) {
			t.Errorf("%s: log:\n%swant %s", code, log.String(), want)
		}
	}
}

// A server that refuses the creation of a table says nothing of rows.
func TestTableRefused(t *testing.T) {
	srv := server(local.Config{})
	srv.Intercept(local.Rule{Operation: "CreateTable", Effect: local.Effect{Error: &local.Error{Code: "ValidationException"}}})
	err := storeOn(t, srv, dynamolease.Config{}).Setup(t.Context(), "A")
	want := "set up leases of app: CreateTable on table app: lease: store unusable: the server refuses the request itself, which is valid on DynamoDB; another server may not know it: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s…", err, want)
	}
}

// The states of the client version (spec lease-coordination.md 3.3 and 14.4).
func TestClientVersions(t *testing.T) {
	for cv, want := range map[string]string{
		"CLIENT_VERSION_3X":               "",
		"CLIENT_VERSION_3X_WITH_ROLLBACK": "",
		"CLIENT_VERSION_UPGRADE_FROM_2X": `table app: lease: store unusable: item Migration3.0 says "CLIENT_VERSION_UPGRADE_FROM_2X": ` +
			`the application is being upgraded from KCL 2.x; start this worker when its Java workers have finished that (CLIENT_VERSION_3X)`,
		"CLIENT_VERSION_2X": `table app: lease: store unusable: item Migration3.0 says "CLIENT_VERSION_2X": ` +
			`the application was rolled back to KCL 2.x; stop this worker, or roll forward with the Java KCL's migration tool`,
		"CLIENT_VERSION_9X": `table app: lease: store unusable: item Migration3.0 says "CLIENT_VERSION_9X": ` +
			`this version does not know that state; use a newer one`,
	} {
		srv := server(local.Config{})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		put(t, client, "app", version(cv))
		s := storeOn(t, srv, dynamolease.Config{})
		for what, err := range map[string]error{
			"set up leases of app: ": s.Setup(t.Context(), "A"), "check leases of app: ": s.Check(t.Context()),
		} {
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != what+want || !errors.Is(err, lease.ErrUnusable)) {
				t.Errorf("%s:\n got %v\nwant %s%s", cv, err, what, want)
			}
		}
		if got := get(t, client, "app", "leaseKey", "Migration3.0")["cv"]; got != cv {
			t.Errorf("%s became %s", cv, got)
		}
	}
}

// A rollback while the worker runs is noticed by Check, which is one read.
func TestCheckRollback(t *testing.T) { synctest.Test(t, testCheckRollback) }

func testCheckRollback(t *testing.T) {
	srv := server(local.Config{})
	s := ready(t, srv)
	client := dynamodb.NewFromConfig(srv.AWSConfig())
	put(t, client, "app", version("CLIENT_VERSION_3X_WITH_ROLLBACK"))
	n := count(srv)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check = %v", err)
	}
	if got := n.take("GetItem"); got != 1 {
		t.Errorf("Check made %d reads", got)
	}
	put(t, client, "app", version("CLIENT_VERSION_2X"))
	if err := s.Check(t.Context()); !errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Check after a rollback = %v, want ErrUnusable", err)
	}
	srv.Intercept(local.Rule{Operation: "GetItem", Effect: local.Effect{Error: local.Unavailable()}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Check(ctx); !errors.Is(err, lease.ErrUnavailable) || errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Check without an answer = %v, want ErrUnavailable", err)
	}
}

const oldLease = `{"leaseKey":{"S":"shardId-000000000000"},"leaseCounter":{"N":"3"},"ownerSwitchesSinceCheckpoint":{"N":"0"},"checkpoint":{"S":"LATEST"},"checkpointSubSequenceNumber":{"N":"0"}}`

// S27: a table with leases and without a client version may have 2.x workers on it.
func TestOldTable(t *testing.T) {
	srv := server(local.Config{})
	client := dynamodb.NewFromConfig(srv.AWSConfig())
	createTable(t, client, "app", "leaseKey")
	put(t, client, "app", oldLease)
	err := storeOn(t, srv, dynamolease.Config{}).Setup(t.Context(), "A")
	const want = "set up leases of app: table app: lease: store unusable: it has leases but no item Migration3.0, so KCL 1.x or 2.x workers may be running on it, " +
		"which would not see this one; upgrade them first, or, if none runs any more, say so with AdoptOldTable"
	if err == nil || err.Error() != want || !errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Setup:\n got %v\nwant %s", err, want)
	}
	if got := get(t, client, "app", "leaseKey", "Migration3.0"); got != nil {
		t.Errorf("refused, but wrote %v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		put(t, client, "app", oldLease)
		if err := storeOn(t, srv, dynamolease.Config{AdoptOldTable: true}).Setup(t.Context(), "A"); err != nil {
			t.Errorf("Setup with AdoptOldTable: %v", err)
		}
		if got := get(t, client, "app", "leaseKey", "Migration3.0"); got["cv"] != "CLIENT_VERSION_3X" || got["mb"] != "A" {
			t.Errorf("client version %v", got)
		}
	})
}

// S1: a young table without a client version is left to the Java worker that is just setting it up.
func TestYoungTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		began := time.Now()
		go func() {
			time.Sleep(10 * time.Second) // Java's first look at a table that it created
			put(t, client, "app", version("CLIENT_VERSION_3X"))
		}()
		if err := storeOn(t, srv, dynamolease.Config{}).Setup(t.Context(), "A"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 13*time.Second {
			t.Errorf("Setup took %v, want a little over 10s", took)
		}
		if got := get(t, client, "app", "leaseKey", "Migration3.0"); got["mb"] != "" {
			t.Errorf("wrote %v over Java's item", got)
		}
	})
	// Whoever created it died: somebody must go on.
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		began := time.Now()
		if err := storeOn(t, srv, dynamolease.Config{}).Setup(t.Context(), "A"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 20*time.Second || took > 23*time.Second {
			t.Errorf("Setup took %v, want a little over 20s", took)
		}
	})
	// A table that an operator created in advance is taken at once.
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		createTable(t, dynamodb.NewFromConfig(srv.AWSConfig()), "app", "leaseKey")
		time.Sleep(2 * time.Minute)
		began := time.Now()
		if err := storeOn(t, srv, dynamolease.Config{}).Setup(t.Context(), "A"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Setup took %v", took)
		}
	})
}

// Another worker marks the table, and its leader creates leases, between our look for the mark and our look for leases.
func TestMarkedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		client := dynamodb.NewFromConfig(srv.AWSConfig())
		createTable(t, client, "app", "leaseKey")
		srv.Intercept(local.Rule{Operation: "Scan", Effect: local.Effect{Delay: time.Second}})
		go func() {
			time.Sleep(time.Second / 2)
			put(t, client, "app", version("CLIENT_VERSION_3X"))
			put(t, client, "app", oldLease)
		}()
		if err := storeOn(t, srv, dynamolease.Config{}).Setup(t.Context(), "A"); err != nil {
			t.Errorf("Setup: %v", err)
		}
	})
}

func TestSetupRefuses(t *testing.T) {
	srv := server(local.Config{})
	createTable(t, dynamodb.NewFromConfig(srv.AWSConfig()), "app", "id")
	s := storeOn(t, srv, dynamolease.Config{})
	const want = "set up leases of app: table app: lease: store unusable: its key is not the string leaseKey alone, so it is no lease table; choose another application or table name"
	if err := s.Setup(t.Context(), "A"); err == nil || err.Error() != want {
		t.Errorf("Setup:\n got %v\nwant %s", err, want)
	}
	for _, worker := range []string{"", "Leader", "Migration3.0", "TableMigration3.5"} {
		want := fmt.Sprintf("set up leases of app: lease: store unusable: %q cannot be the name of a worker", worker)
		if err := s.Setup(t.Context(), worker); err == nil || err.Error() != want {
			t.Errorf("Setup:\n got %v\nwant %s", err, want)
		}
	}
	for op, call := range map[string]string{
		"DescribeTable": "DescribeTable on table app", "CreateTable": "CreateTable on table app", "PutItem": "PutItem on table app",
		"UpdateContinuousBackups": "UpdateContinuousBackups on table app",
	} {
		srv := server(local.Config{})
		srv.Intercept(local.Rule{Operation: op, Effect: local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "no"}}})
		err := storeOn(t, srv, dynamolease.Config{PointInTimeRecovery: true}).Setup(t.Context(), "A")
		want := "set up leases of app: " + call + ": lease: store unusable: check the credentials and the clock, and allow dynamodb:" + op + " on it: "
		if !errors.Is(err, lease.ErrUnusable) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Setup without %s:\n got %v\nwant %s…", op, err, want)
		}
	}
}

// A worker's name that is a lease's key must not turn the lease into a report.
func TestWorkerNamedLikeALease(t *testing.T) {
	srv := server(local.Config{})
	s := ready(t, srv)
	want := owned(t, s)
	err := s.Report(t.Context(), lease.Worker{ID: shard0, ReportedAt: time.Unix(1, 0)})
	if !errors.Is(err, lease.ErrUnusable) || !strings.Contains(err.Error(), `the worker's name "shardId-000000000000" is the key of another item; choose another`) {
		t.Errorf("Report = %v", err)
	}
	if got, err := s.Get(t.Context(), shard0); err != nil || got.Counter != want.Counter {
		t.Errorf("the lease is %+v, %v", got, err)
	}
}

// Setup after an error goes on where it was.
func TestSetupAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		s := storeOn(t, srv, dynamolease.Config{})
		for _, op := range []string{"DescribeTable", "CreateTable", "GetItem", "Scan", "PutItem"} {
			heal := srv.Intercept(local.Rule{Operation: op, Effect: local.Effect{LoseReply: true}})
			if err := s.Setup(t.Context(), "A"); !errors.Is(err, lease.ErrUnavailable) {
				t.Errorf("Setup with lost replies of %s = %v, want ErrUnavailable", op, err)
			}
			heal()
		}
		if err := s.Setup(t.Context(), "A"); err != nil {
			t.Errorf("Setup at last: %v", err)
		}
		if _, err := s.Create(t.Context(), lease.Lease{Key: shard0, Shard: shard0, Checkpoint: stream.Latest}); err != nil {
			t.Error(err)
		}
	})
}
