package dynamolease_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/lease/leasetest"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// storeOn returns a store of application "app" on srv.
func storeOn(t *testing.T, srv *local.Server, cfg dynamolease.Config) *dynamolease.Store {
	t.Helper()
	if cfg.Client == nil {
		cfg.Client = dynamodb.NewFromConfig(srv.AWSConfig())
	}
	cfg.Application = "app"
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s, err := dynamolease.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ready returns a store that is set up on srv.
func ready(t *testing.T, srv *local.Server) *dynamolease.Store {
	t.Helper()
	s := storeOn(t, srv, dynamolease.Config{})
	if err := s.Setup(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	return s
}

func server(cfg local.Config) *local.Server {
	cfg.Logger = quiet
	return local.New(cfg)
}

func TestStore(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		return storeOn(t, server(local.Config{}), dynamolease.Config{})
	})
}

// The contract holds with an index that lags, and with several scans at a time.
func TestStoreWithLag(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		srv := server(local.Config{IndexLag: 30 * time.Millisecond, CreateDelay: 50 * time.Millisecond})
		return storeOn(t, srv, dynamolease.Config{Segments: 7})
	})
}

// bareRefusals is a DynamoDB that does not send the item along when it refuses a write.
type bareRefusals struct{ next *http.Client }

func (c bareRefusals) Do(r *http.Request) (*http.Response, error) {
	res, err := c.next.Do(r)
	if err != nil || res.StatusCode == http.StatusOK {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	delete(fields, "Item")
	if body, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

func TestStoreWithBareRefusals(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		srv := server(local.Config{})
		client := dynamodb.NewFromConfig(srv.AWSConfig(), func(o *dynamodb.Options) {
			o.HTTPClient = bareRefusals{srv.HTTPClient()}
		})
		return storeOn(t, srv, dynamolease.Config{Client: client})
	})
}

// calls counts what reaches the server.
type calls struct {
	mu sync.Mutex
	n  map[string]int
}

func count(srv *local.Server) *calls {
	c := &calls{n: map[string]int{}}
	srv.Intercept(local.Rule{Choose: func(call *local.Call) local.Effect {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n[call.Operation]++
		return local.Effect{}
	}})
	return c
}

// take returns how often op was called since the last take.
func (c *calls) take(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n[op]
	c.n[op] = 0
	return n
}

const shard0 = "shardId-000000000000"

// writes are all that change a row, with the operation each uses and how to see that it took effect.
var writes = []struct {
	name, op string
	do       func(ctx context.Context, s lease.Store, l lease.Lease) error
	took     func(before, after lease.Lease) bool
}{
	{"renew", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error { return err2(s.Renew(ctx, l)) }, counted},
	{"checkpoint", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error {
		return err2(s.Checkpoint(ctx, l, stream.ShardEnd))
	}, func(b, a lease.Lease) bool { return counted(b, a) && a.Ended() }},
	{"prepare", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error {
		return err2(s.Prepare(ctx, l, stream.Latest, nil))
	}, func(b, a lease.Lease) bool { return counted(b, a) && a.Pending == stream.Latest }},
	{"assign", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error { return err2(s.Assign(ctx, l, "B")) },
		func(b, a lease.Lease) bool { return counted(b, a) && a.Owner == "B" }},
	{"hand off", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error { return err2(s.Handoff(ctx, l, "B")) },
		func(_, a lease.Lease) bool { return a.InHandoff() }},
	{"release", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error { return err2(s.Release(ctx, l)) },
		func(b, a lease.Lease) bool { return counted(b, a) && a.Owner == "" }},
	{"rewind", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error {
		return err2(s.Rewind(ctx, l, stream.Latest))
	}, func(b, a lease.Lease) bool { return counted(b, a) && a.Checkpoint == stream.Latest }},
	{"set children of", "UpdateItem", func(ctx context.Context, s lease.Store, l lease.Lease) error {
		return s.SetChildren(ctx, l.Key, []stream.ShardID{"c"})
	}, func(_, a lease.Lease) bool { return len(a.Children) == 1 }},
	{"delete", "DeleteItem", func(ctx context.Context, s lease.Store, l lease.Lease) error { return s.Delete(ctx, l) },
		func(_, a lease.Lease) bool { return a.Key == "" }},
}

