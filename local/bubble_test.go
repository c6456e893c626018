package local_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/local"
)

const (
	first = "shardId-000000000000"
	half  = "170141183460469231731687303715884105728"
)

// inBubble runs a test with a client that calls a server in a bubble where time is fake.
func inBubble(t *testing.T, cfg local.Config, f func(t *testing.T, s *local.Server, c *kinesis.Client)) {
	t.Helper()
	cfg.Logger = quiet()
	synctest.Test(t, func(t *testing.T) {
		s := local.New(cfg)
		c := client(s.AWSConfig())
		created(t, c, "orders", 1)
		time.Sleep(cfg.CreateDelay)
		f(t, s, c)
	})
}

func get(ctx context.Context, c *kinesis.Client, it *string) (*kinesis.GetRecordsOutput, error) {
	return c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
}

func put(t *testing.T, s *local.Server, key string, size int) (sequence string) {
	t.Helper()
	_, sequence, err := s.Put("orders", key, make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

func TestIteratorExpires(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		it := iteratorAt(t, c, "orders", first)
		time.Sleep(local.DefaultIteratorLife)
		out, err := get(t.Context(), c, it)
		if err != nil {
			t.Fatalf("at the end of its life: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := get(t.Context(), c, it); code(err) != "ExpiredIteratorException" {
			t.Errorf("after its life: %v", err)
		}
		if _, err := get(t.Context(), c, out.NextShardIterator); err != nil {
			t.Errorf("the next iterator: %v", err)
		}
	})
}

func TestRetention(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		old := put(t, s, "a", 1)
		it := iteratorAt(t, c, "orders", first)
		split(t, c, "orders", first, half)
		time.Sleep(time.Hour)
		put(t, s, "a", 1)
		time.Sleep(23*time.Hour + time.Second)
		if n := len(listed(t, c, nil)); n != 2 {
			t.Errorf("a day after the split %d shards are listed, want the children", n)
		}
		if records, err := s.Records("orders"); err != nil || len(records) != 1 || records[0].Sequence == old {
			t.Errorf("after a day: %v, %v", records, err)
		}
		if _, err := get(t.Context(), c, it); code(err) != "ExpiredIteratorException" {
			t.Errorf("an iterator of the expired shard: %v", err)
		}
		if _, err := iteratorOf(t, c, first, types.ShardIteratorTypeAtSequenceNumber, old); code(err) != "ResourceNotFoundException" {
			t.Errorf("an expired shard: %v", err)
		}
	})
}

