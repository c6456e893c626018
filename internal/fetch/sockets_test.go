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
	conns     int
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
		if state == http.StateNew {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.conns++
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
			readAll(t, srv, consumers, shards)
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

// readAll subscribes to all shards of the stream "many" and waits until each has brought a record.
func readAll(t *testing.T, srv *local.Server, consumers *fetch.Consumers, shards int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var readers, waiting sync.WaitGroup
	budget := fetch.NewBudget(256 << 20)
	waiting.Add(shards)
	for i := range shards {
		cfg := fetch.Config{
			Client: consumers.Client, Budget: budget, From: stream.TrimHorizon, Logger: slog.New(slog.DiscardHandler),
			Shard:  fetch.Shard{Stream: "many", StreamARN: "arn:aws:kinesis:" + local.DefaultRegion + ":" + local.DefaultAccountID + ":stream/many", ID: shardID(i)},
			Failed: func(_ int, err error) { t.Logf("shard %d: %v", i, err) },
		}
		pages := make(chan fetch.Page)
		readers.Go(func() {
			if err := fetch.Subscribe(ctx, cfg, consumers, pages); ctx.Err() == nil {
				t.Errorf("Subscribe = %v", err)
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
