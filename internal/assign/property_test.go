package assign_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// check fails if a plan breaks what every plan promises, whatever was seen.
func check(t *testing.T, cfg assign.Config, snap lease.Snapshot, p assign.Plan) {
	t.Helper()
	byKey := map[string]lease.Lease{}
	for _, l := range snap.Leases {
		byKey[l.Key] = l
	}
	moved := map[string]bool{}
	for _, m := range p.Moves {
		if moved[m.Lease.Key] {
			t.Fatalf("%s is moved twice", m.Lease.Key)
		}
		moved[m.Lease.Key] = true
		if !slices.Contains(p.Candidates, m.To) {
			t.Fatalf("%s is given to %q, no candidate", m.Lease.Key, m.To)
		}
		balance := m.Kind == assign.Handoff || m.Kind == assign.Steal
		if balance && (m.Lease.InHandoff() || m.Lease.Ended() || m.From() == m.To || m.From() == "") {
			t.Fatalf("%s of %+v to %s", m.Kind, m.Lease, m.To)
		}
		if balance && cfg.NoHandoff != (m.Kind == assign.Steal) {
			t.Fatalf("%s with NoHandoff %t", m.Kind, cfg.NoHandoff)
		}
	}
	n := map[string]int{}
	for _, m := range p.Moves {
		byKey[m.Lease.Key] = lease.Lease{Key: m.Lease.Key, Owner: m.To, Checkpoint: m.Lease.Checkpoint}
	}
	for key, l := range byKey {
		if !l.Ended() && !slices.Contains(p.Unplaced, key) {
			n[l.Owner]++
		}
	}
	for key := range byKey {
		if byKey[key].Worker() == "" && !slices.Contains(p.Unplaced, key) {
			t.Fatalf("%s stays unassigned and is not named", key)
		}
	}
	if len(p.Unplaced) > 0 && cfg.MaxThroughput == 0 {
		for _, id := range p.Candidates {
			if cfg.MaxLeases == 0 || n[id] < cfg.MaxLeases {
				t.Fatalf("%v unplaced, but %s bears only %d", p.Unplaced, id, n[id])
			}
		}
	}
	for _, m := range p.Moves {
		if cfg.MaxLeases > 0 && n[m.To] > cfg.MaxLeases && !m.Lease.Ended() && !m.Lease.InHandoff() {
			t.Fatalf("%s gets %s as its lease number %d", m.To, m.Lease.Key, n[m.To])
		}
	}
}

// Whatever table, reports and history there are, however absurd, a plan keeps its promises and is the same each time.
func TestAnyObservation(t *testing.T) {
	absurd := []float64{0, -1, 1e-300, 0.5, 1, 99, 100, 1e3, 1e300, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 2))
		id := func() string { return []string{"", "a", "b", "c", "d", "e"}[r.IntN(6)] }
		number := func() float64 {
			if r.IntN(3) == 0 {
				return absurd[r.IntN(len(absurd))]
			}
			return r.Float64() * 100
		}
		cfg := assign.Config{Me: id(), ByCount: r.IntN(3) == 0, NoHandoff: r.IntN(3) == 0, NoOvershoot: r.IntN(3) == 0,
			BalanceInterval: time.Duration(r.IntN(3)) * time.Second}
		if r.IntN(3) == 0 {
			cfg.MaxLeases = 1 + r.IntN(5)
		}
		if r.IntN(3) == 0 {
			cfg.MaxThroughput = 50
		}
		var o assign.Observation
		var snap lease.Snapshot
		now := start
		for i := range r.IntN(30) {
			snap.Leases = append(snap.Leases, lease.Lease{Key: fmt.Sprint("s", i), Checkpoint: stream.Latest})
		}
		for range 5 {
			now = now.Add(time.Duration(r.IntN(15)) * time.Second)
			for i := range snap.Leases {
				l := &snap.Leases[i]
				if r.IntN(2) == 0 {
					l.Owner, l.CheckpointOwner = id(), ""
				}
				if r.IntN(5) == 0 && l.Owner != "" {
					l.CheckpointOwner = id()
				}
				if r.IntN(8) == 0 {
					l.Checkpoint = stream.ShardEnd
				}
				l.Counter += int64(r.IntN(3) - 1)
				l.Throughput, l.ThroughputKnown = number(), r.IntN(3) > 0
			}
			snap.Workers = nil
			for range r.IntN(7) {
				w := lease.Worker{ID: id(), ReportedAt: now.Add(-time.Duration(r.IntN(100)) * time.Second)}
				if r.IntN(2) == 0 {
					w.Stats = map[string][]float64{"C": {number(), number()}, "M": {number()}}
					w.Limits = map[string]float64{"C": 100, "M": number()}
				}
				snap.Workers = append(snap.Workers, w)
			}
			o = cfg.Observe(o, snap, now, now)
			one, after := cfg.Plan(o)
			check(t, cfg, snap, one)
			two, _ := cfg.Plan(o)
			if diff := cmp.Diff(one, two, cmp.Comparer(func(a, b lease.Lease) bool { return a.Key == b.Key })); diff != "" {
				t.Fatalf("seed %d: another plan for the same observation:\n%s", seed, diff)
			}
			if len(one.Candidates) > 0 {
				left := cfg.Leave(o, one.Candidates[0])
				for _, m := range left.Moves {
					if m.Kind != assign.Give || m.To == one.Candidates[0] || m.From() != one.Candidates[0] {
						t.Fatalf("seed %d: leaving: %s %s from %q to %q", seed, m.Kind, m.Lease.Key, m.From(), m.To)
					}
				}
			}
			o = after
		}
	}
}

