package follow

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/stream"
)

// Config says what is read. Zero fields are off, except where required.
type Config struct {
	Client  *kinesis.Client // required
	Stream  string          // name; required
	Shard   stream.ShardID  // only this one, to its end
	From    stream.Position // stream.Latest, stream.TrimHorizon or stream.AtTimestamp; required
	StartAt time.Time       // with stream.AtTimestamp
	Logger  *slog.Logger    // hears of retries; required

	// Deliver gets the records of one page of one shard; required. It is not called concurrently. An error ends Run.
	Deliver func(shard stream.ShardID, records []stream.Record) error
	// Ended is called after the last record of a shard, with the shards that follow it; may be nil.
	Ended func(shard stream.ShardID, children []stream.ShardID)
}

// maxBytes bounds the record data that waits to be delivered.
const maxBytes = 64 << 20

// maxRecords of one page: the most that GetRecords gives (Kinesis API reference).
const maxRecords = 10_000

// idle is between two reads of a shard that has nothing new: a person who waits sees records soon, and two who look leave
// room under the 5 reads a second that a shard allows.
const idle = 400 * time.Millisecond

// Run reads until ctx ends, then returns nil; so it does when there is no shard left to read. It returns the error of
// Deliver, and one that reading on cannot mend.
func Run(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{cfg: cfg, cancel: cancel, budget: fetch.NewBudget(maxBytes), shards: map[stream.ShardID]*shard{}}
	if err := r.list(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	r.startReady(ctx)
	r.reading.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// run is one call of Run.
type run struct {
	cfg     Config
	cancel  context.CancelCauseFunc
	budget  *fetch.Budget
	reading sync.WaitGroup

	delivering sync.Mutex // held while Deliver runs: records of one page stay together

	mu     sync.Mutex
	shards map[stream.ShardID]*shard
	err    error
}

// shard is one that is followed.
type shard struct {
	id             stream.ShardID
	parents        []stream.ShardID
	from           stream.Position
	started, ended bool
}

// list enters the shards to begin with.
func (r *run) list(ctx context.Context) error {
	found, err := listShards(ctx, r.cfg.Client, r.cfg.Stream)
	if err != nil {
		return err
	}
	for _, f := range found {
		if r.cfg.Shard != "" && f.id != r.cfg.Shard || r.cfg.Shard == "" && r.cfg.From == stream.Latest && f.closed {
			continue
		}
		r.shards[f.id] = &shard{id: f.id, parents: f.parents, from: r.cfg.From}
	}
	if r.cfg.Shard != "" && len(r.shards) == 0 {
		return fmt.Errorf("stream %s has no shard %s", r.cfg.Stream, r.cfg.Shard)
	}
	return nil
}

// startReady starts those shards whose parents have ended, or are not followed.
func (r *run) startReady(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.shards {
		if s.started || slices.ContainsFunc(s.parents, func(p stream.ShardID) bool { return r.shards[p] != nil && !r.shards[p].ended }) {
			continue
		}
		s.started = true
		r.reading.Go(func() { r.read(ctx, s) })
	}
}

// read delivers one shard to its end.
func (r *run) read(ctx context.Context, s *shard) {
	pages := make(chan fetch.Page)
	var fetching sync.WaitGroup
	var fetchErr error
	finished := make(chan struct{})
	log := r.cfg.Logger.With("shard", s.id)
	fetching.Go(func() {
		defer close(finished)
		fetchErr = fetch.Poll(ctx, fetch.Config{
			Client: r.cfg.Client, Shard: fetch.Shard{Stream: r.cfg.Stream, ID: s.id}, From: s.from, StartAt: r.cfg.StartAt,
			MaxRecords: maxRecords, Idle: idle, Budget: r.budget, Logger: log, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
			Failed: func(attempt int, err error) { log.Warn("shard not read, will retry", "attempt", attempt, "err", err) },
		}, pages)
	})
	defer fetching.Wait()
	for {
		select {
		case p := <-pages:
			err := r.deliver(s, p.Records)
			p.Release()
			if err != nil {
				r.fail(err)
				return
			}
			if p.End {
				r.end(ctx, s, p.Children)
				return
			}
		case <-finished:
			if fetchErr != nil && ctx.Err() == nil {
				r.fail(fmt.Errorf("read %s: %w", s.id, fetchErr))
			}
			return
		}
	}
}

func (r *run) deliver(s *shard, records []stream.Record) error {
	if len(records) == 0 {
		return nil
	}
	r.delivering.Lock()
	defer r.delivering.Unlock()
	r.mu.Lock()
	failed := r.err
	r.mu.Unlock()
	if failed != nil {
		return failed // nothing after an error
	}
	return r.cfg.Deliver(s.id, records)
}

func (r *run) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.cancel(err)
}

// end follows the children of a shard that was delivered to its end.
func (r *run) end(ctx context.Context, s *shard, children []fetch.Child) {
	from := stream.TrimHorizon // all of a child comes after its parents
	if r.cfg.From == stream.AtTimestamp {
		from = stream.AtTimestamp // parents that ended before that time have children that began before it
	}
	var ids []stream.ShardID
	r.mu.Lock()
	s.ended = true
	for _, c := range children {
		ids = append(ids, c.ID)
		if r.cfg.Shard == "" && r.shards[c.ID] == nil {
			r.shards[c.ID] = &shard{id: c.ID, parents: c.Parents, from: from}
		}
	}
	r.mu.Unlock()
	if r.cfg.Ended != nil {
		r.cfg.Ended(s.id, ids)
	}
	r.startReady(ctx)
}
