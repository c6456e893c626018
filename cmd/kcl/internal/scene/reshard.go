package scene

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/stream"
)

// createStream makes the stream and waits until it can be used.
func (s *Scene) createStream(ctx context.Context) error {
	_, err := s.cfg.Kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{
		StreamName: &s.cfg.Stream, ShardCount: aws.Int32(int32(s.cfg.Shards)),
	})
	if err != nil {
		return fmt.Errorf("create stream %s: %w", s.cfg.Stream, err)
	}
	if err := s.awaitActive(ctx); err != nil {
		return err
	}
	_, err = s.lookAtShards(ctx)
	return err
}

// awaitActive waits until the stream is ACTIVE.
func (s *Scene) awaitActive(ctx context.Context) error {
	for {
		out, err := s.cfg.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.cfg.Stream})
		if err != nil {
			return fmt.Errorf("describe stream %s: %w", s.cfg.Stream, err)
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// split divides a shard in the middle.
func (s *Scene) split(ctx context.Context, random *rand.Rand) error {
	open, err := s.open(ctx)
	if err != nil {
		return err
	}
	parent := open[random.IntN(len(open))]
	_, err = s.cfg.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &s.cfg.Stream, ShardToSplit: aws.String(string(parent.id)), NewStartingHashKey: aws.String(middle(parent.keys)),
	})
	if err != nil {
		return fmt.Errorf("split %s: %w", parent.id, err)
	}
	children, err := s.resharded(ctx)
	if err != nil {
		return err
	}
	s.tell("split %s into %s", picture.Short(parent.id), names(children))
	return nil
}

// middle is where the upper half of a range begins.
func middle(r stream.HashKeyRange) string {
	first, _ := new(big.Int).SetString(r.First.String(), 10)
	last, _ := new(big.Int).SetString(r.Last.String(), 10)
	first.Add(first, last).Add(first, big.NewInt(1))
	return first.Rsh(first, 1).String()
}

// merge joins two neighbours, if there are any, rather old ones than those that were just made.
func (s *Scene) merge(ctx context.Context, random *rand.Rand) error {
	open, err := s.open(ctx)
	if err != nil {
		return err
	}
	var pairs, oldPairs []int
	for i := range len(open) - 1 {
		pairs = append(pairs, i)
		if len(open[i].parents)+len(open[i+1].parents) == 0 {
			oldPairs = append(oldPairs, i)
		}
	}
	if len(oldPairs) > 0 {
		pairs = oldPairs
	}
	if len(pairs) == 0 {
		return errors.New("merge: there are no two open shards")
	}
	i := pairs[random.IntN(len(pairs))]
	left, right := open[i], open[i+1]
	_, err = s.cfg.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &s.cfg.Stream, ShardToMerge: aws.String(string(left.id)), AdjacentShardToMerge: aws.String(string(right.id)),
	})
	if err != nil {
		return fmt.Errorf("merge %s and %s: %w", left.id, right.id, err)
	}
	children, err := s.resharded(ctx)
	if err != nil {
		return err
	}
	s.tell("merged %s and %s into %s", picture.Short(left.id), picture.Short(right.id), names(children))
	return nil
}

// resharded waits for the end of a change and returns the new shards.
func (s *Scene) resharded(ctx context.Context) ([]stream.ShardID, error) {
	if err := s.awaitActive(ctx); err != nil {
		return nil, err
	}
	return s.lookAtShards(ctx)
}

func names(ids []stream.ShardID) string {
	short := make([]string, len(ids))
	for i, id := range ids {
		short[i] = picture.Short(id)
	}
	return strings.Join(short, " and ")
}

// open returns the shards that take records, in the order of their hash keys.
func (s *Scene) open(ctx context.Context) ([]*shard, error) {
	if _, err := s.lookAtShards(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*shard
	for _, sh := range s.shards {
		if !sh.closed {
			open = append(open, sh)
		}
	}
	slices.SortFunc(open, func(a, b *shard) int { return a.keys.First.Compare(b.keys.First) })
	return open, nil
}

// lookAtShards asks the service for all shards, and returns those that were not known.
func (s *Scene) lookAtShards(ctx context.Context) ([]stream.ShardID, error) {
	in := &kinesis.ListShardsInput{StreamName: &s.cfg.Stream}
	var fresh []stream.ShardID
	for {
		out, err := s.cfg.Kinesis.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the shards of %s: %w", s.cfg.Stream, err)
		}
		for _, found := range out.Shards {
			isNew, err := s.see(found)
			if err != nil {
				return nil, err
			}
			if isNew {
				fresh = append(fresh, stream.ShardID(*found.ShardId))
			}
		}
		if out.NextToken == nil {
			return fresh, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

// see enters one shard as the service describes it, and reports whether it was not known.
func (s *Scene) see(found types.Shard) (isNew bool, err error) {
	keys, err := stream.ParseHashKeyRange(*found.HashKeyRange.StartingHashKey, *found.HashKeyRange.EndingHashKey)
	if err != nil {
		return false, fmt.Errorf("shard %s: %w", *found.ShardId, err)
	}
	var parents []stream.ShardID
	for _, p := range []*string{found.ParentShardId, found.AdjacentParentShardId} {
		if p != nil {
			parents = append(parents, stream.ShardID(*p))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := len(s.shards)
	sh := s.shardLocked(stream.ShardID(*found.ShardId))
	sh.keys, sh.parents = keys, parents
	if len(s.shards) > known && len(parents) > 0 {
		sh.cause = reshard
	}
	sh.closed = found.SequenceNumberRange.EndingSequenceNumber != nil
	return len(s.shards) > known, nil
}
