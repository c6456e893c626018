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

	"github.com/kinesis-go/kcl/stream"
)

// Shard is what is read.
type Shard struct {
	Stream    string // name
	StreamARN string // used in requests instead of the name, where known
	ID        stream.ShardID
	// HashKeys is what the shard covers: sub-records of aggregates that lie outside are left out. The unknown range leaves
	// nothing out. On streams that spread records over their shards themselves (strategy AUTO) nothing is left out, either.
	HashKeys stream.HashKeyRange
}

// Config says what to read and how.
type Config struct {
	Client *kinesis.Client // required; its own retries are not used
	Shard  Shard           // required
	// From is the checkpoint: records at or before it are left out. A sentinel says where to begin. Required.
	From    stream.Position
	StartAt time.Time // required with stream.AtTimestamp
	// Beginning is shared by all readings of the shard that one owner makes, one at a time; nil: From LATEST each begins at the tip.
	Beginning *Beginning
	// MaxRecords bounds the records of one call, 1 to 10,000; default 10,000. Aggregates count as one.
	MaxRecords int
	// Idle is the least time between two reads at the tip of the shard; default 250 ms. See the package on how it grows.
	Idle time.Duration
	// EmptyPages sends pages without records, too. One that nobody takes is replaced by the next.
	EmptyPages bool
	// SkipTrimmed goes on with the oldest record when the one at the checkpoint has left the retention period; otherwise
	// Poll keeps reporting [ErrTrimmed].
	SkipTrimmed bool
	// Unpaced reads as fast as the server answers, for servers that do not have the limits of Kinesis.
	Unpaced bool
	Budget  *Budget      // required
	Wire    *Wire        // shared by all readers of Client; default: its own
	Logger  *slog.Logger // default slog.Default()
	Rand    *rand.Rand   // for jitter; used by Poll's goroutine alone; default: seeded at random

	// Read hears of each read that succeeded, also of those that found nothing, and how long the call took. Failed hears
	// of each attempt that did not: how many in a row, and why; see package retry on what the errors mean. Both are called
	// on Poll's goroutine and must not block, nor keep the page.
	Read   func(p *Page, took time.Duration)
	Failed func(attempt int, err error)
}

// What a call may bring, and how long it may take.
const (
	maxAnswer   = 10 << 20         // bytes of data in one answer (GetRecords API reference)
	maxRecords  = 10_000           // records in one answer (GetRecords API reference)
	callTimeout = 30 * time.Second // the Java KCL's kinesisRequestTimeout
)

const (
	defaultIdle = 250 * time.Millisecond
	slowestIdle = time.Second // what Idle grows to at a silent tip, if it is shorter
)

func (c Config) withDefaults() (Config, error) {
	if c.MaxRecords == 0 {
		c.MaxRecords = maxRecords
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Wire == nil {
		c.Wire = NewWire(false)
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("fetch: "+format, args...))
		}
	}
	need(c.Client != nil, "Client is required")
	need(c.Budget != nil, "Budget is required")
	need(c.Shard.ID != "", "Shard.ID is required")
	need(c.Shard.Stream != "" || c.Shard.StreamARN != "", "Shard.Stream or Shard.StreamARN is required")
	need(c.From.Valid() && c.From != stream.ShardEnd, "From %s is no place to read from", c.From)
	need(c.From != stream.AtTimestamp || !c.StartAt.IsZero(), "StartAt is required with From AT_TIMESTAMP")
	need(c.MaxRecords >= 1 && c.MaxRecords <= maxRecords, "MaxRecords %d is not within 1 to %d", c.MaxRecords, maxRecords)
	need(c.Idle > 0, "Idle %v is negative", c.Idle)
	return c, errors.Join(errs...)
}

// poller is one run over a shard.
type poller struct {
	Config
	account account
	reads   pace
	opens   pace

	iterator string
	place    place           // where to open the next iterator
	floor    stream.Position // records at or before it were delivered, or are behind the checkpoint
	moved    bool            // a page with records was sent

	due       time.Time     // when to make the next attempt
	idle      time.Duration // the wait at the tip
	failures  int           // in a row
	needed    int64         // room for the last answer
	likely    int64         // room for the next one
	childless int           // ends without children in a row
	notFound  int           // streams not found in a row
}

// Poll reads the shard and sends its pages until its end was sent (nil), ctx ends (its cause), or something is wrong that no
// retry can mend: the Config (told before any call), or [ErrStreamGone]. What else goes wrong on the way is told to
// Config.Failed and tried again for ever.
//
// Poll blocks, and does not close pages. It starts no goroutine; the caller starts it with go and waits for it.
func Poll(ctx context.Context, cfg Config, pages chan<- Page) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	return newPoller(cfg).poll(ctx, pages)
}