// counts returns how many leases each live worker bears, those without any included.
func (s *sim) counts() map[string]int {
	n := map[string]int{}
	for id, w := range s.workers {
		if !w.dead {
			n[id] = 0
		}
	}
	for _, l := range s.leases {
		if !l.Ended() {
			n[l.Owner]++
		}
	}
	return n
}

// spread builds a fleet of which worker i owns counts[i] leases.
func spread(cfg assign.Config, kib func() float64, counts ...int) *sim {
	s := newSim(cfg)
	for i, n := range counts {
		id := fmt.Sprintf("w%03d", i)
		s.join(id)
		for j := range n {
			s.add(fmt.Sprintf("s%03d-%04d", i, j), id, kib())
		}
	}
	return s
}

func same() float64 { return 100 }

// By count: from any distribution the first look that has seen all owners renew plans the fewest moves that make the counts
// differ by at most one, and the next plans none. The twin counts those moves by sorting.
func TestCountsBecomeEvenWithFewestMoves(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 3))
		counts := make([]int, 1+r.IntN(12))
		total := 0
		for i := range counts {
			counts[i] = r.IntN(1 + r.IntN(40))
			total += counts[i]
		}
		s := spread(assign.Config{ByCount: true}, func() float64 { return r.Float64() * 1000 }, counts...)
		s.look()
		s.tick(2 * time.Second) // each owner renews: see first-look.txt
		s.look()
		got := slices.Sorted(maps.Values(s.counts()))
		if got[len(got)-1]-got[0] > 1 {
			t.Fatalf("seed %d: %v became %v", seed, counts, got)
		}
		slices.Sort(counts)
		fewest := 0
		for i, want := range got {
			fewest += max(0, counts[i]-want)
		}
		if s.moves != fewest {
			t.Fatalf("seed %d: %v took %d moves, %d suffice", seed, counts, s.moves, fewest)
		}
		s.run(time.Minute)
		if s.moves != fewest {
			t.Fatalf("seed %d: moves go on at balance: %v", seed, s.log)
		}
	}
}

