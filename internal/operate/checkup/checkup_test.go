package checkup_test

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/operate/checkup"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

type rig struct {
	t      *testing.T
	server *local.Server
	store  *dynamolease.Store
	checkup.Subject
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
	cfg := server.AWSConfig()
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.RetryMaxAttempts, o.DisableValidateResponseChecksum = 1, true
	})
	store, err := dynamolease.New(dynamolease.Config{Client: db, Application: "app", Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, server.CreateStream("orders", 2))
	return &rig{t: t, server: server, store: store, Subject: checkup.Subject{
		AWS: cfg, Kinesis: kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.RetryMaxAttempts = 1 }), DynamoDB: db, Store: store,
		Application: "app", Table: "app", Coordinator: "app-CoordinatorState", Metrics: "app-WorkerMetricStats", Streams: []string{"orders"},
	}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run returns the findings as text, without those that are all right unless all is.
func (r *rig) run() string {
	findings := checkup.Run(r.t.Context(), r.Subject)
	var b strings.Builder
	for _, f := range findings {
		if f.Level == checkup.Warning || f.Level == checkup.Failure {
			fmt.Fprintf(&b, "%s: %s: %s [%s]\n", f.Level, f.About, f.What, f.Remedy)
		}
	}
	if checkup.Starts(findings) == strings.Contains(b.String(), "failure") {
		r.t.Errorf("Starts = %v with %s", checkup.Starts(findings), b.String())
	}
	return b.String()
}

// started makes the table of a running application.
func (r *rig) started() *rig {
	r.t.Helper()
	must(r.t, r.store.Setup(r.t.Context(), "w"))
	_, err := r.store.Create(r.t.Context(), lease.Lease{Key: "shardId-000000000000", Shard: "shardId-000000000000", Checkpoint: stream.TrimHorizon})
	must(r.t, err)
	must(r.t, r.store.Report(r.t.Context(), lease.Worker{ID: "w", ReportedAt: time.Now()}))
	return r
}

func TestHealthy(t *testing.T) {
	for name, prepare := range map[string]func(*rig){"a new application": func(*rig) {}, "a running one": func(r *rig) { r.started() }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				prepare(r)
				if got := r.run(); got != "" {
					t.Errorf("found\n%s", got)
				}
			})
		})
	}
}

// TestWritesNothing: a check leaves the table as it was.
func TestWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t).started()
		before, err := r.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("app")})
		must(t, err)
		r.run()
		after, err := r.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("app")})
		must(t, err)
		if !reflect.DeepEqual(before.Items, after.Items) {
			t.Errorf("before: %v\nafter: %v", before.Items, after.Items)
		}
	})
}

func TestFindings(t *testing.T) {
	denied := func(operation string) func(*rig) {
		return func(r *rig) {
			r.started()
			r.server.Intercept(local.Rule{Operation: operation, Effect: local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "no"}}})
		}
	}
	tests := []struct {
		name    string
		prepare func(*rig)
		want    []string // parts of findings; each must be there, and nothing else
	}{
		{"no stream", func(r *rig) { r.Streams = []string{"ordres"} },
			[]string{"failure: stream ordres: stream ordres does not exist [check its name, the account and the region]"}},
		{"no credentials", func(r *rig) { r.AWS.Credentials = nil }, []string{"failure: credentials: there are none"}},
		{"may not list shards", denied("ListShards"), []string{"failure: stream orders: kinesis:ListShards is refused"}},
		{"may not read", denied("GetRecords"), []string{"failure: stream orders: kinesis:GetRecords is refused"}},
		{"may not write", denied("UpdateItem"), []string{"failure: table app: dynamodb:UpdateItem is refused"}},
		{"may not delete", denied("DeleteItem"), []string{"failure: table app: dynamodb:DeleteItem is refused"}},
		{"may not query", denied("Query"), []string{"failure: index LeaseOwnerToLeaseKeyIndex: dynamodb:Query is refused"}},
		{"may not describe", denied("DescribeTable"), []string{"failure: table app: dynamodb:DescribeTable is refused"}},
		{"another table", func(r *rig) {
			_, err := r.DynamoDB.CreateTable(r.t.Context(), &dynamodb.CreateTableInput{TableName: aws.String("app"), BillingMode: types.BillingModePayPerRequest,
				AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
				KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}}})
			must(r.t, err)
		}, []string{"failure: table app: its key is not the string leaseKey alone"}},
		{"rolled back", func(r *rig) { r.started().state("CLIENT_VERSION_2X") }, []string{"failure: table app: check leases of app", "rolled back to KCL 2.x"}},
		{"2.x leases", func(r *rig) { r.started().state("") }, []string{"failure: item Migration3.0: it is missing although there are leases"}},
		{"broken row", func(r *rig) {
			r.started()
			_, err := r.DynamoDB.PutItem(r.t.Context(), &dynamodb.PutItemInput{TableName: aws.String("app"),
				Item: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: "odd"}}})
			must(r.t, err)
		}, []string{"warning: table app: row odd cannot be read"}},
		{"two streams", func(r *rig) {
			r.started()
			must(r.t, r.server.CreateStream("returns", 1))
			r.Streams = append(r.Streams, "returns")
		}, []string{"failure: table app: its rows are of an application that reads one stream"}},
		{"fast worker", func(r *rig) {
			must(r.t, r.started().store.Report(r.t.Context(), lease.Worker{ID: "w", ReportedAt: time.Now().Add(time.Hour)}))
		}, []string{"warning: worker w: its latest report is from the future, by 1h0m0s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				tt.prepare(r)
				got := r.run()
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("found\n%swant %s", got, want)
					}
				}
				if n := strings.Count(got, "\n"); n != 1 && tt.name != "may not describe" {
					t.Errorf("%d findings, want 1:\n%s", n, got)
				}
			})
		})
	}
}

