package sim_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/stream"
)

// The timings of design section 6, each measured on a whole fleet in virtual time, with all defaults (a lease duration of 10 s),
// several times at other phases of all the timers involved. The worst counts.

// timings runs a measurement several times and holds its worst to the bound.
func timings(t *testing.T, bound time.Duration, run func(f *calmFleet) time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	t.Run("phases", func(t *testing.T) {
		for phase := range phases {
			t.Run(fmt.Sprint(phase), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := &calmFleet{world: newWorld(t, uint64(phase+1), plan{streams: 1, mood: mood{checkpoints: 1}}), phase: phase}
					d := run(f)
					if d > bound {
						t.Logf("took %v:\n%s", d, f.ledger.report())
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, d)
				})
			})
		}
	})
	if len(took) < phases {
		return // it has failed
	}
	slices.Sort(took)
	t.Logf("%d times: best %v, median %v, worst %v; bound %v", len(took), took[0].Round(time.Millisecond),
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), bound)
	if worst := took[len(took)-1]; worst > bound {
		t.Errorf("took %v, the bound is %v: %v", worst, bound, took)
	}
}

// calmFleet is a fleet on which nothing goes wrong by itself. Records come to each open shard every 100 ms once feed was called.
type calmFleet struct {
	*world
	phase   int
	pause   time.Duration // between two records of a shard; 0: 100 ms
	stopped chan struct{}
	loops   sync.WaitGroup

	mu   sync.Mutex
	open []types.Shard
}

func (f *calmFleet) begin(shards, workers int) {
	f.plan.shards = shards
	f.must(f.server.CreateStream("s0", shards))
	for range workers {
		f.add(f.newID())
	}
	f.settle(45 * time.Second)
}

// settle waits until the fleet has come to rest, and then for a part of it that differs from run to run.
func (f *calmFleet) settle(d time.Duration) {
	time.Sleep(d + time.Duration(f.r.Int64N(int64(16*time.Second))))
}

// feed puts a record into each open shard every 100 ms from now on, and returns when all have been read for a while.
func (f *calmFleet) feed() {
	f.refresh()
	f.stopped = make(chan struct{})
	f.loops.Go(func() {
		for {
			select {
			case <-f.stopped:
				return
			case <-time.After(cmp.Or(f.pause, 100*time.Millisecond)):
			}
			f.mu.Lock()
			var parcels []parcel
			for _, s := range f.open {
				parcels = append(parcels, parcel{record: stream.Record{Data: []byte("x"), PartitionKey: "k"}, at: aws.ToString(s.HashKeyRange.StartingHashKey)})
			}
			for some := range slices.Chunk(parcels, 500) { // PutRecords takes no more
				f.put("s0", some)
			}
			f.mu.Unlock()
		}
	})
	time.Sleep(3*time.Second + time.Duration(f.r.Int64N(int64(4*time.Second))))
}

// refresh takes notice of new shards.
func (f *calmFleet) refresh() {
	shards := f.openShards("s0")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = shards
}

func (f *calmFleet) ids() (ids []shardID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.open {
		ids = append(ids, shardID{"s0", stream.ShardID(*s.ShardId)})
	}
	return ids
}

// end stops everything, and fails the test if an invariant was broken on the way.
func (f *calmFleet) end() {
	if f.stopped != nil {
		close(f.stopped)
		f.loops.Wait()
		time.Sleep(5 * time.Second)
	}
	if n, first := f.ledger.missing(); n > 0 {
		f.ledger.breach("I1: %d records not delivered, the first is %s", n, first)
	}
	f.look()
	f.halt()
	f.look()
	if len(f.ledger.breaches) > 0 {
		f.t.Errorf("%s\n%s", f.ledger.report(), strings.Join(f.ledger.breaches, "\n"))
	}
}

// leader and follower return a node of that kind which owns shards.
func (f *calmFleet) leader() *node   { return f.owner(true) }
func (f *calmFleet) follower() *node { return f.owner(false) }

