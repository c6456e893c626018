package worker_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// dynamo returns a DynamoDB client whose calls local.Rule knows by caller.
func (r *rig) dynamo(caller string) *dynamodb.Client {
	cfg := r.server.AWSConfig()
	cfg.AppID, cfg.RetryMaxAttempts = caller, 1
	return dynamodb.NewFromConfig(cfg)
}

// onDynamo is config with the lease table in DynamoDB; both of its clients are known by the worker's id.
func (r *rig) onDynamo(id string) worker.Config {
	r.t.Helper()
	store, err := dynamolease.New(dynamolease.Config{Client: r.dynamo(id), Application: "app", Logger: r.log})
	r.must(err)
	r.store = store // for what the test itself looks at
	cfg := r.config(id)
	aws := r.server.AWSConfig()
	aws.AppID, aws.RetryMaxAttempts = id, 2
	cfg.Kinesis = kinesis.NewFromConfig(aws)
	return cfg
}

// requestIDs differ from run to run.
var requestIDs = regexp.MustCompile(`RequestID: [^,]*,`)

func steady(err error) string { return requestIDs.ReplaceAllString(errText(err), "RequestID: …,") }

// ends runs a worker that must end by itself, and returns its error.
func (r *rig) ends(cfg worker.Config) string {
	r.t.Helper()
	w := r.start(cfg)
	select {
	case <-w.done:
	case <-time.After(5 * time.Minute):
		r.t.Fatal("Run did not return")
	}
	return steady(w.err)
}

// TestBadInputEndsTheWorker: what only a person can mend ends Run at its start, with an error that names the call, the resource
// and the remedy.
func TestBadInputEndsTheWorker(t *testing.T) {
	refuse := func(r *rig, operation string) {
		r.server.Intercept(local.Rule{Operation: operation, Effect: local.Effect{Error: denied(operation)}})
	}
	tests := map[string]struct {
		arrange func(r *rig, cfg *worker.Config)
		want    string
	}{
		"stream does not exist": {func(r *rig, cfg *worker.Config) { cfg.Streams = []string{"ordres"} },
			"worker: stream ordres does not exist in region us-east-1: create it, or correct the name, the account or the region: operation error " +
				"Kinesis: DescribeStreamSummary, https response error StatusCode: 400, RequestID: …, ResourceNotFoundException: " +
				"Stream ordres under account 000000000000 not found."},
		"stream given twice": {func(r *rig, cfg *worker.Config) {
			cfg.Streams = []string{"orders", "arn:aws:kinesis:us-east-1:000000000000:stream/orders"}
		}, "worker: stream orders is given twice"},
		"streams may not be described": {func(r *rig, cfg *worker.Config) { refuse(r, "DescribeStreamSummary") },
			"worker: describe stream orders: operation error Kinesis: DescribeStreamSummary, https response error StatusCode: 400, RequestID: …, " +
				"AccessDeniedException: not authorized to perform: DescribeStreamSummary: check the credentials and the clock, " +
				"and allow kinesis:DescribeStreamSummary on stream orders"},
		"shards may not be listed": {func(r *rig, cfg *worker.Config) { refuse(r, "ListShards") },
			"worker: list the shards of orders: operation error Kinesis: ListShards, https response error StatusCode: 400, RequestID: …, " +
				"AccessDeniedException: not authorized to perform: ListShards: check the credentials and the clock, " +
				"and allow kinesis:ListShards on stream orders"},
		"the table may not be described": {func(r *rig, cfg *worker.Config) { refuse(r, "DescribeTable") },
			"worker: set up leases of app: DescribeTable on table app: lease: store unusable: check the credentials and the clock, " +
				"and allow dynamodb:DescribeTable on it: operation error DynamoDB: DescribeTable, https response error StatusCode: 400, RequestID: …, " +
				"api error AccessDeniedException: not authorized to perform: DescribeTable"},
		"the table is another's": {func(r *rig, cfg *worker.Config) { r.createTable("id", dynamotypes.ScalarAttributeTypeN) },
			"worker: set up leases of app: table app: lease: store unusable: its key is not the string leaseKey alone, so it is no lease table; " +
				"choose another application or table name"},
		"the worker's id is a key": {func(r *rig, cfg *worker.Config) { cfg.ID = "Leader" },
			`worker: set up leases of app: lease: store unusable: "Leader" cannot be the name of a worker`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				cfg := r.onDynamo("a")
				cfg.Leases = r.store
				test.arrange(r, &cfg)
				if got := r.ends(cfg); got != test.want {
					t.Errorf("Run = %q\nwant  %q", got, test.want)
				}
			})
		})
	}
}

