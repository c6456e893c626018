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
	next http.RoundTripper

	mu       sync.Mutex
	r        *rand.Rand
	dead     bool      // the process was killed: nothing leaves it any more
	cutUntil time.Time // no request arrives before
	faults   float64   // the share of requests that something happens to
}

var errCut = errors.New("sim: connection reset by peer")

// fate is what happens to one request.
type fate int

const (
	passes fate = iota
	neverArrives
	replyLost
	late
	throttled
)

func (n *network) fateOf(req *http.Request) (fate, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.dead, time.Now().Before(n.cutUntil):
		return neverArrives, 0
	case n.r.Float64() >= n.faults:
		return passes, time.Duration(n.r.IntN(3)) * time.Millisecond
	}
	switch n.r.IntN(5) {
	case 0:
		return neverArrives, 0
	case 1, 2:
		return replyLost, 0
	case 3:
		return late, time.Duration(n.r.IntN(6000)) * time.Millisecond
	}
	return throttled, 0
}

func (n *network) set(f func(*network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n)
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	what, wait := n.fateOf(req)
	if what == late {
		return n.later(req, wait)
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	switch what {
	case neverArrives:
		return nil, errCut
	case throttled:
		return refuse(req), nil
	}
	resp, err := n.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if what == replyLost || n.isDead() { // the effect is there, the reply is not
		resp.Body.Close()
		return nil, errCut
	}
	return resp, nil
}

// later lets a request take effect after a while, whether or not anybody waits for it then: a packet on its way outlives the
// patience, and the life, of its sender.
func (n *network) later(req *http.Request, wait time.Duration) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	type outcome struct {
		resp *http.Response
		err  error
	}
	done := make(chan outcome, 1)
	again := req.Clone(context.WithoutCancel(req.Context()))
	again.Body = io.NopCloser(bytes.NewReader(body))
	go func() { // ends by itself, at the latest some seconds after its sender
		time.Sleep(wait)
		resp, err := n.next.RoundTrip(again)
		if err == nil && req.Context().Err() != nil {
			resp.Body.Close()
		}
		done <- outcome{resp, err}
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
