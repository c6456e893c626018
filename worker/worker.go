package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Worker is one running engine with one id. Make it with New; it does nothing until Run.
type Worker struct {
	cfg    Config
	log    *slog.Logger
	budget *fetch.Budget
	leader *fleet.Leader
	wire   *fetch.Wire

	consumers *fetch.Consumers // nil if the worker polls

	stop    chan struct{}  // closed when draining begins
	expire  chan struct{}  // closed when the time for draining is over
	heirs   chan struct{}  // closed once inherit is set
	hint    chan struct{}  // capacity 1: there may be leases to take
	doubts  chan struct{}  // capacity 1: the streams may have changed
	fatal   chan error     // capacity 1: a failure that ends the worker
	working sync.WaitGroup // the assignments

	mu       sync.Mutex
	phase    Phase
	started  time.Time
	streams  []entry                // that are to be read
	listed   bool                   // the last call of ListStreams succeeded
	turn     int                    // the stream that was doubted last for no reason
	sources  []fleet.Stream         // the streams that are read
	shards   map[string]*assignment // by lease key, from taking to the last call's return
	hinted   map[string]bool        // lease keys that are said to be ours
	inherit  map[string]string      // lease key to the worker that takes over
	troubles map[string]trouble     // what the loops cannot do at present, by what they try
	twins    twins

	listing *listCall // the call of ListStreams under way; of one goroutine at a time

	asleep  func(since time.Time) time.Duration // see [asleep]
	untaken untaken                             // the leases that the table gives us, but we do not work on
}

// New checks cfg and returns a worker that works on a copy of it. All that is wrong is named at once.
func New(cfg Config) (*Worker, error) {
	cfg.Streams = slices.Clone(cfg.Streams)
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	log := cfg.Logger.With("worker", cfg.ID)
	consumers, err := newConsumers(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return &Worker{
		cfg:       cfg,
		log:       log,
		budget:    fetch.NewBudget(cfg.Reading.MaxBytes),
		wire:      fetch.NewWire(cfg.Reading.JSON),
		stop:      make(chan struct{}),
		expire:    make(chan struct{}),
		heirs:     make(chan struct{}),
		hint:      make(chan struct{}, 1),
		doubts:    make(chan struct{}, 1),
		fatal:     make(chan error, 1),
		phase:     Idle,
		asleep:    asleep,
		consumers: consumers,
		shards:    map[string]*assignment{},
		hinted:    map[string]bool{},
		troubles:  map[string]trouble{},
	}, nil
}

// Run works until ctx ends, then drains: every processor finishes the batch in hand and is closed, its lease passes on to
// another worker at once, and Run returns nil. It returns an error if the streams or the lease table cannot be used, if
// draining did not finish within Config.DrainTimeout, or, with ExitWorker, the failure of a processor with its stream and
// shard. Run may be called once.
//
// Cancelling ctx does not end the context that processors see; that happens only when the time for draining is over.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer w.enter(Stopped)
	if err := w.setUp(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before there was anything to do
		}
		return err
	}
	w.enter(Running)
	w.log.Info("worker runs", "application", w.cfg.Application)
	serve, leave := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { w.leader.Run(serve) })
	loops.Go(func() { w.discover(serve) })
	loops.Go(func() { w.watchStore(serve) })
	loops.Go(func() { w.watchStreams(serve) })
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-w.fatal:
	}
	leave()
	drained := w.drain(&loops)
	if failure == nil {
		select {
		case failure = <-w.fatal: // of a processor that failed as it was asked to finish
		default:
		}
	}
	return errors.Join(failure, drained)
}

func (w *Worker) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase != Idle {
		return errors.New("worker: Run was called before")
	}
	w.phase, w.started = Starting, time.Now()
	return nil
}

func (w *Worker) enter(p Phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = p
}

// setUp finds the streams, then makes the lease table ready: a stream's name that is misspelt leaves no table behind. What may
// pass is tried again until ctx ends; what cannot is returned.
func (w *Worker) setUp(ctx context.Context) error {
	if err := w.firstStreams(ctx); err != nil {
		return err
	}
	err := w.insist(ctx, "set up the lease table", func(ctx context.Context) error { return w.cfg.Leases.Setup(ctx, w.cfg.ID) })
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leader = fleet.New(w.fleetConfig())
	w.leader.SetStreams(w.listingLocked())
	return nil
}

// multi reports whether rows carry their stream.
func (w *Worker) multi() bool {
	return w.cfg.MultiStream || len(w.cfg.Streams) > 1 || w.cfg.ListStreams != nil
}

