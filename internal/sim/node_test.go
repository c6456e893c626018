package sim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
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

// node is one worker process.
type node struct {
	w      *world
	id     string
	birth  int // no two processes share it, though they may share an id
	net    *network
	worker *worker.Worker
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	dead   atomic.Bool

	mu sync.Mutex
	r  *rand.Rand // of its processors
}

func (n *node) String() string { return fmt.Sprintf("%s#%d", n.id, n.birth) }
func (n *node) isDead() bool   { return n.dead.Load() }

func (n *node) chance(p float64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.r.Float64() < p
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
	n := &node{w: w, id: id, birth: w.births, done: make(chan struct{}),
		net: &network{next: w.server.HTTPClient().Transport, r: w.rand(uint64(w.births)), faults: w.mood.Load().faults},
		r:   w.rand(uint64(1000 + w.births))}
	k, d := clients(n.net)
	leases, err := dynamolease.New(dynamolease.Config{Client: d, Application: "app"})
	if err != nil {
		w.t.Fatal(err)
	}
	n.worker, err = worker.New(worker.Config{
		Application: "app", Streams: []string{"s"}, ID: id, Kinesis: k, Leases: leases, Start: stream.TrimHorizon,
		NewProcessor: n.newProcessor, DrainTimeout: drainTimeout, Logger: slog.New(slog.NewTextHandler(&nodeLog{n}, &slog.HandlerOptions{
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey || a.Key == "worker" {
					return slog.Attr{}
				}
				return a
			}})),
		Trace: &worker.Trace{
			LeaseTaken: func(s worker.Shard) { w.ledger.believes(s.ID, n) },
			LeaseLost:  func(s worker.Shard, _ error) { w.ledger.ceases(s.ID, n) },
			LeaseEnded: func(s worker.Shard, _ stream.EndReason) { w.ledger.ceases(s.ID, n) },
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	w.ledger.note("%s starts", n)
	go func() { // awaited by world.halt
		defer close(n.done)
		n.err = n.worker.Run(ctx)
		w.ledger.note("%s has returned: %v", n, n.err)
	}()
	return n
}

// kill ends a process as SIGKILL does, seen from outside: nothing leaves it any more, and what it computes does not count.
func (n *node) kill() {
	n.w.ledger.note("%s is killed", n)
	n.dead.Store(true)
	n.net.set(func(net *network) { net.dead = true })
	n.cancel()
}

// nodeLog puts the engine's log into the ledger's.
type nodeLog struct{ n *node }

func (l *nodeLog) Write(p []byte) (int, error) {
	if !l.n.isDead() {
		l.n.w.ledger.note("%s: %s", l.n, p[:len(p)-1])
	}
	return len(p), nil
}

var _ io.Writer = (*nodeLog)(nil)

var errPoison = errors.New("sim: poison")

// processor behaves as applications do: it is slow, fails, and checkpoints now and then, as its node's seed has it.
type processor struct {
	n      *node
	a      stream.Assignment
	last   stream.Position
	busy   atomic.Bool
	closed bool
}

func (n *node) newProcessor(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
	if n.isDead() {
		return nil, errPoison
	}
	if n.chance(n.w.mood.Load().failures) {
		return nil, errPoison
	}
	n.w.checkParents(n, a)
	return &processor{n: n, a: a}, nil
}

func (p *processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if p.busy.Swap(true) {
		p.n.w.ledger.breach("I2: two calls at once on %s in %s", p.a.Shard, p.n)
	}
	defer p.busy.Store(false)
	if p.closed {
		p.n.w.ledger.breach("I2: Process after Close on %s in %s", p.a.Shard, p.n)
	}
	for _, r := range b.Records {
		if r.Position.Compare(p.last) <= 0 || r.Position.Compare(p.a.From) <= 0 {
			p.n.w.ledger.breach("I2: %s came after %s, assigned from %s, on %s", r.Position, p.last, p.a.From, p.a.Shard)
		}
		p.last = r.Position
	}
	wait := p.n.between(0, 20*time.Millisecond)
	if p.n.chance(p.n.w.mood.Load().slow) {
		wait = p.n.between(time.Second, 20*time.Second)
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.n.isDead() || p.n.chance(p.n.w.mood.Load().failures) {
		return errPoison
	}
	p.n.w.ledger.accept(b)
	if !p.n.chance(p.n.w.mood.Load().checkpoints) {
		return nil
	}
	err := cp.Checkpoint(ctx, stream.Position{})
	if errors.Is(err, stream.ErrThrottled) || errors.Is(err, stream.ErrUnavailable) || errors.Is(err, stream.ErrLeaseLost) {
		return nil // the next one covers it
	}
	return err
}

func (p *processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	p.closed = true
	if why == stream.LeaseLost {
		if err := cp.Checkpoint(ctx, stream.Position{}); !errors.Is(err, stream.ErrLeaseLost) && !p.n.isDead() {
			p.n.w.ledger.breach("I3: a checkpoint after the lease was lost gave %v", err)
		}
		return nil
	}
	return cp.Checkpoint(ctx, stream.Position{})
}
