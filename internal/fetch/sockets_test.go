package fetch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/wholebody"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// listener is an embedded server behind sockets, which counts connections and knows in which protocol it was asked.
type listener struct {
	*httptest.Server

	mu        sync.Mutex
	conns     int            // ever
	open      int            // now
	most      int            // of open
	protocols map[string]int // of subscriptions
}

func listen(t *testing.T, srv *local.Server, secure bool, protocols func(*http.Protocols)) *listener {
	t.Helper()
	l := &listener{protocols: map[string]int{}}
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "Kinesis_20131202.SubscribeToShard" {
			l.mu.Lock()
			l.protocols[r.Proto]++
			l.mu.Unlock()
		}
		srv.ServeHTTP(w, r)
	}))
	l.Config.ErrorLog = log.New(slog.NewLogLogger(slog.DiscardHandler, 0).Writer(), "", 0)
	l.Config.Protocols = new(http.Protocols)
	l.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 128}
	protocols(l.Config.Protocols)
	l.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch state {
		case http.StateNew:
			l.conns++
			l.open++
			l.most = max(l.most, l.open)
		case http.StateClosed, http.StateHijacked:
			l.open--
		}
	}
	if secure {
		l.EnableHTTP2 = true
		l.StartTLS()
	} else {
		l.Start()
	}
	t.Cleanup(l.Close)
	return l
}

// client is one of the SDK's own kind that trusts the server.
func (l *listener) client(srv *local.Server, wrapped bool) *kinesis.Client {
	cfg := srv.AWSConfigAt(l.URL)
	trusting := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		if l.Certificate() != nil {
			pool := x509.NewCertPool()
			pool.AddCert(l.Certificate())
			t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
	})
	cfg.HTTPClient = trusting
	if wrapped {
		cfg.HTTPClient = wholebody.New(trusting)
	}
	return kinesis.NewFromConfig(cfg)
}

// 150 subscriptions over real sockets: a few connections where the server speaks HTTP/2, with TLS or without, and one for each
// where it only speaks HTTP/1.1.
func TestSubscribeConnections(t *testing.T) {
	const shards = 150 // more than one connection carries
	both := func(p *http.Protocols) {
		p.SetHTTP1(true)
		p.SetHTTP2(true)
		p.SetUnencryptedHTTP2(true)
	}
	old := func(p *http.Protocols) { p.SetHTTP1(true) }
	tests := []struct {
		name            string
		secure, wrapped bool
		protocols       func(*http.Protocols)
		proto           string
		most            int // connections
	}{
		{"h2c", false, false, both, "HTTP/2.0", 40},
		{"h2c, wrapped", false, true, both, "HTTP/2.0", 40},
		{"h2", true, false, both, "HTTP/2.0", 40},
		{"http/1.1", false, false, old, "HTTP/1.1", 2 * shards},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
			if err := srv.CreateStream("many", shards); err != nil {
				t.Fatal(err)
			}
			l := listen(t, srv, tt.secure, tt.protocols)
			consumers, err := fetch.NewConsumers(fetch.FanOut{Client: l.client(srv, tt.wrapped), Name: "app", Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			readAll(t, srv, consumers.Client, shards, func(ctx context.Context, cfg fetch.Config, pages chan<- fetch.Page) error {
				return fetch.Subscribe(ctx, cfg, consumers, pages)
			})
			l.mu.Lock()
			defer l.mu.Unlock()
			if n := l.protocols[tt.proto]; n < shards || len(l.protocols) != 1 {
				t.Errorf("subscriptions by %v, want all by %s", l.protocols, tt.proto)
			}
			if l.conns > tt.most {
				t.Errorf("%d connections, want at most %d", l.conns, tt.most)
			}
			t.Logf("%d connections", l.conns)
		})
	}
}

// 300 shards polled over real sockets, all at once, take no more than 128 connections, whatever the server speaks.
func TestPollConnections(t *testing.T) {
	const shards = 300
	// By HTTP/2 those that turn out not to be needed are closed, which the server sees a little later.
	for name, most := range map[string]int{"h2": 160, "http/1.1": 128} {
		t.Run(name, func(t *testing.T) {
			srv := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
			if err := srv.CreateStream("many", shards); err != nil {
				t.Fatal(err)
			}
			srv.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Delay: 50 * time.Millisecond}}) // so that calls meet
			l := listen(t, srv, name == "h2", func(p *http.Protocols) {
				p.SetHTTP1(true)
				p.SetHTTP2(name == "h2")
			})
			wire := fetch.NewWire(false)
			readAll(t, srv, l.client(srv, true), shards, func(ctx context.Context, cfg fetch.Config, pages chan<- fetch.Page) error {
				cfg.Wire = wire
				return fetch.Poll(ctx, cfg, pages)
			})
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.most > most {
				t.Errorf("%d connections at a time, want at most %d", l.most, most)
			}
			t.Logf("%d connections at a time, %d in all, %d in the end", l.most, l.conns, l.open)
		})
	}
}

// readAll reads all shards of the stream "many" and waits until each has brought a record.
func readAll(t *testing.T, srv *local.Server, client *kinesis.Client, shards int,
	read func(context.Context, fetch.Config, chan<- fetch.Page) error,
) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var readers, waiting sync.WaitGroup
	budget := fetch.NewBudget(256 << 20)
	waiting.Add(shards)
	for i := range shards {
		cfg := fetch.Config{
			Client: client, Budget: budget, From: stream.TrimHorizon, Logger: slog.New(slog.DiscardHandler),
			Shard:  fetch.Shard{Stream: "many", StreamARN: "arn:aws:kinesis:" + local.DefaultRegion + ":" + local.DefaultAccountID + ":stream/many", ID: shardID(i)},
			Failed: func(_ int, err error) { t.Logf("shard %d: %v", i, err) },
		}
		pages := make(chan fetch.Page)
		readers.Go(func() {
			if err := read(ctx, cfg, pages); ctx.Err() == nil {
				t.Errorf("reading ended: %v", err)
			}
		})
		readers.Go(func() {
			once := sync.OnceFunc(waiting.Done)
			for {
				select {
				case p := <-pages:
					p.Release()
					once()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for i := range shards * 30 {
		if _, _, err := srv.Put("many", fmt.Sprint(i), []byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	waiting.Wait()
	cancel()
	readers.Wait()
}