// With equal loads every strategy ends within one lease, or the threshold, of the mean, whether by throughput, by CPU that follows the
// load, or by CPU that shows nothing; and then it rests.
func TestEqualLoadsEndNearTheMean(t *testing.T) {
	strategies := map[string]func(s *sim){
		"throughput": func(*sim) {},
		"cpu follows load": func(s *sim) {
			for _, w := range s.workers {
				w.load = func(_ *worker, kib float64) float64 { return min(100, 2+kib/50) }
			}
		},
		"cpu is idle": func(s *sim) {
			for _, w := range s.workers {
				w.load = func(*worker, float64) float64 { return 0 }
			}
		},
	}
	for name, set := range strategies {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				r := rand.New(rand.NewPCG(seed, 4))
				counts := make([]int, 2+r.IntN(6))
				total := 0
				for i := range counts {
					counts[i] = r.IntN(25)
					total += counts[i]
				}
				s := spread(assign.Config{}, same, counts...)
				set(s)
				for id, w := range s.workers {
					s.sendReport(id, w)
				}
				s.run(15 * time.Minute)
				mean := float64(total) / float64(len(counts))
				allowed := math.Max(1, mean/10)
				for id, n := range s.counts() {
					if math.Abs(float64(n)-mean) > allowed+1e-9 {
						t.Fatalf("seed %d: %v: %s ends with %d of mean %.1f", seed, counts, id, n, mean)
					}
				}
				before := s.moves
				s.run(10 * time.Minute)
				if s.moves != before {
					t.Fatalf("seed %d: no rest: %v", seed, s.log[before:])
				}
			}
		})
	}
}

// Random loads converge within a few rounds of balance: within the threshold of the mean, or as near as the lightest
// lease of the fullest worker allows; and then they rest, while throughputs tremble by 2 %.
func TestRandomLoadsConvergeAndRest(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		counts := make([]int, 2+r.IntN(8))
		for i := range counts {
			counts[i] = r.IntN(30)
		}
		s := spread(assign.Config{}, func() float64 { return math.Exp(r.Float64() * 7) }, counts...)
		real := map[string]float64{}
		for key, l := range s.leases {
			real[key] = l.Throughput
		}
		s.run(8 * time.Minute)
		load := map[string]float64{}
		light := map[string]float64{}
		total := 0.0
		for _, l := range s.leases {
			load[l.Owner] += l.Throughput + 16
			total += l.Throughput + 16
			if v, ok := light[l.Owner]; !ok || l.Throughput+16 < v {
				light[l.Owner] = l.Throughput + 16
			}
		}
		mean := total / float64(len(counts))
		least := math.Inf(1)
		for id := range s.workers {
			least = min(least, load[id])
		}
		for id, v := range load {
			if v > mean*1.1 && least+light[id] < v-1e-6 {
				t.Fatalf("seed %d: %s bears %.0f of mean %.0f and could give %.0f to one with %.0f", seed, id, v, mean, light[id], least)
			}
		}
		s.log = nil
		rounds := 0
		for range 10 {
			before := s.moves
			for _, key := range slices.Sorted(maps.Keys(s.leases)) {
				s.leases[key].Throughput = real[key] * (0.99 + 0.02*r.Float64())
			}
			s.run(time.Minute)
			if s.moves > before {
				rounds++
			}
		}
		if rounds > 2 { // one or two workers may just cross the threshold
			t.Fatalf("seed %d: %d rounds at rest moved something: %v", seed, rounds, s.log)
		}
	}
}

// A worker that joins a fleet at balance is given its share, rounded down, and nothing else moves; one that leaves moves its own
// leases only.
func TestJoinAndLeaveMoveTheFewest(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 6))
		n, each := 1+r.IntN(8), 1+r.IntN(20)
		counts := slices.Repeat([]int{each}, n)
		cfg := assign.Config{ByCount: r.IntN(2) == 0}
		s := spread(cfg, same, counts...)
		s.run(2 * time.Minute)
		if s.moves != 0 {
			t.Fatalf("moves at balance: %v", s.log)
		}
		s.join("x")
		s.run(5 * time.Minute)
		share := n * each / (n + 1)
		if s.moves != share || s.counts()["x"] != share {
			t.Fatalf("%d workers with %d each: %d moves gave the new one %d, want %d: %v", n, each, s.moves, s.counts()["x"], share, s.log)
		}
		s.moves, s.log = 0, nil
		s.workers["x"].report = lease.Worker{}
		p := cfg.Leave(cfg.Observe(assign.Observation{}, s.snapshot(), s.now, s.now), "x")
		s.write(p.Moves)
		s.workers["x"].dead = true
		if s.moves != share {
			t.Fatalf("leaving moved %d of its %d leases", s.moves, share)
		}
		s.run(5 * time.Minute)
		if s.moves != share {
			t.Fatalf("leaving went on: %v", s.log)
		}
	}
}

