package local_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kcl/local"
)

// client makes an SDK client that does not retry, so that a test sees each answer.
func client(cfg aws.Config) *kinesis.Client {
	return kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.RetryMaxAttempts = 1 })
}

// code returns the AWS code of an error, or its text.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

// transports are the ways in which a client may reach a server.
func transports(t *testing.T) map[string]aws.Config {
	t.Helper()
	srv := local.New(local.Config{})
	plain := local.Start(t)
	h2c := plain.AWSConfig()
	h2cTransport := &http.Transport{Protocols: new(http.Protocols)}
	h2cTransport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2cTransport.CloseIdleConnections)
	h2c.HTTPClient = &http.Client{Transport: h2cTransport}
	return map[string]aws.Config{
		"direct":  srv.AWSConfig(),
		"h1":      local.Start(t).AWSConfig(),
		"h2c":     h2c,
		"tls":     overTLS(t, false),
		"unasked": overTLS(t, true),
	}
}

// overTLS negotiates HTTP/2; unasked it negotiates nothing and speaks HTTP/2 all the same, as the SDK for Java does.
func overTLS(t *testing.T, unasked bool) aws.Config {
	t.Helper()
	cert, pem, err := local.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := local.New(local.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(ctx, l, cert) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := srv.AWSConfigAt("https://" + l.Addr().String())
	if unasked {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
		transport.DialContext = (&tls.Dialer{Config: transport.TLSClientConfig}).DialContext
		cfg.BaseEndpoint = aws.String("http://" + l.Addr().String()) // all that the transport knows of TLS
	}
	cfg.HTTPClient = &http.Client{Transport: transport}
	return cfg
}

func TestEveryTransport(t *testing.T) {
	for name, cfg := range transports(t) {
		t.Run(name, func(t *testing.T) {
			c := client(cfg)
			created(t, c, "orders", 2)
			putMany(t, c, "orders", 100)
			var got []string
			for _, shard := range []string{"shardId-000000000000", "shardId-000000000001"} {
				for _, r := range drain(t, c, "orders", shard) {
					got = append(got, string(r.Data))
				}
			}
			slices.Sort(got)
			if want := wantData(100); !slices.Equal(got, want) {
				t.Fatalf("got %d records %v, want %d", len(got), got, len(want))
			}
			subscribeOnce(t, c)
			_, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("nothing")})
			if notFound, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || notFound.ErrorMessage() != "Stream nothing under account 000000000000 not found." {
				t.Errorf("describing an unknown stream: %v", err)
			}
		})
	}
}

func created(t *testing.T, c *kinesis.Client, name string, shards int32) {
	t.Helper()
	if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
}

func data(i int) []byte { return fmt.Appendf(nil, "record %04d \"quoted\" \x00\xff", i) }

func wantData(n int) (want []string) {
	for i := range n {
		want = append(want, string(data(i)))
	}
	return want
}

func putMany(t *testing.T, c *kinesis.Client, stream string, n int) {
	t.Helper()
	var entries []types.PutRecordsRequestEntry
	for i := range n {
		entries = append(entries, types.PutRecordsRequestEntry{Data: data(i), PartitionKey: aws.String(fmt.Sprintf("key-é\"-%d", i))})
	}
	out, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: &stream, Records: entries})
	if err != nil {
		t.Fatal(err)
	}
	if *out.FailedRecordCount != 0 || len(out.Records) != n {
		t.Fatalf("PutRecords: %d failed, %d results", *out.FailedRecordCount, len(out.Records))
	}
}

// iteratorAt returns an iterator at the trim horizon.
func iteratorAt(t *testing.T, c *kinesis.Client, stream, shard string) *string {
	t.Helper()
	out, err := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.ShardIterator
}

// drain reads a shard from the trim horizon to its tip.
func drain(t *testing.T, c *kinesis.Client, stream, shard string) (records []types.Record) {
	t.Helper()
	for it := iteratorAt(t, c, stream, shard); it != nil; {
		out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(30)})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, out.Records...)
		if *out.MillisBehindLatest == 0 {
			return records
		}
		it = out.NextShardIterator
	}
	return records
}

const consumerForm = "arn:aws:kinesis:us-east-1:000000000000:stream/%s"

func registered(t *testing.T, c *kinesis.Client, stream, consumer string) *string {
	t.Helper()
	out, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String(fmt.Sprintf(consumerForm, stream)), ConsumerName: &consumer,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Consumer.ConsumerARN
}

