package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// discoveryInterval is how often a worker asks which leases are its own. One query of the index, half a read unit for up
// to about 100 leases; it bounds how long a lease that was given to this worker waits.
const discoveryInterval = time.Second

// adoptAtOnce bounds how many leases are proved at the same time.
const adoptAtOnce = 16

// discover takes the leases that the table says are this worker's.
func (w *Worker) discover(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; {
		keys, err := w.cfg.Leases.Owned(ctx, w.cfg.ID)
		w.note("find this worker's leases", err)
		if err != nil {
			attempt++
		} else {
			attempt = 0
			w.untaken.keepOnly(keys)
		}
		w.adoptAll(ctx, append(keys, w.takeHints()...))
		if !w.awaitHint(ctx, discoveryWait(attempt)) {
			return
		}
		for hints := w.takeHints(); len(hints) > 0; hints = w.takeHints() { // at once, without the index
			w.adoptAll(ctx, hints)
		}
	}
}

// discoveryWait jitters the interval, so that many workers do not ask in step, and grows it while asking fails.
func discoveryWait(attempt int) time.Duration {
	wait := discoveryInterval*3/4 + rand.N(discoveryInterval/4)
	if attempt > 0 {
		wait += insistBackoff.Bound(attempt - 1)
	}
	return wait
}

// awaitHint waits for the interval or a hint, whichever comes first; false means that ctx ended.
func (w *Worker) awaitHint(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-w.hint:
	}
	return true
}

// expect tells the discovery that these leases were just given to this worker.
func (w *Worker) expect(keys ...string) {
	w.mu.Lock()
	for _, k := range keys {
		w.hinted[k] = true
	}
	w.mu.Unlock()
	select {
	case w.hint <- struct{}{}:
	default:
	}
}

func (w *Worker) takeHints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make([]string, 0, len(w.hinted))
	for k := range w.hinted {
		keys = append(keys, k)
	}
	clear(w.hinted)
	return keys
}

// adoptAll takes those of the leases that are not worked on yet.
func (w *Worker) adoptAll(ctx context.Context, keys []string) {
	var adopting sync.WaitGroup
	defer adopting.Wait()
	room := make(chan struct{}, adoptAtOnce)
	seen := map[string]bool{}
	for _, key := range keys {
		if seen[key] || w.works(key) {
			continue
		}
		seen[key] = true
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		adopting.Go(func() {
			defer func() { <-room }()
			w.adopt(ctx, key)
		})
	}
}

func (w *Worker) works(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shards[key] != nil
}

// adopt proves by a conditional renewal that a lease is ours, then starts to work on it. An index may lag, and a lease may be
// on its way to us while its old owner still works: only a row that names us alone is renewed.
func (w *Worker) adopt(ctx context.Context, key string) {
	row, err := w.cfg.Leases.Get(ctx, key)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, lease.ErrNotFound), err == nil && (row.Owner != w.cfg.ID || row.InHandoff()):
		w.untaken.forget(key)
		return
	case err != nil:
		w.untaken.note(key, troubleAfter, "cannot be read: "+err.Error())
		w.log.Warn("lease could not be read, will retry", "shard", key, "err", err)
		return
	}
	source, ok := w.sourceOf(row)
	if !ok {
		grace := time.Duration(0)
		if w.multi() {
			grace = troubleAfter // it may have just been created, and the leader knows first
		}
		if w.untaken.note(key, grace, "") {
			w.log.Warn("lease of a stream that this worker does not read", "stream", row.StreamID, "shard", row.Shard)
			w.doubtID(row.StreamID)
		}
		return
	}
	asked := time.Now()
	row, err = w.cfg.Leases.Renew(ctx, row)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, stream.ErrLeaseLost): // to another, or to an earlier renewal of ours whose reply was lost
		return
	case err != nil:
		w.untaken.note(key, troubleAfter, "cannot be taken: "+err.Error())
		w.log.Warn("lease could not be taken, will retry", "shard", key, "err", err)
		return
	}
	w.untaken.forget(key)
	w.start(row, source, asked)
}

// sourceOf returns the stream of a lease; false if this worker does not read it.
func (w *Worker) sourceOf(row lease.Lease) (fleet.Stream, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.sources, func(s fleet.Stream) bool { return s.ID == row.StreamID })
	if i < 0 {
		return fleet.Stream{}, false
	}
	return w.sources[i], true
}

// start begins an assignment on a lease that was proved by a write sent at asked.
func (w *Worker) start(row lease.Lease, source fleet.Stream, asked time.Time) {
	sh := Shard{Stream: source.Name, ID: row.Shard}
	log := w.log.With("stream", sh.Stream, "shard", sh.ID)
	cfg := w.cfg
	cfg.Logger = log
	a := &assignment{
		cfg: cfg, source: source, shard: sh, log: log, budget: w.budget, wire: w.wire, consumers: w.consumers,
		held:       newHeld(cfg, row, asked),
		shardEnded: w.claimChildren,
		passOn:     w.abandon,
		twin:       w.metTwin,
		unreadable: func(err error) { w.unreadable(source, err) },
		machine:    lifecycle.Machine{EmptyBatches: cfg.EmptyBatches, ExitOnFailure: cfg.OnFailure == ExitWorker},
		events:     make(chan lifecycle.Event, 1),
		leaving:    make(chan struct{}),
		dropped:    make(chan struct{}),
		over:       make(chan struct{}),
		rand:       rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	a.held.asleep = w.asleep
	a.counted = sync.OnceFunc(w.working.Done)
	a.meter.seed(row.Throughput, row.ThroughputKnown, asked)
	a.seen.begin(sh, row.Checkpoint, time.Now())
	w.mu.Lock()
	if w.phase != Running || w.shards[row.Key] != nil || !w.readsLocked(source.ID) {
		w.mu.Unlock()
		return // too late; the lease expires, or a leaving worker's rows are passed on by the leader
	}
	w.shards[row.Key] = a
	w.working.Add(1)
	w.mu.Unlock()
	log.Info("lease taken", "counter", row.Counter, "checkpoint", row.Checkpoint.String())
	if f := cfg.Trace.LeaseTaken; f != nil {
		f(sh)
	}
	go func() { // awaited by drain, unless a processor ignores the end of its context
		defer a.counted()
		w.work(a)
	}()
}

// insistBackoff paces what is tried until it works.
var insistBackoff = retry.Backoff{Min: 200 * time.Millisecond, Max: 10 * time.Second}

// insist tries until it works, ctx ends, or the error is one that no retry can mend.
func (w *Worker) insist(ctx context.Context, what string, try func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		err := try(ctx)
		w.note(what, err)
		if err == nil || !passing(err) {
			return err
		}
		wait := insistBackoff.Bound(attempt)
		w.log.Warn("cannot "+what+" yet, will retry", "attempt", attempt+1, "wait", wait, "err", err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	if errors.Is(err, lease.ErrThrottled) || errors.Is(err, lease.ErrUnavailable) || errors.Is(err, fleet.ErrNotReady) {
		return true
	}
	switch retry.Classify(err) {
	case retry.Throttled, retry.Transient, retry.Conflict:
		return true
	}
	return false
}