func (f *calmFleet) owner(leads bool) *node {
	for _, n := range f.running() {
		if n.leads.Load() == leads && len(f.ledger.believed(n)) > 0 {
			return n
		}
	}
	f.t.Fatalf("no such worker\n%s", f.state())
	return nil
}

// readAgain waits until each of the shards was given to another worker, and returns how long after since the last was.
func (f *calmFleet) readAgain(n *node, shards map[shardID]time.Duration, since time.Time) (worst time.Duration) {
	for id := range shards {
		for {
			next := slices.IndexFunc(f.ledger.deliveries(id), func(d delivery) bool { return d.to != n && d.at.After(since) })
			if next >= 0 {
				worst = max(worst, f.ledger.deliveries(id)[next].at.Sub(since))
				break
			}
			if time.Since(since) > 2*time.Minute {
				f.t.Fatalf("%s is not read\n%s\n%s", id, f.state(), f.ledger.report())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return worst
}

// TestTimingCleanStop: a worker stops, the leader or another, and its shards are read again.
func TestTimingCleanStop(t *testing.T) {
	timings(t, 1500*time.Millisecond, func(f *calmFleet) time.Duration {
		f.begin(6, 3)
		f.feed()
		n := f.owner(f.phase%2 == 0)
		shards, at := f.ledger.believed(n), time.Now()
		n.stop()
		f.lay(n)
		worst := f.readAgain(n, shards, at)
		f.end()
		return worst
	})
}

// TestTimingKill: a worker that does not lead dies by SIGKILL.
func TestTimingKill(t *testing.T) {
	timings(t, leaseDuration+3*time.Second, func(f *calmFleet) time.Duration {
		f.begin(6, 3)
		f.feed()
		n := f.follower()
		shards, at := f.ledger.believed(n), time.Now()
		n.kill("now")
		worst := f.readAgain(n, shards, at)
		f.end()
		return worst
	})
}

// TestTimingLeaderDies: the leader dies by SIGKILL; its shards wait for the next leader.
func TestTimingLeaderDies(t *testing.T) {
	timings(t, leaderDies, func(f *calmFleet) time.Duration {
		f.begin(6, 3)
		f.feed()
		n := f.leader()
		shards, at := f.ledger.believed(n), time.Now()
		n.kill("now")
		worst := f.readAgain(n, shards, at)
		f.end()
		return worst
	})
}

// TestTimingColdStart: from the start of the first workers of a new application to the first record of the last of 4 shards.
func TestTimingColdStart(t *testing.T) {
	timings(t, 2*time.Second, func(f *calmFleet) time.Duration {
		f.must(f.server.CreateStream("s0", 4))
		f.feed()
		at := time.Now()
		for range 1 + f.phase%3 {
			f.add(f.newID())
		}
		shards := map[shardID]time.Duration{}
		for _, id := range f.ids() {
			shards[id] = 0
		}
		worst := f.readAgain(nil, shards, at)
		f.end()
		return worst
	})
}

// TestTimingReshard: from the last record of the parents, which is checkpointed at once, to the first record of each child.
func TestTimingReshard(t *testing.T) {
	timings(t, 2*time.Second, func(f *calmFleet) time.Duration {
		f.begin(4, 2)
		f.feed()
		parents := f.openShards("s0")[1:2]
		if f.phase%2 == 0 { // a merge, of shards with one owner or two
			parents = f.openShards("s0")[f.phase%3 : f.phase%3+2]
			f.merge("s0", parents[0], parents[1])
		} else {
			f.split("s0", parents[0])
		}
		f.refresh()
		time.Sleep(10 * time.Second)
		var ended time.Time
		for _, p := range parents {
			given := f.ledger.deliveries(shardID{"s0", stream.ShardID(*p.ShardId)})
			if last := given[len(given)-1].until; last.After(ended) {
				ended = last
			}
		}
		worst := time.Duration(0)
		for _, id := range f.ids() {
			if len(f.ledger.parentsOf(id)) == 0 {
				continue
			}
			given := f.ledger.deliveries(id)
			if len(given) == 0 {
				f.t.Fatalf("%s is not read\n%s", id, f.state())
			}
			worst = max(worst, given[0].at.Sub(ended))
		}
		f.end()
		return worst
	})
}

// TestTimingStuckProcessor: one call to a processor takes an hour. Its lease is kept, each minute has its warning, health is red, the
// other shards go on, and so does this one when the call returns.
func TestTimingStuckProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &calmFleet{world: newWorld(t, 1, plan{streams: 1, mood: mood{checkpoints: 1}})}
		f.begin(2, 2)
		f.feed()
		id := f.ids()[0]
		hour := &stuck{id, make(chan struct{})}
		f.world.stuck.Store(hour)
		time.Sleep(time.Second)
		close(f.stopped)
		f.loops.Wait()
		f.stopped = nil
		var owner *node
		for _, n := range f.running() {
			if _, believed := f.ledger.believed(n)[id]; believed {
				owner = n
			}
		}
		counter := f.row(f.key(id)).number("leaseCounter")
		for minute := range 60 {
			time.Sleep(time.Minute)
			it := f.row(f.key(id))
			if it.text("leaseOwner") != owner.id || it.number("leaseCounter") < counter+15 {
				t.Fatalf("minute %d: owner %q, counter %d after %d", minute, it.text("leaseOwner"), it.number("leaseCounter"), counter)
			}
			counter = it.number("leaseCounter")
			if why := f.red(id); minute > 0 && !strings.Contains(why, "call to the processor") {
				t.Errorf("minute %d: health says %q", minute, why)
			}
		}
		if n := strings.Count(f.ledger.report(), "processor is still busy with one call"); n < 59 || n > 61 {
			t.Errorf("%d warnings in an hour", n)
		}
		if f.unread() == 0 {
			t.Error("the processor was not stuck")
		}
		close(hour.until)
		f.feed()
		if why := f.red(id); why != "" || f.ledger.believed(owner)[id] < time.Hour {
			t.Errorf("afterwards health says %q, and the lease is %v old", why, f.ledger.believed(owner)[id])
		}
		f.end()
		if n := f.ledger.duplicates(); n > 0 {
			t.Errorf("%d records came twice", n)
		}
	})
}

