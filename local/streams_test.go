package local_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/local"
)

func arnOf(stream string) *string { return aws.String(fmt.Sprintf(consumerForm, stream)) }

func summarise(t *testing.T, c *kinesis.Client, stream string) *types.StreamDescriptionSummary {
	t.Helper()
	out, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamARN: arnOf(stream)})
	if err != nil {
		t.Fatal(err)
	}
	return out.StreamDescriptionSummary
}

func ok[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return out
	}
}

// TestStreamSettings changes everything that a stream can be set to and looks at the result.
func TestStreamSettings(t *testing.T) {
	ctx, s := t.Context(), local.New(local.Config{Logger: quiet()})
	c, orders := client(s.AWSConfig()), arnOf("orders")
	ok[*kinesis.CreateStreamOutput](t)(c.CreateStream(ctx, &kinesis.CreateStreamInput{
		StreamName: aws.String("orders"), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
		MaxRecordSizeInKiB: aws.Int32(2048), Tags: map[string]string{"team": "a"},
	}))
	if sum := summarise(t, c, "orders"); *sum.OpenShardCount != 4 || sum.StreamModeDetails.StreamMode != "ON_DEMAND" || *sum.MaxRecordSizeInKiB != 2048 || *sum.RetentionPeriodHours != 24 {
		t.Errorf("%+v", sum)
	}
	if err := trySplit(t, c, first, "100"); code(err) != "ValidationException" {
		t.Errorf("a split of an on-demand stream: %v", err)
	}
	ok[*kinesis.UpdateStreamModeOutput](t)(c.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: orders, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeProvisioned}}))
	ok[*kinesis.UpdateMaxRecordSizeOutput](t)(c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: orders, MaxRecordSizeInKiB: aws.Int32(10240)}))
	ok[*kinesis.IncreaseStreamRetentionPeriodOutput](t)(c.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamARN: orders, RetentionPeriodHours: aws.Int32(8760)}))
	ok[*kinesis.DecreaseStreamRetentionPeriodOutput](t)(c.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamARN: orders, RetentionPeriodHours: aws.Int32(48)}))
	ok[*kinesis.StartStreamEncryptionOutput](t)(c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamARN: orders, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/aws/kinesis")}))
	ok[*kinesis.EnableEnhancedMonitoringOutput](t)(c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamARN: orders, ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll}}))
	monitoring := ok[*kinesis.DisableEnhancedMonitoringOutput](t)(c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamARN: orders, ShardLevelMetrics: []types.MetricsName{types.MetricsNameIncomingBytes}}))
	if len(monitoring.CurrentShardLevelMetrics) != 7 || len(monitoring.DesiredShardLevelMetrics) != 6 {
		t.Errorf("%+v", monitoring)
	}
	sum := summarise(t, c, "orders")
	if sum.StreamModeDetails.StreamMode != "PROVISIONED" || *sum.MaxRecordSizeInKiB != 10240 || *sum.RetentionPeriodHours != 48 ||
		sum.EncryptionType != "KMS" || *sum.KeyId != "alias/aws/kinesis" || len(sum.EnhancedMonitoring[0].ShardLevelMetrics) != 6 {
		t.Errorf("%+v", sum)
	}
	putMany(t, c, "orders", 8)
	ok[*kinesis.StopStreamEncryptionOutput](t)(c.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamARN: orders, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/aws/kinesis")}))
	put := ok[*kinesis.PutRecordOutput](t)(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamARN: orders, Data: make([]byte, 2<<20), PartitionKey: aws.String("large"), ExplicitHashKey: aws.String("0")}))
	records := drain(t, c, "orders", first)
	if last := records[len(records)-1]; *last.SequenceNumber != *put.SequenceNumber || len(last.Data) != 2<<20 || last.EncryptionType != "" || records[0].EncryptionType != "KMS" {
		t.Errorf("the last record has %d bytes and encryption %q, the first has %q", len(last.Data), last.EncryptionType, records[0].EncryptionType)
	}
}

func TestTags(t *testing.T) {
	ctx, s := t.Context(), local.New(local.Config{Logger: quiet()})
	c, orders := client(s.AWSConfig()), arnOf("orders")
	created(t, c, "orders", 1)
	arn := registered(t, c, "orders", "reader")
	ok[*kinesis.AddTagsToStreamOutput](t)(c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamARN: orders, Tags: map[string]string{"a": "1", "b": "2"}}))
	ok[*kinesis.TagResourceOutput](t)(c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: orders, Tags: map[string]string{"c": "3"}}))
	ok[*kinesis.TagResourceOutput](t)(c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"d": "4", "e": "5"}}))
	ok[*kinesis.RemoveTagsFromStreamOutput](t)(c.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamARN: orders, TagKeys: []string{"a"}}))
	ok[*kinesis.UntagResourceOutput](t)(c.UntagResource(ctx, &kinesis.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"d"}}))
	page := ok[*kinesis.ListTagsForStreamOutput](t)(c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamARN: orders, Limit: aws.Int32(1)}))
	rest := ok[*kinesis.ListTagsForStreamOutput](t)(c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamARN: orders, ExclusiveStartTagKey: page.Tags[0].Key}))
	if *page.Tags[0].Key != "b" || !*page.HasMoreTags || len(rest.Tags) != 1 || *rest.Tags[0].Value != "3" || *rest.HasMoreTags {
		t.Errorf("%+v, then %+v", page, rest)
	}
	if tags := ok[*kinesis.ListTagsForResourceOutput](t)(c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: arn})).Tags; len(tags) != 1 || *tags[0].Key != "e" {
		t.Errorf("tags of the consumer: %+v", tags)
	}
	if tags := ok[*kinesis.ListTagsForResourceOutput](t)(c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: orders})).Tags; len(tags) != 2 {
		t.Errorf("tags of the stream: %+v", tags)
	}
}

