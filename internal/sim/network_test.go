package sim_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// network is the way from one worker's process to the services. What it does to a request is decided by its own random source,
// so that a seed decides it.
type network struct {
	n    *node
	next http.RoundTripper
	skew time.Duration // how far this machine's wall clock is ahead

	mu       sync.Mutex
	r        *rand.Rand
	dead     bool      // the process was killed: nothing leaves it any more
	slowFrom time.Time // replies take almost as long as anybody waits for them, until cutFrom
	cutFrom  time.Time // no request arrives, until cutUntil
	cutUntil time.Time
	cutOnly  string        // from this service alone; empty: from both
	thawed   chan struct{} // open while the process is stopped as by SIGSTOP; nil otherwise
	faults   float64       // the share of requests that something happens to
	fuse     int           // the process dies at this request from now; 0: at none
	woken    *knowledge    // set when the process slept for longer than its leases last
}

const (
	latest         = 6 * time.Second // how late a request or its reply may be
	requestTimeout = 2 * time.Second // the default of dynamolease.Config
)

var errCut = errors.New("sim: connection reset by peer")

// fate is what happens to one request.
type fate int

const (
	passes fate = iota
	neverArrives
	replyLost
	late // the request
	slow // the reply
	throttled
	diesBefore // the process is killed before the request is sent
	diesAfter  // the process is killed before the reply arrives
)

func (n *network) fateOf(c *call) (fate, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		return neverArrives, 0
	}
	if n.fuse > 0 {
		if n.fuse--; n.fuse == 0 {
			return []fate{diesBefore, diesAfter}[n.r.IntN(2)], 0
		}
	}
	w := n.n.w
	switch a := w.ambush.Load(); {
	case a != nil && a.matches(c) && w.ambush.CompareAndSwap(a, nil):
		return a.fate, 0
	case within(n.cutFrom, n.cutUntil) && (n.cutOnly == "" || n.cutOnly == c.service):
		return neverArrives, 0
	case within(n.slowFrom, n.cutFrom):
		return slow, requestTimeout*3/4 + time.Duration(n.r.Int64N(int64(requestTimeout/4)))
	case c.service == dynamo && w.stormy():
		if n.r.IntN(8) != 0 {
			return throttled, 0
		}
	}
	if n.r.Float64() >= n.faults {
		return passes, time.Duration(n.r.IntN(3)) * time.Millisecond
	}
	switch n.r.IntN(5) {
	case 0:
		return neverArrives, 0
	case 1, 2:
		return replyLost, 0
	case 3:
		return []fate{late, slow}[n.r.IntN(2)], time.Duration(n.r.Int64N(int64(latest)))
	}
	return throttled, 0
}

func within(from, until time.Time) bool {
	now := time.Now()
	return !now.Before(from) && now.Before(until)
}

func (n *network) set(f func(*network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n)
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	c, err := readCall(req)
	if err != nil {
		return nil, err
	}
	resp, err := n.carry(req, c)
	if err == nil && c.operation == "SubscribeToShard" && resp.StatusCode == http.StatusOK {
		resp.Body = n.subscribed(req.Context(), resp.Body)
	}
	return resp, err
}

// carry brings a request to the service and its answer back, if it is to be.
func (n *network) carry(req *http.Request, c *call) (*http.Response, error) {
	if thawed, ok := n.stubborn(); ok {
		return n.later(req, c, func() bool { <-thawed; return !n.isDead() })
	}
	if err := n.asleep(req); err != nil {
		return nil, err
	}
	what, wait := n.fateOf(c)
	switch what {
	case late:
		return n.later(req, c, func() bool { time.Sleep(wait); return true })
	case diesBefore:
		n.n.kill("before it sends " + c.String())
		return nil, errCut
	case neverArrives:
		return nil, errCut
	case throttled:
		return refuse(req), nil
	}
	if what == passes && wait > 0 {
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
	}
	resp, err := n.send(req, c)
	if what == diesAfter {
		n.n.kill("after it sent " + c.String())
	}
	if err == nil && (what == replyLost || n.isDead()) { // the effect is there, the reply is not
		resp.Body.Close()
		err = errCut
	}
	if err != nil {
		return nil, err
	}
	if what == slow {
		err = pause(req.Context(), wait)
	}
	if err = errors.Join(err, n.asleep(req)); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// send lets a request take effect and returns the answer, both as this machine's clock has it.
func (n *network) send(req *http.Request, c *call) (*http.Response, error) {
	n.n.w.requests.add(c)
	n.n.w.judgeWrite(n, c)
	body := c.body
	if n.skew != 0 {
		body = shiftRequest(c, n.skew)
	}
	resp, err := n.next.RoundTrip(withBody(req, body))
	if err != nil {
		return nil, err
	}
	n.learn(c)
	if c.operation == "RegisterStreamConsumer" && resp.StatusCode == http.StatusOK {
		n.n.w.disturbed(nil, "a consumer is being created", n.n.w.plan.create)
	}
	if n.skew != 0 {
		return shiftResponse(c, resp, -n.skew)
	}
	return resp, nil
}

// asleep holds a request, or its reply, while the process is stopped.
func (n *network) asleep(req *http.Request) error {
	thawed := n.n.frozen()
	if thawed == nil {
		return nil
	}
	select {
	case <-thawed:
		return nil
	case <-req.Context().Done():
		return req.Context().Err()
	}
}

// stubborn reports whether a request that was just being sent leaves the process when it wakes, although its sender has given up
// meanwhile: between a check and a write there is no telling how much time passes.
func (n *network) stubborn() (thawed chan struct{}, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.thawed, n.thawed != nil && n.r.IntN(2) == 0
}

// later lets a request take effect once due returns true, whether or not anybody waits for it then: a packet on its way outlives
// the patience, and the life, of its sender.
func (n *network) later(req *http.Request, c *call, due func() bool) (*http.Response, error) {
	type outcome struct {
		resp *http.Response
		err  error
	}
	done := make(chan outcome)
	go func() { // ends by itself, at the latest some seconds after its sender, or when the process wakes
		o := outcome{nil, errCut}
		if due() {
			ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
			context.AfterFunc(req.Context(), func() { // the service notices after a while that nobody is there
				time.Sleep(latest)
				cancel()
			})
			o.resp, o.err = n.send(req.Clone(ctx), c)
		}
		select {
		case done <- o:
		case <-req.Context().Done():
			if o.err == nil {
				o.resp.Body.Close()
			}
		}
	}()
	select {
	case o := <-done:
		return o.resp, o.err
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func (n *network) isDead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readCall takes in a request and what it is about.
func readCall(req *http.Request) (*call, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	return newCall(req.Header.Get("X-Amz-Target"), body), nil
}

func withBody(req *http.Request, body []byte) *http.Request {
	req = req.Clone(req.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return req
}

// refuse answers as both services do when they are throttled.
func refuse(req *http.Request) *http.Response {
	contentType := "application/x-amz-json-1.1"
	if strings.HasPrefix(req.Header.Get("X-Amz-Target"), "DynamoDB") {
		contentType = "application/x-amz-json-1.0"
	}
	return &http.Response{
		StatusCode: http.StatusBadRequest, Status: "400 Bad Request", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {contentType}, "X-Amzn-Errortype": {"ProvisionedThroughputExceededException"}},
		Body:    io.NopCloser(bytes.NewReader([]byte(`{"__type":"ProvisionedThroughputExceededException","message":"slow down"}`))),
		Request: req,
	}
}
