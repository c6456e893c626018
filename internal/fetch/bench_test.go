package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// BenchmarkSubscribeLatency is how long a record takes from before it is put until the receiver has its page, over HTTP/2 on
// this machine's own network, one record at a time on an idle shard. The server sends within the call that puts.
func BenchmarkSubscribeLatency(b *testing.B) {
	quiet := slog.New(slog.DiscardHandler)
	srv := local.New(local.Config{Logger: quiet})
	if err := srv.CreateStream(orders, 1); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	at, served := listenOn(ctx, b, srv)
	cfg := srv.AWSConfigAt(at)
	cfg.HTTPClient = nil // the SDK's own
	consumers, err := fetch.NewConsumers(fetch.FanOut{Client: kinesis.NewFromConfig(cfg), Name: "app", Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	pages, done := make(chan fetch.Page), make(chan struct{})
	go func() {
		defer close(done)
		_ = fetch.Subscribe(ctx, fetch.Config{
			Client: consumers.Client, Shard: fetch.Shard{Stream: orders, StreamARN: arn, ID: first}, From: stream.TrimHorizon,
			Budget: fetch.NewBudget(256 << 20), Logger: quiet,
		}, consumers, pages)
	}()
	var took []time.Duration
	data := bytes.Repeat([]byte("x"), 1<<10)
	for b.Loop() {
		began := time.Now()
		if _, _, err := srv.Put(orders, "key", data); err != nil {
			b.Fatal(err)
		}
		p := <-pages
		took = append(took, time.Since(began))
		p.Release()
	}
	took = took[1:] // the first one waited for the subscription
	if len(took) > 0 {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
	}
	cancel()
	<-done
	<-served
}

// listenOn listens on a free port of this machine until ctx ends.
func listenOn(ctx context.Context, b *testing.B, srv *local.Server) (url string, done <-chan struct{}) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(ctx, l)
	}()
	return "http://" + l.Addr().String(), ended
}

// BenchmarkPoll reads a full shard again and again, without pauses, from a server in the same process. What it costs is
// mostly the SDK's decoding of JSON.
func BenchmarkPoll(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 100 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { benchmarkPoll(b, size) })
	}
}

func benchmarkPoll(b *testing.B, size int) {
	quiet := slog.New(slog.DiscardHandler)
	srv := local.New(local.Config{Logger: quiet})
	if err := srv.CreateStream(orders, 1); err != nil {
		b.Fatal(err)
	}
	records := min(10_000, 10<<20/(size+8))
	for i := range records {
		if _, _, err := srv.Put(orders, fmt.Sprintf("key%05d", i), bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			b.Fatal(err)
		}
	}
	cfg := fetch.Config{
		Client: kinesis.NewFromConfig(srv.AWSConfig()), Shard: fetch.Shard{Stream: orders, ID: first}, From: stream.TrimHorizon,
		Budget: fetch.NewBudget(256 << 20), Logger: quiet, Unpaced: true, Idle: time.Millisecond,
	}
	b.SetBytes(int64(records * size))
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		pages, done := make(chan fetch.Page), make(chan struct{})
		go func() {
			defer close(done)
			_ = fetch.Poll(ctx, cfg, pages)
		}()
		for n := 0; n < records; {
			p := <-pages
			n += len(p.Records)
			p.Release()
		}
		cancel()
		<-done
	}
	perSecond := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond*float64(records), "records/s")
	b.ReportMetric(perSecond, "pages/s")
}
