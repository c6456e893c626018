package kinesis

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

const (
	takeoverAfter = 5 * time.Second // after a successful call, another one takes its place; before, it is refused
	bytesPerEvent = 1 << 20         // of records in one event, unless a single one is larger
)

// subscription is one SubscribeToShard.
type subscription struct {
	since time.Time
	taken chan struct{} // closed when another call takes over
}

type startingPosition struct {
	Type           string
	SequenceNumber string
	Timestamp      *awswire.Time
}

type subscribeInput struct {
	ConsumerARN      string
	ShardId          string
	StartingPosition *startingPosition
}

// feed is what one subscription reads from.
type feed struct {
	e        *Engine
	stream   *stream
	consumer *consumer
	shard    *shard
	sub      *subscription
	index    uint64
	format   awswire.Format
	budget   budget
	over     <-chan time.Time
}

func (e *Engine) subscribeToShard(c call) (Answer, error) {
	var in subscribeInput
	if err := c.format.Decode(c.body, &in); err != nil {
		return Answer{}, err
	}
	f, err := e.subscribe(&in)
	if err != nil {
		return Answer{}, err
	}
	f.format = c.format
	return Answer{Stream: f.run}, nil
}

func (in *subscribeInput) check() error {
	var bad problems
	if in.ConsumerARN == "" {
		bad.missing("consumerARN")
	}
	bad.requiredName("shardId", in.ShardId)
	if in.StartingPosition == nil || in.StartingPosition.Type == "" {
		bad.missing("startingPosition.type")
	} else {
		bad.oneOf("startingPosition.type", in.StartingPosition.Type, startTypes()...)
	}
	return bad.err()
}

// subscribe checks a call and takes the place of an earlier one.
func (e *Engine) subscribe(in *subscribeInput) (*feed, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s, c, err := e.consumer(in.ConsumerARN)
	if err != nil {
		return nil, err
	}
	if err := e.requireReadable(s); err != nil {
		return nil, err
	}
	now := time.Now()
	if state := c.state(now); state != stateActive {
		return nil, awserr.New("ResourceInUseException", "Consumer %s is not ACTIVE, instead in state %s", c.arn, state)
	}
	sh := s.shard(in.ShardId)
	if sh == nil {
		return nil, e.noShard(in.ShardId, s)
	}
	at := in.StartingPosition
	index, err := e.resolve(s, sh, start{at.Type, at.SequenceNumber, at.Timestamp}, "SubscribeToShard")
	if err != nil {
		return nil, err
	}
	sub, err := c.take(sh.id, now)
	if err != nil {
		return nil, err
	}
	return &feed{e: e, stream: s, consumer: c, shard: sh, sub: sub, index: index, budget: budget{rate: readBytesPerSecond}}, nil
}

// take makes a new subscription for a shard, ending an older one, unless that was made just now.
func (c *consumer) take(shard string, now time.Time) (*subscription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.subs[shard]; old != nil {
		if now.Sub(old.since) < takeoverAfter {
			return nil, awserr.New("ResourceInUseException",
				"Another active subscription exists for this consumer: %s and shard: %s", c.arn, shard)
		}
		close(old.taken)
	}
	sub := &subscription{since: now, taken: make(chan struct{})}
	c.subs[shard] = sub
	return sub, nil
}

// errOver says that a subscription has lived its life: the body ends without an exception.
var errOver = errors.New("kinesis: the subscription's life is over")

