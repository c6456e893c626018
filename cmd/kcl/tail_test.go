package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// client calls a server started by serve.
func client(t *testing.T, endpoint string) *kinesis.Client {
	t.Helper()
	c, err := (&awsFlags{endpoint: endpoint}).kinesis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// putNumbers puts records that say from and so on, of ten keys.
func putNumbers(t *testing.T, endpoint string, from, count int) {
	t.Helper()
	var lines strings.Builder
	for n := from; n < from+count; n++ {
		fmt.Fprintf(&lines, "{\"key\":\"key%d\",\"n\":%d}\n", n%10, n)
	}
	if r := kcl(t, lines.String(), "put", "-endpoint", endpoint, "-stream", "orders", "-key-field", "key"); r.code != 0 {
		t.Fatal(r)
	}
}

func split(t *testing.T, endpoint, shard, at string) {
	t.Helper()
	_, err := client(t, endpoint).SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String("orders"), ShardToSplit: &shard, NewStartingHashKey: &at,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func merge(t *testing.T, endpoint, left, right string) {
	t.Helper()
	_, err := client(t, endpoint).MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: aws.String("orders"), ShardToMerge: &left, AdjacentShardToMerge: &right,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// half is the middle of the hash keys of a stream with one shard.
const half = "170141183460469231731687303715884105728"

// TestTailFollowsReshards: every record, each key in order, through a split and a merge, whether they happen before the tail or
// during it.
func TestTailFollowsReshards(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			endpoint := serve(t, 1)
			putNumbers(t, endpoint, 0, 100)
			tail := background{}
			begin := func() {
				tail = start(t, "tail", "-endpoint", endpoint, "-stream", "orders", "-from", "oldest", "-count", "400", "-format", "json")
			}
			last, got := map[string]int{}, 0
			read := func(count int) {
				for range count {
					var p printedRecord
					var n struct{ N int }
					line := tail.line(t)
					if err := json.Unmarshal([]byte(line), &p); err != nil || json.Unmarshal([]byte(*p.Data), &n) != nil {
						t.Fatalf("line %q: %v", line, err)
					}
					if before, any := last[p.PartitionKey]; any && n.N <= before {
						t.Errorf("record %d of %s came after %d", n.N, p.PartitionKey, before)
					}
					last[p.PartitionKey] = n.N
					got++
				}
			}
			if !before {
				begin()
				read(100)
			}
			split(t, endpoint, "shardId-000000000000", half)
			putNumbers(t, endpoint, 100, 200)
			if !before {
				read(200)
			}
			merge(t, endpoint, "shardId-000000000001", "shardId-000000000002")
			putNumbers(t, endpoint, 300, 100)
			if before {
				begin()
			}
			read(400 - got)
			code, stderr := tail.stop()
			want := "shardId-000000000000 has ended; shardId-000000000001 and shardId-000000000002 follow\n"
			if code != 0 || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "shardId-000000000003 follows\n") != 2 {
				t.Errorf("exit %d, stderr:\n%s", code, stderr)
			}
		})
	}
}

func TestTailGolden(t *testing.T) {
	endpoint := serve(t, 1)
	kcl(t, "plain\n<&>\nbinary \xff\n\n", "put", "-endpoint", endpoint, "-stream", "orders", "-key", "k")
	split(t, endpoint, "shardId-000000000000", half)
	for name, args := range map[string][]string{
		"tail-data":     {"-from", "oldest", "-count", "4"},
		"tail-json":     {"-from", "1h", "-count", "4", "-json"},
		"tail-shard":    {"-from", "oldest", "-shard", "shardId-000000000000"},
		"tail-nothing":  {"-for", "10ms"},
		"tail-no-shard": {"-shard", "shardId-000000000009"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, kcl(t, "", append([]string{"tail", "-endpoint", endpoint, "-stream", "orders"}, args...)...).String())
		})
	}
	golden(t, "tail-no-stream", kcl(t, "", "tail", "-endpoint", endpoint, "-stream", "nowhere").String())
}

func TestTailUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"tail":                           "kcl: which stream? Give -stream\n",
		"tail -stream s -format xml":     "kcl: -format \"xml\" is neither data nor json\n",
		"tail -stream s -count -1":       "kcl: -count and -for cannot be negative\n",
		"tail -stream s -from yesterday": "kcl: -from \"yesterday\" is none of latest, oldest, a time such as 2026-03-01T12:00:00Z, and how long ago, such as 15m\n",
	} {
		if r := kcl(t, "", strings.Fields(args)...); r != (result{code: exitUsage, stderr: want}) {
			t.Errorf("kcl %s: %v, want exit 2 and %q", args, r, want)
		}
	}
}
