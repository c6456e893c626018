//go:build interop

package servers_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	quarter = "85070591730234615865843651857942052864"  // 2^126
	half    = "170141183460469231731687303715884105728" // 2^127
)

func TestKinesisBehaviour(t *testing.T) {
	t.Parallel()
	servers := []server{startLocal(t), startKinesisMock(t), startFerrokinesis(t)}
	compare(t, kinesisChecks, kinesisDiffers, servers, func(s server) *kinesis.Client { return kinesis.NewFromConfig(s.config()) })
}

const noFirstEvent = "does not begin with initial-response"

var kinesisDiffers = known{
	"kinesis-mock": {
		"list after a split, AT_TRIM_HORIZON":                "0 1 2 3",
		"an empty partition key":                             "InvalidArgumentException",
		"501 records in one call":                            "ok",
		"an iterator that is none":                           "UnknownError", // HTTP 500 without a body
		"subscribe: first event, records, push of a new one": noFirstEvent,
		"subscribe: the end of a split shard":                noFirstEvent,
		"subscribe again within 5 s":                         "first: " + noFirstEvent,
	},
	"ferrokinesis": {
		"create on demand":                     "ValidationException",
		"list shards, paged":                   "ResourceNotFoundException", // the second page's token is a shard's id
		"list shards by ARN alone":             "InvalidArgumentException",
		"iterator by ARN alone":                "ValidationException",
		"list after a split, AT_LATEST":        "0 1 2 3",
		"list after a split, AT_TRIM_HORIZON":  "0 1 2 3",
		"list after a split, AFTER_SHARD_ID 1": "0 1 2 3",
		"list after a split, AT_TIMESTAMP":     "0 1 2 3",
		"the end of a split shard":             "a, no next iterator, ",
		"the end of merged shards":             ", no next iterator, ",
		"UpdateShardCount from 2 to 4":         "4 open, 4 without parents",
		"subscribe: the end of a split shard":  "a, then 2 of 0, 3 of 0, then 2 of 0, 3 of 0, end",
		"subscribe again within 5 s":           "ok",
	},
}

type onKinesis = trial[*kinesis.Client]

// begin makes a stream of its own and waits for it.
func begin(k *onKinesis, shards int32) error {
	_, err := k.client.CreateStream(k, &kinesis.CreateStreamInput{StreamName: &k.name, ShardCount: &shards})
	if err != nil {
		return err
	}
	return ready(k)
}

func ready(k *onKinesis) error {
	return kinesis.NewStreamExistsWaiter(k.client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 20 * time.Millisecond }).
		Wait(k, &kinesis.DescribeStreamInput{StreamName: &k.name}, 30*time.Second)
}

func split(k *onKinesis, shard int, at string) error {
	_, err := k.client.SplitShard(k, &kinesis.SplitShardInput{StreamName: &k.name, ShardToSplit: id(shard), NewStartingHashKey: &at})
	return errors.Join(err, ready(k))
}

func id(shard int) *string { return aws.String(fmt.Sprintf("shardId-%012d", shard)) }

func number(shard *string) string {
	return strings.TrimLeft(strings.TrimPrefix(aws.ToString(shard), "shardId-"), "0") + strings.Repeat("0", boolInt(strings.HasSuffix(aws.ToString(shard), "-000000000000")))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// listed returns the numbers of the shards that a filter lists.
func listed(k *onKinesis, f *types.ShardFilter) string {
	out, err := k.client.ListShards(k, &kinesis.ListShardsInput{StreamName: &k.name, ShardFilter: f})
	if err != nil {
		return code(err)
	}
	var ids []string
	for _, s := range out.Shards {
		ids = append(ids, number(s.ShardId))
	}
	return strings.Join(ids, " ")
}

func put(k *onKinesis, hash, data string) (string, error) {
	out, err := k.client.PutRecord(k, &kinesis.PutRecordInput{StreamName: &k.name, PartitionKey: aws.String("k"), ExplicitHashKey: &hash, Data: []byte(data)})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SequenceNumber), nil
}

