package sim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// listInterval is how often workers ask for the streams, where those come and go.
const listInterval = 2 * time.Second

// application names the application and its lease table.
const application = "app"

// node is one worker process.
type node struct {
	w       *world
	id      string
	birth   int // no two processes share it, though they may share an id
	bornAt  time.Time
	net     *network
	worker  *worker.Worker
	cancel  context.CancelFunc
	done    chan struct{}
	err     error
	dead    atomic.Bool
	leads   atomic.Bool
	disturb atomic.Bool // something kept it from the services while it stopped

	mu        sync.Mutex
	r         *rand.Rand // of its processors
	stoppedAt time.Time
	had       map[shardID]time.Duration // the shards it believed to own then
	holds     map[shardID]*holding
}

func (n *node) String() string { return fmt.Sprintf("%s#%d", n.id, n.birth) }
func (n *node) isDead() bool   { return n.dead.Load() }

func (n *node) chance(p float64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.r.Float64() < p
}

func (n *node) pick(of int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.r.IntN(of)
}

func (n *node) between(a, b time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return a + time.Duration(n.r.Int64N(int64(b-a)+1))
}

func clients(rt http.RoundTripper) (*kinesis.Client, *dynamodb.Client) {
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://local"), HTTPClient: &http.Client{Transport: rt},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 2,
	}
	return kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)
}

// boot starts a worker process.
func (w *world) boot(id string) *node {
	w.births++
	n := &node{w: w, id: id, birth: w.births, bornAt: time.Now(), done: make(chan struct{}), r: w.rand(uint64(1000 + w.births)), holds: map[shardID]*holding{}}
	n.net = &network{n: n, next: w.transport, r: w.rand(uint64(w.births)), faults: w.mood.Load().faults}
	if w.plan.skewed {
		n.net.skew = time.Duration(w.r.IntN(1201)-600) * time.Second
	}
	k, d := clients(n.net)
	log := slog.New(slog.NewTextHandler(&nodeLog{n}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "worker" {
			return slog.Attr{}
		}
		return a
	}}))
	leases, err := dynamolease.New(dynamolease.Config{Client: d, Application: application, Logger: log})
	w.must(err)
	cfg := worker.Config{
		Application: application, MultiStream: w.plan.streams > 1, ID: id, Kinesis: k, Leases: leases,
		Start: stream.TrimHorizon, NewProcessor: n.newProcessor, DrainTimeout: drainTimeout, Logger: log, Trace: n.trace(),
		Reading: w.readingOf(n),
	}
	if w.plan.listed {
		cfg.ListStreams, cfg.ListInterval, cfg.Former.After = w.listed, listInterval, time.Minute
	} else {
		cfg.Streams = w.reading()
	}
	n.worker, err = worker.New(cfg)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	w.ledger.note("%s starts, its clock is off by %v, fan-out: %v", n, n.net.skew, cfg.Reading.FanOut != nil)
	go func() { // awaited by world.halt
		defer close(n.done)
		n.err = n.worker.Run(ctx)
		n.returned()
	}()
	return n
}

func (n *node) trace() *worker.Trace {
	l := n.w.ledger
	return &worker.Trace{
		LeaseTaken: func(s worker.Shard) { l.believes(idOf(s), n); n.w.spring(n) },
		LeaseLost:  func(s worker.Shard, _ error) { l.ceases(idOf(s), n); n.hold(s, (*holding).drop) },
		LeaseEnded: func(s worker.Shard, _ stream.EndReason) { l.ceases(idOf(s), n); n.hold(s, (*holding).drop) },
		Failed:     func(s worker.Shard, _ int, _ time.Duration, _ error) { n.hold(s, (*holding).drop) },
		Fetched: func(s worker.Shard, records int, bytes int64, _, _ time.Duration) {
			if records > 0 {
				n.hold(s, func(h *holding) { h.read(bytes) })
			}
		},
		Processed: func(s worker.Shard, _ int, _ int64, _ time.Duration, _ error) { n.hold(s, (*holding).ended) },
		Leading:   n.leads.Store,
	}
}

func idOf(s worker.Shard) shardID { return shardID{s.Stream, s.ID} }

// holding is what the engine has read of a shard and no processor has accepted yet.
type holding struct {
	waiting []int64 // bytes of the pages that were read
	working int64   // of the one in the processor's hands
}

// hold changes what is held of a shard and checks the sum (I7) by what was read and returned, not by the engine's own account.
func (n *node) hold(s worker.Shard, change func(*holding)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := shardID{s.Stream, s.ID}
	if n.holds[id] == nil {
		n.holds[id] = &holding{}
	}
	change(n.holds[id])
	sum := int64(0)
	for _, h := range n.holds {
		for sum += h.working; len(h.waiting) > 2; h.waiting = h.waiting[1:] {
		}
		for _, bytes := range h.waiting {
			sum += bytes
		}
	}
	if limit := n.w.plan.maxBytes; limit > 0 && sum > limit+oneAnswer && !n.isDead() {
		n.w.ledger.breach("I7: %s holds %d bytes, its budget is %d", n, sum, limit)
	}
}

