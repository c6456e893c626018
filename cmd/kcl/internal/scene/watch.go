package scene

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/stream"
)

// shard is what the picture knows of one shard.
type shard struct {
	id      stream.ShardID
	keys    stream.HashKeyRange
	parents []stream.ShardID
	closed  bool // takes no more records
	state   picture.State
	owner   string
	behind  time.Duration
	known   bool // behind is
	rate    meter
	rates   []float64

	run     *run      // the last that began
	waiting time.Time // since when records wait and none is read; zero: none waits
	cause   string    // why it is not read; "": it is
	blamed  *run      // whose end that was; nil: nobody's
	gap     Gap       // the longest
}

// meter turns a count into a rate: the mean over a window, because reads come in bursts some 250 ms apart.
type meter struct {
	counts [window + 1]int64 // the last ones, the newest at index (n-1) modulo length
	n      int
	smooth float64 // per second
}

// window is over how many samples a meter takes the mean.
const window = 5

// sampleInterval is how often the picture's history grows; sparkInterval, in samples, how often a bar is added to a shard's line.
const (
	sampleInterval = 100 * time.Millisecond
	sparkInterval  = 5
	sparkLength    = 24
)

// sample takes a new count and returns the rate.
func (m *meter) sample(count int64) float64 {
	size := len(m.counts)
	m.counts[m.n%size] = count
	m.n++
	span := min(m.n-1, window)
	if span == 0 {
		return 0
	}
	m.smooth = float64(count-m.counts[(m.n-1-span)%size]) / (float64(span) * sampleInterval.Seconds())
	return m.smooth
}

func (s *Scene) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
}

// flow marks the moment from which records flow.
func (s *Scene) flow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began, s.phase = time.Now(), "records flow"
}

// dry marks the moment from which none do.
func (s *Scene) dry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Now()
}

func (s *Scene) beginning() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.began
}

func (s *Scene) enter(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
}

// tell enters an event.
func (s *Scene) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked(false, format, args...)
}

func (s *Scene) tellLocked(bad bool, format string, args ...any) {
	e := picture.Event{At: time.Since(s.began), What: fmt.Sprintf(format, args...), Bad: bad}
	s.events = append(s.events, e)
}

// fault enters something that must not happen.
func (s *Scene) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked(true, format, args...)
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// shardLocked returns the shard, making it if it is not known.
func (s *Scene) shardLocked(id stream.ShardID) *shard {
	i, known := slices.BinarySearchFunc(s.shards, id, func(sh *shard, id stream.ShardID) int {
		return strings.Compare(string(sh.id), string(id))
	})
	if !known {
		s.shards = slices.Insert(s.shards, i, &shard{id: id, state: picture.Free, cause: coldStart})
	}
	return s.shards[i]
}

// sampleUntil lets history grow until stop is closed.
func (s *Scene) sampleUntil(stop <-chan struct{}) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.sample(n%sparkInterval == 0)
		}
	}
}

func (s *Scene) sample(spark bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate.sample(s.books.Totals().Delivered)
	column := picture.Column{}
	for i, sh := range s.shards {
		rate := sh.rate.sample(s.books.Shard(sh.id).Delivered)
		if sh.state == picture.Free || sh.state == picture.Done && rate < 1 {
			continue
		}
		if spark {
			sh.rates = append(sh.rates, rate)
			sh.rates = sh.rates[max(len(sh.rates)-sparkLength, 0):]
		}
		if sh.state != picture.Done {
			column = append(column, picture.Band{Shard: i, Keys: sh.keys, Glow: s.glow(sh, rate)})
		}
	}
	s.river = append(s.river, column)
}

// glow compares a shard's rate with what its share of the hash keys lets expect.
func (s *Scene) glow(sh *shard, rate float64) float64 {
	share := float64(sh.keys.Last.Hi-sh.keys.First.Hi) / (1 << 63) / 2
	return min(rate/max(s.cfg.Rate*share, 1), 1)
}

// Frame returns the scene as it stands.
func (s *Scene) Frame() picture.Frame {
	totals := s.books.Totals()
	s.mu.Lock()
	defer s.mu.Unlock()
	f := picture.Frame{
		Title: "kcl demo", Where: s.cfg.Where, Phase: s.phase, Total: s.cfg.Duration,
		River: slices.Clone(s.river), Events: slices.Clone(s.events),
		Put: totals.Put, Delivered: totals.Delivered, Duplicates: totals.Duplicates, OutOfOrder: totals.OutOfOrder,
		RecordsPerSecond: s.rate.smooth, BytesPerSecond: s.rate.smooth * float64(s.cfg.Size),
	}
	if !s.began.IsZero() && s.phase != "setting up" {
		f.Elapsed = time.Since(s.began)
	}
	for _, m := range s.crew {
		if s.cfg.Workers > 1 {
			f.Workers = append(f.Workers, picture.Worker{ID: m.id, Leads: m.status.Leading, Leaving: m.leaving != "", Gone: m.gone})
		}
	}
	for _, sh := range s.shards {
		var waits time.Duration
		if !sh.waiting.IsZero() {
			waits = time.Since(sh.waiting)
		}
		c := s.books.Shard(sh.id)
		f.Shards = append(f.Shards, picture.Shard{
			ID: sh.id, HashKeys: sh.keys, Parents: sh.parents, State: sh.state, Owner: sh.owner,
			Put: c.Put, Delivered: c.Delivered, Duplicates: c.Duplicates,
			Behind: sh.behind, BehindKnown: sh.known, Rates: slices.Clone(sh.rates), Waits: waits,
		})
	}
	return f
}