func iterator(k *onKinesis, shard int, in kinesis.GetShardIteratorInput) (*string, error) {
	in.StreamName, in.ShardId = &k.name, id(shard)
	out, err := k.client.GetShardIterator(k, &in)
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// get returns the data of one GetRecords.
func get(k *onKinesis, shard int, in kinesis.GetShardIteratorInput) string {
	it, err := iterator(k, shard, in)
	if err != nil {
		return code(err)
	}
	out, err := k.client.GetRecords(k, &kinesis.GetRecordsInput{ShardIterator: it})
	if err != nil {
		return code(err)
	}
	var all []string
	for _, r := range out.Records {
		all = append(all, string(r.Data))
	}
	return strings.Join(all, " ")
}

// children renders child shards with their parents.
func children(all []types.ChildShard) string {
	var text []string
	for _, c := range all {
		var parents []string
		for _, p := range c.ParentShards {
			parents = append(parents, number(&p))
		}
		text = append(text, number(c.ShardId)+" of "+strings.Join(parents, "+"))
	}
	return strings.Join(text, ", ")
}

// resharded is a stream of shards 0 and 1, of which 0 has a record and was split into 2 and 3.
func resharded(k *onKinesis) error {
	if err := begin(k, 2); err != nil {
		return err
	}
	_, err := put(k, "0", "a")
	return errors.Join(err, split(k, 0, quarter))
}

// afterReshard lists by a filter what is there after a split.
func afterReshard(f func() *types.ShardFilter) func(*onKinesis) string {
	return func(k *onKinesis) string {
		if err := resharded(k); err != nil {
			return code(err)
		}
		return listed(k, f())
	}
}

var oldest = kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}

