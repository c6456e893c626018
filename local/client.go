package local

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// HTTPClient returns a client whose requests go to the server directly, whatever their host: no sockets, and inside a
// testing/synctest bubble nothing that blocks it. A request is served in a goroutine of its own, which ends when the
// answer is complete, the request's context ends, or the body of a streamed answer is closed.
func (s *Server) HTTPClient() *http.Client { return &http.Client{Transport: direct{s}} }

// AWSConfig returns a configuration for SDK clients that call the server directly by HTTPClient.
func (s *Server) AWSConfig() aws.Config {
	cfg := s.AWSConfigAt("http://local.invalid")
	cfg.HTTPClient = s.HTTPClient()
	return cfg
}

// AWSConfigAt returns a configuration for SDK clients that reach the server, or another with the same region, at url.
// Its credentials are made up. Its HTTP client reads and writes in HTTP/1.1.
func (s *Server) AWSConfigAt(url string) aws.Config {
	return aws.Config{
		Region:       s.cfg.Region,
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
		BaseEndpoint: aws.String(url),
		HTTPClient:   &http.Client{Transport: plainBody{newTransport()}},
	}
}

func newTransport() *http.Transport {
	const idle = 1000 // connections kept for the next call; a worker has a call under way for each shard
	return &http.Transport{MaxIdleConns: idle, MaxIdleConnsPerHost: idle}
}

// plainBody hides everything of a request's body but Read and Close. smithy-go closes the body when the head of the
// answer arrives; its WriteTo then returns an error that makes net/http close the connection under an answer which is
// still being read (seen about once in 1,000 to 3,000 large puts).
type plainBody struct{ next http.RoundTripper }

func (t plainBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return t.next.RoundTrip(r)
}

// direct is a RoundTripper that calls a handler.
type direct struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	in := r.Clone(ctx)
	in.Body, in.RequestURI, in.RemoteAddr = &sentBody{Reader: bytes.NewReader(body), bytes: body}, r.URL.RequestURI(), "direct"
	w := &directWriter{header: http.Header{}, status: http.StatusOK, ready: make(chan struct{}), cancel: cancel}
	go w.serve(d.handler, in) // ends with ctx at the latest
	select {
	case <-w.ready:
		return w.response(r)
	case <-r.Context().Done(): // not ctx: that one also ends with the answer
		cancel()
		return nil, r.Context().Err()
	}
}

func readAll(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := readInto(nil, r.Body, r.ContentLength)
	if closeErr := r.Body.Close(); err == nil {
		err = closeErr
	}
	return body, err
}

// sentBody is a request body that is in memory.
type sentBody struct {
	*bytes.Reader
	bytes []byte
}

func (b *sentBody) Close() error { return nil }
func (b *sentBody) all() []byte  { return b.bytes }

// directWriter is the response writer of a direct call. It collects the answer; the first Flush turns it into a stream.
type directWriter struct {
	header http.Header
	status int
	cancel context.CancelFunc

	parts net.Buffers // what was collected
	pipe  *io.PipeWriter

	ready  chan struct{} // closed when the fields below are final
	once   sync.Once
	body   io.ReadCloser
	length int64 // -1 for a stream
	err    error
}

func (w *directWriter) Header() http.Header    { return w.header }
func (w *directWriter) WriteHeader(status int) { w.status = status }
func (w *directWriter) share(p net.Buffers)    { w.parts = append(w.parts, p...) }

func (w *directWriter) Write(b []byte) (int, error) {
	if w.pipe != nil {
		return w.pipe.Write(b)
	}
	w.parts = append(w.parts, bytes.Clone(b))
	return len(b), nil
}

// Flush implements http.Flusher.
func (w *directWriter) Flush() { _ = w.FlushError() }

// FlushError sends what was collected and everything that follows through a pipe, as fast as it is read.
func (w *directWriter) FlushError() error {
	if w.pipe != nil {
		return nil
	}
	reader, pipe := io.Pipe()
	w.pipe = pipe
	w.announce(&streamBody{reader, w.cancel}, -1, nil)
	for _, p := range w.parts {
		if _, err := pipe.Write(p); err != nil {
			return err
		}
	}
	w.parts = nil
	return nil
}

func (w *directWriter) announce(body io.ReadCloser, length int64, err error) {
	w.once.Do(func() {
		w.body, w.length, w.err = body, length, err
		close(w.ready)
	})
}

// serve runs the handler and ends the answer. A handler that panics with http.ErrAbortHandler breaks the connection.
func (w *directWriter) serve(h http.Handler, r *http.Request) {
	defer w.cancel()
	stop := context.AfterFunc(r.Context(), func() {
		<-w.ready
		if s, ok := w.body.(*streamBody); ok {
			_ = s.CloseWithError(context.Cause(r.Context()))
		}
	})
	defer stop()
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			w.finish(&net.OpError{Op: "read", Net: "direct", Err: syscall.ECONNRESET})
		} else if p != nil {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	w.finish(r.Context().Err()) // what was cut short must not look complete
}

func (w *directWriter) finish(err error) {
	if w.pipe != nil {
		_ = w.pipe.CloseWithError(err) // nil is a clean end
		return
	}
	length := 0
	for _, p := range w.parts {
		length += len(p)
	}
	w.announce(&partsBody{w.parts}, int64(length), err)
}

func (w *directWriter) response(r *http.Request) (*http.Response, error) {
	if w.err != nil {
		return nil, w.err
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: w.header, Body: w.body, ContentLength: w.length, Request: r,
	}, nil
}

// streamBody is the reading end of a streamed answer.
type streamBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *streamBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// partsBody is a complete answer.
type partsBody struct{ parts net.Buffers }

func (b *partsBody) Read(p []byte) (int, error)         { return b.parts.Read(p) }
func (b *partsBody) WriteTo(w io.Writer) (int64, error) { return b.parts.WriteTo(w) }
func (b *partsBody) Close() error                       { return nil }