// TestTrimmedSequenceIsTrimHorizon reads from a position that has left the retention period.
func TestTrimmedSequenceIsTrimHorizon(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		old := put(t, s, "a", 1)
		time.Sleep(24*time.Hour + time.Second)
		put(t, s, "a", 2)
		put(t, s, "a", 3)
		it, err := iteratorOf(t, c, first, types.ShardIteratorTypeAfterSequenceNumber, old)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := get(t.Context(), c, it); err != nil || len(out.Records) != 2 || len(out.Records[0].Data) != 2 {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

func iteratorOf(t *testing.T, c *kinesis.Client, shard string, kind types.ShardIteratorType, sequence string) (*string, error) {
	t.Helper()
	out, err := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String("orders"), ShardId: &shard, ShardIteratorType: kind, StartingSequenceNumber: &sequence,
	})
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

func TestReadLimits(t *testing.T) {
	inBubble(t, local.Config{EnforceLimits: true}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		it := iteratorAt(t, c, "orders", first)
		read := func() error { _, err := get(t.Context(), c, it); return err }
		for i := range 5 {
			if err := read(); err != nil {
				t.Fatalf("read %d: %v", i, err)
			}
		}
		err := read()
		if e, ok := errors.AsType[*types.ProvisionedThroughputExceededException](err); !ok ||
			e.ErrorMessage() != "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000." {
			t.Fatalf("the sixth read: %v", err)
		}
		for i := range 20 { // five a second, for ever
			time.Sleep(200 * time.Millisecond)
			if err := read(); err != nil {
				t.Fatalf("read %d of a steady reader: %v", i, err)
			}
		}
		for range 4 {
			put(t, s, "a", 1<<20-1)
			time.Sleep(time.Second)
		}
		if err := read(); err != nil { // 4 MiB, of which one second's share covers 2
			t.Fatal(err)
		}
		time.Sleep(900 * time.Millisecond)
		if err := read(); code(err) != "ProvisionedThroughputExceededException" {
			t.Errorf("0.9 s after 4 MiB: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := read(); err != nil {
			t.Errorf("1.1 s after 4 MiB: %v", err)
		}
	})
}

func TestWriteLimits(t *testing.T) {
	inBubble(t, local.Config{EnforceLimits: true}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		var entries []types.PutRecordsRequestEntry
		for range 500 {
			entries = append(entries, types.PutRecordsRequestEntry{Data: make([]byte, 4<<10), PartitionKey: aws.String("a")})
		}
		out, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("orders"), Records: entries})
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for _, r := range out.Records {
			if r.ErrorCode != nil {
				failed++
				if *r.ErrorCode != "ProvisionedThroughputExceededException" || r.ErrorMessage == nil || r.SequenceNumber != nil {
					t.Fatalf("failed record: %+v", r)
				}
			}
		}
		if failed != 245 || *out.FailedRecordCount != 245 { // 255 records of 4 KiB and a byte fit into 1 MiB
			t.Errorf("%d failed, count says %d", failed, *out.FailedRecordCount)
		}
		if _, _, err := s.Put("orders", "a", make([]byte, 4<<10)); err == nil {
			t.Error("a put beyond the limit was accepted")
		}
		time.Sleep(time.Second)
		for i := range 1000 {
			if _, _, err := s.Put("orders", "a", nil); err != nil {
				t.Fatalf("record %d of a second: %v", i, err)
			}
		}
		if _, _, err := s.Put("orders", "a", nil); err == nil {
			t.Error("record 1001 of a second was accepted")
		}
	})
}

func TestStatesTakeTime(t *testing.T) {
	inBubble(t, local.Config{CreateDelay: 10 * time.Second}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		status := func() string {
			out, err := c.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("orders")})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(out.StreamDescription.StreamStatus, len(out.StreamDescription.Shards))
		}
		expect := func(want string) {
			t.Helper()
			if got := status(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		expect("ACTIVE1")
		split(t, c, "orders", first, half)
		expect("UPDATING3")
		if err := trySplit(t, c, "shardId-000000000001", "5"); code(err) != "ResourceInUseException" {
			t.Errorf("a split while UPDATING: %v", err)
		}
		put(t, s, "a", 1) // goes on meanwhile
		time.Sleep(10 * time.Second)
		expect("ACTIVE3")
		arn := registered(t, c, "orders", "reader")
		if _, err := subscribe(t.Context(), c, arn, first); code(err) != "ResourceInUseException" {
			t.Errorf("a consumer that is CREATING: %v", err)
		}
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}); code(err) != "ResourceInUseException" {
			t.Errorf("deleting a stream with consumers: %v", err)
		}
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders"), EnforceConsumerDeletion: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		expect("DELETING3")
		if _, _, err := s.Put("orders", "a", nil); err == nil {
			t.Error("a put into a stream that is being deleted was accepted")
		}
		time.Sleep(10 * time.Second)
		expect("ResourceNotFoundException")
		created(t, c, "orders", 1)
		expect("CREATING0")
	})
}

func trySplit(t *testing.T, c *kinesis.Client, shard, key string) error {
	t.Helper()
	_, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("orders"), ShardToSplit: &shard, NewStartingHashKey: &key})
	return err
}

// next returns the next event of a subscription, and nil at its end.
func next(s *kinesis.SubscribeToShardEventStream) *types.SubscribeToShardEvent {
	if e, ok := (<-s.Events()).(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
		return &e.Value
	}
	return nil
}