var kinesisChecks = []check[*kinesis.Client]{
	{name: "create, describe", want: "ACTIVE, 2 open, 24 h", run: func(k *onKinesis) string {
		if err := begin(k, 2); err != nil {
			return code(err)
		}
		out, err := k.client.DescribeStreamSummary(k, &kinesis.DescribeStreamSummaryInput{StreamName: &k.name})
		if err != nil {
			return code(err)
		}
		d := out.StreamDescriptionSummary
		return fmt.Sprintf("%s, %d open, %d h", d.StreamStatus, aws.ToInt32(d.OpenShardCount), aws.ToInt32(d.RetentionPeriodHours))
	}},
	{name: "create on demand", want: "ON_DEMAND, 4 open", run: func(k *onKinesis) string {
		_, err := k.client.CreateStream(k, &kinesis.CreateStreamInput{StreamName: &k.name, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
		if err = errors.Join(err, ready(k)); err != nil {
			return code(err)
		}
		out, err := k.client.DescribeStreamSummary(k, &kinesis.DescribeStreamSummaryInput{StreamName: &k.name})
		if err != nil {
			return code(err)
		}
		return fmt.Sprintf("%s, %d open", out.StreamDescriptionSummary.StreamModeDetails.StreamMode, aws.ToInt32(out.StreamDescriptionSummary.OpenShardCount))
	}},
	{name: "create twice", want: "ResourceInUseException", run: func(k *onKinesis) string {
		return code(errors.Join(begin(k, 1), begin(k, 1)))
	}},
	{name: "describe what is not there", want: "ResourceNotFoundException", run: func(k *onKinesis) string {
		_, err := k.client.DescribeStreamSummary(k, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("none")})
		return code(err)
	}},
	{name: "put into what is not there", want: "ResourceNotFoundException", run: func(k *onKinesis) string {
		_, err := put(k, "0", "a")
		return code(err)
	}},
	{name: "delete, describe", want: "ok, then ResourceNotFoundException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		if _, err := k.client.DeleteStream(k, &kinesis.DeleteStreamInput{StreamName: &k.name}); err != nil {
			return "delete: " + code(err)
		}
		return code(kinesis.NewStreamNotExistsWaiter(k.client, func(o *kinesis.StreamNotExistsWaiterOptions) { o.MinDelay = 20 * time.Millisecond }).Wait(k, &kinesis.DescribeStreamInput{StreamName: &k.name}, 20*time.Second)) + ", then " + code(describe(k))
	}},
	{name: "hash ranges of three shards cover all", want: "0-340282366920938463463374607431768211455 in 3", run: func(k *onKinesis) string {
		if err := begin(k, 3); err != nil {
			return code(err)
		}
		out, err := k.client.ListShards(k, &kinesis.ListShardsInput{StreamName: &k.name})
		if err != nil {
			return code(err)
		}
		last := big.NewInt(-1)
		for _, s := range out.Shards {
			from, _ := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
			if from.Cmp(new(big.Int).Add(last, big.NewInt(1))) != 0 {
				return "a gap at " + from.String()
			}
			last, _ = new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
		}
		return fmt.Sprintf("0-%s in %d", last, len(out.Shards))
	}},
	{name: "list shards, paged", want: "0 1 2", run: func(k *onKinesis) string {
		if err := begin(k, 3); err != nil {
			return code(err)
		}
		var ids []string
		for in := (&kinesis.ListShardsInput{StreamName: &k.name, MaxResults: aws.Int32(2)}); ; {
			out, err := k.client.ListShards(k, in)
			if err != nil {
				return code(err)
			}
			for _, s := range out.Shards {
				ids = append(ids, number(s.ShardId))
			}
			if out.NextToken == nil {
				return strings.Join(ids, " ")
			}
			if len(out.Shards) > 2 {
				return "too many"
			}
			in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(2)}
		}
	}},
	{name: "list shards by ARN alone", want: "ok", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		_, err := k.client.ListShards(k, &kinesis.ListShardsInput{StreamARN: arnOf(k)})
		return code(err)
	}},
	{name: "iterator by ARN alone", want: "ok", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		_, err := k.client.GetShardIterator(k, &kinesis.GetShardIteratorInput{StreamARN: arnOf(k), ShardId: id(0), ShardIteratorType: types.ShardIteratorTypeLatest})
		return code(err)
	}},
	{name: "list after a split, no filter", want: "0 1 2 3", run: afterReshard(func() *types.ShardFilter { return nil })},
	{name: "list after a split, AT_LATEST", want: "1 2 3", run: afterReshard(func() *types.ShardFilter { return &types.ShardFilter{Type: types.ShardFilterTypeAtLatest} })},
	{name: "list after a split, AT_TRIM_HORIZON", want: "0 1", run: afterReshard(func() *types.ShardFilter {
		return &types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}
	})},
	{name: "list after a split, FROM_TRIM_HORIZON", want: "0 1 2 3", run: afterReshard(func() *types.ShardFilter {
		return &types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}
	})},
	{name: "list after a split, AFTER_SHARD_ID 1", want: "2 3", run: afterReshard(func() *types.ShardFilter {
		return &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: id(1)}
	})},
	{name: "list after a split, AT_TIMESTAMP", want: "1 2 3", run: afterReshard(func() *types.ShardFilter {
		<-time.After(1100 * time.Millisecond) // a shard that ended in the same second was still open at it
		return &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: aws.Time(time.Now())}
	})},
	{name: "explicit hash key chooses the shard", want: "0 1 1", run: func(k *onKinesis) string {
		if err := begin(k, 2); err != nil {
			return code(err)
		}
		var got []string
		for _, hash := range []string{"0", half, "340282366920938463463374607431768211455"} {
			out, err := k.client.PutRecord(k, &kinesis.PutRecordInput{StreamName: &k.name, PartitionKey: aws.String("k"), ExplicitHashKey: &hash, Data: []byte("a")})
			if err != nil {
				return code(err)
			}
			got = append(got, number(out.ShardId))
		}
		return strings.Join(got, " ")
	}},
	{name: "a partition key's MD5 chooses the shard", want: "a:0 b:1 c:0 d:1", run: func(k *onKinesis) string {
		if err := begin(k, 2); err != nil {
			return code(err)
		}
		var got []string
		for _, key := range []string{"a", "b", "c", "d"} { // 0cc175b9…, 92eb5ffe…, 4a8a08f0…, 8277e091…
			out, err := k.client.PutRecord(k, &kinesis.PutRecordInput{StreamName: &k.name, PartitionKey: &key, Data: []byte("a")})
			if err != nil {
				return code(err)
			}
			got = append(got, key+":"+number(out.ShardId))
		}
		return strings.Join(got, " ")
	}},
	{name: "a record of 1 MiB", want: "ok", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		_, err := put(k, "0", strings.Repeat("a", 1<<20-1)) // and one for the key
		return code(err)
	}},
	{name: "an empty partition key", want: "ValidationException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		_, err := k.client.PutRecord(k, &kinesis.PutRecordInput{StreamName: &k.name, PartitionKey: aws.String(""), Data: []byte("a")})
		return code(err)
	}},
	{name: "501 records in one call", want: "ValidationException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		_, err := k.client.PutRecords(k, &kinesis.PutRecordsInput{StreamName: &k.name, Records: entries(501)})
		return code(err)
	}},
	{name: "order, and limit", want: "0 1 2 3 4 | behind, 5 6 7", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		if _, err := k.client.PutRecords(k, &kinesis.PutRecordsInput{StreamName: &k.name, Records: entries(8)}); err != nil {
			return code(err)
		}
		it, err := iterator(k, 0, oldest)
		if err != nil {
			return code(err)
		}
		var pages []string
		for i := range 2 {
			out, err := k.client.GetRecords(k, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(5)})
			if err != nil {
				return code(err)
			}
			var page []string
			for _, r := range out.Records {
				page = append(page, string(r.Data))
			}
			pages = append(pages, strings.Join(page, " "))
			if i == 1 && aws.ToInt64(out.MillisBehindLatest) != 0 {
				pages = append(pages, "not at the tip")
			}
			it = out.NextShardIterator
		}
		return strings.Join(pages, " | behind, ")
	}},
	{name: "iterators of every kind", want: "at: b c, after: c, timestamp: a b c, latest: ", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		var numbers []string
		for _, data := range []string{"a", "b", "c"} {
			n, err := put(k, "0", data)
			if err != nil {
				return code(err)
			}
			numbers = append(numbers, n)
		}
		b := &numbers[1]
		return "at: " + get(k, 0, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: b}) +
			", after: " + get(k, 0, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: b}) +
			", timestamp: " + get(k, 0, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(-time.Hour))}) +
			", latest: " + get(k, 0, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest})
	}},
	{name: "an iterator that is none", want: "InvalidArgumentException", run: func(k *onKinesis) string {
		_, err := k.client.GetRecords(k, &kinesis.GetRecordsInput{ShardIterator: aws.String("rubbish")})
		return code(err)
	}},
	{name: "an iterator of a shard that is not there", want: "ResourceNotFoundException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		return get(k, 9, oldest)
	}},
	{name: "arrival times are of now", want: "within a minute", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		if _, err := put(k, "0", "a"); err != nil {
			return code(err)
		}
		it, err := iterator(k, 0, oldest)
		if err != nil {
			return code(err)
		}
		out, err := k.client.GetRecords(k, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil || len(out.Records) != 1 {
			return fmt.Sprintf("%s, %d records", code(err), len(out.Records))
		}
		if age := time.Since(aws.ToTime(out.Records[0].ApproximateArrivalTimestamp)); age.Abs() > time.Minute {
			return age.String()
		}
		return "within a minute"
	}},
	{name: "sequence numbers grow, in children beyond their parent's", want: "yes", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		one, err1 := put(k, "0", "a")
		two, err2 := put(k, "0", "b")
		err3 := split(k, 0, half)
		three, err4 := put(k, "0", "c")
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return code(err)
		}
		if less(one, two) && less(two, three) {
			return "yes"
		}
		return strings.Join([]string{one, two, three}, " ")
	}},
	{name: "the end of a split shard", want: "a, no next iterator, 2 of 0, 3 of 0", run: func(k *onKinesis) string {
		if err := resharded(k); err != nil {
			return code(err)
		}
		return toEnd(k, 0)
	}},
	{name: "the end of merged shards", want: ", no next iterator, 2 of 0+1", run: func(k *onKinesis) string {
		if err := begin(k, 2); err != nil {
			return code(err)
		}
		_, err := k.client.MergeShards(k, &kinesis.MergeShardsInput{StreamName: &k.name, ShardToMerge: id(0), AdjacentShardToMerge: id(1)})
		if err = errors.Join(err, ready(k)); err != nil {
			return code(err)
		}
		return toEnd(k, 1)
	}},
	{name: "merge of shards that are not adjacent", want: "InvalidArgumentException", run: func(k *onKinesis) string {
		if err := begin(k, 3); err != nil {
			return code(err)
		}
		_, err := k.client.MergeShards(k, &kinesis.MergeShardsInput{StreamName: &k.name, ShardToMerge: id(0), AdjacentShardToMerge: id(2)})
		return code(err)
	}},
	{name: "split at a key outside the shard", want: "InvalidArgumentException", run: func(k *onKinesis) string {
		if err := begin(k, 2); err != nil {
			return code(err)
		}
		_, err := k.client.SplitShard(k, &kinesis.SplitShardInput{StreamName: &k.name, ShardToSplit: id(1), NewStartingHashKey: aws.String("5")})
		return code(err)
	}},
	{name: "UpdateShardCount from 2 to 4", want: "4 open, all with parents", run: func(k *onKinesis) string {
		if err := begin(k, 2); err != nil {
			return code(err)
		}
		_, err := k.client.UpdateShardCount(k, &kinesis.UpdateShardCountInput{StreamName: &k.name, TargetShardCount: aws.Int32(4), ScalingType: types.ScalingTypeUniformScaling})
		if err = errors.Join(err, ready(k)); err != nil {
			return code(err)
		}
		out, err := k.client.ListShards(k, &kinesis.ListShardsInput{StreamName: &k.name})
		if err != nil {
			return code(err)
		}
		open, orphans := 0, 0
		for _, s := range out.Shards {
			if s.SequenceNumberRange.EndingSequenceNumber == nil {
				open++
				orphans += boolInt(s.ParentShardId == nil)
			}
		}
		if orphans > 0 {
			return fmt.Sprintf("%d open, %d without parents", open, orphans)
		}
		return fmt.Sprintf("%d open, all with parents", open)
	}},
	{name: "a consumer's life", want: "ACTIVE, again ResourceInUseException, gone ResourceNotFoundException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		arn, err := consumerOf(k)
		if err != nil {
			return code(err)
		}
		_, again := k.client.RegisterStreamConsumer(k, &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf(k), ConsumerName: aws.String("c")})
		if _, err := k.client.DeregisterStreamConsumer(k, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn}); err != nil {
			return "deregister: " + code(err)
		}
		for {
			_, err = k.client.DescribeStreamConsumer(k, &kinesis.DescribeStreamConsumerInput{ConsumerARN: arn})
			if err != nil {
				return "ACTIVE, again " + code(again) + ", gone " + code(err)
			}
		}
	}},
	{name: "subscribe: first event, records, push of a new one", want: "a, then b", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		_, err := put(k, "0", "a")
		arn, err2 := consumerOf(k)
		if err = errors.Join(err, err2); err != nil {
			return code(err)
		}
		return subscribed(k, arn, 0, func(got []string) bool {
			if len(got) == 1 {
				_, err = put(k, "0", "b")
			}
			return len(got) == 2 || err != nil
		})
	}},
	{name: "subscribe: the end of a split shard", want: "a, then 2 of 0, 3 of 0, no continuation, end", run: func(k *onKinesis) string {
		if err := resharded(k); err != nil {
			return code(err)
		}
		arn, err := consumerOf(k)
		if err != nil {
			return code(err)
		}
		return subscribed(k, arn, 0, func([]string) bool { return false })
	}},
	{name: "subscribe again within 5 s", want: "ResourceInUseException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		arn, err := consumerOf(k)
		if err != nil {
			return code(err)
		}
		in := &kinesis.SubscribeToShardInput{ConsumerARN: arn, ShardId: id(0), StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest}}
		first, err := subscribe(k, in)
		if err != nil {
			return "first: " + code(err)
		}
		defer func() { _ = first.Close() }()
		second, err := subscribe(k, in)
		if err == nil {
			_ = second.Close()
		}
		return code(err)
	}},
	{name: "tags", want: "a=1, then none", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		if _, err := k.client.AddTagsToStream(k, &kinesis.AddTagsToStreamInput{StreamName: &k.name, Tags: map[string]string{"a": "1"}}); err != nil {
			return code(err)
		}
		out, err := k.client.ListTagsForStream(k, &kinesis.ListTagsForStreamInput{StreamName: &k.name})
		if err != nil || len(out.Tags) != 1 {
			return code(err)
		}
		text := aws.ToString(out.Tags[0].Key) + "=" + aws.ToString(out.Tags[0].Value)
		if _, err := k.client.RemoveTagsFromStream(k, &kinesis.RemoveTagsFromStreamInput{StreamName: &k.name, TagKeys: []string{"a"}}); err != nil {
			return code(err)
		}
		if out, err = k.client.ListTagsForStream(k, &kinesis.ListTagsForStreamInput{StreamName: &k.name}); err != nil || len(out.Tags) != 0 {
			return text + ", then " + code(err)
		}
		return text + ", then none"
	}},
	{name: "retention up and down", want: "48, 24, less: InvalidArgumentException", run: func(k *onKinesis) string {
		if err := begin(k, 1); err != nil {
			return code(err)
		}
		hours := func() string {
			out, err := k.client.DescribeStreamSummary(k, &kinesis.DescribeStreamSummaryInput{StreamName: &k.name})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(aws.ToInt32(out.StreamDescriptionSummary.RetentionPeriodHours))
		}
		_, err := k.client.IncreaseStreamRetentionPeriod(k, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: &k.name, RetentionPeriodHours: aws.Int32(48)})
		up := hours()
		_, err2 := k.client.DecreaseStreamRetentionPeriod(k, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: &k.name, RetentionPeriodHours: aws.Int32(24)})
		down := hours()
		if err := errors.Join(err, err2); err != nil {
			return code(err)
		}
		_, err = k.client.DecreaseStreamRetentionPeriod(k, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: &k.name, RetentionPeriodHours: aws.Int32(23)})
		return up + ", " + down + ", less: " + code(err)
	}},
}

