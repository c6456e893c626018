package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// held is a lease that this worker owns: the row as last known, how long it may be trusted, and the one door through
// which the row is written. Renewals and checkpoints of one lease take turns; those of different leases never wait for
// each other, nor for a processor.
type held struct {
	store lease.Store
	me    string
	log   *slog.Logger
	// duration is how long a successful write lets us trust the lease, from before it was sent.
	duration time.Duration

	// asleep returns for how long this machine has slept since then.
	asleep func(since time.Time) time.Duration

	turn chan struct{} // capacity 1: who has put a token in may write the row

	mu           sync.Mutex
	row          lease.Lease
	doubtSince   time.Time // when the first write was sent whose outcome is not known: the counter may be one ahead of row's; zero: none
	trustedUntil time.Time // monotonic
	provedAt     time.Time // when the last write was sent that proved the lease, by both clocks
	lost         error     // set once: why this worker does not own the lease any more
	gone         chan struct{}
	handedOff    chan struct{} // closed once the row says that another worker is to follow
}

// newHeld returns a lease that was proved by a write sent at asked.
func newHeld(cfg Config, row lease.Lease, asked time.Time) *held {
	return &held{
		store:        cfg.Leases,
		me:           cfg.ID,
		log:          cfg.Logger,
		duration:     cfg.LeaseDuration,
		turn:         make(chan struct{}, 1),
		row:          row,
		trustedUntil: asked.Add(trust(cfg.LeaseDuration)),
		provedAt:     asked,
		asleep:       asleep,
		gone:         make(chan struct{}),
		handedOff:    make(chan struct{}),
	}
}

// trust is how long a lease is believed in after a write: a little less than others wait, because our clock may run slower
// than theirs and noticing takes time.
func trust(d time.Duration) time.Duration { return d - d/20 }

// current returns the row as last known.
func (h *held) current() lease.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.row
}

// err returns why the lease is lost, or nil while it is held. A lease whose trust has run out is lost.
func (h *held) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil && time.Now().After(h.trustedUntil) {
		h.loseLocked(fmt.Errorf("%w: not renewed in time", stream.ErrLeaseLost))
	}
	return h.lost
}

// trustLeft returns for how long from now the lease is trusted, and a moment more.
func (h *held) trustLeft() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.trustedUntil) + time.Millisecond
}

// Why a lease is lost, where that matters.
var (
	errGivenUp = fmt.Errorf("%w: given up", stream.ErrLeaseLost)
	errRowGone = fmt.Errorf("%w: the lease's row is gone", stream.ErrLeaseLost)
	errTwin    = fmt.Errorf("%w: the row was written by an operator, or by a second worker with this worker's id", stream.ErrLeaseLost)
)

// lose ends the trust in the lease; the first reason stays.
func (h *held) lose(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loseLocked(why)
}

func (h *held) loseLocked(why error) {
	if h.lost == nil {
		h.lost = why
		close(h.gone)
	}
}

// write makes one conditional write of the row. done looks at a row that moved on by a write of ours whose reply was
// lost, and reports whether it holds what was to be written.
//
// It returns an error that wraps stream.ErrLeaseLost once the lease is lost, lease.ErrThrottled or lease.ErrUnavailable if
// it may be tried again, or the context's error.
func (h *held) write(ctx context.Context, done func(lease.Lease) bool, put func(context.Context, lease.Lease) (lease.Lease, error)) error {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// Each round but the last learns one fact about the row: that an earlier write of ours took effect, or that a handoff began.
	for range 4 {
		if err := h.err(); err != nil {
			return err
		}
		row, asked := h.current(), time.Now()
		next, err := h.bounded(ctx, row, put)
		if err == nil {
			h.accept(next, asked)
			return nil
		}
		var moved *lease.HeldError
		switch {
		case errors.As(err, &moved):
			if err := h.reconcile(moved.Current); err != nil {
				h.lose(err)
				return err
			}
			if now := h.current(); now.Counter > row.Counter && done(now) {
				return nil
			}
		case errors.Is(err, lease.ErrNotFound):
			h.lose(errRowGone)
			return h.err()
		case errors.Is(err, lease.ErrThrottled), errors.Is(err, stream.ErrPosition):
			return err // nothing was written
		default:
			h.doubt(asked)
			return err
		}
	}
	return fmt.Errorf("lease %s keeps moving: %w", h.current().Key, lease.ErrUnavailable)
}