func TestSubscriptionLife(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		arn := registered(t, c, "orders", "reader")
		began := time.Now()
		stream, err := subscribe(t.Context(), c, arn, first)
		if err != nil {
			t.Fatal(err)
		}
		e := next(stream)
		if waited := time.Since(began); waited != local.DefaultHeartbeat || len(e.Records) != 0 || e.ContinuationSequenceNumber == nil {
			t.Errorf("first heartbeat after %v: %+v", waited, e)
		}
		if _, err := iteratorOf(t, c, first, types.ShardIteratorTypeAfterSequenceNumber, *e.ContinuationSequenceNumber); err != nil {
			t.Errorf("the continuation of an empty shard: %v", err)
		}
		time.Sleep(time.Second)
		pushed := time.Now()
		number := put(t, s, "a", 7)
		if e := next(stream); len(e.Records) != 1 || *e.ContinuationSequenceNumber != number || time.Since(pushed) != 0 {
			t.Errorf("pushed after %v: %+v", time.Since(pushed), e)
		}
		for next(stream) != nil {
		}
		if lived := time.Since(began); lived != local.DefaultSubscriptionLife || stream.Err() != nil {
			t.Errorf("ended after %v with %v", lived, stream.Err())
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubscriptionTakeover(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		arn := registered(t, c, "orders", "reader")
		one, err := subscribe(t.Context(), c, arn, first)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4999 * time.Millisecond)
		if _, err := subscribe(t.Context(), c, arn, first); code(err) != "ResourceInUseException" {
			t.Errorf("a second subscription within five seconds: %v", err)
		}
		time.Sleep(time.Millisecond)
		two, err := subscribe(t.Context(), c, arn, first)
		if err != nil {
			t.Fatalf("after five seconds: %v", err)
		}
		for next(one) != nil {
		}
		if err := one.Err(); code(err) != "ResourceInUseException" {
			t.Errorf("the first subscription ended with %v", err)
		}
		if next(two) == nil {
			t.Errorf("the second subscription ended with %v", two.Err())
		}
		if _, err := c.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn}); err != nil {
			t.Fatal(err)
		}
		for next(two) != nil {
		}
		if err := two.Err(); code(err) != "ResourceNotFoundException" {
			t.Errorf("after the consumer went: %v", err)
		}
		if _, err := subscribe(t.Context(), c, arn, first); code(err) != "ResourceNotFoundException" {
			t.Errorf("subscribing without a consumer: %v", err)
		}
		for _, stream := range []*kinesis.SubscribeToShardEventStream{one, two} {
			_ = stream.Close() // reports the exception again
		}
	})
}

func TestSubscriptionThroughput(t *testing.T) {
	inBubble(t, local.Config{EnforceLimits: true}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		for range 5 {
			put(t, s, "a", 1<<20-1)
			time.Sleep(time.Second)
		}
		began := time.Now()
		stream, err := subscribe(t.Context(), c, registered(t, c, "orders", "reader"), first)
		if err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 5; {
			got += len(next(stream).Records)
		}
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("5 MiB took %v at 2 MiB a second", took)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSubscriptionEndsWithItsReader leaves a stream open; a goroutine left behind would fail the bubble.
func TestSubscriptionEndsWithItsReader(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := subscribe(ctx, c, registered(t, c, "orders", "reader"), first)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		for next(stream) != nil {
		}
		if err := stream.Err(); err == nil {
			t.Error("the stream of a cancelled call ended without an error")
		}
		_ = stream.Close()
	})
}

func TestEmptyPages(t *testing.T) {
	inBubble(t, local.Config{EmptyPageEvery: 2}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		put(t, s, "a", 1)
		time.Sleep(time.Second)
		it := iteratorAt(t, c, "orders", first)
		for range 2 {
			out, err := get(t.Context(), c, it)
			if err != nil || len(out.Records) != 1 || *out.MillisBehindLatest != 0 {
				t.Errorf("%+v, %v", out, err)
			}
			if out, err = get(t.Context(), c, it); err != nil || len(out.Records) != 0 || *out.MillisBehindLatest != 1000 {
				t.Errorf("%+v, %v", out, err)
			}
			it = out.NextShardIterator
		}
	})
}

// TestConsumerARNIsNew registers a consumer three times in one instant.
func TestConsumerARNIsNew(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		seen := map[string]bool{}
		for range 3 {
			arn := registered(t, c, "orders", "reader")
			if seen[*arn] {
				t.Errorf("%s was used before", *arn)
			}
			seen[*arn] = true
			if _, err := c.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
