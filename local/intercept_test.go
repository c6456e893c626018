package local_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/local"
)

func putOne(ctx context.Context, c *kinesis.Client) error {
	_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("orders"), Data: []byte("x"), PartitionKey: aws.String("k")})
	return err
}

func count(t *testing.T, s *local.Server) int {
	t.Helper()
	records, err := s.Records("orders")
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

func TestInterceptErrors(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		remove := s.Intercept(local.Rule{Operation: "PutRecord", Skip: 1, Times: 2, Effect: local.Effect{Error: local.Throttled()}})
		var got []string
		for range 4 {
			got = append(got, code(putOne(t.Context(), c)))
		}
		if want := "[<nil> ProvisionedThroughputExceededException ProvisionedThroughputExceededException <nil>]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
		if n := count(t, s); n != 2 {
			t.Errorf("%d records", n)
		}
		remove()
		s.Intercept(local.Rule{Effect: local.Effect{Error: local.Unavailable()}})
		if err := putOne(t.Context(), c); code(err) != "InternalFailure" {
			t.Errorf("%v", err)
		}
	})
}

func TestInterceptLosses(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		remove := s.Intercept(local.Rule{Operation: "PutRecord", Effect: local.Effect{LoseReply: true}})
		if err := putOne(t.Context(), c); err == nil || count(t, s) != 1 {
			t.Errorf("a lost reply: %v, %d records", err, count(t, s))
		}
		remove()
		s.Intercept(local.Rule{Operation: "PutRecord", Times: 1, Effect: local.Effect{LoseRequest: true}})
		if err := putOne(t.Context(), c); err == nil || count(t, s) != 1 {
			t.Errorf("a lost request: %v, %d records", err, count(t, s))
		}
		retrying := kinesis.NewFromConfig(s.AWSConfig())
		s.Intercept(local.Rule{Operation: "PutRecord", Times: 1, Effect: local.Effect{LoseReply: true}})
		if err := putOne(t.Context(), retrying); err != nil || count(t, s) != 3 {
			t.Errorf("a retried call: %v, %d records, want the duplicate of a lost reply", err, count(t, s))
		}
	})
}

func TestInterceptDelays(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		s.Intercept(local.Rule{Operation: "PutRecord", Times: 1, Effect: local.Effect{Delay: time.Second, DelayReply: time.Minute}})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := putOne(ctx, c); err == nil || time.Since(began) != 2*time.Second || count(t, s) != 1 {
			t.Errorf("after %v: %v, %d records", time.Since(began), err, count(t, s))
		}
		release := make(chan struct{})
		s.Intercept(local.Rule{Operation: "PutRecord", Effect: local.Effect{Until: release}})
		time.AfterFunc(time.Hour, func() { close(release) })
		began = time.Now()
		if err := putOne(t.Context(), c); err != nil || time.Since(began) != time.Hour {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestInterceptOneCaller cuts off one worker of two, in both services.
func TestInterceptOneCaller(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, _ *kinesis.Client) {
		heal := s.Intercept(local.Rule{Caller: "worker-2", Effect: local.Effect{LoseRequest: true}})
		try := func(worker string) (failures int) {
			cfg := s.AWSConfig()
			cfg.AppID = worker
			if putOne(t.Context(), client(cfg)) != nil {
				failures++
			}
			d := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
			if _, err := d.ListTables(t.Context(), nil); err != nil {
				failures++
			}
			return failures
		}
		if one, two := try("worker-1"), try("worker-2"); one != 0 || two != 2 {
			t.Errorf("worker-1 failed %d times, worker-2 %d times", one, two)
		}
		heal()
		if two := try("worker-2"); two != 0 {
			t.Errorf("after healing worker-2 failed %d times", two)
		}
	})
}

func TestInterceptSeesTargets(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		var seen []string
		remove := s.Intercept(local.Rule{Choose: func(c *local.Call) local.Effect {
			seen = append(seen, fmt.Sprint(c.Service, " ", c.Operation, " ", c.Stream, c.Table, " ", c.Shard))
			return local.Effect{}
		}})
		it := iteratorAt(t, c, "orders", first)
		if _, err := get(t.Context(), c, it); err != nil {
			t.Error(err)
		}
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamARN: aws.String(fmt.Sprintf(consumerForm, "orders")), Data: []byte("x"), PartitionKey: aws.String("k")})
		if err != nil {
			t.Error(err)
		}
		d := dynamodb.NewFromConfig(s.AWSConfig())
		if _, err := d.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("leases")}); err == nil {
			t.Error("an unknown table was described")
		}
		stream, err := subscribe(t.Context(), c, registered(t, c, "orders", "reader"), first)
		if err != nil {
			t.Fatal(err)
		}
		next(stream)
		remove()
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
		want := []string{
			"kinesis GetShardIterator orders " + first, "kinesis GetRecords orders " + first, "kinesis PutRecord orders ",
			"dynamodb DescribeTable leases ", "kinesis RegisterStreamConsumer orders ", "kinesis SubscribeToShard orders " + first,
			"kinesis SubscribeToShard/event orders " + first, "kinesis SubscribeToShard/event orders " + first,
		}
		if fmt.Sprint(seen) != fmt.Sprint(want) {
			t.Errorf("seen\n%q, want\n%q", seen, want)
		}
	})
}

// TestInterceptRunningSubscription stalls, breaks and fails streams that were open before the rule came.
func TestInterceptRunningSubscription(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		arn := registered(t, c, "orders", "reader")
		for _, effect := range []local.Effect{{LoseReply: true}, {Error: &local.Error{Code: "InternalFailureException", Message: "broken"}}} {
			stream, err := subscribe(t.Context(), c, arn, first)
			if err != nil {
				t.Fatal(err)
			}
			next(stream)
			began := time.Now()
			stall := s.Intercept(local.Rule{Operation: local.SubscriptionEvent, Shard: first, Times: 1, Effect: local.Effect{Delay: 30 * time.Second}})
			put(t, s, "a", 1)
			if e := next(stream); e == nil || time.Since(began) != 30*time.Second {
				t.Errorf("a stalled event came after %v", time.Since(began))
			}
			stall()
			remove := s.Intercept(local.Rule{Operation: local.SubscriptionEvent, Shard: first, Effect: effect})
			put(t, s, "a", 1)
			if e := next(stream); e != nil || stream.Err() == nil {
				t.Errorf("%+v: event %v, error %v", effect, e, stream.Err())
			}
			remove()
			_ = stream.Close() // reports the exception again
			time.Sleep(5 * time.Second)
		}
	})
}