// bounded runs one write for no longer than its answer would be of use: a third of the lease's duration, and never past the
// time until which the lease is trusted.
func (h *held) bounded(ctx context.Context, row lease.Lease, put func(context.Context, lease.Lease) (lease.Lease, error)) (lease.Lease, error) {
	h.mu.Lock()
	until := h.trustedUntil
	h.mu.Unlock()
	if soon := time.Now().Add(h.duration / 3); soon.Before(until) {
		until = soon
	}
	call, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	next, err := put(call, row)
	if err != nil && call.Err() != nil && ctx.Err() == nil {
		return lease.Lease{}, fmt.Errorf("%w: no answer in time: %w", lease.ErrUnavailable, err)
	}
	return next, err
}

// accept takes over the row that a write of ours returned.
func (h *held) accept(row lease.Lease, asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubtSince = time.Time{}
	h.trustedUntil, h.provedAt = asked.Add(trust(h.duration)), asked
	h.adoptLocked(row)
}

// doubt notes that the outcome of a write sent at asked is not known.
func (h *held) doubt(asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.doubtSince.IsZero() {
		h.doubtSince = asked
	}
}

func (h *held) adoptLocked(row lease.Lease) {
	if row.InHandoff() && !h.row.InHandoff() {
		close(h.handedOff)
	}
	h.row = row
}

// reconcile compares the row that refused a write with what is known, and adopts it if the lease is still ours: because a
// handoff began (which does not touch the counter), or because the refused write met an earlier one of our own whose reply
// was lost (the Java KCL's "spurious" renewal failure, here with the actual owners compared on both sides). Else it
// returns why the lease is lost.
func (h *held) reconcile(now lease.Lease) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.row
	switch {
	case now.Worker() != h.me:
		return fmt.Errorf("%w to %q", stream.ErrLeaseLost, now.Worker())
	case now.InHandoff() && now.CheckpointOwner == now.Owner:
		return fmt.Errorf("%w: the row names one worker as old and next owner", stream.ErrLeaseLost)
	case now.Counter == known.Counter && now.InHandoff() && !known.InHandoff():
		h.adoptLocked(now)
		return nil
	case now.Counter == known.Counter+1 && !h.doubtSince.IsZero():
		// Of several in doubt one took effect, after the first was sent: so long the lease may be trusted at least.
		if until := h.doubtSince.Add(trust(h.duration)); until.After(h.trustedUntil) {
			h.trustedUntil = until
		}
		h.doubtSince = time.Time{}
		h.adoptLocked(now)
		return nil
	case now.Counter < known.Counter:
		return fmt.Errorf("%w: the row was made anew", stream.ErrLeaseLost)
	case now.Counter == known.Counter:
		return fmt.Errorf("%w: the row was changed under its counter", stream.ErrLeaseLost)
	}
	return errTwin
}

// learnChildren notes what was stored beside the counter.
func (h *held) learnChildren(ids []stream.ShardID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.row.Children = ids
}

// renew proves once more that the lease is ours and stores its throughput, if known.
func (h *held) renew(ctx context.Context, throughput float64, known bool) error {
	return h.write(ctx,
		func(lease.Lease) bool { return false }, // an earlier write is no proof of now: write again
		func(ctx context.Context, row lease.Lease) (lease.Lease, error) {
			if known {
				row.Throughput, row.ThroughputKnown = throughput, true
			}
			return h.store.Renew(ctx, row)
		})
}

