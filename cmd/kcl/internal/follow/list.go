package follow

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/stream"
)

// found is a shard as the service lists it.
type found struct {
	id      stream.ShardID
	parents []stream.ShardID
	closed  bool
}

// listShards returns all shards of a stream, closed ones too as long as the service knows them.
func listShards(ctx context.Context, client *kinesis.Client, name string) ([]found, error) {
	var all []found
	in := &kinesis.ListShardsInput{StreamName: &name}
	for {
		out, err := client.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the shards of %s: %w", name, err)
		}
		for _, s := range out.Shards {
			f := found{id: stream.ShardID(aws.ToString(s.ShardId))}
			for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
				if p != nil {
					f.parents = append(f.parents, stream.ShardID(*p))
				}
			}
			f.closed = s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber != nil
			all = append(all, f)
		}
		if out.NextToken == nil {
			return all, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}