func counted(before, after lease.Lease) bool { return after.Counter == before.Counter+1 }

// owned returns a lease that A owns.
func owned(t *testing.T, s lease.Store) lease.Lease {
	t.Helper()
	l := lease.Lease{Key: shard0, Shard: shard0, Checkpoint: stream.TrimHorizon}
	if created, err := s.Create(t.Context(), l); err != nil || !created {
		t.Fatalf("Create = %v, %v", created, err)
	}
	l, err := s.Assign(t.Context(), l, "A")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// S6: a write whose reply is lost is sent once, is ErrUnavailable, and the row has moved.
func TestLostReply(t *testing.T) {
	for _, w := range writes {
		srv := server(local.Config{})
		s := ready(t, srv)
		before := owned(t, s)
		n := count(srv)
		n.take(w.op)
		heal := srv.Intercept(local.Rule{Operation: w.op, Effect: local.Effect{LoseReply: true}})
		err := w.do(t.Context(), s, before)
		heal()
		if !errors.Is(err, lease.ErrUnavailable) || errors.Is(err, stream.ErrLeaseLost) {
			t.Errorf("%s with a lost reply = %v, want ErrUnavailable", w.name, err)
		}
		if got := n.take(w.op); got != 1 {
			t.Errorf("%s was sent %d times, want once", w.name, got)
		}
		after, err := s.Get(t.Context(), shard0)
		if err != nil && !errors.Is(err, lease.ErrNotFound) {
			t.Fatal(err)
		}
		if !w.took(before, after) {
			t.Errorf("%s: the row is %+v", w.name, after)
		}
	}
}

// A throttled write is sent once too: whether and when to try again is the owner's.
func TestThrottled(t *testing.T) {
	for _, w := range writes {
		srv := server(local.Config{})
		s := ready(t, srv)
		before := owned(t, s)
		n := count(srv)
		heal := srv.Intercept(local.Rule{Operation: w.op, Effect: local.Effect{Error: local.Throttled()}})
		err := w.do(t.Context(), s, before)
		heal()
		if !errors.Is(err, lease.ErrThrottled) {
			t.Errorf("%s = %v, want ErrThrottled", w.name, err)
		}
		if got := n.take(w.op); got != 1 {
			t.Errorf("%s was sent %d times, want once", w.name, got)
		}
		after, err := s.Get(t.Context(), shard0)
		if err != nil || w.took(before, after) {
			t.Errorf("%s: the row is %+v, %v", w.name, after, err)
		}
	}
}

// S9: a request that hangs ends with the request's time, far within a third of the lease duration.
func TestHangingRequest(t *testing.T) {
	for _, w := range writes {
		synctest.Test(t, func(t *testing.T) {
			srv := server(local.Config{})
			s := ready(t, srv)
			l := owned(t, s)
			defer srv.Intercept(local.Rule{Operation: w.op, Effect: local.Effect{Delay: time.Hour}})()
			asked := time.Now()
			if err := w.do(t.Context(), s, l); !errors.Is(err, lease.ErrUnavailable) {
				t.Errorf("%s = %v, want ErrUnavailable", w.name, err)
			}
			if took := time.Since(asked); took != 2*time.Second {
				t.Errorf("%s took %v, want 2s", w.name, took)
			}
		})
	}
}

// Reads are safe to repeat, and are.
func TestReadsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(local.Config{})
		s := ready(t, srv)
		want := owned(t, s)
		srv.Intercept(local.Rule{Operation: "GetItem", Times: 1, Effect: local.Effect{LoseReply: true}})
		srv.Intercept(local.Rule{Operation: "Scan", Times: 1, Effect: local.Effect{Error: local.Unavailable()}})
		if got, err := s.Get(t.Context(), shard0); err != nil || got.Counter != want.Counter {
			t.Errorf("Get = %+v, %v", got, err)
		}
		if snap, err := s.Snapshot(t.Context()); err != nil || len(snap.Leases) != 1 {
			t.Errorf("Snapshot = %+v, %v", snap, err)
		}
	})
}

