package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/stream"
)

// ErrTrimmed says that the record at the checkpoint has left the retention period: records were lost before they were read.
var ErrTrimmed = errors.New("fetch: the records behind the checkpoint have left the retention period; " +
	"go on with the oldest there is by rewinding the shard, or let the worker do so by itself with SkipTrimmed")

// open gets an iterator for the place where reading stands.
func (p *poller) open(ctx context.Context) error {
	if err := p.pace.wait(ctx); err != nil {
		return err
	}
	in := p.place(time.Now())
	in.ShardId = aws.String(string(p.Shard.ID))
	if in.StreamARN = nonEmpty(p.Shard.StreamARN); in.StreamARN == nil {
		in.StreamName = aws.String(p.Shard.Stream)
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := p.Client.GetShardIterator(call, in, once)
	p.pace.called(time.Now(), 0)
	if err == nil {
		p.iterator = aws.ToString(out.ShardIterator)
		if server, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok && !p.anchored {
			// The service judges by its own clock, and tells it in whole seconds.
			p.anchor, p.anchored = p.anchor.Add(time.Until(server)-time.Second), true
		}
		return nil
	}
	var invalid *types.InvalidArgumentException
	if errors.As(err, &invalid) && in.StartingSequenceNumber != nil {
		if !p.SkipTrimmed {
			return fmt.Errorf("%w: %w", ErrTrimmed, err)
		}
		p.Logger.Error("records were lost: the checkpoint has left the retention period, going on with the oldest record", "position", p.From.String())
		p.From, p.last = stream.TrimHorizon, stream.Position{}
	}
	return err
}

// place says where to begin: after the last record sent; before the first, AT the checkpoint, because the record there may be an
// aggregate half done, and at the time of the first request where that was LATEST, so that nothing put since is passed.
func (p *poller) place(now time.Time) *kinesis.GetShardIteratorInput {
	at := func(t types.ShardIteratorType) *kinesis.GetShardIteratorInput {
		return &kinesis.GetShardIteratorInput{ShardIteratorType: t}
	}
	switch {
	case p.last.IsNumber():
		in := at(types.ShardIteratorTypeAfterSequenceNumber)
		in.StartingSequenceNumber = aws.String(string(p.last.Sequence))
		return in
	case p.From.IsNumber():
		in := at(types.ShardIteratorTypeAtSequenceNumber)
		in.StartingSequenceNumber = aws.String(string(p.From.Sequence))
		return in
	case p.From == stream.AtTimestamp:
		in := at(types.ShardIteratorTypeAtTimestamp)
		in.Timestamp = aws.Time(p.StartAt)
		return in
	case p.From == stream.Latest && p.anchor.IsZero():
		p.anchor = now
		return at(types.ShardIteratorTypeLatest)
	case p.From == stream.Latest:
		in := at(types.ShardIteratorTypeAtTimestamp)
		in.Timestamp = aws.Time(p.anchor)
		return in
	}
	return at(types.ShardIteratorTypeTrimHorizon)
}

// recover decides what to do after a failed attempt, and waits.
func (p *poller) recover(ctx context.Context, err error) error {
	p.attempt++
	if p.Failed != nil {
		p.Failed(p.attempt, err)
	}
	backoff := failing
	switch retry.Classify(err) {
	case retry.Throttled:
		backoff = refused
	case retry.Expired, retry.Invalid:
		p.iterator = ""
	case retry.Denied:
		backoff = denied
	case retry.Gone:
		backoff, p.iterator = denied, ""
		if p.leftRetention(ctx) {
			return errLeftRetention
		}
	}
	wait := backoff.Wait(p.attempt-1, p.Rand)
	if p.attempt == 1 && retry.Classify(err) == retry.Expired {
		wait = 0
	}
	return sleepUntil(ctx, time.Now().Add(wait))
}

// errLeftRetention says that the shard is not one of its stream's any more.
var errLeftRetention = errors.New("fetch: the shard has left the retention period")

// leftRetention reports whether the stream exists and does not list the shard any more. Only then is "not found" the shard's
// end: a stream that was deleted, or is looked for in the wrong place, must not end its shards.
func (p *poller) leftRetention(ctx context.Context) bool {
	found := false
	err := p.listShards(ctx, func(s types.Shard) error {
		found = found || aws.ToString(s.ShardId) == string(p.Shard.ID)
		return nil
	})
	return err == nil && !found
}

// listChildren finds the children of the shard in the list of all.
func (p *poller) listChildren(ctx context.Context) ([]Child, error) {
	var children []Child
	err := p.listShards(ctx, func(s types.Shard) error {
		first, second := stream.ShardID(aws.ToString(s.ParentShardId)), stream.ShardID(aws.ToString(s.AdjacentParentShardId))
		if first != p.Shard.ID && second != p.Shard.ID {
			return nil
		}
		child := Child{ID: stream.ShardID(aws.ToString(s.ShardId)), Parents: []stream.ShardID{first}}
		if second != "" {
			child.Parents = append(child.Parents, second)
		}
		children = append(children, child)
		return children[len(children)-1].setKeys(s.HashKeyRange)
	})
	if err == nil && len(children) == 0 {
		err = fmt.Errorf("%w: no next iterator, and the stream lists no child", errBroken)
	}
	return children, err
}

// listShards calls visit for each shard of the stream.
func (p *poller) listShards(ctx context.Context, visit func(types.Shard) error) error {
	in := &kinesis.ListShardsInput{StreamARN: nonEmpty(p.Shard.StreamARN)}
	if in.StreamARN == nil {
		in.StreamName = aws.String(p.Shard.Stream)
	}
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := p.Client.ListShards(call, in, once)
		cancel()
		if err != nil {
			return err
		}
		for _, s := range out.Shards {
			if err := visit(s); err != nil {
				return err
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}
