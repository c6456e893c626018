package sim_test

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is what a seed decides before anything happens.
type plan struct {
	kind     string
	streams  int
	shards   int // of each stream at the beginning
	workers  int // at the beginning
	most     int // workers in all
	mood     mood
	lag      time.Duration // of the index
	create   time.Duration // how long tables and indexes are being created
	skewed   bool          // the machines' clocks differ by up to 20 minutes
	span     time.Duration // for how long things happen
	every    time.Duration // the most time between two of them
	idle     time.Duration // worker.Reading.Idle
	maxBytes int64         // worker.Reading.MaxBytes
	size     int           // of a record
	rate     int           // the most records that are put at a time
	listed   bool          // the streams come and go while workers run: worker.Config.ListStreams
	burst    int           // records of 256 KiB that are there at the beginning
	fetching
}

// fetching is how workers read.
type fetching struct {
	fanOut   float64       // the share of the workers that do so by enhanced fan-out
	turns    bool          // those that start later read the other way: a rolling change
	json     bool          // in JSON, not in CBOR
	required bool          // worker.FanOut.Required
	silence  time.Duration // worker.FanOut.IdleTimeout
	life     time.Duration // of a subscription at the service
}

// newPlan decides. Most seeds are rough: a few workers and shards, and something happens every few seconds. One in five is
// mild, so that what is to happen within a bound has the time to. A few have large records and a small budget, and one
// in a hundred has many workers and shards.
func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 7))
	p := plan{
		kind: "rough", streams: 1, shards: 1 + r.IntN(6), workers: 1 + r.IntN(4), most: 12,
		mood: mood{
			faults:      []float64{0, 0.01, 0.05, 0.15}[r.IntN(4)],
			failures:    []float64{0, 0, 0.02, 0.1}[r.IntN(4)],
			slow:        []float64{0, 0.01, 0.05}[r.IntN(3)],
			checkpoints: []float64{1, 0.5, 0.1}[r.IntN(3)],
			partly:      []float64{0, 0.3}[r.IntN(2)],
			work:        20 * time.Millisecond,
		},
		lag:    []time.Duration{0, time.Second, 2 * time.Second, 8 * time.Second}[r.IntN(4)],
		create: []time.Duration{0, 0, 5 * time.Second, 40 * time.Second}[r.IntN(4)],
		skewed: r.IntN(3) == 0,
		span:   time.Duration(30+r.IntN(60)) * time.Second,
		every:  9 * time.Second,
		rate:   10, size: 4,
	}
	if r.IntN(5) == 0 {
		p.streams, p.shards = 2+r.IntN(2), 1+r.IntN(3)
	}
	p.listed = p.streams > 1 && r.IntN(2) == 0
	p.fetching = newFetching(rand.New(rand.NewPCG(seed, 8)))
	switch {
	case seed%100 == 50:
		p.kind, p.streams, p.listed = "wide", 1, false
		p.workers, p.shards, p.most = 20+r.IntN(31), 100+r.IntN(150), 60
		p.mood.slow, p.mood.failures, p.rate, p.idle = 0, min(p.mood.failures, 0.02), 100, time.Second
		p.span = 30 * time.Second
	case seed%5 == 2:
		p.kind = "mild"
		p.mood.faults, p.mood.slow = []float64{0, 0, 0.01}[r.IntN(3)], 0
		p.span, p.every = time.Duration(90+r.IntN(60))*time.Second, 35*time.Second
	case seed%40 == 13: // subscriptions are renewed
		p.kind, p.fanOut, p.turns, p.life = "long", 1, false, 0
		p.span, p.every, p.mood.slow = 330*time.Second, time.Minute, 0
	case seed%20 == 9:
		p.kind, p.streams, p.listed, p.shards = "heavy", 1, false, 3+r.IntN(3)
		p.maxBytes, p.burst, p.span = 1<<20, 100, 20*time.Second
		p.mood.slow, p.mood.work = 0.3, time.Second
	}
	return p
}

func newFetching(r *rand.Rand) fetching {
	return fetching{
		fanOut:   []float64{0, 0, 0, 0.5, 0.5, 1, 1}[r.IntN(7)],
		turns:    r.IntN(4) == 0,
		json:     r.IntN(4) == 0,
		required: r.IntN(2) == 0,
		silence:  []time.Duration{0, 0, 11 * time.Second}[r.IntN(3)],
		life:     []time.Duration{0, 0, 17 * time.Second, 45 * time.Second}[r.IntN(4)],
	}
}

// subscribes reports whether any worker reads by fan-out.
func (f fetching) subscribes() bool { return f.fanOut > 0 || f.turns }

// names returns the names of the streams.
func (p plan) names() []string {
	names := make([]string, p.streams)
	for i := range names {
		names[i] = fmt.Sprintf("s%d", i)
	}
	return names
}
