package sim_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/worker"
)

var (
	seeds   = flag.Uint64("sim.seeds", defaultSeeds, "how many seeds to run")
	from    = flag.Uint64("sim.from", 1, "the first seed")
	oneSeed = flag.Uint64("sim.seed", 0, "the one seed to run again, with its log")
)

const (
	leaseDuration = 10 * time.Second // the default of worker.Config
	drainTimeout  = 15 * time.Second
	// recovery is how long a healed fleet may take until every record is delivered: a lease may have to expire, the leader
	// to be replaced, a processor's back-off and its slow calls to end, more than once in a line of ancestors.
	recovery = 4 * time.Minute
)

// TestSim runs fleets by seeds. Several run beside each other, each in a bubble of its own.
func TestSim(t *testing.T) {
	first, last := *from, *from+*seeds-1
	if *oneSeed != 0 {
		first, last = *oneSeed, *oneSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			if *oneSeed == 0 {
				t.Parallel()
			}
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// world is one application, its services and everything that happens to it.
type world struct {
	t         *testing.T
	seed      uint64
	plan      plan
	r         *rand.Rand
	server    *local.Server
	transport http.RoundTripper // no faults on this way
	kin       *kinesis.Client   // nor on this
	ledger    *ledger
	prefixes  map[string]string // of lease keys, by stream
	births    int
	requests  tally // of all workers

	mood       atomic.Pointer[mood]
	ambush     atomic.Pointer[ambush]
	snare      atomic.Pointer[snare]
	stuck      atomic.Pointer[stuck]
	stormUntil atomic.Int64 // in nanoseconds of the bubble's clock

	mu       sync.Mutex
	nodes    []*node
	resting  []*node  // killed or returning; awaited at the end
	named    []string // the streams that the application is to read, deleted ones too
	hidden   []string // of those: not listed at present
	deleted  []string
	troubles []trouble
	keys     map[shardID]shardKeys // that were listed
}

// mood is how likely things are to go wrong.
type mood struct {
	faults      float64       // of a request
	failures    float64       // of a call to a processor
	slow        float64       // such a call takes seconds
	checkpoints float64       // a batch is checkpointed
	partly      float64       // in its middle
	work        time.Duration // the most time that another call takes
}

// rand returns a random source that depends on the seed and n alone.
func (w *world) rand(n uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, n)) }

// newWorld makes the services and the streams of a plan; with no shards, no streams.
func newWorld(t *testing.T, seed uint64, p plan) *world {
	w := &world{t: t, seed: seed, plan: p, ledger: newLedger(), prefixes: map[string]string{}, keys: map[shardID]shardKeys{}}
	w.r = w.rand(0)
	w.mood.Store(&p.mood)
	w.server = local.New(local.Config{IndexLag: p.lag, CreateDelay: p.create, SubscriptionLife: p.life})
	w.disturbSubscriptions()
	w.transport = w.server.HTTPClient().Transport
	w.kin, _ = clients(w.transport)
	if p.shards == 0 { // somebody else creates them
		w.named = p.names()
		return w
	}
	for _, name := range p.names() {
		w.createStream(name)
	}
	return w
}

// createStream creates a stream that the application is to read.
func (w *world) createStream(name string) {
	_, err := w.kin.CreateStream(w.t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(name), ShardCount: aws.Int32(int32(w.plan.shards))})
	w.must(err)
	prefix := ""
	if w.plan.streams > 1 {
		out, err := w.kin.DescribeStreamSummary(w.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(name)})
		w.must(err)
		prefix = fmt.Sprintf("%s:%s:%d:", local.DefaultAccountID, name, out.StreamDescriptionSummary.StreamCreationTimestamp.Unix())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prefixes[name] = prefix
	w.named = append(w.named, name)
}

// key returns the key of a shard's lease.
func (w *world) key(id shardID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prefixes[id.stream] + string(id.shard)
}