// However many workers die at whatever time, each of their leases has a live owner within the lease duration and two looks, and no dead worker is
// given one, as long as the survivors show life.
func TestTheDeadAreReplacedInTime(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 2 + r.IntN(8)
		s := spread(assign.Config{Me: "w000"}, same, slices.Repeat([]int{1 + r.IntN(5)}, n)...)
		s.run(time.Duration(20+r.IntN(60)) * time.Second)
		s.log = nil
		for i := 1; i < n; i++ {
			s.workers[fmt.Sprintf("w%03d", i)].dead = r.IntN(2) == 0
		}
		s.run(14 * time.Second)
		for _, key := range slices.Sorted(maps.Keys(s.leases)) {
			if l := s.leases[key]; s.workers[l.Worker()].dead {
				t.Fatalf("seed %d: %s is still with %s, who is dead: %v", seed, key, l.Worker(), s.log)
			}
		}
		s.run(3 * time.Minute)
		for _, l := range s.leases {
			if s.workers[l.Owner].dead {
				t.Fatalf("seed %d: %s was given to the dead %s: %v", seed, l.Key, l.Owner, s.log)
			}
		}
	}
}

// place against a slow twin that searches all workers for each lease: the same loads come out.
func TestPlacingEqualsTheSlowTwin(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 8))
		counts := make([]int, 1+r.IntN(6))
		for i := range counts {
			counts[i] = r.IntN(4)
		}
		s := spread(assign.Config{BalanceInterval: time.Hour}, func() float64 { return float64(r.IntN(200)) }, counts...)
		load := map[string]float64{}
		for _, l := range s.leases {
			load[l.Owner] += l.Throughput + 16
		}
		for i := range 20 {
			s.add(fmt.Sprintf("free%02d", i), "", float64(r.IntN(200)))
		}
		p := s.look()
		got := maps.Clone(load)
		var free []float64
		for _, m := range p.Moves {
			if m.Kind == assign.Take {
				got[m.To] += m.Lease.Throughput + 16
				free = append(free, m.Lease.Throughput+16)
			}
		}
		if len(free) != 20 {
			t.Fatalf("seed %d: %d of 20 placed", seed, len(free))
		}
		slices.Sort(free)
		for _, weight := range slices.Backward(free) {
			best := ""
			for id := range s.workers {
				if best == "" || load[id] < load[best] {
					best = id
				}
			}
			load[best] += weight
		}
		want, have := slices.Sorted(maps.Values(load)), slices.Sorted(maps.Values(got))
		if !slices.Equal(want, have) {
			t.Fatalf("seed %d: loads %v, the twin has %v", seed, have, want)
		}
	}
}

func TestStaleReports(t *testing.T) {
	cfg := assign.Config{}
	now := start
	snap := lease.Snapshot{Workers: []lease.Worker{{ID: "old", ReportedAt: now.Add(-25 * time.Hour)}, {ID: "slow", ReportedAt: now.Add(-25 * time.Hour)}, {ID: "new", ReportedAt: now}}}
	o := cfg.Observe(assign.Observation{}, snap, now, now)
	if stale := cfg.Stale(o); len(stale) != 0 {
		t.Errorf("at first sight %v may be deleted; a clock may be a day slow", stale)
	}
	now = now.Add(61 * time.Second)
	snap.Workers[1].ReportedAt = snap.Workers[1].ReportedAt.Add(30 * time.Second)
	o = cfg.Observe(o, snap, now, now)
	if stale := cfg.Stale(o); len(stale) != 1 || stale[0].ID != "old" {
		t.Errorf("stale %v, want old alone", stale)
	}
}

// The same worker's reports in two tables, as during a migration, count once, the newest (spec S32).
func TestNewestReportCounts(t *testing.T) {
	cfg := assign.Config{}
	old := lease.Worker{ID: "a", ReportedAt: start.Add(-time.Hour)}
	fresh := lease.Worker{ID: "a", ReportedAt: start}
	for _, workers := range [][]lease.Worker{{old, fresh}, {fresh, old}} {
		p, _ := cfg.Plan(cfg.Observe(assign.Observation{}, lease.Snapshot{Workers: workers}, start, start))
		if !slices.Equal(p.Candidates, []string{"a"}) {
			t.Errorf("%v: candidates %v, want a", workers, p.Candidates)
		}
	}
}