func (f *calmFleet) unread() int {
	n, _ := f.ledger.missing()
	return n
}

// worstGap returns the longest time since began in which no processor had anything of an open shard.
func (f *calmFleet) worstGap(began time.Time) (worst time.Duration) {
	for _, id := range f.ids() {
		last := began
		for _, d := range f.ledger.deliveries(id) {
			if d.at.After(began) {
				worst = max(worst, d.at.Sub(last))
				if last = d.until; last.IsZero() { // under way
					last = time.Now()
				}
			}
		}
		worst = max(worst, time.Since(last))
	}
	return worst
}

// TestTimingRollingRestart: each worker of a fleet is replaced, and no shard goes unread for long. The processors keep up, so nothing
// comes twice either.
func TestTimingRollingRestart(t *testing.T) {
	timings(t, 1500*time.Millisecond, func(f *calmFleet) time.Duration {
		f.begin(8, 4)
		f.feed()
		began := time.Now()
		for _, n := range f.running() {
			n.stop()
			f.lay(n)
			<-n.done
			f.add(f.newID())
			time.Sleep(time.Duration(f.r.Int64N(int64(8 * time.Second))))
		}
		time.Sleep(5 * time.Second)
		worst := f.worstGap(began)
		f.end()
		if n := f.ledger.duplicates(); n > 0 {
			f.t.Errorf("%d records came twice", n)
		}
		return worst
	})
}
