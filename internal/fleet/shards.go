package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/stream"
)

// errStreamGone says that a stream does not exist any more.
var errStreamGone = errors.New("stream does not exist any more")

// listTimeout is how long the service may take for one page of shards, and how long a leader goes on to list those of further streams
// in one round: meanwhile no lease is assigned.
const listTimeout = 10 * time.Second

// eachStream does something that lists shards for several streams at a time, for as many as can be begun within listTimeout. The
// others are for the next round.
func eachStream(ctx context.Context, streams []Stream, list func(Stream) error) error {
	began := time.Now()
	return eachOf(ctx, listsAtOnce, streams, func(s Stream) error {
		if time.Since(began) >= listTimeout {
			return nil
		}
		return list(s)
	})
}

// Lists reports whether the service lists a shard: one that it does not has left the retention period, and is never read again.
func Lists(ctx context.Context, client *kinesis.Client, s Stream, id stream.ShardID) (bool, error) {
	shards, err := shardsOf(ctx, client, s, "")
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(shards, func(sh lineage.Shard) bool { return sh.ID == id }), nil
}

// listShards returns all pages of a stream's shards, and says if the stream is gone.
func (l *Leader) listShards(ctx context.Context, s Stream, filter lineage.Filter) ([]lineage.Shard, error) {
	shards, err := shardsOf(ctx, l.cfg.Kinesis, s, filter)
	if errors.Is(err, errStreamGone) {
		l.cfg.Gone(s)
	}
	return shards, err
}

// shardsOf returns all pages of a stream's shards; an empty filter lists every shard there is.
func shardsOf(ctx context.Context, client *kinesis.Client, s Stream, filter lineage.Filter) ([]lineage.Shard, error) {
	// Both, as the Java KCL sends them: some servers that are not AWS know ListShards by the name only (ferrokinesis 0.7).
	in := &kinesis.ListShardsInput{StreamARN: aws.String(s.ARN), StreamName: aws.String(s.Name)}
	if filter != "" {
		in.ShardFilter = &types.ShardFilter{Type: types.ShardFilterType(filter)}
		if filter == lineage.AtTimestamp {
			in.ShardFilter.Timestamp = aws.Time(s.StartAt.Truncate(time.Millisecond))
		}
	}
	var shards []lineage.Shard
	for {
		call, cancel := context.WithTimeout(ctx, listTimeout)
		out, err := client.ListShards(call, in)
		cancel()
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) {
			return nil, fmt.Errorf("list the shards of %s: %w: %w", s.Name, errStreamGone, err)
		}
		if err != nil {
			return nil, fmt.Errorf("list the shards of %s: %w", s.Name, Explain(err, s.Name))
		}
		for _, sh := range out.Shards {
			shard, err := shardOf(sh)
			if err != nil {
				return nil, fmt.Errorf("list the shards of %s: %w", s.Name, err)
			}
			shards = append(shards, shard)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // stands alone (Kinesis API reference)
	}
}

func shardOf(sh types.Shard) (lineage.Shard, error) {
	s := lineage.Shard{ID: stream.ShardID(aws.ToString(sh.ShardId))}
	for _, p := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
		if id := aws.ToString(p); id != "" {
			s.Parents = append(s.Parents, stream.ShardID(id))
		}
	}
	if r := sh.HashKeyRange; r != nil {
		keys, err := stream.ParseHashKeyRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey))
		if err != nil {
			return s, fmt.Errorf("shard %s: %w", s.ID, err)
		}
		s.HashKeys = keys
	}
	if r := sh.SequenceNumberRange; r != nil {
		s.Starting = stream.SequenceNumber(aws.ToString(r.StartingSequenceNumber))
		s.Closed = aws.ToString(r.EndingSequenceNumber) != ""
	}
	return s, nil
}
