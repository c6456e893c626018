package fleet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/internal/hostload"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Config says for which application and how a worker stands for leader.
type Config struct {
	ID        string
	Store     lease.Store
	Kinesis   *kinesis.Client
	Streams   []Stream
	Fixed     bool // the streams stay the same: leases of others are a mistake, not a stage
	Former    Former
	KeepEnded bool // ended leases are not deleted
	Assign    assign.Config
	Logger    *slog.Logger

	// Load measures this host; nil: it is not measured.
	Load *hostload.Meter

	// Assigned hears of leases that were just given to this worker itself.
	Assigned func(keys ...string)
	// Leading hears of changes of leadership.
	Leading func(leads bool)
	// Gone hears of streams that the service does not know any more.
	Gone func(s Stream)
	// Note hears whether what is tried works: nil, or why not.
	Note func(what string, err error)
}

// Problem is something wrong with the fleet that the leader sees.
type Problem struct {
	Stream string
	Shard  stream.ShardID
	What   string
	Since  time.Time
}

// Leader is the part of a worker that reports it and stands for leader. Run it once.
type Leader struct {
	cfg  Config
	lock lock // of the goroutine in Run alone

	mu       sync.Mutex
	reported lease.Worker
	// firstTried and lastTried are the times of the reports that were tried, answered or not.
	firstTried, lastTried time.Time

	leader   string
	problems []Problem
	listing  Listing // what Streams and SetStreams say
	former   []FormerStream
	seen     assign.Observation // of the last look as the leader, made at seenAt
	seenAt   time.Time
}

// New returns a Leader that does nothing until Run.
func New(cfg Config) *Leader {
	return &Leader{cfg: cfg, lock: newLock(cfg), listing: Listing{Streams: cfg.Streams, Sure: true}}
}

// Run reports this worker and leads whenever it can, until ctx ends. Then it gives the lock up.
func (l *Leader) Run(ctx context.Context) {
	if err := l.reportOnce(ctx, &load{}); err != nil { // first, so that the first plan counts this worker in
		l.cfg.Logger.Warn("this worker is not reported yet, will retry", "err", err)
	}
	var reporting sync.WaitGroup
	defer reporting.Wait()
	reporting.Go(func() { l.report(ctx) })
	var following follower
	for ctx.Err() == nil {
		leads, err := l.lock.campaign(ctx)
		l.cfg.Note("read the leader's lock", err)
		l.setLeader(l.lock.leader())
		wait := l.lock.poll()
		switch {
		case leads:
			wait = l.term(ctx)
			following = follower{}
		case l.lock.leader() != "":
			l.retired()
			l.follow(ctx, &following)
		default:
			l.follow(ctx, &following)
		}
		sleep(ctx, wait)
	}
}

// What a leader tries, as Note names it.
const (
	assignLeases = "assign leases"
	listShards   = "list shards"
)

// retired forgets what this worker could not do as a leader, now that another leads.
func (l *Leader) retired() {
	l.cfg.Note(assignLeases, nil)
	l.cfg.Note(listShards, nil)
}

// Leader returns the worker that leads as far as this one knows; empty if unknown.
func (l *Leader) Leader() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leader
}

// Problems returns what the leader, if this worker is it, sees wrong with the fleet.
func (l *Leader) Problems() []Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Problem(nil), l.problems...)
}

func (l *Leader) setLeader(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leader = id
}

// errDuties says that the duties of a leader could not be done several times in a row.
var errDuties = errors.New("a leader's duties cannot be done")

// term leads until ctx ends, the lock is lost, or the duties cannot be done, and returns how long to stay away afterwards.
func (l *Leader) term(ctx context.Context) (abstain time.Duration) {
	l.cfg.Logger.Info("this worker leads")
	l.announce(true)
	term, end := context.WithCancelCause(ctx)
	duties := make(chan struct{})
	go func() { // awaited below
		defer close(duties)
		end(l.serve(term))
	}()
	l.hold(term, end)
	<-duties
	l.announce(false)
	why := context.Cause(term)
	if errors.Is(why, lease.ErrLockHeld) {
		l.cfg.Logger.Info("another worker leads")
		l.lock = newLock(l.cfg)
		return 0
	}
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockPollMin)
	defer cancel()
	if err := l.lock.drop(farewell); err != nil {
		l.cfg.Logger.Warn("leader's lock not deleted, it expires by itself", "err", err)
	}
	l.setLeader("")
	if ctx.Err() != nil {
		return 0
	}
	l.cfg.Logger.Error("this worker stops leading, others may do better", "err", why)
	return 2 * l.lock.duration
}

// hold keeps the lock until the term ends or the lock cannot be proved in time.
func (l *Leader) hold(term context.Context, end context.CancelCauseFunc) {
	wait := l.lock.pulse()
	for sleep(term, wait) {
		call, cancel := context.WithDeadline(term, l.lock.validUntil)
		err := l.lock.beat(call)
		cancel()
		wait = l.lock.pulse()
		switch {
		case err == nil:
		case errors.Is(err, lease.ErrLockHeld), !l.lock.valid(time.Now()):
			end(lease.ErrLockHeld)
			return
		default:
			wait = l.lock.pulse() / 8
		}
	}
}

func (l *Leader) announce(leads bool) {
	l.mu.Lock()
	if leads {
		l.leader = l.cfg.ID
	} else {
		l.problems, l.former = nil, nil
	}
	l.mu.Unlock()
	l.cfg.Leading(leads)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