// fail ends the worker with a failure; the first counts.
func (w *Worker) fail(err error) {
	select {
	case w.fatal <- err:
	default:
	}
}

// unreadable ends a worker whose only stream is gone: nothing is left for it to do, and a person must know. Of several streams
// the others go on; the one that is gone is left.
func (w *Worker) unreadable(s fleet.Stream, err error) {
	switch {
	case !errors.Is(err, fetch.ErrStreamGone):
	case len(w.cfg.Streams) == 1:
		w.fail(fmt.Errorf("worker: %w", err))
	default:
		w.doubtStream(s)
	}
}

// storeCheckInterval is how often a worker asks whether it may still use its table (the Java KCL's change monitor: 60 s), and
// storeCheckAgain how soon it does when there was no answer.
const (
	storeCheckInterval = time.Minute
	storeCheckAgain    = 5 * time.Second
)

// deniedChecks is how many refusals in a row are believed: while credentials are renewed there may be one.
const deniedChecks = 3

// watchStore ends the worker when the table enters a state that this version must not work in, or is closed to it.
func (w *Worker) watchStore(ctx context.Context) {
	denied := 0
	for wait := storeCheckInterval; sleep(ctx, wait); {
		err := w.cfg.Leases.Check(ctx)
		if retry.Classify(err) == retry.Denied {
			denied++
		} else {
			denied = 0
		}
		if errors.Is(err, lease.ErrUnusable) && (denied == 0 || denied >= deniedChecks) {
			w.fail(fmt.Errorf("worker: %w", err))
			return
		}
		w.note("check the lease table", err)
		wait = storeCheckInterval
		if err != nil {
			wait = storeCheckAgain
		}
	}
}

// work runs one assignment to its end, then lets go of the lease.
func (w *Worker) work(a *assignment) {
	stopKeeping := a.held.keep(func() (float64, bool) { return a.meter.sample(time.Now()) })
	err := a.run(w.stop, w.expire)
	dropped := w.isDropped(a, err)
	if err != nil {
		a.log.Warn("processor failed, its shard is left", "checkpoint", a.held.current().Checkpoint.String(), "err", err)
		if w.cfg.OnFailure == ExitWorker && a.held.err() == nil && !errors.Is(err, fetch.ErrStreamGone) && !a.cutOff(err) {
			// Also in a handoff: a processor that cannot finish is broken wherever its shard goes, and who chose this policy wants
			// to know of the first failure rather than count them. The lease passes on below before Run returns.
			w.fail(fmt.Errorf("worker: stream %s shard %s: %w", a.shard.Stream, a.shard.ID, err))
		}
	}
	why := a.reason()
	a.log.Info("assignment ended", "reason", why.String(), "checkpoint", a.held.current().Checkpoint.String())
	if f := w.cfg.Trace.LeaseEnded; f != nil {
		f(a.shard, why)
	}
	if dropped {
		w.linger(a)
	}
	w.letGo(a, dropped)
	stopKeeping()
	w.mu.Lock()
	delete(w.shards, a.held.current().Key)
	w.mu.Unlock()
}

// cutOff reports whether the processor failed only because its context ended. A failure that looks like it while the context went on
// is one of the application: of a call with a context of its own, say.
func (a *assignment) cutOff(err error) bool {
	return a.cancelled && (errors.Is(err, context.Canceled) || errors.Is(err, stream.ErrDrainTimeout))
}

// reason says why an assignment that is over has ended.
func (a *assignment) reason() stream.EndReason {
	why := a.held.err()
	switch {
	case a.held.current().Ended():
		return stream.ShardEnded
	case why != nil && !errors.Is(why, errGivenUp):
		return stream.LeaseLost
	}
	return stream.ShutdownRequested
}

// releaseTimeout bounds the farewell writes of one lease.
const releaseTimeout = 3 * time.Second

// abandon passes on the lease of an assignment whose processor cannot be ended.
func (w *Worker) abandon(a *assignment) {
	w.letGo(a, w.isDropped(a, nil))
	a.counted()
}

// letGo passes on the lease of an assignment that is over, unless it is lost. Of one that did not end because the worker stops,
// the lease is kept until it does; where the stream is not read any more, it goes to nobody.
func (w *Worker) letGo(a *assignment, dropped bool) {
	row := a.held.current()
	if !row.InHandoff() && !dropped {
		select {
		case <-w.heirs:
		case <-a.held.gone:
		}
	}
	if a.held.err() != nil {
		return
	}
	w.mu.Lock()
	heir := w.inherit[row.Key]
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := a.held.giveUp(ctx, heir); err != nil {
		a.log.Warn("lease not released, others take it once it expires", "err", err)
	}
}
