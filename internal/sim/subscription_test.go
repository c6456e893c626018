package sim_test

import (
	"context"
	"io"
	"time"

	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/worker"
)

// readingOf decides how a worker reads.
func (w *world) readingOf(n *node) worker.Reading {
	p := w.plan
	reading := worker.Reading{MaxBytes: p.maxBytes, Idle: p.idle, JSON: p.json}
	fanOut := w.rand(uint64(3000+n.birth)).Float64() < p.fanOut
	if p.turns && n.birth > p.workers {
		fanOut = p.fanOut < 1
	}
	if fanOut {
		reading.FanOut = &worker.FanOut{Required: p.required, IdleTimeout: p.silence}
	}
	return reading
}

// disturbSubscriptions lets things happen at the service to subscriptions: they are refused, and events do not arrive, late, or
// are exceptions; the connection breaks before or behind one, or nothing comes any more though it seems to live.
func (w *world) disturbSubscriptions() {
	r := w.rand(2_000_000) // rules are asked one at a time
	refusals := []string{"ResourceInUseException", "LimitExceededException", "InternalFailure"}
	w.server.Intercept(local.Rule{Service: local.Kinesis, Operation: "SubscribeToShard", Choose: func(*local.Call) (e local.Effect) {
		if r.Float64() < w.mood.Load().faults {
			e.Error = &local.Error{Code: refusals[r.IntN(3)], Message: "not now (injected)"}
		}
		return e
	}})
	exceptions := []string{"ResourceInUseException", "InternalFailureException", "LimitExceededException"}
	w.server.Intercept(local.Rule{Service: local.Kinesis, Operation: local.SubscriptionEvent, Choose: func(*local.Call) (e local.Effect) {
		if r.Float64() >= w.mood.Load().faults {
			return e
		}
		switch r.IntN(6) {
		case 0:
			e.LoseRequest = true
		case 1:
			e.LoseReply = true
		case 2:
			e.Error = &local.Error{Code: exceptions[r.IntN(3)], Message: "not any more (injected)"}
		case 3:
			e.Delay = time.Hour
		default:
			e.Delay = time.Duration(r.Int64N(int64(latest)))
		}
		return e
	}})
}

// subscription is the body of a SubscribeToShard on its way to a process, which may be stopped or cut off meanwhile.
type subscription struct {
	io.ReadCloser
	ctx  context.Context // of the request: once it ends, so does the body
	n    *network
	left int // how many bytes arrive before the connection is reset; negative: all
}

func (n *network) subscribed(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	s := &subscription{ReadCloser: closedWith{body, cancel}, ctx: ctx, n: n, left: -1}
	context.AfterFunc(ctx, func() { body.Close() })
	if n.r.Float64() < n.faults {
		s.left = n.r.IntN(2000)
	}
	return s
}

// closedWith is a body that ends a context when it is closed.
type closedWith struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c closedWith) Close() error {
	c.cancel()
	return c.ReadCloser.Close()
}

// Read implements io.Reader.
func (s *subscription) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, errCut
	}
	if s.left > 0 {
		p = p[:min(len(p), s.left)]
	}
	read, err := s.ReadCloser.Read(p)
	s.left -= min(read, max(s.left, 0))
	for err == nil {
		wait, dead := s.n.held()
		if dead {
			return 0, errCut
		}
		if wait == nil {
			break
		}
		select {
		case <-wait:
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
	return read, err
}

// held returns what to wait for before anything from Kinesis reaches the process; nil if nothing is in its way.
func (n *network) held() (wait <-chan struct{}, dead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.dead:
		return nil, true
	case n.thawed != nil:
		return n.thawed, false
	case within(n.cutFrom, n.cutUntil) && n.cutOnly != dynamo:
		over := make(chan struct{})
		time.AfterFunc(min(time.Second, time.Until(n.cutUntil)), func() { close(over) })
		return over, false
	}
	return nil, false
}