func (r *rig) createTable(key string, kind dynamotypes.ScalarAttributeType) {
	r.t.Helper()
	_, err := r.dynamo("test").CreateTable(r.t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("app"), BillingMode: dynamotypes.BillingModePayPerRequest,
		KeySchema:            []dynamotypes.KeySchemaElement{{AttributeName: aws.String(key), KeyType: dynamotypes.KeyTypeHash}},
		AttributeDefinitions: []dynamotypes.AttributeDefinition{{AttributeName: aws.String(key), AttributeType: kind}},
	})
	r.must(err)
}

// TestMissingStreamLeavesNoTable: what is misspelt costs nothing.
func TestMissingStreamLeavesNoTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cfg := r.onDynamo("a")
		cfg.Streams = []string{"ordres"}
		r.ends(cfg)
		out, err := r.dynamo("test").ListTables(t.Context(), &dynamodb.ListTablesInput{})
		r.must(err)
		if len(out.TableNames) != 0 {
			t.Errorf("tables: %v", out.TableNames)
		}
	})
}

// TestMissingEndpoint: an endpoint that does not exist may be a network that is not up yet. The worker goes on trying, and says
// what to look at.
func TestMissingEndpoint(t *testing.T) {
	tests := map[string]struct {
		cause error
		want  string
	}{
		"no such host": {&net.DNSError{Err: "no such host", Name: "kinesis.example", IsNotFound: true},
			"no such host: there is no such endpoint: check the region and the endpoint's URL"},
		"nothing listens": {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
			"dial tcp: connection refused: nothing listens there: check the endpoint's URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				cfg := r.config("a")
				way := &brokenWay{next: r.server.HTTPClient().Transport, err: test.cause}
				aws := r.server.AWSConfig()
				aws.HTTPClient, aws.RetryMaxAttempts = &http.Client{Transport: way}, 1
				cfg.Kinesis = kinesis.NewFromConfig(aws)
				w := r.start(cfg)
				time.Sleep(time.Minute)
				p := w.Status().Problems
				if len(p) != 1 || !strings.HasPrefix(p[0].What, "cannot find the streams: describe stream orders: operation error Kinesis: DescribeStreamSummary, ") ||
					!strings.HasSuffix(p[0].What, test.want) {
					t.Errorf("problems: %+v", p)
				}
				records := r.put("orders", "r", 5)
				way.mend()
				r.await(15*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
			})
		})
	}
}

// TestStreamBeingCreated: a worker that is started with its stream waits for it.
func TestStreamBeingCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.server = local.New(local.Config{CreateDelay: time.Minute})
		r.client = kinesis.NewFromConfig(r.server.AWSConfig())
		_, err := r.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(1)})
		r.must(err)
		w := r.start(r.config("a"))
		time.Sleep(10 * time.Second)
		wantProblem(t, w, "cannot find the streams: stream orders is CREATING: stream is not ready")
		time.Sleep(time.Minute)
		records := r.put("orders", "r", 5)
		r.await(2*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
		wantHealthy(t, w)
	})
}

