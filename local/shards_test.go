package local_test

import (
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

// listed returns all shards that pass the filter, page by page.
func listed(t *testing.T, c *kinesis.Client, f *types.ShardFilter) (shards []types.Shard) {
	t.Helper()
	in := &kinesis.ListShardsInput{StreamName: aws.String("orders"), ShardFilter: f, MaxResults: aws.Int32(2)}
	for {
		out, err := c.ListShards(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if shards = append(shards, out.Shards...); out.NextToken == nil {
			return shards
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(2)}
	}
}

// numbers writes shard IDs as numbers.
func numbers(shards []types.Shard) string {
	var out []string
	for _, s := range shards {
		out = append(out, strings.TrimLeft(strings.TrimPrefix(*s.ShardId, "shardId-"), "0"))
	}
	return strings.Join(out, " ")
}

// TestShardFilters follows a split of shard 1 into 3 and 4 after an hour, and a merge of 3 and 2 into 5 after another.
// (Shard 0 prints as nothing, so the list begins with a space.)
func TestShardFilters(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}); err != nil {
			t.Fatal(err)
		}
		created(t, c, "orders", 3)
		start := time.Now()
		time.Sleep(time.Hour)
		split(t, c, "orders", "shardId-000000000001", "170141183460469231731687303715884105728")
		splitAt := time.Now()
		time.Sleep(time.Hour)
		merge(t, c, "shardId-000000000002", "shardId-000000000004")
		check := func(f *types.ShardFilter, want string) {
			t.Helper()
			if got := numbers(listed(t, c, f)); got != want {
				t.Errorf("filter %+v lists %q, want %q", f, got, want)
			}
		}
		at := func(kind types.ShardFilterType, when time.Time) *types.ShardFilter {
			return &types.ShardFilter{Type: kind, Timestamp: &when}
		}
		check(nil, " 1 2 3 4 5")
		check(&types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}, " 1 2 3 4 5")
		check(&types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, " 1 2")
		check(&types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, " 3 5")
		check(&types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String("shardId-000000000002")}, "3 4 5")
		check(at(types.ShardFilterTypeAtTimestamp, start.Add(-time.Hour)), " 1 2")
		check(at(types.ShardFilterTypeAtTimestamp, start.Add(time.Minute)), " 1 2")
		check(at(types.ShardFilterTypeAtTimestamp, splitAt), " 1 2 3 4") // both ends count, says the API reference
		check(at(types.ShardFilterTypeAtTimestamp, splitAt.Add(time.Minute)), " 2 3 4")
		check(at(types.ShardFilterTypeFromTimestamp, splitAt.Add(time.Minute)), " 2 3 4 5")
		check(at(types.ShardFilterTypeFromTimestamp, time.Now()), " 2 3 4 5")
		time.Sleep(22*time.Hour + 30*time.Minute) // the horizon lies between start and split
		check(&types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, " 1 2")
		time.Sleep(time.Hour) // and now between split and merge
		check(&types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, " 2 3 4")
		check(nil, " 2 3 4 5")
		time.Sleep(time.Hour)
		check(nil, " 3 5")
	})
}

func merge(t *testing.T, c *kinesis.Client, parent, adjacent string) {
	t.Helper()
	if err := tryMerge(t, c, parent, adjacent); err != nil {
		t.Fatal(err)
	}
}

func tryMerge(t *testing.T, c *kinesis.Client, parent, adjacent string) error {
	t.Helper()
	_, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("orders"), ShardToMerge: &parent, AdjacentShardToMerge: &adjacent})
	return err
}

// TestReshardInOneInstant splits twice while the clock stands still: each generation must still be whole.
func TestReshardInOneInstant(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		put(t, s, "a", 1)
		split(t, c, "orders", first, half)
		for low, key := 1, 1000; low < 40; low, key = low+2, key-20 { // the nibble of a shard's number falls from 15 to 16
			split(t, c, "orders", fmt.Sprintf("shardId-%012d", low), fmt.Sprint(key))
		}
		if got := numbers(listed(t, c, &types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon})); got != "" {
			t.Errorf("at the horizon: %q, want shard 0 alone", got)
		}
		shards := listed(t, c, nil)
		for _, s := range shards[1:] {
			parent := shards[slices.IndexFunc(shards, func(p types.Shard) bool { return *p.ShardId == *s.ParentShardId })]
			if *s.SequenceNumberRange.StartingSequenceNumber <= *parent.SequenceNumberRange.EndingSequenceNumber {
				t.Errorf("%s begins before its parent ends", *s.ShardId)
			}
		}
	})
}

