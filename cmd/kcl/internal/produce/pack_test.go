package produce_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/produce"
	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

func numbered(first, count int) []produce.Record {
	records := make([]produce.Record, count)
	for i := range records {
		records[i] = produce.Record{Key: fmt.Sprintf("key-%d", (first+i)%100), Data: fmt.Appendf(nil, "%06d", first+i)}
	}
	return records
}

// contents returns what consumers get from the stream, by key, and how many records of Kinesis that took.
func contents(t *testing.T, client *kinesis.Client, name string) (byKey map[string][]string, outer, strays int) {
	t.Helper()
	byKey = map[string][]string{}
	list, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Shards { // parents come before their children
		keys, err := stream.ParseHashKeyRange(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
		if err != nil {
			t.Fatal(err)
		}
		at, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: &name, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			t.Fatal(err)
		}
		for next := at.ShardIterator; next != nil; {
			out, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range out.Records {
				users, what := aggregate.Split(nil, stream.Record{Data: r.Data, PartitionKey: aws.ToString(r.PartitionKey)}, keys)
				outer, strays = outer+1, strays+what.Strays
				for _, u := range users {
					byKey[u.PartitionKey] = append(byKey[u.PartitionKey], string(u.Data))
				}
			}
			if next = out.NextShardIterator; len(out.Records) == 0 && *out.MillisBehindLatest == 0 {
				break
			}
		}
	}
	return byKey, outer, strays
}

// TestPackReshardedMeanwhile: every record reaches consumers once, though the Packer's idea of the shards is out of date for
// the second batch; and in the order of its key, but for strays of that batch.
func TestPackReshardedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := local.New(local.Config{})
		srv.CreateStream("orders", 2)
		client := kinesis.NewFromConfig(srv.AWSConfig())
		p := &produce.Packer{Sender: &produce.Sender{Client: client, Stream: "orders"}}
		const half = 4000
		put := func(first int) {
			if err := p.Put(t.Context(), numbered(first, half)); err != nil {
				t.Fatal(err)
			}
		}
		put(0)
		if _, err := client.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{
			StreamName: aws.String("orders"), TargetShardCount: aws.Int32(4), ScalingType: types.ScalingTypeUniformScaling,
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble: the stream is active again
		put(half)

		byKey, outer, strays := contents(t, client, "orders")
		records := 0
		for key, got := range byKey {
			first := got[:min(len(got), half/100)]
			if !slices.IsSorted(first) || first[len(first)-1] >= fmt.Sprintf("%06d", half) {
				t.Errorf("%s is out of order: %v", key, got)
			}
			slices.Sort(got)
			records += len(slices.Compact(got))
		}
		if records != 2*half || strays == 0 {
			t.Errorf("%d records (want %d), %d strays (want some)", records, 2*half, strays)
		}
		stats := p.Sender.Stats()
		if stats.Records != 2*half || stats.Bytes != 2*half*6 || stats.Retries == 0 || int(stats.Packed) != outer || outer > 40 {
			t.Errorf("Stats = %+v, %d records of Kinesis", stats, outer)
		}
	})
}

// TestPackAlone: what has no company is put as it is.
func TestPackAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := local.New(local.Config{})
		srv.CreateStream("orders", 1)
		client := kinesis.NewFromConfig(srv.AWSConfig())
		p := &produce.Packer{Sender: &produce.Sender{Client: client, Stream: "orders"}}
		big := produce.Record{Key: "b", Data: make([]byte, 60<<10)}
		if err := p.Put(t.Context(), []produce.Record{big, {Key: "c", Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		if got := p.Sender.Stats(); got.Packed != 0 || got.Records != 2 {
			t.Errorf("Stats = %+v, want two plain records", got)
		}
	})
}