// TestTableDeleted: a table that is deleted while the worker runs ends it, with the remedy.
func TestTableDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.start(r.onDynamo("a"))
		r.await(3*time.Second, "the shard is read", func() bool { return len(w.Status().Shards) == 1 })
		_, err := r.dynamo("test").DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("app")})
		r.must(err)
		began := time.Now()
		<-w.done
		const want = "lease: store unusable: the table does not exist; check its name and region, or start a worker, which creates it"
		if got := errText(w.err); !strings.HasPrefix(got, "worker: ") || !strings.Contains(got, want) || time.Since(began) > 70*time.Second {
			t.Errorf("after %v Run = %q", time.Since(began), got)
		}
	})
}

// TestAccessTaken: a table that is closed to the worker while it runs ends it, with the remedy; a refusal that passes, as while
// credentials are renewed, does not.
func TestAccessTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		w := r.start(r.onDynamo("a"))
		refuse := func() (heal func()) {
			return r.server.Intercept(local.Rule{Service: local.DynamoDB, Caller: "a", Effect: local.Effect{Error: denied("dynamodb:GetItem")}})
		}
		time.Sleep(57 * time.Second)
		heal := refuse()
		time.Sleep(6 * time.Second) // over the check after a minute
		heal()
		records := r.put("orders", "r", 5)
		time.Sleep(20 * time.Second)
		if n := r.seen.missing(records); n != 0 {
			t.Errorf("%d records are missing", n)
		}
		wantHealthy(t, w)
		defer refuse()()
		began := time.Now()
		<-w.done
		if took := time.Since(began); took > 75*time.Second {
			t.Errorf("it took %v", took)
		}
		const want = "worker: check leases of app: GetItem on table app: lease: store unusable: check the credentials and the clock, and allow dynamodb:GetItem on it: "
		if got := errText(w.err); !strings.HasPrefix(got, want) {
			t.Errorf("Run = %q", got)
		}
	})
}

// TestMalformedLeaseRows: rows that cannot be read are named and left as they are; the others are worked on.
func TestMalformedLeaseRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		records := r.put("orders", "one", 100)
		w := r.start(r.onDynamo("a"))
		r.await(5*time.Second, "all records", func() bool { return r.seen.missing(records) == 0 })
		r.must(w.stop())
		db := r.dynamo("test")
		for key, update := range map[string]string{
			shard0: "REMOVE leaseCounter",
			shard1: "SET checkpoint = :n",
			shard2: "SET surprise = :n", // an attribute of a version to come
		} {
			in := &dynamodb.UpdateItemInput{TableName: aws.String("app"), UpdateExpression: aws.String(update),
				Key: map[string]dynamotypes.AttributeValue{"leaseKey": &dynamotypes.AttributeValueMemberS{Value: key}}}
			if strings.Contains(update, ":n") {
				in.ExpressionAttributeValues = map[string]dynamotypes.AttributeValue{":n": &dynamotypes.AttributeValueMemberN{Value: "7"}}
			}
			_, err := db.UpdateItem(t.Context(), in)
			r.must(err)
		}
		before := r.items(shard0, shard1)
		w = r.start(r.onDynamo("a"))
		r.await(15*time.Second, "the two others are read", func() bool { return len(w.Status().Shards) == 2 })
		time.Sleep(20 * time.Second)
		const want = "row " + shard0 + " cannot be read and is left alone: lease " + shard0 + ": attribute leaseCounter is missing: lease: malformed row\n" +
			"row " + shard1 + " cannot be read and is left alone: lease " + shard1 + ": attribute checkpoint is of type N, not S: lease: malformed row"
		if got := named(w); got != want {
			t.Errorf("problems:\n%s\nwant:\n%s", got, want)
		}
		if after := r.items(shard0, shard1); after != before {
			t.Errorf("the rows were changed:\n%s\n%s", before, after)
		}
	})
}