func TestListings(t *testing.T) {
	ctx, s := t.Context(), local.New(local.Config{Logger: quiet()})
	c := client(s.AWSConfig())
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("stream-%d", i))
		created(t, c, want[i], 3)
	}
	var names []string
	for p := kinesis.NewListStreamsPaginator(c, &kinesis.ListStreamsInput{Limit: aws.Int32(3)}); p.HasMorePages(); {
		names = append(names, ok[*kinesis.ListStreamsOutput](t)(p.NextPage(ctx)).StreamNames...)
	}
	if !slices.Equal(names, want) {
		t.Errorf("streams %v", names)
	}
	if out := ok[*kinesis.ListStreamsOutput](t)(c.ListStreams(ctx, &kinesis.ListStreamsInput{ExclusiveStartStreamName: aws.String("stream-5")})); len(out.StreamSummaries) != 1 || *out.StreamSummaries[0].StreamARN != *arnOf("stream-6") || *out.HasMoreStreams {
		t.Errorf("after stream-5: %+v", out)
	}
	page := ok[*kinesis.DescribeStreamOutput](t)(c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("stream-0"), Limit: aws.Int32(2)})).StreamDescription
	rest := ok[*kinesis.DescribeStreamOutput](t)(c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("stream-0"), ExclusiveStartShardId: page.Shards[1].ShardId})).StreamDescription
	if !*page.HasMoreShards || *rest.HasMoreShards || numbers(rest.Shards) != "2" {
		t.Errorf("%+v, then %+v", page, rest)
	}
	for i := range 20 {
		registered(t, c, "stream-0", fmt.Sprintf("consumer-%02d", i))
	}
	var consumers []string
	for p := kinesis.NewListStreamConsumersPaginator(c, &kinesis.ListStreamConsumersInput{StreamARN: arnOf("stream-0"), MaxResults: aws.Int32(6)}); p.HasMorePages(); {
		for _, one := range ok[*kinesis.ListStreamConsumersOutput](t)(p.NextPage(ctx)).Consumers {
			consumers = append(consumers, *one.ConsumerName)
		}
	}
	if len(consumers) != 20 || !slices.IsSorted(consumers) {
		t.Errorf("consumers %v", consumers)
	}
	limits := ok[*kinesis.DescribeLimitsOutput](t)(c.DescribeLimits(ctx, nil))
	if *limits.OpenShardCount != 21 || *limits.OnDemandStreamCount != 0 {
		t.Errorf("%+v", limits)
	}
}

