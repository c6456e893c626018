package main

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/kinesis-go/kcl/bench/internal/tally"
)

// What the measurement of gaps runs with: a record each 20 ms on each shard or so.
const (
	gapShards = 4
	gapEvery  = 20 * time.Millisecond
	gapBatch  = 16
)

// silences measures how long shards are not read after one of two processes is ended.
func (f *field) silences(ctx context.Context, o options) error {
	t := newTable(fmt.Sprintf("longest silence of a shard, %d shards, two processes, one ended", gapShards), "consumer", "SIGTERM s", "SIGKILL s")
	for i, c := range f.list {
		if c.alone {
			t.add(c.name, "does not share shards", "")
			continue
		}
		cells := []string{c.name}
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			gap, err := f.silence(ctx, c, fmt.Sprintf("gap-%d-%d", i, sig), o, sig)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			cell := fmt.Sprintf("%.2f", gap.Seconds())
			if err != nil {
				cell = err.Error()
			}
			cells = append(cells, cell)
		}
		t.add(cells...)
	}
	return t.print()
}

func (f *field) silence(ctx context.Context, c contestant, application string, o options, sig syscall.Signal) (time.Duration, error) {
	s, err := f.serve(ctx, gapShards)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	feeding, stop := context.WithCancel(ctx)
	var feeder sync.WaitGroup
	feeder.Go(func() {
		for feeding.Err() == nil && s.fill(feeding, gapBatch, 100) == nil {
			select {
			case <-feeding.Done():
			case <-time.After(gapEvery):
			}
		}
	})
	defer feeder.Wait()
	defer stop()

	a, err := f.start(c, s, application, "a", o)
	if err != nil {
		return 0, err
	}
	defer a.kill()
	if err := a.until(ctx, 3*time.Minute, reads(gapShards, time.Now())); err != nil {
		return 0, fmt.Errorf("all shards by one: %w", err)
	}
	b, err := f.start(c, s, application, "b", o)
	if err != nil {
		return 0, err
	}
	defer b.kill()
	if err := b.until(ctx, 5*time.Minute, reads(1, time.Now())); err != nil {
		return 0, fmt.Errorf("no shard for the second: %w", err)
	}
	return f.end(ctx, a, b, sig)
}

// end ends a and returns how long the last of its shards waited for b.
func (f *field) end(ctx context.Context, a, b *consumer, sig syscall.Signal) (time.Duration, error) {
	select { // let the balance settle
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(5 * time.Second):
	}
	asked := time.Now()
	if sig == syscall.SIGKILL {
		a.kill()
	} else if err := syscall.Kill(a.cmd.Process.Pid, sig); err != nil {
		return 0, err
	}
	if err := b.until(ctx, 5*time.Minute, reads(gapShards, asked.Add(time.Second))); err != nil {
		return 0, fmt.Errorf("not taken over: %w", err)
	}
	left, err := tally.Read(a.dir)
	if err != nil {
		return 0, err
	}
	taken, err := tally.Read(b.dir)
	if err != nil {
		return 0, err
	}
	var longest time.Duration
	for shard, processes := range left {
		last, next := time.Time{}, time.Time{}
		for _, n := range processes {
			if n.Last.After(last) {
				last = n.Last
			}
		}
		for _, n := range taken[shard] {
			if n.First.After(last) && (next.IsZero() || n.First.Before(next)) {
				next = n.First
			}
		}
		if !next.IsZero() && last.After(asked.Add(-2*time.Second)) {
			longest = max(longest, next.Sub(last))
		}
	}
	if longest == 0 {
		return 0, fmt.Errorf("the one that was ended had no shard")
	}
	return longest, nil
}

// reads reports whether so many shards were read since then.
func reads(shards int, since time.Time) func(map[string]map[string]tally.Counts) bool {
	return func(all map[string]map[string]tally.Counts) bool {
		n := 0
		for _, processes := range all {
			for _, c := range processes {
				if c.Last.After(since) {
					n++
					break
				}
			}
		}
		return n >= shards
	}
}
