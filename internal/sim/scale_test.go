package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	scale        = flag.Bool("sim.scale", false, "measure a large fleet: takes minutes")
	scaleShards  = flag.Int("sim.scale.shards", 1000, "shards of the large fleet")
	scaleWorkers = flag.Int("sim.scale.workers", 50, "workers of the large fleet")
)

// tally counts requests by operation.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (t *tally) add(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[string]int{}
	}
	what := c.service + " " + c.operation
	if c.row != nil && c.writes() {
		what += " " + c.kind()
	}
	t.count[what]++
}

// kind says what a write of a row is for.
func (c *call) kind() string {
	update := c.row.UpdateExpression
	switch key := c.row.key(); {
	case key == "Leader":
		return "of the lock"
	case !shardKey.MatchString(key):
		return "of a report"
	case strings.Contains(update, "ADD leaseCounter"):
		return "to assign"
	case strings.Contains(update, "checkpointOwner = "):
		return "to hand off"
	case strings.Contains(update, "checkpoint = "):
		return "to checkpoint"
	case strings.Contains(update, "leaseCounter = "):
		return "to renew"
	}
	return "of a row"
}

// since returns the requests a minute since the last call, and begins anew.
func (t *tally) since(d time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(t.count)) {
		fmt.Fprintf(&b, "\n    %8.0f a minute  %s", float64(t.count[what])/d.Minutes(), what)
	}
	t.count = nil
	return b.String()
}

// TestScale measures a fleet of 1,000 shards and 50 workers, from a cold start over a rolling restart to the crashes of a tenth of it,
// without the leader and with it.
func TestScale(t *testing.T) {
	if !*scale {
		t.Skip("takes minutes: run it with -sim.scale")
	}
	synctest.Test(t, func(t *testing.T) {
		f := &calmFleet{world: newWorld(t, 1, plan{streams: 1, mood: mood{checkpoints: 0.05}, idle: 500 * time.Millisecond}),
			pause: 500 * time.Millisecond}
		f.plan.shards = *scaleShards
		s := &scaleRun{calmFleet: f, t: t, real: time.Now()}
		f.must(f.server.CreateStream("s0", *scaleShards))
		f.feed()
		s.cold()
		s.quiet()
		s.rolling()
		s.crash(false)
		s.crash(true)
		f.end()
		t.Logf("records that came twice: %d of %d", f.ledger.duplicates(), f.ledger.deliveredSoFar())
	})
}

// scaleRun is one large fleet and what was measured last.
type scaleRun struct {
	*calmFleet
	t    *testing.T
	real time.Time
}

func (s *scaleRun) all() map[shardID]time.Duration {
	shards := map[shardID]time.Duration{}
	for _, id := range s.ids() {
		shards[id] = 0
	}
	return shards
}

// stage measures what something costs.
func (s *scaleRun) stage(what string, do func()) {
	s.t.Helper()
	s.requests.since(time.Second)
	took, moved := time.Now(), s.ledger.takenSoFar()
	do()
	s.t.Logf("%s: %v, %d leases taken, most leases of one worker %d, requests:%s", what, time.Since(took).Round(time.Millisecond),
		s.ledger.takenSoFar()-moved, s.fullest(), s.requests.since(time.Since(took)))
}

// fullest returns the most leases that one worker has.
func (s *scaleRun) fullest() (most int) {
	for _, n := range s.running() {
		most = max(most, len(s.ledger.believed(n)))
	}
	return most
}

func (s *scaleRun) cold() {
	s.stage("cold start", func() {
		at := time.Now()
		for range *scaleWorkers {
			s.add(s.newID())
		}
		s.t.Logf("cold start: every shard is read after %v", s.readAgain(nil, s.all(), at).Round(time.Millisecond))
		time.Sleep(time.Minute - time.Since(at))
	})
}

func (s *scaleRun) quiet() {
	s.stage("a quiet minute", func() { time.Sleep(time.Minute) })
	s.t.Logf("longest time in which a shard was not read, with nothing going on: %v", s.worstGap(time.Now().Add(-time.Minute)))
}

func (s *scaleRun) rolling() {
	at := time.Now()
	s.stage("rolling restart", func() {
		for _, n := range s.running() {
			n.stop()
			s.lay(n)
			<-n.done
			s.add(s.newID())
			time.Sleep(3 * time.Second)
		}
	})
	time.Sleep(10 * time.Second)
	s.t.Logf("rolling restart: longest time in which a shard was not read %v", s.worstGap(at))
}

func (s *scaleRun) crash(leader bool) {
	time.Sleep(time.Minute)
	s.stage(fmt.Sprintf("crash of a tenth, the leader among them: %v", leader), func() {
		at, orphans := time.Now(), map[shardID]time.Duration{}
		dead := slices.DeleteFunc(s.running(), func(n *node) bool { return n.leads.Load() })[:*scaleWorkers/10]
		if leader {
			dead[0] = s.leader()
		}
		for _, n := range dead {
			maps.Copy(orphans, s.ledger.believed(n))
			n.kill("now")
		}
		worst := time.Duration(0)
		for _, n := range dead {
			worst = max(worst, s.readAgain(n, orphans, at))
		}
		s.t.Logf("crash: %d shards, all read again after %v", len(orphans), worst.Round(time.Millisecond))
		time.Sleep(time.Minute - time.Since(at))
	})
}