func describe(k *onKinesis) error {
	_, err := k.client.DescribeStreamSummary(k, &kinesis.DescribeStreamSummaryInput{StreamName: &k.name})
	return err
}

func arnOf(k *onKinesis) *string {
	out, err := k.client.DescribeStreamSummary(k, &kinesis.DescribeStreamSummaryInput{StreamName: &k.name})
	if err != nil {
		return nil
	}
	return out.StreamDescriptionSummary.StreamARN
}

// consumerOf registers a consumer and waits for it.
func consumerOf(k *onKinesis) (*string, error) {
	out, err := k.client.RegisterStreamConsumer(k, &kinesis.RegisterStreamConsumerInput{StreamARN: arnOf(k), ConsumerName: aws.String("c")})
	if err != nil {
		return nil, err
	}
	for {
		d, err := k.client.DescribeStreamConsumer(k, &kinesis.DescribeStreamConsumerInput{ConsumerARN: out.Consumer.ConsumerARN})
		if err != nil || d.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive {
			return out.Consumer.ConsumerARN, err
		}
	}
}

func entries(n int) (all []types.PutRecordsRequestEntry) {
	for i := range n {
		all = append(all, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: fmt.Append(nil, i)})
	}
	return all
}

func less(a, b string) bool {
	return len(a) < len(b) || len(a) == len(b) && bytes.Compare([]byte(a), []byte(b)) < 0
}