// items returns rows as the table has them.
func (r *rig) items(keys ...string) string {
	r.t.Helper()
	var b strings.Builder
	for _, key := range keys {
		out, err := r.dynamo("test").GetItem(r.t.Context(), &dynamodb.GetItemInput{TableName: aws.String("app"),
			Key: map[string]dynamotypes.AttributeValue{"leaseKey": &dynamotypes.AttributeValueMemberS{Value: key}}})
		r.must(err)
		for _, name := range []string{"leaseOwner", "leaseCounter", "checkpoint", "checkpointOwner", "ownerSwitchesSinceCheckpoint"} {
			switch v := out.Item[name].(type) {
			case *dynamotypes.AttributeValueMemberS:
				b.WriteString(name + "=" + v.Value + " ")
			case *dynamotypes.AttributeValueMemberN:
				b.WriteString(name + "=" + v.Value + " ")
			}
		}
	}
	return b.String()
}

// TestExpiredIterator: a call that takes longer than an iterator lives costs nothing, and is no problem of the shard's reading.
func TestExpiredIterator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cfg := r.config("a")
		cfg.SlowAfter = time.Hour
		first := true
		r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error {
			if first {
				first = false
				time.Sleep(12 * time.Minute)
			}
			return nil
		}
		records := r.put("orders", "one", 10)
		w := r.start(cfg)
		time.Sleep(5 * time.Second)
		records = append(records, r.put("orders", "two", 10)...)
		time.Sleep(12 * time.Minute)
		records = append(records, r.put("orders", "three", 10)...)
		r.await(3*time.Second, "everything", func() bool { return r.seen.missing(records) == 0 })
		if n := r.seen.duplicates(); n != 0 {
			t.Errorf("%d duplicates", n)
		}
		wantHealthy(t, w)
	})
}

// TestTrimmedCheckpoint: a checkpoint that the service refuses is named until a person rewinds the shard, or, if the configuration
// says so, passed over to the oldest record there is.
func TestTrimmedCheckpoint(t *testing.T) {
	for name, policy := range map[string]worker.TrimmedPolicy{"fail": worker.FailOnTrimmed, "skip": worker.SkipTrimmed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.server.Intercept(local.Rule{Operation: "GetShardIterator", Choose: func(c *local.Call) local.Effect {
					if !bytes.Contains(c.Body, []byte(`AT_SEQUENCE_NUMBER`)) {
						return local.Effect{}
					}
					return local.Effect{Error: &local.Error{Code: "InvalidArgumentException", Message: "StartingSequenceNumber is trimmed"}}
				}})
				old, err := r.client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), Data: []byte("old"), PartitionKey: aws.String("k")})
				r.must(err)
				records := r.put("orders", "r", 10)
				r.row(shard0)
				_, err = r.store.Checkpoint(t.Context(), r.lease(shard0), stream.Position{Sequence: stream.SequenceNumber(*old.SequenceNumber)})
				r.must(err)
				cfg := r.config("a")
				cfg.Reading.OnTrimmed = policy
				w := r.start(cfg)
				time.Sleep(time.Minute)
				if policy == worker.SkipTrimmed {
					if n := r.seen.missing(records); n != 0 {
						t.Errorf("%d records are missing", n)
					}
					wantHealthy(t, w)
					return
				}
				wantProblem(t, w, shard0+" nothing can be read: fetch: the checkpoint is not in the shard: its record has left the retention period, or is "+
					"another shard's; rewind the shard, or let reading go on with the oldest record there is (SkipTrimmed): ")
				_, err = r.store.Rewind(t.Context(), r.lease(shard0), stream.TrimHorizon)
				r.must(err)
				r.await(30*time.Second, "the records after the rewind", func() bool { return r.seen.missing(records) == 0 })
				wantHealthy(t, w)
			})
		})
	}
}

