package operate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/stream"
)

const (
	// readPause is the time between two reads of one shard. A shard allows five reads a second, which the workers need, too.
	readPause = 400 * time.Millisecond
	// shardsAtOnce bounds how many shards are read at the same time.
	shardsAtOnce = 8
	// emptyPages bounds how many reads may find nothing, although there is something, before the reader gives up: Kinesis answers with
	// empty pages where records are far apart.
	emptyPages = 4
)

// reader reads one shard from some place on, at a pace. It belongs to one goroutine.
type reader struct {
	client   *kinesis.Client
	source   source
	shard    stream.ShardID
	iterator *string // nil: the shard has ended here
	read     bool    // it was read from before: the next read waits
}

// openAt returns a reader of what lies at the place that in describes; the stream and the shard are filled in.
func (a App) openAt(ctx context.Context, s source, shard stream.ShardID, in kinesis.GetShardIteratorInput) (*reader, error) {
	in.StreamName, in.StreamARN, in.ShardId = s.name, s.arn, aws.String(string(shard))
	out, err := a.Kinesis.GetShardIterator(ctx, &in)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", shard, err)
	}
	return &reader{client: a.Kinesis, source: s, shard: shard, iterator: out.ShardIterator}, nil
}

// page is the answer to one read.
type page struct {
	records []types.Record
	fromTip time.Duration // how far its end is from the tip of the shard
	now     time.Time     // by the service's clock, as well as is known
	ended   bool          // nothing follows: the shard is closed, and this was its end
}

// next reads a page of at most limit records. It must not be called after a page that ended.
func (r *reader) next(ctx context.Context, limit int32) (page, error) {
	if r.read && !pause(ctx, readPause) {
		return page{}, ctx.Err()
	}
	r.read = true
	out, err := r.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: r.iterator, StreamARN: r.source.arn, Limit: &limit})
	if err != nil {
		return page{}, fmt.Errorf("shard %s: %w", r.shard, err)
	}
	r.iterator = out.NextShardIterator
	p := page{records: out.Records, now: time.Now(), ended: r.iterator == nil,
		fromTip: time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond}
	if skew, ok := middleware.GetAttemptSkew(out.ResultMetadata); ok && skew.Abs() > trustedSkew {
		p.now = p.now.Add(skew)
	}
	return p, nil
}

// trustedSkew is how much our clock may differ from the service's Date header, which counts whole seconds, to be used as it is.
const trustedSkew = 2 * time.Second

// first returns the page with the first record from here on, or the last of some pages without any.
func (r *reader) first(ctx context.Context) (page, error) {
	for n := 1; ; n++ {
		p, err := r.next(ctx, 1)
		if err != nil || len(p.records) > 0 || p.ended || p.fromTip == 0 || n == emptyPages {
			return p, err
		}
	}
}

// eachShard calls f for 0 to n − 1, some at the same time, and returns when all are done.
func eachShard(n int, f func(i int)) {
	var running sync.WaitGroup
	room := make(chan struct{}, shardsAtOnce)
	for i := range n {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			f(i)
		})
	}
	running.Wait()
}
