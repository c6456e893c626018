package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/stream"
)

// Shard is what is read.
type Shard struct {
	Stream    string
	StreamARN string
	ID        stream.ShardID
	HashKeys  stream.HashKeyRange
}

// Config says what to read and how.
type Config struct {
	Client *kinesis.Client
	Shard  Shard
	// From is the checkpoint: records at or before it are dropped. A sentinel says where to begin.
	From    stream.Position
	StartAt time.Time // with stream.AtTimestamp
	// MaxRecords bounds one page, 1 to 10,000.
	MaxRecords int
	// Idle is the least time between two reads that find nothing.
	Idle time.Duration
	// EmptyPages sends pages without records too.
	EmptyPages bool
	// SkipTrimmed goes on with the oldest record when the one at From has left the retention period.
	SkipTrimmed bool
	Budget      *Budget
	Logger      *slog.Logger
	Rand        *rand.Rand // of the caller; used by Poll's goroutine alone

	// Read hears of each read that succeeded, also of those that found nothing, and Failed of each that did not: how many in a row.
	Read   func(p *Page, took time.Duration)
	Failed func(attempt int, err error)
}

// maxAnswer is the most record data a GetRecords answer holds (Kinesis API reference).
const maxAnswer = 10 << 20

// callTimeout bounds one call (the Java KCL's kinesisRequestTimeout).
const callTimeout = 30 * time.Second

var (
	// failing paces what may pass by itself; refused is for throttling, whose window is a second.
	failing = retry.Backoff{Floor: 100 * time.Millisecond, Min: 500 * time.Millisecond, Max: 10 * time.Second}
	refused = retry.Backoff{Floor: time.Second, Min: 1500 * time.Millisecond, Max: 10 * time.Second}
	// denied paces what a person must mend.
	denied = retry.Backoff{Floor: 5 * time.Second, Min: 10 * time.Second, Max: time.Minute}
)

// poller is one run over a shard.
type poller struct {
	Config
	pace     pace
	iterator string
	last     stream.Position // the last record sent; zero before the first
	anchor   time.Time       // when LATEST was first asked for; by the service's clock once anchored
	anchored bool
	attempt  int // failures in a row
	empty    int // reads in a row that found nothing at the tip
}

// Poll reads the shard and sends its pages until its end was sent (nil) or ctx ends (its error). What goes wrong on the way is
// told to Config.Failed and tried again for ever, at a pace that fits the error. Poll blocks; who receives must call
// Page.Release for each page.
func Poll(ctx context.Context, cfg Config, pages chan<- Page) error {
	p := &poller{Config: cfg}
	for {
		page, err := p.read(ctx)
		switch {
		case ctx.Err() != nil:
			page.Release()
			return ctx.Err()
		case err != nil:
			switch err := p.recover(ctx, err); {
			case errors.Is(err, errLeftRetention):
				page = Page{End: true, Received: time.Now(), BehindUnknown: true}
			case err != nil:
				return err
			default:
				continue
			}
		}
		p.attempt = 0
		if err := p.send(ctx, page, pages); err != nil || page.End {
			return err
		}
		if err := p.rest(ctx, page); err != nil {
			return err
		}
	}
}

func (p *poller) send(ctx context.Context, page Page, pages chan<- Page) error {
	if len(page.Records) == 0 && !page.End && !p.EmptyPages {
		page.Release()
		return nil
	}
	select {
	case pages <- page:
		if n := len(page.Records); n > 0 {
			p.last = page.Records[n-1].Position
		}
		return nil
	case <-ctx.Done():
		page.Release()
		return ctx.Err()
	}
}

// rest waits while there is nothing new: Idle at first, up to four times that, with a little jitter so that the shards of a worker
// do not ask in step. While the shard is behind, only the service's limits hold reading back.
func (p *poller) rest(ctx context.Context, page Page) error {
	if len(page.Records) > 0 || page.Behind > 0 {
		p.empty = 0
		return nil
	}
	p.empty++
	wait := p.Idle * time.Duration(min(p.empty, 4))
	wait += time.Duration(p.Rand.Int64N(int64(p.Idle)/4 + 1))
	return sleepUntil(ctx, time.Now().Add(wait))
}