// A worker may own more leases than one page of the index holds.
func TestOwnedPages(t *testing.T) {
	s := onFake(t, &fake{answer: func(op string, body []byte) (int, string) {
		switch {
		case op == "DescribeTable":
			return http.StatusOK, `{"Table":{"GlobalSecondaryIndexes":[{"IndexName":"LeaseOwnerToLeaseKeyIndex","IndexStatus":"ACTIVE"}]}}`
		case op != "Query":
			return refusal("InternalServerError", "unexpected "+op)
		case bytes.Contains(body, []byte(`"ExclusiveStartKey":{"leaseKey":{"S":"s1"}`)):
			return http.StatusOK, `{"Items":[{"leaseKey":{"S":"s2"}}]}`
		}
		return http.StatusOK, `{"Items":[{"leaseKey":{"S":"s1"}}],"LastEvaluatedKey":{"leaseKey":{"S":"s1"}}}`
	}})
	if keys, err := s.Owned(t.Context(), "A"); err != nil || !slices.Equal(keys, []string{"s1", "s2"}) {
		t.Errorf("Owned = %v, %v; want s1 and s2", keys, err)
	}
}

// One scan that fails ends the snapshot with its error, not with the cancellation of the others.
func TestSnapshotFails(t *testing.T) {
	srv := server(local.Config{})
	ready(t, srv)
	s := storeOn(t, srv, dynamolease.Config{Segments: 8})
	srv.Intercept(local.Rule{Operation: "Scan", Choose: func(c *local.Call) local.Effect {
		if strings.Contains(string(c.Body), `"Segment":5`) {
			return local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "not allowed"}}
		}
		return local.Effect{Delay: time.Hour}
	}})
	if _, err := s.Snapshot(t.Context()); !errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Snapshot = %v, want ErrUnusable", err)
	}
}

// What is missing, forbidden or of another kind ends a worker with the call, the table and the remedy.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		code string
		want error
		text string
	}{
		{"ResourceNotFoundException", lease.ErrUnusable, "renew shardId-000000000000: UpdateItem on table app: lease: store unusable: the table does not exist; check its name and region, or start a worker, which creates it: "},
		{"AccessDeniedException", lease.ErrUnusable, "renew shardId-000000000000: UpdateItem on table app: lease: store unusable: check the credentials and the clock, and allow dynamodb:UpdateItem on it: "},
		{"UnrecognizedClientException", lease.ErrUnusable, "check the credentials and the clock"},
		{"ValidationException", lease.ErrUnusable, "renew shardId-000000000000: UpdateItem on table app: lease: store unusable: the table is not a lease table of the Kinesis Client Library, or its rows were changed by hand: "},
		{"ProvisionedThroughputExceededException", lease.ErrThrottled, "renew shardId-000000000000: UpdateItem on table app: lease: store throttled: "},
		{"ThrottlingException", lease.ErrThrottled, ""},
		{"InternalServerError", lease.ErrUnavailable, "renew shardId-000000000000: UpdateItem on table app: lease: store unavailable: "},
		{"NewKindOfException", lease.ErrUnavailable, ""},
		{"TransactionConflictException", lease.ErrUnavailable, ""},
	} {
		s := onFake(t, &fake{answer: func(string, []byte) (int, string) { return refusal(c.code, "text") }})
		_, err := s.Renew(t.Context(), lease.Lease{Key: shard0, Shard: shard0, Owner: "A"})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s:\n got %v\nwant %v with %s", c.code, err, c.want, c.text)
		}
		for _, other := range []error{lease.ErrUnusable, lease.ErrThrottled, lease.ErrUnavailable, stream.ErrLeaseLost, lease.ErrNotFound} {
			if other != c.want && errors.Is(err, other) {
				t.Errorf("%s: %v is %v too", c.code, err, other)
			}
		}
	}
}

// A write that is refused by a row which cannot be read is lost, and says what is wrong with the row.
func TestRefusedByBrokenRow(t *testing.T) {
	s := onFake(t, &fake{answer: func(string, []byte) (int, string) {
		_, body := refusal("ConditionalCheckFailedException", "The conditional request failed")
		return http.StatusBadRequest, strings.TrimSuffix(body, "}") + `,"Item":{"leaseKey":{"S":"` + shard0 + `"},"leaseCounter":{"S":"x"},"ownerSwitchesSinceCheckpoint":{"N":"0"},"checkpoint":{"S":"LATEST"}}}`
	}})
	_, err := s.Renew(t.Context(), lease.Lease{Key: shard0, Shard: shard0, Owner: "A"})
	if !errors.Is(err, stream.ErrLeaseLost) || !errors.Is(err, lease.ErrMalformed) || !strings.Contains(err.Error(), "leaseCounter is of type S, not N") {
		t.Errorf("Renew = %v", err)
	}
}

