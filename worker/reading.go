package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// reading is one run of the fetcher over a shard.
type reading struct {
	pages  chan fetch.Page // not buffered: what waits is the fetcher's, and counted by the budget
	broken chan error      // capacity 1: why reading ended, if it cannot go on
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// startReading begins to fetch at the row's checkpoint.
func (a *assignment) startReading(row lease.Lease) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reading{pages: make(chan fetch.Page), broken: make(chan error, 1), cancel: cancel}
	cfg := a.fetchConfig(row)
	r.done.Go(func() {
		read := fetch.Poll
		if a.consumers != nil {
			read = a.subscribe
		}
		if err := read(ctx, cfg, r.pages); err != nil && ctx.Err() == nil {
			a.unreadable(err)
			r.broken <- err
		}
	})
	a.reading = r
}

func (a *assignment) subscribe(ctx context.Context, cfg fetch.Config, pages chan<- fetch.Page) error {
	return fetch.Subscribe(ctx, cfg, a.consumers, pages)
}

// stopReading ends the fetcher and waits for it: afterwards nothing of this shard is read or waits.
func (a *assignment) stopReading() {
	if a.reading == nil {
		return
	}
	a.reading.cancel()
	a.reading.done.Wait()
	a.reading = nil
}

// fetchConfig says where and how to read.
func (a *assignment) fetchConfig(row lease.Lease) fetch.Config {
	r := a.cfg.Reading
	return fetch.Config{
		Client:      a.cfg.Kinesis,
		Shard:       fetch.Shard{Stream: a.source.Name, StreamARN: a.source.ARN, ID: row.Shard, HashKeys: row.HashKeys},
		From:        row.Checkpoint,
		StartAt:     a.source.StartAt,
		Beginning:   &a.begun,
		MaxRecords:  r.MaxRecords,
		Idle:        r.Idle,
		EmptyPages:  a.cfg.EmptyBatches,
		SkipTrimmed: r.OnTrimmed == SkipTrimmed,
		Unpaced:     r.Unpaced,
		Budget:      a.budget,
		Wire:        a.wire,
		Logger:      a.log,
		Rand:        rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Read: func(p *fetch.Page, took time.Duration) {
			a.seen.read(p)
			if f := a.cfg.Trace.Fetched; f != nil {
				f(a.shard, len(p.Records), p.Bytes, p.Behind, took)
			}
		},
		Failed: func(attempt int, err error) {
			err = fleet.Explain(err, a.source.Name)
			a.seen.unread(err)
			a.log.Log(context.Background(), levelOf(attempt, err), "shard not read, will retry", "attempt", attempt, "err", err)
		},
	}
}

// manyThrottled is how many refusals in a row are usual (the Java KCL's ThrottlingReporter: 5).
const manyThrottled = 5

// levelOf tells what needs a person from what mends itself.
func levelOf(attempt int, err error) slog.Level {
	class := retry.Classify(err)
	if class == retry.Denied || errors.Is(err, fetch.ErrTrimmed) || errors.Is(err, fetch.ErrConsumerBusy) || class == retry.Throttled && attempt > manyThrottled {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// newConsumers returns the consumers to read with; nil if the worker polls.
func newConsumers(cfg Config, log *slog.Logger) (*fetch.Consumers, error) {
	f := cfg.Reading.FanOut
	if f == nil {
		return nil, nil
	}
	return fetch.NewConsumers(fetch.FanOut{
		Client: cfg.Kinesis, Name: f.ConsumerName, ARNs: f.ConsumerARNs, Required: f.Required, IdleTimeout: f.IdleTimeout, Logger: log,
	})
}