// TestCorruptedAggregate: a record that looks aggregated but is not is delivered whole.
func TestCorruptedAggregate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		corrupted := "\xf3\x89\x9a\xc2" + "neither protobuf nor followed by its digest"
		_, err := r.client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), Data: []byte(corrupted), PartitionKey: aws.String("k")})
		r.must(err)
		records := append(r.put("orders", "r", 5), corrupted)
		r.start(r.config("a"))
		r.await(3*time.Second, "all records", func() bool { return r.seen.missing(records) == 0 })
		if n := r.seen.duplicates(); n != 0 || len(r.seen.data) != 6 {
			t.Errorf("%d records, %d duplicates", len(r.seen.data), n)
		}
	})
}

// TestClocksTenMinutesApart: workers whose clocks differ share the shards all the same, and neither takes the other for dead.
func TestClocksTenMinutesApart(t *testing.T) {
	for name, skew := range map[string]time.Duration{"slow": -10 * time.Minute, "fast": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 4)
				a := r.start(r.config("a"))
				r.await(3*time.Second, "a leads", func() bool { return len(a.Status().Shards) == 4 })
				cfg := r.config("b")
				cfg.Leases = &skewedStore{Store: r.store, by: skew}
				b := r.start(cfg)
				r.await(2*time.Minute, "the shards are shared", func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
				time.Sleep(90 * time.Second)
				if len(a.Status().Shards) != 2 || len(b.Status().Shards) != 2 {
					t.Error("the shares changed")
				}
				a.cancel()
				<-a.done
				records := r.put("orders", "r", 100)
				r.await(1500*time.Millisecond, "b reads all", func() bool { return r.seen.missing(records) == 0 })
				time.Sleep(time.Minute)
				if !b.Status().Leading || !b.Status().Healthy() {
					t.Errorf("b: %+v", b.Status())
				}
			})
		})
	}
}

// skewedStore is the store as a worker sees it whose clock is wrong.
type skewedStore struct {
	lease.Store
	by time.Duration
}

func (s *skewedStore) Report(ctx context.Context, w lease.Worker) error {
	w.ReportedAt = w.ReportedAt.Add(s.by)
	return s.Store.Report(ctx, w)
}

func (s *skewedStore) Forget(ctx context.Context, w lease.Worker) error {
	w.ReportedAt = w.ReportedAt.Add(s.by)
	return s.Store.Forget(ctx, w)
}

func (s *skewedStore) Glance(ctx context.Context) (lease.Snapshot, error) { return s.Snapshot(ctx) }

func (s *skewedStore) Snapshot(ctx context.Context) (lease.Snapshot, error) {
	snap, err := s.Store.Snapshot(ctx)
	for i := range snap.Workers { // the same report, seen by a clock that is so much ahead
		snap.Workers[i].ReportedAt = snap.Workers[i].ReportedAt.Add(-s.by)
	}
	return snap, err
}

// brokenWay is a network that does not reach the service until it is mended.
type brokenWay struct {
	next   http.RoundTripper
	err    error
	mended atomic.Bool
}

func (b *brokenWay) mend() { b.mended.Store(true) }

func (b *brokenWay) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.mended.Load() {
		return b.next.RoundTrip(r)
	}
	return nil, b.err
}

// TestServiceThatNeverAnswersAtFirst: a worker that asks for its streams and hears nothing says so, asks again, and can be stopped.
func TestServiceThatNeverAnswersAtFirst(t *testing.T) {
	for _, op := range []string{"DescribeStreamSummary", "ListShards"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				never := make(chan struct{})
				defer close(never)
				remove := r.server.Intercept(local.Rule{Operation: op, Effect: local.Effect{Until: never}})
				one, two := r.start(r.config("a")), r.start(r.config("b"))
				time.Sleep(time.Minute)
				wantProblem(t, one, "cannot find the streams: ")
				r.must(one.stop())
				remove()
				records := r.put("orders", "r", 10)
				r.await(40*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
				r.must(two.stop())
			})
		})
	}
}