func subscribe(ctx context.Context, c *kinesis.Client, consumer *string, shard string) (*kinesis.SubscribeToShardEventStream, error) {
	out, err := c.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: &shard, StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

func subscribeOnce(t *testing.T, c *kinesis.Client) {
	t.Helper()
	stream, err := subscribe(t.Context(), c, registered(t, c, "orders", "reader"), "shardId-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	event, ok := (<-stream.Events()).(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
	if !ok || len(event.Value.Records) == 0 || event.Value.ContinuationSequenceNumber == nil {
		t.Fatalf("first event: %+v", event)
	}
	if err := stream.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestShardEndIsExact(t *testing.T) {
	c := client(local.New(local.Config{}).AWSConfig())
	created(t, c, "orders", 1)
	putMany(t, c, "orders", 10)
	split(t, c, "orders", "shardId-000000000000", "170141183460469231731687303715884105728")
	it := iteratorAt(t, c, "orders", "shardId-000000000000")
	for range 3 { // records left: 10, 6, 2
		out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(4)})
		if err != nil {
			t.Fatal(err)
		}
		ended := out.NextShardIterator == nil
		if last := *out.MillisBehindLatest == 0; ended != last || ended != (len(out.ChildShards) > 0) {
			t.Fatalf("ended %v, at the tip %v, %d children", ended, last, len(out.ChildShards))
		}
		if it = out.NextShardIterator; ended {
			checkChildren(t, out.ChildShards)
		}
	}
	if it != nil {
		t.Error("the shard did not end")
	}
	stream, err := subscribe(t.Context(), c, registered(t, c, "orders", "reader"), "shardId-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	var records int
	for e := range stream.Events() {
		event := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		records += len(event.Records)
		if (event.ContinuationSequenceNumber == nil) != (len(event.ChildShards) > 0) {
			t.Errorf("continuation %v with %d children", event.ContinuationSequenceNumber, len(event.ChildShards))
		}
		checkChildren(t, event.ChildShards)
	}
	if err := stream.Err(); err != nil || records != 10 {
		t.Errorf("the subscription gave %d records and ended with %v", records, err)
	}
}

func split(t *testing.T, c *kinesis.Client, stream, shard, at string) {
	t.Helper()
	if _, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: &shard, NewStartingHashKey: &at}); err != nil {
		t.Fatal(err)
	}
}

func checkChildren(t *testing.T, children []types.ChildShard) {
	t.Helper()
	if len(children) != 2 {
		t.Fatalf("%d children", len(children))
	}
	for i, child := range children {
		if want := fmt.Sprintf("shardId-%012d", i+1); *child.ShardId != want || !slices.Equal(child.ParentShards, []string{"shardId-000000000000"}) {
			t.Errorf("child %s of %v", *child.ShardId, child.ParentShards)
		}
	}
	if *children[0].HashKeyRange.EndingHashKey != "170141183460469231731687303715884105727" || *children[1].HashKeyRange.EndingHashKey != "340282366920938463463374607431768211455" {
		t.Errorf("ranges %+v %+v", children[0].HashKeyRange, children[1].HashKeyRange)
	}
}

func TestOtherServices(t *testing.T) {
	srv := local.Start(t)
	id, err := sts.NewFromConfig(srv.AWSConfig()).GetCallerIdentity(t.Context(), nil)
	if err != nil || *id.Account != local.DefaultAccountID {
		t.Errorf("GetCallerIdentity = %v, %v", id, err)
	}
	tables, err := dynamodb.NewFromConfig(srv.AWSConfig()).ListTables(t.Context(), nil)
	if err != nil || len(tables.TableNames) != 0 {
		t.Errorf("ListTables = %v, %v", tables, err)
	}
	for _, request := range []struct{ path, contentType, target, body, want string }{
		{"/", "application/x-www-form-urlencoded", "", "Action=PutMetricData&Version=2010-08-01", "<PutMetricDataResponse"},
		{"/", "application/x-amz-json-1.0", "GraniteServiceVersion20100801.PutMetricData", "{}", "{}"},
		{"/service/GraniteServiceVersion20100801/operation/PutMetricData", "application/cbor", "", "\xa0", "\xa0"},
		{"/", "application/x-www-form-urlencoded", "", "Action=Nothing", "<Code>UnknownOperationException</Code>"},
		{"/", "application/x-amz-json-1.1", "Kinesis_20131202.Nothing", "{}", `"__type":"UnknownOperationException"`},
		{"/", "application/x-amz-json-1.1", "Kinesis_20131202.ListStreams", "{", `"__type":"SerializationException"`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+request.path, strings.NewReader(request.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", request.contentType)
		r.Header.Set("X-Amz-Target", request.target)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		_, err = got.ReadFrom(resp.Body)
		if closeErr := resp.Body.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		if !strings.Contains(got.String(), request.want) {
			t.Errorf("%s %s: %d %q, want %q", request.path, request.body, resp.StatusCode, got.String(), request.want)
		}
	}
}
