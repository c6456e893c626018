package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// assignment is one period of ownership of one shard: the lease that is held, the processor, and the reading between them.
// One goroutine, run, drives the state machine; the one call that the machine may have under way runs in another.
type assignment struct {
	cfg    Config
	source fleet.Stream
	shard  Shard
	held   *held
	budget *fetch.Budget
	log    *slog.Logger
	wire   *fetch.Wire
	// consumers are what to read with by fan-out; nil if the worker polls.
	consumers *fetch.Consumers
	// shardEnded is called once the end of the shard is durable, passOn when a processor does not let go of the lease in time, twin
	// when the lease was lost to a writer with this worker's own id.
	shardEnded, passOn func(a *assignment)
	twin               func()
	// unreadable is called with what no retry of reading can mend.
	unreadable func(err error)
	// counted takes the assignment off those that draining waits for.
	counted func()

	machine lifecycle.Machine
	events  chan lifecycle.Event // capacity 1: the machine has one action under way at most
	calls   sync.WaitGroup
	leaving chan struct{} // closed when the shard is to be left; ends what is only tried again
	dropped chan struct{} // closed when the stream is not read any more
	over    chan struct{} // closed when run returns; ends what waits

	session *session         // the processor and its context; nil between processors
	former  *session         // the one before
	reading *reading         // the fetch under way; nil when none is
	page    fetch.Page       // in the processor's hands
	kids    []lineage.Shard  // of the page that ended the shard
	rand    *rand.Rand       // of the driver alone
	begun   fetch.Beginning  // of a shard that is read from LATEST
	meter   throughput       // of what the processor accepted
	resume  <-chan struct{}  // closed when a pause after a failure is over
	outcome lifecycle.Action // the Finish action

	leave     sync.Once // closes leaving
	cancelled bool      // the processor's context was ended before its work was done

	isDropped bool // dropped is closed; guarded by the worker's mu
	seen      view // what Status shows
}

// abandonAfter is how long a processor has to return after its context has ended. Then the lease is passed on without it.
const abandonAfter = 2 * time.Second

// run works on the shard until the assignment is over and returns the failure that ended it, if one did. stop asks it to
// finish what is in hand, expire to give that up.
func (a *assignment) run(stop, expire <-chan struct{}) error {
	defer a.calls.Wait()
	defer close(a.over)
	row := a.held.current()
	a.step(lifecycle.Event{Kind: lifecycle.Start, From: row.Checkpoint, Parents: len(row.Parents) > 0})
	var (
		lost      = a.held.gone
		handedOff = a.held.handedOff
		dropped   = a.dropped
		overdue   <-chan time.Time // a handoff has had its time
		abandoned <-chan time.Time // the processor ignores the end of its context
		slow      = time.NewTicker(a.cfg.SlowAfter)
	)
	defer slow.Stop()
	for a.machine.State() != lifecycle.Done {
		var pages <-chan fetch.Page
		var broken <-chan error
		if a.machine.State() == lifecycle.Ready && a.reading != nil {
			pages, broken = a.reading.pages, a.reading.broken
		}
		select {
		case e := <-a.events:
			a.step(e)
		case p := <-pages:
			a.take(p)
		case err := <-broken:
			a.step(lifecycle.Event{Kind: lifecycle.Unreadable, Err: err})
		case <-a.resume:
			a.resume = nil
			a.step(lifecycle.Event{Kind: lifecycle.Resume, From: a.held.current().Checkpoint})
		case <-lost:
			lost = nil
			a.noteLoss(a.held.err())
			a.step(lifecycle.Event{Kind: lifecycle.Lost})
		case <-handedOff:
			handedOff = nil
			overdue = time.After(a.cfg.HandoffTimeout)
			a.log.Info("shard is handed to another worker", "owner", a.held.current().Owner)
			a.step(lifecycle.Event{Kind: lifecycle.Stop})
		case <-dropped:
			dropped = nil
			overdue = time.After(a.cfg.HandoffTimeout)
			a.log.Info("shard is left, its stream is not read any more")
			a.step(lifecycle.Event{Kind: lifecycle.Stop})
		case <-stop:
			stop = nil
			a.step(lifecycle.Event{Kind: lifecycle.Stop})
		case <-expire:
			expire, abandoned = nil, time.After(abandonAfter)
			a.step(lifecycle.Event{Kind: lifecycle.Expire})
		case <-overdue:
			abandoned = time.After(abandonAfter)
			a.step(lifecycle.Event{Kind: lifecycle.Expire})
		case <-abandoned:
			a.log.Error("processor ignores the end of its context, its shard is passed on all the same")
			a.calls.Go(func() { a.passOn(a) })
		case <-slow.C:
			a.warnIfSlow()
		}
	}
	return a.outcome.Cause
}

// noteLoss tells of a lease that is lost while it was still wanted: not given up, nor that of a finished shard, whose row the
// leader deletes in time.
func (a *assignment) noteLoss(why error) {
	if errors.Is(why, errGivenUp) {
		return
	}
	if errors.Is(why, errRowGone) && a.machine.State() == lifecycle.Ended {
		a.log.Info("lease of the finished shard is deleted")
		return
	}
	a.log.Info("lease lost", "cause", why)
	if errors.Is(why, errTwin) {
		a.twin()
	}
	if f := a.cfg.Trace.LeaseLost; f != nil {
		f(a.shard, why)
	}
}