// read makes one call and returns its page.
func (p *poller) read(ctx context.Context) (Page, error) {
	if p.iterator == "" {
		if err := p.open(ctx); err != nil {
			return Page{}, err
		}
	}
	if err := p.pace.wait(ctx); err != nil {
		return Page{}, err
	}
	reserved, err := p.Budget.reserve(ctx, maxAnswer)
	if err != nil {
		return Page{}, err
	}
	page := Page{budget: p.Budget, reserved: reserved}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	asked := time.Now()
	out, err := p.Client.GetRecords(call, &kinesis.GetRecordsInput{
		ShardIterator: aws.String(p.iterator), Limit: aws.Int32(int32(p.MaxRecords)), StreamARN: nonEmpty(p.Shard.StreamARN),
	}, once)
	if err != nil {
		page.Release()
		p.pace.called(time.Now(), 0)
		return Page{}, err
	}
	if err := p.fill(ctx, &page, out); err != nil {
		page.Release()
		return Page{}, err
	}
	p.pace.called(page.Received, page.Bytes)
	if p.Read != nil {
		p.Read(&page, page.Received.Sub(asked))
	}
	return page, nil
}

// once leaves retries to Poll, which knows the shard's limits.
func once(o *kinesis.Options) { o.RetryMaxAttempts = 1 }

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// fill makes a page of an answer, checks that its end, if it is one, is complete, and takes over its iterator.
func (p *poller) fill(ctx context.Context, page *Page, out *kinesis.GetRecordsOutput) error {
	page.Received = time.Now()
	page.Behind = time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond
	page.BehindUnknown = out.MillisBehindLatest == nil
	page.End = out.NextShardIterator == nil
	var err error
	if page.Children, err = p.children(ctx, out); err != nil {
		return err
	}
	page.Records = make([]stream.Record, 0, len(out.Records))
	for _, r := range out.Records {
		page.Bytes += int64(len(r.Data))
		rec := stream.Record{
			Data: r.Data, PartitionKey: aws.ToString(r.PartitionKey), Arrived: aws.ToTime(r.ApproximateArrivalTimestamp),
			Position: stream.Position{Sequence: stream.SequenceNumber(aws.ToString(r.SequenceNumber))},
		}
		page.Records, _ = aggregate.Split(page.Records, rec, p.Shard.HashKeys)
	}
	page.Records = p.behind(page.Records)
	p.iterator = aws.ToString(out.NextShardIterator)
	page.shrink()
	return nil
}

// shrink gives back what was reserved for a larger answer. An answer above the reservation, which only a budget smaller than one
// answer allows, is counted as the whole budget.
func (p *Page) shrink() {
	if p.Bytes < p.reserved {
		p.budget.release(p.reserved - p.Bytes)
		p.reserved = p.Bytes
	}
}

// behind drops the records at or before the checkpoint, which stand at the beginning.
func (p *poller) behind(records []stream.Record) []stream.Record {
	from := p.From
	if p.last.Compare(from) > 0 {
		from = p.last
	}
	if !from.IsNumber() {
		return records
	}
	n := 0
	for n < len(records) && records[n].Position.Compare(from) <= 0 {
		n++
	}
	return records[n:]
}

// errBroken says that an answer breaks the rule of a shard's end: no next iterator goes with children that name their parents, and a next
// iterator with none (the Java KCL's DataRetrievalUtil.isValidResult). The same call is made again.
var errBroken = errors.New("fetch: the answer is neither the end of a shard nor a page before it")

// children returns the children that an answer names at the end of the shard. A server that does not name them there, as some
// emulators do not, is asked for its shards.
func (p *poller) children(ctx context.Context, out *kinesis.GetRecordsOutput) ([]Child, error) {
	switch {
	case out.NextShardIterator != nil && len(out.ChildShards) == 0:
		return nil, nil
	case out.NextShardIterator != nil:
		return nil, fmt.Errorf("%w: a next iterator with children", errBroken)
	case len(out.ChildShards) == 0:
		return p.listChildren(ctx)
	}
	var children []Child
	for _, c := range out.ChildShards {
		child := Child{ID: stream.ShardID(aws.ToString(c.ShardId))}
		for _, parent := range c.ParentShards {
			child.Parents = append(child.Parents, stream.ShardID(parent))
		}
		if len(child.Parents) == 0 {
			return nil, fmt.Errorf("%w: child %s names no parent", errBroken, child.ID)
		}
		if err := child.setKeys(c.HashKeyRange); err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

func (c *Child) setKeys(r *types.HashKeyRange) (err error) {
	if r != nil {
		c.HashKeys, err = stream.ParseHashKeyRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey))
	}
	return err
}
