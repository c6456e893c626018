package local

import (
	"context"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TB is what Start needs of a test; *testing.T and *testing.B have it.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Running is a Server on a loopback port.
type Running struct {
	*Server
	URL string // such as http://127.0.0.1:41234
}

// AWSConfig returns a configuration for SDK clients that reach the server at its URL.
func (r *Running) AWSConfig() aws.Config { return r.AWSConfigAt(r.URL) }

// Start serves on a free port of 127.0.0.1, in plain text as Serve does, until the test ends. At most one Config may be
// given.
func Start(t TB, cfg ...Config) *Running {
	t.Helper()
	var c Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("local: %v", err)
	}
	s := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1) // the result of Serve
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Fatalf("local: %v", err)
		}
	})
	return &Running{Server: s, URL: "http://" + l.Addr().String()}
}
