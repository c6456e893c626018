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
)

// Settings of the connections that carry subscriptions.
const (
	// window is what the service may send ahead of the receiver for each subscription. Go's own default, 4 MiB, would be
	// 1 GiB for 256 shards outside of the budget; the Java KCL has 512 KiB, too (KinesisClientUtil).
	window = 512 << 10
	// A connection that is silent for so long is asked whether it lives; one that does not answer is closed.
	pingAfter, pingTimeout = 15 * time.Second, 15 * time.Second
)

// streamingClient returns the HTTP client for subscriptions: with the SDK's own kind of client one of the same settings
// that keeps its own HTTP/2 connections, also for http:// URLs; any other as it is.
func streamingClient(c aws.HTTPClient) aws.HTTPClient {
	inner := c
	for {
		wrapper, ok := inner.(interface{ Unwrap() aws.HTTPClient })
		if !ok {
			break
		}
		inner = wrapper.Unwrap()
	}
	buildable, ok := inner.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	tune := func(t *http.Transport) {
		t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window, SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	}
	plain := func(t *http.Transport) {
		tune(t)
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	// A server that only speaks HTTP/1.1 gets a connection for each subscription: the SDK's bound is 2,048.
	return &dialect{secure: buildable.WithTransportOptions(tune), plain: buildable.WithTransportOptions(plain)}
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
