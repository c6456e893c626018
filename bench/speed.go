package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/bench/internal/tally"
)

// speed is one consumer on one stream that was filled beforehand.
type speed struct {
	start   time.Duration // from the start of the process to the first record
	reading time.Duration // from the first record to the last
	bytes   int64
	records int64
	allocs  int64 // of the consumer's process, if it is all in one and in Go; 0: not told
	usage   usage
	err     error
}

// speeds measures all contestants with one number of shards.
func (f *field) speeds(ctx context.Context, o options, shards int) error {
	s, err := f.serve(ctx, shards)
	if err != nil {
		return err
	}
	defer s.stop()
	records := o.volume << 20 / o.size
	if err := s.fill(ctx, records, o.size); err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("speed, %d shards", shards), "consumer", "records/s", "MB/s", "CPU s/GB", "allocs/record", "memory MB", "first record s")
	for i, c := range f.list {
		v := f.speed(ctx, c, s, fmt.Sprintf("speed-%d-%d", shards, i), o, int64(records))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if v.err != nil {
			t.add(c.name, v.err.Error())
			continue
		}
		t.add(c.name, fmt.Sprintf("%.0f", float64(v.records)/v.reading.Seconds()), fmt.Sprintf("%.1f", float64(v.bytes)/1e6/v.reading.Seconds()),
			fmt.Sprintf("%.2f", v.usage.cpu.Seconds()/(float64(v.bytes)/1e9)), v.perRecord(c), fmt.Sprintf("%d", v.usage.resident/1e6), fmt.Sprintf("%.2f", v.start.Seconds()))
	}
	return t.print()
}

func (f *field) speed(ctx context.Context, c contestant, s *server, application string, o options, records int64) (v speed) {
	p, err := f.start(c, s, application, "a", o)
	if err != nil {
		return speed{err: err}
	}
	defer p.kill()
	var first, last time.Time
	err = p.until(ctx, 3*time.Minute, func(all map[string]map[string]tally.Counts) bool {
		v.records, v.bytes = 0, 0
		for _, byProcess := range all {
			for _, n := range byProcess {
				v.records, v.bytes, v.allocs = v.records+n.Records, v.bytes+n.Bytes, max(v.allocs, n.Allocations)
				if first.IsZero() || n.First.Before(first) {
					first = n.First
				}
				if n.Last.After(last) {
					last = n.Last
				}
			}
		}
		return v.records >= records
	})
	v.usage, v.err = p.usage(), err
	v.start, v.reading = first.Sub(p.began), max(last.Sub(first), time.Millisecond)
	return v
}

// perRecord is how often the consumer allocated for each record, its start included. Of a daemon it is not known.
func (v speed) perRecord(c contestant) string {
	if c.child != "" || v.allocs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(v.allocs)/float64(v.records))
}