// checkpoint stores a position, which must not lie behind the one stored.
func (h *held) checkpoint(ctx context.Context, at stream.Position) error {
	return h.write(ctx,
		func(row lease.Lease) bool { return row.Checkpoint == at && row.Pending.IsZero() },
		func(ctx context.Context, row lease.Lease) (lease.Lease, error) {
			if row.Checkpoint.Compare(at) > 0 { // a write in doubt turned out to have stored more
				return row, fmt.Errorf("checkpoint at %s: behind the last checkpoint %s: %w", at, row.Checkpoint, stream.ErrPosition)
			}
			return h.store.Checkpoint(ctx, row, at)
		})
}

// settle finds out whether a write in doubt took effect; it tries until it knows, the lease is lost, or ctx ends.
func (h *held) settle(ctx context.Context) {
	for attempt := 0; h.inDoubt(); attempt++ {
		if err := h.renew(ctx, 0, false); err == nil || errors.Is(err, stream.ErrLeaseLost) {
			return
		}
		if !sleep(ctx, insistBackoff.Bound(attempt)) {
			return
		}
	}
}

func (h *held) inDoubt() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.doubtSince.IsZero()
}

// giveUp passes the lease on after the processor's last call: to the next owner if a handoff is under way, else to heir,
// or to nobody if heir is empty. Not being able to is no error of ours: others take the lease once it expires.
func (h *held) giveUp(ctx context.Context, heir string) error {
	pass := func(ctx context.Context, row lease.Lease) (lease.Lease, error) {
		switch {
		case row.InHandoff():
			return h.store.Assign(ctx, row, row.Owner)
		case heir != "" && heir != h.me:
			return h.store.Assign(ctx, row, heir)
		}
		return h.store.Release(ctx, row)
	}
	defer h.lose(errGivenUp)
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := h.write(ctx, func(lease.Lease) bool { return false }, pass)
		if err == nil || errors.Is(err, stream.ErrLeaseLost) { // lost: it is in other hands already, perhaps by an attempt in doubt
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// keep begins to renew the lease, each third of its duration, until it is lost or stop is called. A write that fails is tried again
// within the interval, so that one lost reply or a moment of throttling costs nothing. It also wakes when the trust in the
// lease runs out, so that the lease is lost at that moment and not at the next attempt. stop waits for a renewal under way.
//
// Between renewals there is a timer and no goroutine: a worker may keep thousands of leases.
func (h *held) keep(throughput func() (float64, bool)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{h: h, throughput: throughput}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over.Add(1)
	k.timer = time.AfterFunc(h.duration/3, func() { k.beat(ctx) })
	return func() {
		cancel()
		k.stop()
	}
}

// keeper renews one lease.
type keeper struct {
	h          *held
	throughput func() (float64, bool)
	attempt    int // failures in a row
	over       sync.WaitGroup

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// beat renews once and sets the time of the next.
func (k *keeper) beat(ctx context.Context) {
	wait, again := k.renew(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !again || k.stopped {
		k.over.Done()
		return
	}
	k.timer.Reset(wait)
}

func (k *keeper) renew(ctx context.Context) (wait time.Duration, again bool) {
	h := k.h
	if ctx.Err() != nil || h.err() != nil {
		return 0, false
	}
	rate, known := k.throughput()
	err := h.renew(ctx, rate, known)
	interval := h.duration / 3
	switch {
	case err == nil:
		k.attempt = 0
		return interval, true
	case errors.Is(err, stream.ErrLeaseLost), ctx.Err() != nil:
		return 0, false
	}
	k.attempt++
	if h.err() != nil {
		return 0, false
	}
	h.log.Warn("renewal not done, will retry", "attempt", k.attempt, "err", err)
	return min(interval/8<<min(k.attempt-1, 1), h.trustLeft()), true
}

// stop ends renewing. The timer that it stops, or the beat that it waits for, is the last.
func (k *keeper) stop() {
	k.mu.Lock()
	if !k.stopped {
		k.stopped = true
		if k.timer.Stop() {
			k.over.Done()
		}
	}
	k.mu.Unlock()
	k.over.Wait()
}
