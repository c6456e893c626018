package sim_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

var (
	seeds   = flag.Uint64("sim.seeds", 200, "how many seeds to run")
	oneSeed = flag.Uint64("sim.seed", 0, "the one seed to run again, with its log")
)

const (
	drainTimeout = 15 * time.Second
	// recovery is how long a healed fleet may take until every record is delivered: a lease may have to expire, the leader
	// to be replaced, a processor's back-off and its slow calls to end, more than once in a line of ancestors.
	recovery = 4 * time.Minute
)

// TestSim runs fleets by seeds. Several run beside each other, each in a bubble of its own.
func TestSim(t *testing.T) {
	first, last := uint64(1), *seeds
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
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	server *local.Server
	kin    *kinesis.Client // no faults on this way
	store  lease.Store     // nor on this
	ledger *ledger
	births int

	mood atomic.Pointer[mood]

	mu      sync.Mutex
	nodes   []*node
	resting []*node // killed or returning; awaited at the end
}

// mood is how likely things are to go wrong.
type mood struct {
	faults      float64 // of a request
	failures    float64 // of a call to a processor
	slow        float64 // such a call takes seconds
	checkpoints float64 // a batch is checkpointed
}

// rand returns a random source that depends on the seed and n alone.
func (w *world) rand(n uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, n)) }

func simulate(t *testing.T, seed uint64) {
	w := &world{t: t, seed: seed, ledger: newLedger()}
	w.r = w.rand(0)
	w.mood.Store(&mood{
		faults:      []float64{0, 0.01, 0.05, 0.15}[w.r.IntN(4)],
		failures:    []float64{0, 0, 0.02, 0.1}[w.r.IntN(4)],
		slow:        []float64{0, 0.01, 0.05}[w.r.IntN(3)],
		checkpoints: []float64{1, 0.5, 0.1}[w.r.IntN(3)],
	})
	w.server = local.New(local.Config{IndexLag: time.Duration(w.r.IntN(3)) * time.Second})
	defer w.verdict()
	w.setUp()
	stop := make(chan struct{})
	var loops sync.WaitGroup
	loops.Go(func() { w.produce(stop) })
	loops.Go(func() { w.watch(stop) })
	for range 1 + w.r.IntN(4) {
		w.add(fmt.Sprintf("w%d", w.births))
	}
	w.chaos()
	w.heal()
	healed := time.Now()
	for {
		n, first := w.ledger.missing()
		if n == 0 && time.Since(healed) > 10*time.Second {
			break
		}
		if time.Since(healed) > recovery {
			w.ledger.breach("I1, I6: %d records not delivered %v after the fleet healed, the first is %s\n%s", n, recovery, first, w.state())
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	close(stop)
	loops.Wait()
	w.halt()
	w.inspect() // once more: the last checkpoints
}

func (w *world) setUp() {
	k, d := clients(w.server.HTTPClient().Transport)
	w.kin = k
	store, err := dynamolease.New(dynamolease.Config{Client: d, Application: "app"})
	w.must(err)
	w.store = store
	_, err = k.CreateStream(w.t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(int32(1 + w.r.IntN(6)))})
	w.must(err)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
}

func (w *world) add(id string) {
	n := w.boot(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = append(w.nodes, n)
}

// remove takes a node at random out of the list of those that run; nil if there is none.
func (w *world) remove() *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.nodes) == 0 {
		return nil
	}
	i := w.r.IntN(len(w.nodes))
	n := w.nodes[i]
	w.nodes = append(w.nodes[:i], w.nodes[i+1:]...)
	w.resting = append(w.resting, n)
	return n
}

// produce puts records until stop, a few at a time.
func (w *world) produce(stop <-chan struct{}) {
	r := w.rand(1_000_000)
	for n := 0; ; {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(100+r.IntN(900)) * time.Millisecond):
		}
		if w.ledger.closed() {
			continue
		}
		in := &kinesis.PutRecordsInput{StreamName: aws.String("s")}
		for range 1 + r.IntN(10) {
			n++
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: fmt.Appendf(nil, "%d", n), PartitionKey: aws.String(fmt.Sprint(r.IntN(1000)))})
		}
		out, err := w.kin.PutRecords(w.t.Context(), in)
		w.must(err)
		for _, rec := range out.Records {
			w.ledger.wasPut(stream.ShardID(aws.ToString(rec.ShardId)), stream.SequenceNumber(aws.ToString(rec.SequenceNumber)))
		}
	}
}

// watch looks at the table and at the workers all the time.
func (w *world) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(300 * time.Millisecond):
			w.inspect()
		}
	}
}

func (w *world) inspect() {
	snap, err := w.store.Snapshot(w.t.Context())
	if err != nil {
		if !errors.Is(err, lease.ErrUnusable) { // the table does not exist yet
			w.ledger.breach("the table cannot be read: %v", err)
		}
		return
	}
	for _, b := range snap.Broken {
		w.ledger.breach("I9: row %s cannot be read: %v", b.Key, b.Err)
	}
	for _, l := range snap.Leases {
		w.ledger.look(l.Key, l.Shard, l.Counter, l.Checkpoint)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if s := n.worker.Status(); s.BufferedBytes > s.MaxBytes {
			w.ledger.breach("I7: %s holds %d bytes, the budget is %d", n, s.BufferedBytes, s.MaxBytes)
		}
	}
}

// checkParents holds the engine to the order of a family (I2) when a processor is made.
func (w *world) checkParents(n *node, a stream.Assignment) {
	row, err := w.store.Get(w.t.Context(), string(a.Shard))
	if err != nil {
		return // not ours any more: the engine will find out
	}
	for _, p := range row.Parents {
		parent, err := w.store.Get(w.t.Context(), string(p))
		if err == nil && !parent.Ended() {
			w.ledger.breach("I2: %s starts %s although its parent %s is at %s", n, a.Shard, p, parent.Checkpoint)
		}
	}
}