func TestGetBrokenRow(t *testing.T) {
	s := onFake(t, &fake{answer: func(string, []byte) (int, string) { return http.StatusOK, `{"Item":{"leaseKey":{"S":"x"}}}` }})
	if _, err := s.Get(t.Context(), "x"); !errors.Is(err, lease.ErrMalformed) {
		t.Errorf("Get = %v, want ErrMalformed", err)
	}
}

func TestPrepareTooLarge(t *testing.T) {
	srv := server(local.Config{})
	s := ready(t, srv)
	l := owned(t, s)
	if _, err := s.Prepare(t.Context(), l, stream.Latest, make([]byte, 350<<10+1)); err == nil || errors.Is(err, lease.ErrUnusable) {
		t.Errorf("Prepare with too large a state = %v", err)
	}
	if _, err := s.Prepare(t.Context(), l, stream.Latest, make([]byte, 350<<10)); err != nil {
		t.Errorf("Prepare with the largest state: %v", err)
	}
}

// Attributes that this version does not know outlive everything but the row.
func TestUnknownAttributesStay(t *testing.T) {
	srv := server(local.Config{})
	s := ready(t, srv)
	client := dynamodb.NewFromConfig(srv.AWSConfig())
	l := owned(t, s)
	put(t, client, "app", `{"leaseKey":{"S":"`+shard0+`"},"leaseOwner":{"S":"A"},"leaseCounter":{"N":"1"},"ownerSwitchesSinceCheckpoint":{"N":"0"},
		"checkpoint":{"S":"TRIM_HORIZON"},"checkpointSubSequenceNumber":{"N":"0"},"fromTheFuture":{"S":"kept"}}`)
	for _, w := range writes[:len(writes)-1] {
		if err := w.do(t.Context(), s, l); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		now, err := s.Get(t.Context(), shard0)
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, client, "app", "leaseKey", shard0); got["fromTheFuture"] != "kept" {
			t.Errorf("after %s the row is %v", w.name, got)
		}
		if now.Owner != "A" { // back to A for the next write
			if now, err = s.Assign(t.Context(), now, "A"); err != nil {
				t.Fatal(err)
			}
		}
		l = now
	}
}

func TestConfig(t *testing.T) {
	srv := server(local.Config{})
	client := dynamodb.NewFromConfig(srv.AWSConfig())
	for _, c := range []struct {
		cfg  dynamolease.Config
		want string
	}{
		{dynamolease.Config{}, "dynamolease: Client is required\ndynamolease: Application is required"},
		{dynamolease.Config{Client: dynamodb.New(dynamodb.Options{}), Application: "app"}, "dynamolease: Client has no region: set AWS_REGION, or the region of its configuration"},
		{dynamolease.Config{Client: client, Application: "my app"}, "dynamolease: Table \"my app\" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'\n" +
			"dynamolease: CoordinatorTable \"my app-CoordinatorState\" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'\n" +
			"dynamolease: WorkerMetricsTable \"my app-WorkerMetricStats\" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'"},
		{dynamolease.Config{Client: client, Application: "app", CoordinatorTable: "app"}, `dynamolease: Table "app", CoordinatorTable "app" and WorkerMetricsTable "app-WorkerMetricStats" are not three names`},
		{dynamolease.Config{Client: client, Application: "app", Provisioned: dynamolease.Capacity{Read: 5}}, "dynamolease: Provisioned 5 read and 0 write units: both must be at least 1, or both 0 for on demand"},
		{dynamolease.Config{Client: client, Application: "app", Segments: 33, RequestTimeout: -1}, "dynamolease: Segments 33 is not within 1 to 32\ndynamolease: RequestTimeout -1ns is negative"},
	} {
		if _, err := dynamolease.New(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("New:\n got %v\nwant %s", err, c.want)
		}
	}
}