func simulate(t *testing.T, seed uint64) {
	w := newWorld(t, seed, newPlan(seed))
	defer w.verdict()
	stop := make(chan struct{})
	var loops sync.WaitGroup
	loops.Go(func() { newProducer(w).run(stop) })
	loops.Go(func() { w.watch(stop) })
	for range w.plan.workers {
		w.add(w.newID())
	}
	w.chaos()
	w.heal()
	w.awaitAll()
	close(stop)
	loops.Wait()
	w.halt()
	w.look() // once more: the last checkpoints
	w.ledger.audit()
}

// awaitAll waits until every record is delivered (I1).
func (w *world) awaitAll() {
	healed := time.Now()
	for {
		n, first := w.ledger.missing()
		if n == 0 && time.Since(healed) > 10*time.Second {
			return
		}
		if time.Since(healed) > recovery {
			w.ledger.breach("I1: %d records not delivered %v after the fleet healed, the first is %s\n%s", n, recovery, first, w.state())
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
}

func (w *world) newID() string { return fmt.Sprintf("w%d", w.births) }

// reading returns the streams that a worker which starts now is to read: an operator takes a stream that was deleted out of the
// configuration.
func (w *world) reading() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.named), func(name string) bool { return slices.Contains(w.deleted, name) })
}

// listed returns what a worker is told that asks for the streams to read.
func (w *world) listed(context.Context) (list []worker.Stream, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.named {
		if !slices.Contains(w.deleted, name) && !slices.Contains(w.hidden, name) {
			list = append(list, worker.Stream{Name: name})
		}
	}
	return list, nil
}

func (w *world) isDeleted(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.deleted, name)
}

func (w *world) add(id string) *node {
	w.mu.Lock()
	alone := len(w.nodes) == 0
	w.mu.Unlock()
	n := w.boot(id)
	if alone {
		w.disturbed(nil, "no worker was there before "+n.String(), 2*w.plan.create) // of the streams, then of the table
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = append(w.nodes, n)
	return n
}

// pick returns a node at random of those that run; nil if there is none.
func (w *world) pick() *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.nodes) == 0 {
		return nil
	}
	return w.nodes[w.r.IntN(len(w.nodes))]
}

// lay takes a node that dies or is to stop out of the list of those that run.
func (w *world) lay(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.nodes, n); i >= 0 {
		w.nodes = slices.Delete(w.nodes, i, i+1)
		w.resting = append(w.resting, n)
	}
}

// running returns the nodes that run.
func (w *world) running() []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

// heal ends all faults and makes sure that somebody works.
func (w *world) heal() {
	w.ledger.note("healed")
	w.ledger.close()
	w.ambush.Store(nil)
	w.stormUntil.Store(0)
	w.snare.Store(nil)
	w.listAgain()
	w.mood.Store(&mood{checkpoints: 1, work: 20 * time.Millisecond})
	for _, n := range w.running() {
		n.net.set(func(net *network) { net.faults, net.cutFrom, net.cutUntil, net.fuse = 0, time.Time{}, time.Time{}, 0 })
	}
	if len(w.running()) == 0 {
		w.add("last")
	}
}

// halt stops every worker: one after the other, or all at once. A goroutine left behind fails the bubble.
func (w *world) halt() {
	all := w.running()
	together := w.r.IntN(2) == 0 && len(all) > 1
	for _, n := range all {
		if together { // they may give leases to each other
			n.disturb.Store(true)
		}
		w.lay(n)
		n.stop()
		if !together {
			<-n.done
		}
	}
	for _, n := range w.resting {
		n.cancel()
		<-n.done
	}
	time.Sleep(time.Minute) // requests that were on their way arrive, frozen processes wake
}

func (w *world) verdict() {
	if len(w.ledger.breaches) == 0 && *oneSeed == 0 {
		return
	}
	w.t.Logf("log of seed %d: %+v\n%s", w.seed, w.plan, w.ledger.report())
	for _, b := range w.ledger.breaches {
		w.t.Errorf("seed %d: %s", w.seed, b)
	}
	if len(w.ledger.breaches) > 0 {
		w.t.Errorf("again: go test ./internal/sim -run 'TestSim$' -sim.seed %d -count 20", w.seed)
	}
}