// oneAnswer is by how much the budget may be exceeded, and oneInJSON what is reserved for that while it arrives: fetch.Budget.
const (
	oneAnswer = 11 << 20
	oneInJSON = 15 << 20
)

func (h *holding) read(bytes int64) {
	h.waiting = append(h.waiting, bytes)
}

func (h *holding) began() {
	if len(h.waiting) > 0 {
		h.working, h.waiting = h.waiting[0], h.waiting[1:]
	}
}

func (h *holding) ended() { h.working = 0 }
func (h *holding) drop()  { *h = holding{} }

// stop asks a process to stop, as SIGTERM does.
func (n *node) stop() {
	n.w.ledger.note("%s is asked to stop", n)
	had := n.w.ledger.believed(n)
	n.mu.Lock()
	n.stoppedAt, n.had = time.Now(), had
	n.mu.Unlock()
	n.cancel()
}

// returned holds Run to its promises (I8).
func (n *node) returned() {
	n.w.ledger.note("%s has returned: %v", n, n.err)
	if n.isDead() {
		return
	}
	if n.err != nil && n.w.replaced(n) {
		return
	}
	n.mu.Lock()
	stopped := n.stoppedAt
	n.mu.Unlock()
	if n.err != nil && !strings.Contains(n.err.Error(), "draining took longer") {
		n.w.ledger.breach("I6: %s returned %v", n, n.err)
	}
	if took := time.Since(stopped); took > drainTimeout+6*time.Second {
		n.w.ledger.breach("I8: %s took %v to return", n, took)
	}
	if n.err == nil && !n.disturb.Load() && n.net.clear() && !n.w.troubledUntil(n).After(stopped) {
		n.w.checkReleased(n)
	}
}

// replaced reports whether a worker ended because a stream that it was to read was deleted before it could look at it: rightly so. The
// operator starts it again without that stream.
func (w *world) replaced(n *node) bool {
	if w.plan.listed {
		return false
	}
	w.mu.Lock()
	gone := slices.ContainsFunc(w.deleted, func(name string) bool { return strings.Contains(n.err.Error(), "tream "+name+" ") })
	w.mu.Unlock()
	if gone {
		w.lay(n)
		w.add(n.id)
	}
	return gone
}

// clear reports whether nothing hinders the way to the services.
func (n *network) clear() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults == 0 && n.thawed == nil && time.Now().After(n.cutUntil) && !n.n.w.stormy()
}

// kill ends a process as SIGKILL does, seen from outside: nothing leaves it any more, and what it computes does not count.
func (n *node) kill(when string) {
	n.w.disturbed(n, "is killed "+when, 0)
	n.dead.Store(true)
	n.net.set(func(net *network) { net.dead = true })
	n.cancel()
	n.w.lay(n)
}

// freeze stops a process as SIGSTOP does, seen from outside: no request, reply or call of a processor moves.
func (n *node) freeze(d time.Duration) {
	n.w.disturbed(n, fmt.Sprintf("is frozen for %v", d), d)
	n.disturb.Store(true)
	thawed := make(chan struct{})
	held := map[string]bool{"Leader": n.leads.Load()}
	for id := range n.w.ledger.believed(n) {
		held[n.w.key(id)] = true
	}
	n.net.set(func(net *network) { net.thawed = thawed })
	go func() { // ends by itself
		time.Sleep(d)
		n.w.ledger.note("%s wakes", n)
		n.net.set(func(net *network) {
			net.thawed = nil
			if d > leaseDuration {
				net.woken = &knowledge{since: time.Now(), held: held, rows: map[string]bool{}}
			}
		})
		time.Sleep(time.Nanosecond) // what begins now has begun after it woke
		close(thawed)
	}()
}

// frozen returns a channel that is open while the process is stopped, or nil.
func (n *node) frozen() chan struct{} {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	return n.net.thawed
}

// nodeLog puts the engine's log into the ledger's.
type nodeLog struct{ n *node }

func (l *nodeLog) Write(p []byte) (int, error) {
	if !l.n.isDead() {
		l.n.w.ledger.note("%s: %s", l.n, p[:len(p)-1])
		if _, name, ok := bytes.Cut(p, []byte("sub-records of other shards delivered\" stream=")); ok {
			name, _, _ = bytes.Cut(name, []byte(" "))
			l.n.w.ledger.doubts(string(name))
		}
	}
	return len(p), nil
}

var _ io.Writer = (*nodeLog)(nil)
