package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/stream"
)

// ErrConsumerBusy says that a shard is read by somebody else with the same consumer.
var ErrConsumerBusy = errors.New("fetch: somebody else reads the shard with the same consumer: a former owner that is not gone yet, " +
	"or another application, which needs a consumer name of its own")

// Rules of SubscribeToShard for one consumer and shard (API reference).
const (
	subscribeGap = time.Second     // one call a second
	takeoverGap  = 5 * time.Second // a call sooner than that after one that succeeded is refused
)

// smallFrame is an encoded event that is read without asking for room first, such as one without records.
const smallFrame = 4 << 10

// subscriber is one run over a shard by fan-out. It is a poller, too: the two stand at the same place, which is what a
// subscription begins at.
type subscriber struct {
	*poller
	consumers *Consumers
	consumer  *consumer

	sub     *subscription
	renewal *renewal  // of sub; nil if none is under way
	next    time.Time // when the next call may be made
	ready   *hold     // room for the next frame; nil if there was no lack of it
	lacking int64     // room that was lacking when sub was closed

	proven    place     // the last place that is no continuation number
	literal   bool      // continuation numbers are not used: the server refuses them
	conflicts int       // calls refused, and subscriptions taken away, in a row
	quietAt   time.Time // since when nothing came at the tip of a strange server; zero if something did
	quiet     int       // times in a row that the list of shards then showed children
}

// Subscribe reads the shard by enhanced fan-out. It promises what [Poll] does, under the same rules, with the consumer that
// consumers have for the stream; Shard.StreamARN is required. MaxRecords, Idle and Unpaced have no meaning, unless fan-out is
// not to be had: then it polls.
func Subscribe(ctx context.Context, cfg Config, consumers *Consumers, pages chan<- Page) error {
	cfg, err := cfg.withDefaults()
	if err == nil && cfg.Shard.StreamARN == "" {
		err = errors.New("fetch: Shard.StreamARN is required for fan-out")
	}
	if err != nil {
		return err
	}
	s := &subscriber{poller: newPoller(cfg), consumers: consumers, consumer: consumers.of(cfg.Shard.StreamARN)}
	s.proven, s.next = s.place, consumers.begin(cfg.Shard)
	err = s.run(ctx, pages)
	s.drop()
	consumers.end(cfg.Shard, s.next)
	if errors.Is(err, errPoll) {
		s.due, s.failures = time.Time{}, 0
		return s.poll(ctx, pages)
	}
	return err
}