// TestErrorCodes makes one call for each way in which a request can be wrong.
func TestErrorCodes(t *testing.T) {
	s := local.New(local.Config{Logger: quiet()})
	c := client(s.AWSConfig())
	created(t, c, "orders", 2)
	created(t, c, "other", 1)
	own, foreign := sequenceIn(t, s, "orders", "0"), sequenceIn(t, s, "other", "0")
	sibling := sequenceIn(t, s, "orders", "340282366920938463463374607431768211455")
	reader := registered(t, c, "orders", "reader")
	name, shard := aws.String("orders"), aws.String(first)
	future := time.Now().Add(time.Hour)
	iterator := func(kind types.ShardIteratorType, sequence *string, at *time.Time) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: name, ShardId: shard, ShardIteratorType: kind, StartingSequenceNumber: sequence, Timestamp: at})
			return err
		}
	}
	records := func(in *kinesis.GetRecordsInput) func(context.Context) error {
		return func(ctx context.Context) error { _, err := c.GetRecords(ctx, in); return err }
	}
	put := func(in *kinesis.PutRecordInput) func(context.Context) error {
		return func(ctx context.Context) error { _, err := c.PutRecord(ctx, in); return err }
	}
	summary := func(in *kinesis.DescribeStreamSummaryInput) func(context.Context) error {
		return func(ctx context.Context) error { _, err := c.DescribeStreamSummary(ctx, in); return err }
	}
	it := iteratorAt(t, c, "orders", first)
	for _, c := range []struct {
		name, want string
		call       func(context.Context) error
	}{
		{"a number of this shard", "<nil>", iterator(types.ShardIteratorTypeAtSequenceNumber, own, nil)},
		{"a number of another shard", "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000", iterator(types.ShardIteratorTypeAtSequenceNumber, sibling, nil)},
		{"a number of another stream", "because it did not come from this stream.", iterator(types.ShardIteratorTypeAfterSequenceNumber, foreign, nil)},
		{"no number at all", "InvalidArgumentException", iterator(types.ShardIteratorTypeAtSequenceNumber, nil, nil)},
		{"a number nobody issued", "InvalidArgumentException", iterator(types.ShardIteratorTypeAtSequenceNumber, aws.String("12345"), nil)},
		{"a time to come", "InvalidArgumentException: The timestampInMillis parameter cannot be greater", iterator(types.ShardIteratorTypeAtTimestamp, nil, &future)},
		{"no time", "InvalidArgumentException", iterator(types.ShardIteratorTypeAtTimestamp, nil, nil)},
		{"no such kind", "ValidationException", iterator("SOMEWHERE", nil, nil)},
		{"a broken iterator", "InvalidArgumentException: Invalid ShardIterator.", records(&kinesis.GetRecordsInput{ShardIterator: aws.String("AAAA")})},
		{"a limit too high", "InvalidArgumentException", records(&kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(10001)})},
		{"a limit too low", "ValidationException", records(&kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(0)})},
		{"an iterator of another stream", "InvalidArgumentException", records(&kinesis.GetRecordsInput{ShardIterator: it, StreamARN: arnOf("other")})},
		{"a record too large", "ValidationException", put(&kinesis.PutRecordInput{StreamName: name, Data: make([]byte, 1<<20), PartitionKey: aws.String("k")})},
		{"a key too long", "ValidationException", put(&kinesis.PutRecordInput{StreamName: name, Data: []byte{}, PartitionKey: aws.String(strings.Repeat("é", 257))})},
		{"a hash key out of range", "InvalidArgumentException", put(&kinesis.PutRecordInput{StreamName: name, Data: []byte{1}, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("340282366920938463463374607431768211456")})},
		{"an empty stream name", "InvalidArgumentException: Either StreamARN or StreamName", summary(&kinesis.DescribeStreamSummaryInput{})},
		{"a bad stream name", "ValidationException: 1 validation error detected: Value 'a b' at 'streamName'", summary(&kinesis.DescribeStreamSummaryInput{StreamName: aws.String("a b")})},
		{"a bad ARN", "ValidationException", summary(&kinesis.DescribeStreamSummaryInput{StreamARN: aws.String("arn:aws:kinesis:here")})},
		{"an ARN of elsewhere", "ResourceNotFoundException: Stream orders in region eu-west-1 under account 000000000000 not found. This server is region us-east-1", summary(&kinesis.DescribeStreamSummaryInput{StreamARN: aws.String("arn:aws:kinesis:eu-west-1:000000000000:stream/orders")})},
		{"name and ARN differ", "InvalidArgumentException", summary(&kinesis.DescribeStreamSummaryInput{StreamARN: arnOf("orders"), StreamName: aws.String("other")})},
		{"a stream that exists", "ResourceInUseException", func(ctx context.Context) error {
			_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)})
			return err
		}},
		{"no shard count", "ValidationException", func(ctx context.Context) error {
			_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("new")})
			return err
		}},
		{"a consumer that exists", "ResourceInUseException", func(ctx context.Context) error {
			_, err := c.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf("orders"), ConsumerName: aws.String("reader")})
			return err
		}},
		{"an unknown consumer", "ResourceNotFoundException", func(ctx context.Context) error {
			_, err := c.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: arnOf("orders"), ConsumerName: aws.String("nobody")})
			return err
		}},
		{"a consumer by its ARN", "<nil>", func(ctx context.Context) error {
			_, err := c.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: reader})
			return err
		}},
		{"shorter by increasing", "InvalidArgumentException: Minimum allowed retention period is 24 hours", func(ctx context.Context) error {
			_, err := c.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(23)})
			return err
		}},
		{"longer by decreasing", "InvalidArgumentException: Requested retention period (25 hours) for stream orders can not be longer", func(ctx context.Context) error {
			_, err := c.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(25)})
			return err
		}},
		{"501 records", "ValidationException", func(ctx context.Context) error {
			_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: slices.Repeat([]types.PutRecordsRequestEntry{{Data: []byte{1}, PartitionKey: aws.String("k")}}, 501)})
			return err
		}},
		{"more than 10 MiB", "InvalidArgumentException", func(ctx context.Context) error {
			_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: slices.Repeat([]types.PutRecordsRequestEntry{{Data: make([]byte, 1<<20-1), PartitionKey: aws.String("k")}}, 11)})
			return err
		}},
	} {
		if err := c.call(t.Context()); !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if n := len(drain(t, c, "orders", first)); n != 1 {
		t.Errorf("refused puts left %d records, want 1", n)
	}
}

// sequenceIn puts a record at the given hash key and returns its sequence number.
func sequenceIn(t *testing.T, s *local.Server, stream, hash string) *string {
	t.Helper()
	out, err := client(s.AWSConfig()).PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &stream, Data: []byte("x"), PartitionKey: aws.String("k"), ExplicitHashKey: &hash})
	if err != nil {
		t.Fatal(err)
	}
	return out.SequenceNumber
}