func newPoller(cfg Config) *poller {
	p := &poller{Config: cfg, account: account{budget: cfg.Budget}, idle: cfg.Idle, likely: leastRoom, place: startOf(cfg)}
	p.reads.off, p.opens.off = cfg.Unpaced, cfg.Unpaced
	if cfg.From.IsNumber() {
		p.floor = cfg.From
	}
	return p
}

// poll reads from where p stands.
func (p *poller) poll(ctx context.Context, pages chan<- Page) error {
	for {
		if err := sleepUntil(ctx, p.due); err != nil {
			return err
		}
		page, err := p.read(ctx)
		if err != nil && !errors.Is(err, errRetry) && ctx.Err() == nil {
			page, err = p.recover(ctx, err)
		}
		switch {
		case ctx.Err() != nil:
			page.Release()
			return context.Cause(ctx)
		case errors.Is(err, errRetry):
			continue
		case err != nil:
			return err
		}
		p.schedule(page)
		if err := p.send(ctx, page, pages); err != nil || page.End {
			return err
		}
	}
}

// schedule says when to read next. While the shard is behind, only the service's limits hold reading back.
func (p *poller) schedule(page Page) {
	tip := page.Behind == 0 && (!page.BehindUnknown || page.last == "")
	if !tip {
		p.due, p.idle = time.Time{}, p.Idle
		return
	}
	if page.last != "" {
		p.idle = p.Idle
	}
	p.due = page.Received.Add(p.idle + time.Duration(p.Rand.Int64N(int64(p.idle)/10+1)))
	if page.last == "" {
		p.idle = min(p.idle+p.idle/10, max(p.Idle, slowestIdle))
	}
}

// send waits until the receiver takes the page. An empty one waits no longer than until the next read.
func (p *poller) send(ctx context.Context, page Page, pages chan<- Page) error {
	empty := len(page.Records) == 0 && !page.End
	if empty && !p.EmptyPages {
		p.advance(page)
		return nil
	}
	var stale <-chan time.Time
	if empty {
		timer := time.NewTimer(max(time.Until(p.due), time.Until(p.reads.next)))
		defer timer.Stop()
		stale = timer.C
	}
	select {
	case pages <- page:
	case <-stale:
	case <-ctx.Done():
		page.Release()
		return context.Cause(ctx)
	}
	p.advance(page)
	return nil
}

// advance notes that a page is out of our hands, and reports whether that moved the place where reading stands. It never moves
// back: what a subscription brings first may have been delivered by the one before while this one was in the making.
func (p *poller) advance(page Page) bool {
	if page.last == "" || behindAll(page.last).Compare(p.floor) < 0 {
		return false
	}
	p.place = place{kind: types.ShardIteratorTypeAfterSequenceNumber, sequence: string(page.last)}
	p.floor = behindAll(page.last)
	p.moved = true
	return true
}

// read makes one call, opening an iterator for it if there is none.
func (p *poller) read(ctx context.Context) (Page, error) {
	if p.iterator == "" {
		if err := p.open(ctx); err != nil {
			return Page{}, err
		}
	}
	if err := p.reads.wait(ctx); err != nil {
		return Page{}, err
	}
	held, err := p.account.reserve(ctx, p.likely)
	if err != nil {
		return Page{}, err
	}
	asked := time.Now()
	a, err := p.call(ctx, held)
	received := time.Now()
	if err == nil {
		err = a.check()
	}
	if errors.Is(err, errChildless) {
		err = p.adopt(ctx, &a)
	}
	if errors.Is(err, errNoRoom) {
		p.crowdedOut()
		return Page{}, errRetry
	}
	if err != nil {
		held.release()
		p.reads.called(received, size(a.records))
		return Page{}, err
	}
	page, cost := p.page(ctx, &a, received)
	if held.keep(cost); cost > 0 {
		page.held = held
	}
	p.reads.called(received, size(a.records))
	p.expect()
	p.iterator, p.failures, p.childless, p.notFound = a.next, 0, 0, 0
	p.tell(&page, received.Sub(asked))
	return page, nil
}

func (p *poller) tell(page *Page, took time.Duration) {
	p.Logger.Debug("shard read", "records", len(page.Records), "behind", page.Behind, "took", took)
	if page.Damaged > 0 {
		p.Logger.Warn("records look aggregated but are damaged, delivered whole", "records", page.Damaged, "position", page.last)
	}
	if page.Strays > 0 {
		p.Logger.Debug("aggregated records of another shard left out", "records", page.Strays, "position", page.last)
	}
	if p.Read != nil {
		p.Read(page, took)
	}
}

func size(records []stream.Record) (n int64) {
	for i := range records {
		n += int64(len(records[i].Data) + len(records[i].PartitionKey))
	}
	return n
}

func hashKeys(r *types.HashKeyRange) (stream.HashKeyRange, error) {
	if r == nil {
		return stream.HashKeyRange{}, nil
	}
	return stream.ParseHashKeyRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey))
}

// once leaves retries to Poll, which knows the shard's limits.
func once(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
