package fetch

import (
	"context"
	"time"
)

// renewal is a subscription in the making that is to follow the one being read.
type renewal struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the call has returned, and the fields below are set
	sub    *subscription // nil if the call failed
	err    error
}

// renew begins to make the subscription that follows the one being read, if that is old. It begins behind all that was
// delivered; what the old one brings until it takes over comes twice, and the floor drops it. One try is made: if it
// fails, the old one lasts until the service ends it.
func (s *subscriber) renew(ctx context.Context) {
	if s.renewal != nil || time.Now().Before(s.sub.renewAt) {
		return
	}
	arn, err := s.consumers.arn(ctx, s.consumer, s.Rand)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &renewal{cancel: cancel, done: make(chan struct{})}
	old, at, shard, wire := s.sub, s.place, s.Shard, s.Wire
	s.renewal, s.next = r, time.Now().Add(subscribeGap)
	go func() { // awaited by abandon or succeed
		defer close(r.done)
		if r.sub, r.err = s.consumers.subscribe(ctx, wire, arn, shard, at); r.err == nil {
			r.sub.pause()
			r.sub.release = cancel
			old.cancel(errClosed)
		}
	}()
}

// abandon ends a renewal and waits for it.
func (r *renewal) abandon() {
	r.cancel()
	<-r.done
	if r.sub != nil {
		r.sub.close()
	}
}

// succeed makes the renewal under way, if there is one and it works, the subscription to read.
func (s *subscriber) succeed() bool {
	r := s.renewal
	if r == nil {
		return false
	}
	<-r.done // within callTimeout
	s.renewal = nil
	if r.sub == nil {
		r.cancel()
		s.Logger.Debug("subscription not renewed", "err", r.err)
		return false
	}
	s.drop()
	s.adoptSub(r.sub)
	return true
}