// run sends events until the subscription's life is over, the shard ends, something fails, or ctx ends.
func (f *feed) run(ctx context.Context, emit Emit) error {
	if err := emit(awswire.AppendFrame(nil, awswire.EventHeaders("initial-response", f.format), f.format.Encode(none{}))); err != nil {
		return err
	}
	over := time.NewTimer(f.e.o.SubscriptionLife)
	defer over.Stop()
	f.over = over.C
	err := f.events(ctx, emit)
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

// events sends events until the shard ends; any other end is an error.
func (f *feed) events(ctx context.Context, emit Emit) error {
	for {
		p := f.shard.readOrWait(f.index, recordsPerCall, bytesPerEvent, f.stream.horizon())
		beat, err := f.pause(ctx, p.changed)
		if err != nil {
			return err
		}
		if p.changed != nil && !beat {
			continue
		}
		if err := emit(f.event(p)); err != nil || p.ended {
			return err
		}
		f.index = p.next
		if f.e.o.EnforceLimits {
			_, size := cut(p.entries, len(p.entries), readBytesPerCall)
			f.budget.spend(time.Now(), float64(size))
		}
	}
}

// pause waits for changed, and no longer than until the next heartbeat is due, which it reports. If changed is nil it
// waits only as long as the throughput of the shard demands.
func (f *feed) pause(ctx context.Context, changed <-chan struct{}) (beat bool, err error) {
	wait := f.e.o.Heartbeat
	if changed == nil {
		wait = f.budget.wait(time.Now())
	}
	select { // an end goes before further records
	case <-f.over:
		return false, errOver
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-f.sub.taken:
		return false, f.lost()
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-changed:
		return false, nil
	case <-f.over:
		return false, errOver
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-f.sub.taken:
		return false, f.lost()
	case <-f.consumer.gone:
		return false, notFound("Consumer with ARN %s under account %s not found.", f.consumer.arn, f.e.o.AccountID)
	case <-f.stream.gone:
		return false, f.e.noStream(f.stream.name)
	}
}

func (f *feed) lost() error {
	return awserr.New("ResourceInUseException", "Another active subscription exists for this consumer: %s and shard: %s",
		f.consumer.arn, f.shard.id)
}

// event is one SubscribeToShardEvent. The end of the shard is exact: no continuation, and child shards with parents.
func (f *feed) event(p page) []byte {
	headers := awswire.EventHeaders("SubscribeToShardEvent", f.format)
	if f.format == awswire.CBOR {
		parts := f.eventCBOR(p)
		return awswire.AppendFrame(make([]byte, 0, frameOverhead+length(parts)), headers, parts...)
	}
	b := append(make([]byte, 0, jsonSize(p.entries)+frameOverhead), `{"Records":[`...)
	b = append(appendJSON(b, p.entries), `],"ContinuationSequenceNumber":`...)
	if p.ended {
		b = append(b, `null,"ChildShards":`...)
		b = append(b, awswire.JSON.Encode(f.shard.childShards())...)
	} else {
		b = append(b, '"')
		b = f.continuation(p).append(b)
		b = append(b, '"')
	}
	b = append(b, `,"MillisBehindLatest":`...)
	b = append(strconv.AppendInt(b, p.behind, 10), '}')
	return awswire.AppendFrame(make([]byte, 0, frameOverhead+len(b)), headers, b)
}

func (f *feed) eventCBOR(p page) net.Buffers {
	parts := recordsCBOR(p.entries)
	var b []byte
	if p.ended {
		b = awswire.AppendCBORText(b, "ChildShards")
		b = append(b, awswire.CBOR.Encode(f.shard.childShards())...)
	} else {
		b = awswire.AppendCBORText(b, "ContinuationSequenceNumber")
		b = awswire.AppendCBORText(b, f.continuation(p).String())
	}
	b = awswire.AppendCBORText(b, "MillisBehindLatest")
	return append(parts, awswire.AppendCBORInt(b, p.behind))
}

// continuation is the number that says how far the subscription has read: that of the record before the next one, or,
// when nothing was read, that of the shard's start.
func (f *feed) continuation(p page) sequence {
	at := f.shard.openedAt
	if n := len(p.entries); n > 0 {
		at = p.entries[n-1].arrived
	}
	return f.shard.sequence(p.next-1, at)
}

// frameOverhead is more than the headers and checksums of an event take.
const frameOverhead = 256

func length(parts net.Buffers) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}