// failureBackoff is the pause before a failed processor is made anew.
var failureBackoff = retry.Backoff{Floor: 500 * time.Millisecond, Min: time.Second, Max: time.Minute}

// step feeds the machine and carries out what it answers.
func (a *assignment) step(e lifecycle.Event) {
	switch e.Kind {
	case lifecycle.Stop, lifecycle.Lost, lifecycle.Expire:
		a.leave.Do(func() { close(a.leaving) })
	}
	actions := a.machine.Step(e)
	a.seen.phase(phaseOf(a.machine.State()), a.machine.Attempt())
	for _, act := range actions {
		a.do(act)
	}
}

func (a *assignment) do(act lifecycle.Action) {
	switch act.Verb {
	case lifecycle.AwaitParents:
		a.call(a.awaitParents)
	case lifecycle.Make:
		a.make()
	case lifecycle.Deliver:
		a.call(a.process)
	case lifecycle.StoreChildren:
		ctx := a.session.ctx
		a.call(func() lifecycle.Event { return a.storeChildren(ctx) })
	case lifecycle.Close:
		a.stopReading()
		a.session.closing(act.Why)
		a.call(func() lifecycle.Event { return a.close(act.Why) })
	case lifecycle.Cancel:
		a.cancelled = true
		if a.session != nil {
			a.session.cancel(act.Cause)
		}
	case lifecycle.Drop:
		a.drop()
	case lifecycle.Pause:
		a.backOff(act)
	case lifecycle.Keep:
		a.log.Info("shard is finished")
		a.calls.Go(func() { a.shardEnded(a) })
	case lifecycle.Finish:
		a.outcome = act
	}
}

// call runs an action beside the driver; its event comes back through the channel.
func (a *assignment) call(action func() lifecycle.Event) {
	a.calls.Go(func() { a.events <- action() })
}

// session is one processor from its making to its end, and the checkpointer it is given.
type session struct {
	a         *assignment
	ctx       context.Context
	cancel    context.CancelCauseFunc
	processor stream.Processor

	turn     chan struct{} // capacity 1: one checkpoint at a time, so that they cannot overtake each other
	mu       sync.Mutex
	progress lifecycle.Progress
	over     bool
}

func newSession(a *assignment, row lease.Lease) *session {
	s := &session{a: a, turn: make(chan struct{}, 1), progress: lifecycle.Progress{Durable: row.Checkpoint}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

func (s *session) delivered(at stream.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.Delivered = at
}

func (s *session) closing(why stream.EndReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.AtEnd = why == stream.ShardEnded
	s.over = why == stream.LeaseLost // from here on every checkpoint is refused
}

func (s *session) end() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.cancel(nil)
}

// settle waits for the checkpoint that a session may have under way after its end, and finds out whether one whose reply was lost
// took effect. The next processor starts where they put it; else its own checkpoints would seem to lie behind.
func (s *session) settle(ctx context.Context) {
	select {
	case s.turn <- struct{}{}:
		<-s.turn
		s.a.held.settle(ctx)
	case <-ctx.Done():
	}
}

// guard calls into the application and turns a panic into an error with its stack, so that it stays with this shard.
func (s *session) guard(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", what, r, debug.Stack())
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Checkpoint implements stream.Checkpointer.
func (s *session) Checkpoint(ctx context.Context, at stream.Position) error {
	if err := s.a.held.err(); err != nil {
		return fmt.Errorf("checkpoint shard %s: %w", s.a.shard.ID, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	progress, over := s.progress, s.over
	s.mu.Unlock()
	if over {
		return fmt.Errorf("checkpoint shard %s: the processor was closed or restarted: %w", s.a.shard.ID, stream.ErrNoCheckpoint)
	}
	target, write, err := progress.Resolve(at)
	if err != nil || !write {
		return err
	}
	target.Sequence = stream.SequenceNumber(strings.Clone(string(target.Sequence))) // see stream.Record: it would keep the whole answer
	err = s.a.held.checkpoint(ctx, target)
	durable := s.a.held.current().Checkpoint
	s.mu.Lock()
	s.progress.Durable = durable
	s.mu.Unlock()
	if err != nil {
		return checkpointError(s.a.shard, target, err)
	}
	s.a.seen.checkpointed(durable)
	if f := s.a.cfg.Trace.Checkpointed; f != nil {
		f(s.a.shard, target)
	}
	return nil
}

// checkpointError says an error of the lease store in the words of package stream.
func checkpointError(sh Shard, at stream.Position, err error) error {
	switch {
	case errors.Is(err, lease.ErrThrottled):
		err = errors.Join(stream.ErrThrottled, err)
	case errors.Is(err, lease.ErrUnusable):
		err = errors.Join(stream.ErrNoCheckpoint, err)
	case errors.Is(err, lease.ErrUnavailable):
		err = errors.Join(stream.ErrUnavailable, err)
	}
	return fmt.Errorf("checkpoint shard %s at %s: %w", sh.ID, at, err)
}