// chaos lets things happen for a while.
func (w *world) chaos() {
	until := time.Now().Add(time.Duration(30+w.r.IntN(60)) * time.Second)
	for time.Now().Before(until) {
		time.Sleep(time.Duration(500+w.r.IntN(9000)) * time.Millisecond)
		switch w.r.IntN(10) {
		case 0, 1:
			if n := w.remove(); n != nil {
				n.kill()
			}
		case 2: // a restart under the same id, with requests of the old process still on their way
			if n := w.remove(); n != nil {
				n.kill()
				w.add(n.id)
			}
		case 3: // a rolling restart
			if n := w.remove(); n != nil {
				w.ledger.note("%s is asked to stop", n)
				n.cancel()
			}
			w.add(fmt.Sprintf("w%d", w.births))
		case 4, 5:
			w.cut()
		case 6, 7:
			w.reshard()
		default:
			if w.births < 12 {
				w.add(fmt.Sprintf("w%d", w.births))
			}
		}
	}
}

// cut separates one worker from the services for a while.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.nodes) == 0 {
		return
	}
	n, d := w.nodes[w.r.IntN(len(w.nodes))], time.Duration(1+w.r.IntN(30))*time.Second
	w.ledger.note("%s is cut off for %v", n, d)
	n.net.set(func(net *network) { net.cutUntil = time.Now().Add(d) })
}

// reshard splits an open shard or merges two neighbours, whichever comes.
func (w *world) reshard() {
	out, err := w.kin.ListShards(w.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("s"),
		ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
	w.must(err)
	if len(out.Shards) > 1 && w.r.IntN(2) == 0 {
		for _, a := range out.Shards {
			for _, b := range out.Shards {
				if next(aws.ToString(a.HashKeyRange.EndingHashKey)) == aws.ToString(b.HashKeyRange.StartingHashKey) {
					w.ledger.note("merge %s and %s", *a.ShardId, *b.ShardId)
					_, err := w.kin.MergeShards(w.t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("s"),
						ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId})
					w.must(err)
					return
				}
			}
		}
	}
	s := out.Shards[w.r.IntN(len(out.Shards))]
	w.ledger.note("split %s", *s.ShardId)
	_, err = w.kin.SplitShard(w.t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: s.ShardId,
		NewStartingHashKey: aws.String(middle(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey))})
	w.must(err)
}

// next returns the key after one; nothing follows the last.
func next(key string) string {
	k, _ := stream.ParseHashKey(key)
	if k == stream.MaxHashKey {
		return ""
	}
	return k.Next().String()
}

// middle returns a key between two, which are at least two apart.
func middle(a, b string) string {
	first, _ := stream.ParseHashKey(a)
	last, _ := stream.ParseHashKey(b)
	hi, lo := first.Hi/2+last.Hi/2, first.Lo/2+last.Lo/2
	if hi == first.Hi && lo <= first.Lo {
		return last.String()
	}
	return stream.HashKey{Hi: hi, Lo: lo}.String()
}

// heal ends all faults and makes sure that somebody works.
func (w *world) heal() {
	w.ledger.note("healed")
	w.ledger.close()
	w.mu.Lock()
	for _, n := range w.nodes {
		n.net.set(func(net *network) { net.faults, net.cutUntil = 0, time.Time{} })
	}
	left := len(w.nodes)
	w.mood.Store(&mood{checkpoints: 1})
	w.mu.Unlock()
	if left == 0 {
		w.add("last")
	}
}

// halt stops every worker and holds Run to its bound (I8). A goroutine left behind fails the bubble.
func (w *world) halt() {
	w.mu.Lock()
	all := append(w.nodes, w.resting...)
	w.mu.Unlock()
	began := time.Now()
	for _, n := range all {
		n.cancel()
	}
	for _, n := range all {
		<-n.done
		if took := time.Since(began); took > drainTimeout+6*time.Second {
			w.ledger.breach("I8: %s took %v to return", n, took)
		}
		if n.err != nil && !n.isDead() && !strings.Contains(n.err.Error(), "draining took longer") {
			w.ledger.breach("%s returned %v", n, n.err)
		}
	}
	time.Sleep(10 * time.Second) // requests that were on their way arrive
}

func (w *world) state() string {
	var b strings.Builder
	snap, err := w.store.Snapshot(w.t.Context())
	if err != nil {
		return err.Error()
	}
	for _, l := range snap.Leases {
		fmt.Fprintf(&b, "  %s owner=%q old=%q counter=%d at %s parents=%v\n", l.Key, l.Owner, l.CheckpointOwner, l.Counter, l.Checkpoint, l.Parents)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		s := n.worker.Status()
		fmt.Fprintf(&b, "  %s %s leader=%s %+v\n", n, s.Phase, s.Leader, s.Problems)
		for _, sh := range s.Shards {
			fmt.Fprintf(&b, "    %+v\n", sh)
		}
	}
	return b.String()
}

func (w *world) verdict() {
	if len(w.ledger.breaches) == 0 && *oneSeed == 0 {
		return
	}
	w.t.Logf("log of seed %d:\n%s", w.seed, w.ledger.report())
	for _, b := range w.ledger.breaches {
		w.t.Errorf("seed %d: %s", w.seed, b)
	}
	if len(w.ledger.breaches) > 0 {
		w.t.Errorf("again: go test ./internal/sim -run 'TestSim$' -sim.seed %d", w.seed)
	}
}