func (s *subscriber) run(ctx context.Context, pages chan<- Page) error {
	for {
		page, err := s.receive(ctx)
		if err != nil && ctx.Err() == nil {
			page, err = s.mend(ctx, err)
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
		if err := s.deliver(ctx, page, pages); err != nil || page.End {
			return err
		}
	}
}

// receive returns the next event of the subscription, making one if there is none.
func (s *subscriber) receive(ctx context.Context) (Page, error) {
	if s.sub == nil {
		if err := s.subscribe(ctx); err != nil {
			return Page{}, err
		}
	}
	for {
		s.renew(ctx)
		p, err := s.sub.next()
		if err != nil {
			return Page{}, err
		}
		began := time.Now()
		held, err := s.room(ctx, int64(p.total()))
		if err != nil {
			return Page{}, err
		}
		a, event, err := s.read(p)
		if err == nil && !event {
			held.release()
			continue
		}
		if err == nil {
			err = s.judge(ctx, &a)
		}
		if err != nil {
			held.release()
			return Page{}, err
		}
		if s.ready != nil { // what it was reserved for has not come, or was small
			s.ready.release()
			s.ready = nil
		}
		s.sub.events++
		s.failures, s.notFound = 0, 0
		if len(a.records) > 0 {
			s.childless = 0
		}
		received := time.Now()
		page, cost := s.page(ctx, &a, received)
		if held.keep(cost); cost > 0 {
			page.held = held
		}
		page.passed = stream.SequenceNumber(a.next)
		s.tell(&page, received.Sub(began))
		return page, nil
	}
}

// subscribe makes a subscription at the place where reading stands, once that is allowed and there is room for what it
// will bring.
func (s *subscriber) subscribe(ctx context.Context) error {
	if err := sleepUntil(ctx, later(s.next, s.due)); err != nil {
		return err
	}
	arn, err := s.consumers.arn(ctx, s.consumer, s.Rand)
	if err != nil {
		return err
	}
	if s.lacking > 0 {
		if s.ready, err = s.account.reserve(ctx, s.lacking); err != nil {
			return err
		}
		s.lacking = 0
	}
	at := s.place
	if at.kind == types.ShardIteratorTypeLatest {
		s.begin()
		s.proven = s.place
	}
	s.next = time.Now().Add(subscribeGap)
	sub, err := s.consumers.subscribe(ctx, s.Wire, arn, s.Shard, at)
	if err != nil {
		s.yield()
		return s.notSubscribed(ctx, arn, at, err)
	}
	s.learn(sub.metadata, nil)
	s.adoptSub(sub)
	s.Logger.Debug("subscribed", "consumer", arn, "from", at.kind, "position", at.sequence)
	return s.consumers.allowed(ctx, s.consumer)
}

// notSubscribed takes in why a call failed and returns the error to act on.
func (s *subscriber) notSubscribed(ctx context.Context, arn string, at place, err error) error {
	s.learn(middleware.Metadata{}, err)
	switch {
	case notPermitted(err), unsupported(err):
		err = s.consumers.notAllowed(ctx, s.consumer, err)
	case retry.Classify(err) == retry.Gone:
		if forget := s.consumers.gone(ctx, s.consumer, arn); forget != nil {
			return forget
		}
	case invalidPlace(at, err):
		err = fmt.Errorf("%w: %w", ErrTrimmed, err)
	}
	return fmt.Errorf("consumer %s: %w", arn, err)
}

// learn makes the time at which LATEST was asked for the service's.
func (s *subscriber) learn(m middleware.Metadata, err error) {
	s.place.learn(m, err)
	s.noteBeginning()
	if s.place.sequence == "" {
		s.proven = s.place
	}
}

// adoptSub makes sub the one that is read.
func (s *subscriber) adoptSub(sub *subscription) {
	age := s.consumers.Renew
	sub.renewAt = sub.openedAt.Add(age - time.Duration(s.Rand.Int64N(int64(age)/10+1)))
	s.sub, s.next = sub, sub.openedAt.Add(takeoverGap)
}

// room waits until n bytes are within the budget. When that takes too long the subscription is closed, so that nothing is
// held on our side or on its way, and made again when there is room.
func (s *subscriber) room(ctx context.Context, n int64) (*hold, error) {
	if n <= smallFrame {
		return &hold{of: &s.account}, nil
	}
	if held := s.ready; held != nil {
		s.ready = nil
		if held.bytes >= n { // nobody else changes it
			return held, nil
		}
		held.release()
	}
	s.sub.pause()
	wait, stop := context.WithTimeoutCause(ctx, s.consumers.Patience, errClosed)
	defer stop()
	held, err := s.account.reserve(wait, n)
	if err != nil && ctx.Err() == nil {
		s.lacking = n
		s.Logger.Debug("no room for more records, subscription closed")
		s.drop()
		return nil, errRetry
	}
	return held, err
}

// yield gives back what was reserved for a frame that did not come; it is reserved again before the next subscription.
func (s *subscriber) yield() {
	if s.ready != nil {
		s.lacking = max(s.lacking, s.ready.bytes)
		s.ready.release()
		s.ready = nil
	}
}

// read reads the frame that begins with p; event says that it is one with an answer.
func (s *subscriber) read(p *prelude) (a answer, event bool, err error) {
	f, err := s.sub.rest(p, make([]byte, p.total())) // not used again: the records will lie in it
	switch {
	case err != nil:
	case f.kind != "event":
		err = f.failure()
	case f.event == "SubscribeToShardEvent":
		format := decode.FormatOf(f.payload)
		if a, err = convert(f.payload, format); err != nil && format == decode.CBOR {
			s.Wire.settle(s.Logger, "an event in CBOR cannot be read, asking in JSON from now on", "err", err)
		}
		return a, err == nil, err
	}
	return answer{}, false, err
}

// deliver waits until the receiver takes the page. A receiver that takes long costs the subscription, but no record.
func (s *subscriber) deliver(ctx context.Context, page Page, pages chan<- Page) error {
	if len(page.Records) == 0 && !page.End {
		if s.EmptyPages {
			select {
			case pages <- page:
			default: // nobody waits: the next one does as well
			}
		}
		s.pass(page)
		return nil
	}
	if s.sub != nil {
		s.sub.pause()
	}
	timer := time.NewTimer(s.consumers.Patience)
	defer timer.Stop()
	for {
		select {
		case pages <- page:
			s.pass(page)
			return nil
		case <-timer.C:
			s.Logger.Debug("records are not taken, subscription closed")
			s.drop()
		case <-ctx.Done():
			page.Release()
			return context.Cause(ctx)
		}
	}
}

// pass notes that a page is out of our hands.
func (s *subscriber) pass(page Page) {
	if s.advance(page) {
		s.proven = s.place
	}
	to := stream.Position{Sequence: page.passed}
	if s.literal || !to.IsNumber() || to.Compare(stream.Position{Sequence: s.floor.Sequence}) <= 0 {
		return // behind what was delivered, or at a checkpoint whose record has yet to come
	}
	s.place = place{kind: types.ShardIteratorTypeAfterSequenceNumber, sequence: string(page.passed)}
}

// judge applies the rules for answers, and bears with servers that break them.
func (s *subscriber) judge(ctx context.Context, a *answer) error {
	if a.next != "" && len(a.children) > 0 && len(a.records) > 0 {
		// The end may be near, but these are records like any.
		a.children = nil
	}
	err := a.check()
	switch {
	case err == nil && a.next == "":
		return nil
	case err == nil:
		return s.suspect(ctx, a)
	case errors.Is(err, errChildless):
		return s.adopt(ctx, a)
	case a.next != "" && len(a.children) > 0:
		return s.halfEnd(ctx, a, err)
	}
	return err
}

// halfEnd judges an event without records that names children, but also a number to go on from. A server that insists
// means the end, if its list of shards has the children, too (ferrokinesis).
func (s *subscriber) halfEnd(ctx context.Context, a *answer, broken error) error {
	if s.childless++; s.childless < confirmations {
		return broken
	}
	l, err := s.list(ctx)
	if err != nil {
		return fmt.Errorf("%w; nor could the stream's shards be listed: %w", broken, err)
	}
	if len(l.children) == 0 {
		return broken
	}
	s.Logger.Warn("server names the shard's children together with a number to go on from, taken for the end of the shard")
	a.next, a.children = "", l.children
	return nil
}

// suspectAfter is how long the tip of a shard of a strange server is watched before the list of shards is looked at.
const suspectAfter = 10 * time.Second

// suspect finds the end of shards on servers whose subscriptions never tell it (kinesis-mock; they are known by not
// beginning with an initial response): a shard that has children in the list, and then brings nothing more at its tip,
// has ended.
func (s *subscriber) suspect(ctx context.Context, a *answer) error {
	if !s.sub.strange || len(a.records) > 0 || a.behind > 0 {
		s.quietAt, s.quiet = time.Time{}, 0
		return nil
	}
	now := time.Now()
	if s.quietAt.IsZero() {
		s.quietAt = now
	}
	if now.Sub(s.quietAt) < suspectAfter {
		return nil
	}
	s.quietAt = now
	l, err := s.list(ctx)
	if err != nil || len(l.children) == 0 {
		s.quiet = 0
		return nil
	}
	if s.quiet++; s.quiet < confirmations {
		return nil
	}
	s.Logger.Warn("server does not tell the end of the shard, its children are taken from the list of shards")
	a.next, a.children = "", l.children
	return nil
}

// drop closes the subscription and its renewal, and gives back what was reserved for it.
func (s *subscriber) drop() {
	s.yield()
	if s.renewal != nil {
		s.renewal.abandon()
		if sub := s.renewal.sub; sub != nil {
			s.next = later(s.next, sub.openedAt.Add(takeoverGap))
		}
		s.renewal = nil
	}
	if s.sub != nil {
		s.sub.close()
		s.sub = nil
	}
}
