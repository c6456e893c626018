package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

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