// toEnd reads a shard to its end and renders what came.
func toEnd(k *onKinesis, shard int) string {
	it, err := iterator(k, shard, oldest)
	if err != nil {
		return code(err)
	}
	var data []string
	for range 20 {
		out, err := k.client.GetRecords(k, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return code(err)
		}
		for _, r := range out.Records {
			data = append(data, string(r.Data))
		}
		if it = out.NextShardIterator; it == nil {
			return strings.Join(data, " ") + ", no next iterator, " + children(out.ChildShards)
		}
	}
	return strings.Join(data, " ") + ", never at its end"
}

var errFirstEvent = errors.New(noFirstEvent)

// subscribe gives up after five seconds: the SDK, which needs a first event that some servers do not send, waits for ever, even
// when its context has ended.
func subscribe(k *onKinesis, in *kinesis.SubscribeToShardInput) (*kinesis.SubscribeToShardEventStream, error) {
	type result struct {
		stream *kinesis.SubscribeToShardEventStream
		err    error
	}
	came := make(chan result, 1) // nobody may be waiting any more
	go func() {
		out, err := k.client.SubscribeToShard(k, in)
		if err != nil {
			came <- result{err: err}
			return
		}
		came <- result{stream: out.GetStream()}
	}()
	select {
	case r := <-came:
		return r.stream, r.err
	case <-time.After(5 * time.Second):
		return nil, errFirstEvent
	}
}

// subscribed reads a subscription until stop says so, or five seconds after its last record, and renders what came.
func subscribed(k *onKinesis, consumer *string, shard int, stop func(got []string) bool) string {
	events, err := subscribe(k, &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: id(shard), StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		return code(err)
	}
	defer func() { _ = events.Close() }()
	var got []string
	patience := time.NewTimer(5 * time.Second)
	for {
		select {
		case <-patience.C:
			return strings.Join(append(got, "nothing more"), ", then ")
		case e, open := <-events.Events():
			if !open {
				if err := events.Err(); err != nil {
					return strings.Join(append(got, code(err)), ", then ")
				}
				return strings.Join(got, ", then ") + ", end"
			}
			event, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
			if !ok {
				continue
			}
			for _, r := range event.Value.Records {
				got = append(got, string(r.Data))
				patience.Reset(5 * time.Second)
			}
			if c := event.Value.ChildShards; len(c) > 0 {
				text := children(c)
				if aws.ToString(event.Value.ContinuationSequenceNumber) == "" {
					text += ", no continuation"
				}
				got = append(got, text)
			}
			if len(event.Value.Records) > 0 && stop(got) {
				return strings.Join(got, ", then ")
			}
		}
	}
}