func TestListShardsTokens(t *testing.T) {
	inBubble(t, local.Config{}, func(t *testing.T, s *local.Server, c *kinesis.Client) {
		split(t, c, "orders", first, half)
		out, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("orders"), MaxResults: aws.Int32(1)})
		if err != nil {
			t.Fatal(err)
		}
		for name, in := range map[string]*kinesis.ListShardsInput{
			"InvalidArgumentException: with a name":   {NextToken: out.NextToken, StreamName: aws.String("orders")},
			"InvalidArgumentException: with a filter": {NextToken: out.NextToken, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}},
			"InvalidArgumentException: nonsense":      {NextToken: aws.String("nonsense")},
			"InvalidArgumentException: nothing":       {},
			"ValidationException: too many":           {StreamName: aws.String("orders"), MaxResults: aws.Int32(10001)},
			"InvalidArgumentException: no shard":      {StreamName: aws.String("orders"), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId}},
			"InvalidArgumentException: no time":       {StreamName: aws.String("orders"), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp}},
		} {
			want, _, _ := strings.Cut(name, ":")
			if _, err := c.ListShards(t.Context(), in); code(err) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
		time.Sleep(301 * time.Second)
		if _, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: out.NextToken}); code(err) != "ExpiredNextTokenException" {
			t.Errorf("an old token: %v", err)
		}
	})
}

// TestUpdateShardCount checks after each change that the open shards cover the key space evenly, and that every record
// can be found by following parents to children.
func TestUpdateShardCount(t *testing.T) {
	s := local.New(local.Config{Logger: quiet()})
	c := client(s.AWSConfig())
	created(t, c, "orders", 1)
	put, total := 0, 0
	for _, n := range []int32{2, 4, 3, 5, 7, 7, 4, 2, 1, 2} {
		for range 50 {
			if _, _, err := s.Put("orders", fmt.Sprint(put), nil); err != nil {
				t.Fatal(err)
			}
			put++
		}
		out, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: aws.String("orders"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling})
		if err != nil || *out.TargetShardCount != n {
			t.Fatalf("to %d: %+v, %v", n, out, err)
		}
		open := listed(t, c, &types.ShardFilter{Type: types.ShardFilterTypeAtLatest})
		if int32(len(open)) != n {
			t.Fatalf("to %d: %d shards are open", n, len(open))
		}
	}
	for _, shard := range listed(t, c, nil) {
		total += len(drain(t, c, "orders", *shard.ShardId))
	}
	if total != put {
		t.Errorf("%d records in all shards, %d were put", total, put)
	}
	for n, want := range map[int32]string{5: "InvalidArgumentException", 0: "ValidationException", 20000: "LimitExceededException"} {
		if _, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: aws.String("orders"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling}); code(err) != want {
			t.Errorf("from 2 to %d: %v, want %s", n, err, want)
		}
	}
}

func TestReshardErrors(t *testing.T) {
	c := client(local.New(local.Config{Logger: quiet()}).AWSConfig())
	created(t, c, "orders", 4)
	if err := trySplit(t, c, first, "10"); err != nil { // 4 and 5 take the place of 0
		t.Fatal(err)
	}
	for name, got := range map[string]error{
		"InvalidArgumentException: split of a closed shard":    trySplit(t, c, first, "20"),
		"InvalidArgumentException: split at the start":         trySplit(t, c, "shardId-000000000004", "1"),
		"InvalidArgumentException: split at the end":           trySplit(t, c, "shardId-000000000004", "9"),
		"ValidationException: split at no number":              trySplit(t, c, "shardId-000000000004", "x"),
		"ResourceNotFoundException: split of an unknown shard": trySplit(t, c, "shardId-000000000099", "5"),
		"InvalidArgumentException: merge of strangers":         tryMerge(t, c, "shardId-000000000001", "shardId-000000000003"),
		"InvalidArgumentException: merge around the end":       tryMerge(t, c, "shardId-000000000003", "shardId-000000000004"),
		"InvalidArgumentException: merge around the start":     tryMerge(t, c, "shardId-000000000004", "shardId-000000000003"),
		"InvalidArgumentException: merge with itself":          tryMerge(t, c, "shardId-000000000003", "shardId-000000000003"),
		"InvalidArgumentException: merge of a closed shard":    tryMerge(t, c, first, "shardId-000000000001"),
	} {
		if want, _, _ := strings.Cut(name, ":"); code(got) != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	merge(t, c, "shardId-000000000005", "shardId-000000000004")
	last := listed(t, c, &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String("shardId-000000000005")})
	if len(last) != 1 || *last[0].ParentShardId != "shardId-000000000005" || *last[0].AdjacentParentShardId != "shardId-000000000004" || *last[0].HashKeyRange.StartingHashKey != "0" {
		t.Errorf("the merged shard: %+v", last)
	}
}
