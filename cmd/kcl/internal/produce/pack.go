package produce

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/stream"
)

// What an aggregated record holds, as the Kinesis Producer Library has it by default (AggregationMaxSize).
const (
	aggregateBytes  = 50 << 10
	aggregateRecord = 16 // bytes that a record takes in an aggregate beside its data and key, at most about
)

// aggregateKey is the partition key of every aggregated record; an explicit hash key says where it belongs.
const aggregateKey = "a"

// Packer puts batches of at most [PackLimits] through a Sender as aggregated records: those of one shard share one record
// of up to 50 KiB. It belongs to one goroutine.
//
// Which shard a record belongs to is looked up beforehand. If the stream is resharded meanwhile, an aggregate lands on a
// shard that not all of its records belong to, where consumers leave those out; the Packer sees that in the answer and puts
// them again, behind what was put in the same batch.
type Packer struct {
	Sender *Sender // required

	shards []openShard // in the order of their hash keys; nil before the first batch
	strays []stray     // of the batch under way
}

type openShard struct {
	id   stream.ShardID
	keys stream.HashKeyRange // unknown in streams that distribute records themselves
	open bool
}

// stray is a record that may lie on a shard it does not belong to.
type stray struct {
	Record
	on stream.ShardID
}

// Put puts a batch. It returns as Sender.Put does, or the error of ListShards.
func (p *Packer) Put(ctx context.Context, batch []Record) error {
	p.Sender.landed = p.landed
	for len(batch) > 0 {
		if p.shards == nil {
			if err := p.refresh(ctx); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(p.pack(batch), MaxRecords) {
			if err := p.Sender.send(ctx, part); err != nil {
				return err
			}
		}
		strays, err := p.homeless(ctx)
		if err != nil {
			return err
		}
		p.Sender.stats.Records -= int64(len(strays))
		p.Sender.stats.Bytes -= size(strays)
		p.Sender.stats.Retries += int64(len(strays))
		batch = strays
	}
	return nil
}

// pack makes aggregates of a batch, in the order of their first records. A record alone stays as it is.
func (p *Packer) pack(batch []Record) []parcel {
	var packed []parcel
	bins := map[stream.ShardID]*bin{}
	for _, r := range batch {
		to := p.home(r)
		b := bins[to]
		if b == nil {
			b = &bin{shard: to}
			bins[to] = b
		}
		n := len(r.Key) + len(r.Data) + aggregateRecord
		if b.size+n > aggregateBytes && len(b.records) > 0 {
			packed = append(packed, b.seal())
			b.records, b.size = nil, 0
		}
		b.records, b.size = append(b.records, r), b.size+n
	}
	for _, id := range slices.Sorted(maps.Keys(bins)) {
		packed = append(packed, bins[id].seal())
	}
	return packed
}

// bin is an aggregate that is being filled.
type bin struct {
	shard   stream.ShardID // that its records belong to
	records []Record
	size    int
}

func (b *bin) seal() parcel {
	if len(b.records) == 1 {
		return parcel{Record: b.records[0], users: b.records}
	}
	users := make([]stream.Record, len(b.records))
	for i, r := range b.records {
		users[i] = stream.Record{PartitionKey: r.Key, Data: r.Data}
	}
	return parcel{
		Record: Record{Key: aggregateKey, HashKey: stream.HashKeyOf(b.records[0].Key).String(), Data: aggregate.Append(nil, users)},
		users:  b.records, meant: b.shard,
	}
}

// home is the open shard that r belongs to, as far as we know.
func (p *Packer) home(r Record) stream.ShardID {
	key := stream.HashKeyOf(r.Key)
	i, found := slices.BinarySearchFunc(p.shards, key, func(s openShard, k stream.HashKey) int { return s.keys.First.Compare(k) })
	if !found {
		i--
	}
	if i < 0 {
		return ""
	}
	return p.shards[i].id
}

// landed notes the parts of an aggregate that came to another shard than was meant. All of them, for now: what belongs to
// that shard is known once the shards have been listed again.
func (p *Packer) landed(sent parcel, on stream.ShardID) {
	if len(sent.users) == 1 || sent.meant == on || sent.meant == "" {
		return
	}
	for _, r := range sent.users {
		p.strays = append(p.strays, stray{Record: r, on: on})
	}
}

// homeless returns the records that lie on a shard they do not belong to.
func (p *Packer) homeless(ctx context.Context) ([]Record, error) {
	if len(p.strays) == 0 {
		return nil, nil
	}
	all, err := listShards(ctx, p.Sender.Client, p.Sender.Stream)
	if err != nil {
		return nil, err
	}
	p.use(all)
	ranges := map[stream.ShardID]stream.HashKeyRange{}
	for _, s := range all {
		ranges[s.id] = s.keys
	}
	var again []Record
	for _, s := range p.strays {
		if keys := ranges[s.on]; !keys.IsKnown() || !keys.Contains(stream.HashKeyOf(s.Key)) {
			again = append(again, s.Record)
		}
	}
	p.strays = nil
	return again, nil
}

func (p *Packer) refresh(ctx context.Context) error {
	all, err := listShards(ctx, p.Sender.Client, p.Sender.Stream)
	if err == nil {
		p.use(all)
	}
	return err
}

// use keeps the open shards whose hash keys are known.
func (p *Packer) use(all []openShard) {
	p.shards = slices.DeleteFunc(slices.Clone(all), func(s openShard) bool { return !s.open || !s.keys.IsKnown() })
	slices.SortFunc(p.shards, func(a, b openShard) int { return cmp.Or(a.keys.First.Compare(b.keys.First), cmp.Compare(a.id, b.id)) })
	if p.shards == nil {
		p.shards = []openShard{}
	}
}

// listShards returns all shards of a stream, the closed ones, too.
func listShards(ctx context.Context, client *kinesis.Client, name string) ([]openShard, error) {
	in := &kinesis.ListShardsInput{StreamName: &name}
	var shards []openShard
	for {
		out, err := client.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the shards of %s: %w", name, err)
		}
		for _, s := range out.Shards {
			shard, err := shardOf(s)
			if err != nil {
				return nil, fmt.Errorf("list the shards of %s: %w", name, err)
			}
			shards = append(shards, shard)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // stands alone (Kinesis API reference)
	}
}

func shardOf(s types.Shard) (openShard, error) {
	shard := openShard{
		id:   stream.ShardID(aws.ToString(s.ShardId)),
		open: s.SequenceNumberRange == nil || s.SequenceNumberRange.EndingSequenceNumber == nil,
	}
	if s.HashKeyRange == nil {
		return shard, nil
	}
	keys, err := stream.ParseHashKeyRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
	shard.keys = keys
	return shard, err
}

func size(records []Record) (n int64) {
	for _, r := range records {
		n += int64(len(r.Data))
	}
	return n
}