// state stores a client version, or removes it.
func (r *rig) state(version string) {
	r.t.Helper()
	key := map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: "Migration3.0"}}
	_, err := r.DynamoDB.DeleteItem(r.t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("app"), Key: key})
	must(r.t, err)
	if version == "" {
		return
	}
	key["cv"] = &types.AttributeValueMemberS{Value: version}
	key["entityType"] = &types.AttributeValueMemberS{Value: "CLIENT_VERSION_MIGRATION"}
	_, err = r.DynamoDB.PutItem(r.t.Context(), &dynamodb.PutItemInput{TableName: aws.String("app"), Item: key})
	must(r.t, err)
}

// The consumer that a worker would read with is told, and nothing is registered.
func TestFanOut(t *testing.T) {
	const streamARN = "arn:aws:kinesis:" + local.DefaultRegion + ":" + local.DefaultAccountID + ":stream/orders"
	register := func(r *rig) {
		_, err := r.Kinesis.RegisterStreamConsumer(r.t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(streamARN), ConsumerName: aws.String("app")})
		must(r.t, err)
		time.Sleep(time.Minute)
	}
	deny := func(r *rig) {
		r.server.Intercept(local.Rule{Operation: "DescribeStreamConsumer", Effect: local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "no"}}})
	}
	byName := &checkup.FanOut{Consumer: "app"}
	tests := []struct {
		name    string
		prepare func(*rig)
		fanOut  *checkup.FanOut
		level   checkup.Level
		want    string
		starts  bool
	}{
		{"registered", register, byName, checkup.OK, "consumer app is ACTIVE", true},
		{"not yet", func(*rig) {}, byName, checkup.Note, "consumer app is not registered yet", true},
		{"no such ARN", func(*rig) {}, &checkup.FanOut{ARN: streamARN + "/consumer/mine:1"}, checkup.Failure, "consumer " + streamARN + "/consumer/mine:1 does not exist", false},
		{"denied", deny, byName, checkup.Warning, "kinesis:DescribeStreamConsumer is refused", true},
		{"denied, but required", deny, &checkup.FanOut{Consumer: "app", Required: true}, checkup.Failure, "kinesis:DescribeStreamConsumer is refused", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t).started()
				tt.prepare(r)
				r.FanOut = tt.fanOut
				wrote := 0
				r.server.Intercept(local.Rule{Service: local.Kinesis, Choose: func(c *local.Call) local.Effect {
					if c.Operation == "RegisterStreamConsumer" || c.Operation == "SubscribeToShard" {
						wrote++
					}
					return local.Effect{}
				}})
				findings, found := checkup.Run(t.Context(), r.Subject), false
				for _, f := range findings {
					found = found || f.Level == tt.level && f.About == "stream orders" && strings.Contains(f.What, tt.want)
				}
				if !found || checkup.Starts(findings) != tt.starts || wrote != 0 {
					t.Errorf("%d changes, findings %v", wrote, findings)
				}
			})
		})
	}
}
