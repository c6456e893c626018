package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/kinesis-go/kcl/internal/wholebody"
)

// Settings of HTTP/2 connections.
const (
	// window is what the service may send ahead of the receiver for each subscription, or answer that is not read yet. Go's own default, 4 MiB, would be
	// 1 GiB for 256 shards outside of the budget; the Java KCL has 512 KiB, too (KinesisClientUtil).
	window = 512 << 10
	// A connection that is silent for so long is asked whether it lives; one that does not answer is closed.
	pingAfter, pingTimeout = 15 * time.Second, 15 * time.Second
)

// maxConnections is how many connections polling uses at most: HTTP/1.1 has one call on each, HTTP/2 hundreds on one. More
// than maxUnread, so that answers that wait for room leave others a way. They are kept while they are in use every 90 s; of
// what the SDK opens by default, 2,048, it keeps 10.
const maxConnections = 128

// pollingClient returns the HTTP client for polling: with the SDK's own kind of client one of the same settings, with
// bounded connections and windows; any other as it is.
func pollingClient(c aws.HTTPClient) aws.HTTPClient {
	buildable, ok := innermost(c).(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	return wholebody.New(buildable.WithTransportOptions(func(t *http.Transport) {
		if t.MaxConnsPerHost == 0 || t.MaxConnsPerHost > maxConnections {
			t.MaxConnsPerHost = maxConnections
		}
		t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, t.MaxConnsPerHost)
		t.MaxIdleConns = max(t.MaxIdleConns, t.MaxIdleConnsPerHost)
		tuneHTTP2(t)
	}))
}

// innermost returns the client that sends.
func innermost(c aws.HTTPClient) aws.HTTPClient {
	for {
		wrapper, ok := c.(interface{ Unwrap() aws.HTTPClient })
		if !ok {
			return c
		}
		c = wrapper.Unwrap()
	}
}

func tuneHTTP2(t *http.Transport) {
	var c http.HTTP2Config
	if t.HTTP2 != nil {
		c = *t.HTTP2
	}
	c.MaxReceiveBufferPerStream, c.SendPingTimeout, c.PingTimeout = window, pingAfter, pingTimeout
	t.HTTP2 = &c
}

// streamingClient returns the HTTP client for subscriptions: with the SDK's own kind of client one of the same settings
// that keeps its own HTTP/2 connections, also for http:// URLs; any other as it is.
func streamingClient(c aws.HTTPClient) aws.HTTPClient {
	buildable, ok := innermost(c).(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	plain := func(t *http.Transport) {
		tuneHTTP2(t)
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	// A server that only speaks HTTP/1.1 gets a connection for each subscription: the SDK's bound is 2,048.
	return &dialect{secure: buildable.WithTransportOptions(tuneHTTP2), plain: buildable.WithTransportOptions(plain)}
}

// dialect sends requests to http:// URLs by HTTP/2 without encryption, unless the server turns out not to speak it.
type dialect struct {
	secure aws.HTTPClient // https, or HTTP/1.1
	plain  aws.HTTPClient // unencrypted HTTP/2

	speaks atomic.Int32 // what the server of http:// URLs is known to speak
}

const (
	unknownDialect int32 = iota
	http2Dialect
	http1Dialect
)

// Do implements aws.HTTPClient.
func (d *dialect) Do(r *http.Request) (*http.Response, error) {
	body, err := contents(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Scheme != "http" || d.speaks.Load() == http1Dialect {
		return d.secure.Do(again(r, body))
	}
	res, err := d.plain.Do(again(r, body))
	if err == nil {
		d.speaks.Store(http2Dialect)
		return res, nil
	}
	if d.speaks.Load() == http2Dialect || r.Context().Err() != nil || unreachable(err) {
		return nil, err
	}
	res, err1 := d.secure.Do(again(r, body))
	if err1 != nil {
		return nil, errors.Join(err1, err)
	}
	d.speaks.Store(http1Dialect)
	return res, nil
}

func contents(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// again returns r with a body of its own. The SDK's is closed when the answer begins, which net/http may take for a failed
// write and drop the connection (see package wholebody).
func again(r *http.Request, body []byte) *http.Request {
	r = r.Clone(r.Context())
	if r.Body != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r
}

// unreachable says that no server was asked.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || errors.Is(err, context.DeadlineExceeded)
}
