package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/stream"
)

// ErrStreamGone says that the stream does not exist: it was deleted, or is looked for in the wrong region or account.
var ErrStreamGone = errors.New("fetch: the stream does not exist: it was deleted, or its name, region or account is wrong")

// How long to wait after a failure. Each answers to one class of errors.
var (
	// failing is for what passes by itself.
	failing = retry.Backoff{Floor: callGap, Min: 500 * time.Millisecond, Max: 10 * time.Second}
	// refused is for throttling: the service goes on refusing for a second, or for five after an answer of 10 MiB.
	refused = retry.Backoff{Floor: time.Second, Min: 2 * time.Second, Max: 10 * time.Second}
	// denied is for what a person must mend.
	denied = retry.Backoff{Floor: 2 * time.Second, Min: 5 * time.Second, Max: time.Minute}
)

// confirmations is how often in a row an answer must come that would end the shard, or its reading, for good, but is not
// the one that the service gives at the end of a shard.
const confirmations = 3

// errRetry says that p.due tells when to try again.
var errRetry = errors.New("try again")

// recover decides what follows a failed attempt: another (errRetry), the end of the shard (a page), or an end with an error.
func (p *poller) recover(ctx context.Context, err error) (Page, error) {
	class := retry.Classify(err)
	if class == retry.Gone {
		page, confirmErr := p.confirmGone(ctx, err)
		switch {
		case confirmErr == nil, ctx.Err() != nil, errors.Is(confirmErr, ErrStreamGone):
			return page, confirmErr
		}
		err = confirmErr
	}
	p.failures++
	if p.Failed != nil {
		p.Failed(p.failures, err)
	}
	backoff := failing
	switch {
	case errors.Is(err, ErrTrimmed):
		if p.SkipTrimmed {
			p.skipTrimmed()
			return Page{}, errRetry
		}
		backoff = denied
	case class == retry.Throttled:
		backoff = refused
	case class == retry.Denied:
		backoff = denied
	case class == retry.Expired, class == retry.Invalid:
		p.iterator = ""
		if p.failures == 1 { // an iterator lives five minutes: this is the receiver's slowness, not a fault
			p.due = time.Time{}
			return Page{}, errRetry
		}
	case class == retry.Gone:
		p.iterator = ""
	}
	p.due = time.Now().Add(backoff.Wait(p.failures-1, p.Rand))
	return Page{}, errRetry
}

// skipTrimmed makes reading go on with the oldest record.
func (p *poller) skipTrimmed() {
	p.Logger.Error("records may be lost: the checkpoint is not in the shard, going on with the oldest record", "position", p.place.sequence)
	p.place, p.due = place{kind: types.ShardIteratorTypeTrimHorizon}, time.Time{}
	if !p.moved {
		p.floor = stream.Position{} // it may be another shard's, and say nothing here
	}
}

// confirmGone finds out what "not found" means. Only a stream that lists shards, but not this one, tells that the shard
// has ended: a stream that was deleted, or is looked for in the wrong place, must not end its shards.
func (p *poller) confirmGone(ctx context.Context, cause error) (Page, error) {
	l, err := p.list(ctx)
	switch {
	case err != nil && retry.Classify(err) == retry.Gone:
		if p.notFound++; p.notFound >= confirmations {
			return Page{}, fmt.Errorf("read shard %s of stream %s: %w: %w", p.Shard.ID, p.streamName(), ErrStreamGone, cause)
		}
		return Page{}, cause
	case err != nil:
		return Page{}, fmt.Errorf("%w; nor could the stream's shards be listed: %w", cause, err)
	}
	p.notFound = 0
	if l.listed || l.others == 0 {
		return Page{}, cause
	}
	p.Logger.Warn("shard has left the retention period", "children", len(l.children))
	return Page{End: true, Children: l.children, Received: time.Now(), BehindUnknown: true}, nil
}

// adopt completes an end of the shard that came without children. The service always names them, so the answer is doubted
// at first: the same call is made again. A server that insists does not know this part of the API (some emulators do not),
// and the children are those in its list of shards. An open shard has none there, and does not end.
func (p *poller) adopt(ctx context.Context, a *answer) error {
	if p.childless++; p.childless < confirmations {
		return errChildless
	}
	l, err := p.list(ctx)
	if err != nil {
		return fmt.Errorf("%w; nor could the stream's shards be listed: %w", errChildless, err)
	}
	if len(l.children) == 0 { // then it is open, whatever the answer says
		return errChildless
	}
	p.Logger.Warn("server ends the shard without naming its children, which are taken from the list of shards")
	a.children = l.children
	return nil
}

// listing is what the list of shards says about the shard.
type listing struct {
	listed   bool // it is there
	children []Child
	others   int // other shards
}

func (p *poller) list(ctx context.Context) (l listing, err error) {
	in := &kinesis.ListShardsInput{StreamARN: nonEmpty(p.Shard.StreamARN), StreamName: nonEmpty(p.Shard.Stream)}
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := p.Client.ListShards(call, in, once)
		cancel()
		if err != nil {
			return listing{}, err
		}
		for _, s := range out.Shards {
			if err := l.add(p.Shard.ID, s); err != nil {
				return listing{}, err
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return l, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // the token stands for all the rest
	}
}

func (l *listing) add(of stream.ShardID, s types.Shard) error {
	id := stream.ShardID(aws.ToString(s.ShardId))
	if id == of {
		l.listed = true
		return nil
	}
	l.others++
	child := Child{ID: id}
	ours := false
	for _, parent := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if aws.ToString(parent) != "" {
			child.Parents = append(child.Parents, stream.ShardID(*parent))
			ours = ours || stream.ShardID(*parent) == of
		}
	}
	if !ours {
		return nil
	}
	var err error
	if child.HashKeys, err = hashKeys(s.HashKeyRange); err != nil {
		return fmt.Errorf("%w: shard %s: %w", errBroken, id, err)
	}
	l.children = append(l.children, child)
	return nil
}

func (p *poller) streamName() string {
	if p.Shard.Stream != "" {
		return p.Shard.Stream
	}
	return p.Shard.StreamARN
}