// A row that was deleted and made anew has a lower counter; that is movement (spec S36).
func TestLowerCounterIsMovement(t *testing.T) {
	cfg := assign.Config{}
	l := lease.Lease{Key: "s", Owner: "a", Counter: 90, Checkpoint: stream.Latest}
	o := cfg.Observe(assign.Observation{}, lease.Snapshot{Leases: []lease.Lease{l}}, start, start)
	l.Counter = 2
	worker := lease.Worker{ID: "b", ReportedAt: start.Add(9 * time.Second)}
	o = cfg.Observe(o, lease.Snapshot{Leases: []lease.Lease{l}, Workers: []lease.Worker{worker}}, start.Add(9*time.Second), start.Add(9*time.Second))
	o = cfg.Observe(o, lease.Snapshot{Leases: []lease.Lease{l}, Workers: []lease.Worker{worker}}, start.Add(18*time.Second), start.Add(18*time.Second))
	if p, _ := cfg.Plan(o); len(p.Moves) != 0 {
		t.Errorf("moves %v", p.Moves)
	}
}

// What stood still between two looks did so only from the end of the first to the beginning of the second.
func TestTheTimeOfALookIsNotCounted(t *testing.T) {
	cfg := assign.Config{}
	snap := lease.Snapshot{Leases: []lease.Lease{{Key: "s", Owner: "a", Checkpoint: stream.Latest}}, Workers: []lease.Worker{{ID: "b", ReportedAt: start}}}
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	o := cfg.Observe(assign.Observation{}, snap, at(0), at(5))
	o = cfg.Observe(o, snap, at(14), at(16))
	if p, _ := cfg.Plan(o); len(p.Moves) != 0 {
		t.Errorf("taken after 9 s: %v", p.Moves)
	}
	o = cfg.Observe(o, snap, at(15), at(16))
	if p, _ := cfg.Plan(o); len(p.Moves) != 1 {
		t.Errorf("not taken after 10 s")
	}
}

func BenchmarkPlan(b *testing.B) {
	const leases, workers = 10_000, 500
	build := func(owner func(i int) string, cpu bool) lease.Snapshot {
		r := rand.New(rand.NewPCG(1, 9))
		var snap lease.Snapshot
		for i := range leases {
			snap.Leases = append(snap.Leases, lease.Lease{Key: fmt.Sprintf("shardId-%012d", i), Owner: owner(i), Counter: 7,
				Checkpoint: stream.Latest, Throughput: r.Float64() * 1000, ThroughputKnown: true})
		}
		for i := range workers {
			w := lease.Worker{ID: fmt.Sprintf("worker-%04d", i), ReportedAt: start}
			if cpu {
				w.Stats = map[string][]float64{"C": {r.Float64() * 100, r.Float64() * 100}}
				w.Limits = map[string]float64{"C": 100}
			}
			snap.Workers = append(snap.Workers, w)
		}
		return snap
	}
	even := func(i int) string { return fmt.Sprintf("worker-%04d", i%workers) }
	cases := []struct {
		name    string
		byCount bool
		snap    lease.Snapshot
	}{
		{"cold start", false, build(func(int) string { return "" }, false)},
		{"steady", false, build(even, false)},
		{"steady by CPU", false, build(even, true)},
		{"one worker owns all", false, build(func(int) string { return "worker-0000" }, false)},
		{"one worker owns all, by count", true, build(func(int) string { return "worker-0000" }, false)},
	}
	for _, bb := range cases {
		b.Run(bb.name, func(b *testing.B) {
			cfg := assign.Config{ByCount: bb.byCount}
			first := cfg.Observe(assign.Observation{}, bb.snap, start, start)
			later, moved := start.Add(5*time.Second), bb.snap
			moved.Leases = slices.Clone(moved.Leases)
			for i := range moved.Leases { // renewed: what was never seen to move is not handed off
				moved.Leases[i].Counter++
			}
			b.ReportAllocs()
			moves := 0
			for b.Loop() {
				p, _ := cfg.Plan(cfg.Observe(first, moved, later, later))
				moves = len(p.Moves)
			}
			b.ReportMetric(float64(moves), "moves")
		})
	}
}
