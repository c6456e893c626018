package assign_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// sim is a table, a leader and workers that renew, report, adopt and hand over.
type sim struct {
	cfg     assign.Config
	now     time.Time
	start   time.Time
	obs     assign.Observation
	leases  map[string]*lease.Lease
	workers map[string]*worker
	log     []string
	moves   int
}

type worker struct {
	dead     bool
	silent   bool   // does not report
	idle     bool   // reports, but works on nothing that it is given from now on
	stubborn bool   // never lets go of a handoff
	ignores  string // a lease that it never renews
	clock    time.Duration
	cpu      float64 // percent; negative: not measured
	load     func(w *worker, kib float64) float64
	report   lease.Worker
	sentAt   time.Time
}

func newSim(cfg assign.Config) *sim {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &sim{cfg: cfg, now: start, start: start, leases: map[string]*lease.Lease{}, workers: map[string]*worker{}}
}

func (s *sim) join(id string) *worker {
	w := &worker{cpu: -1}
	s.workers[id] = w
	s.sendReport(id, w)
	return w
}

func (s *sim) sendReport(id string, w *worker) {
	if w.silent || w.dead {
		return
	}
	r := lease.Worker{ID: id, ReportedAt: s.now.Add(w.clock).Truncate(time.Second)}
	if w.load != nil {
		kib := 0.0
		for _, l := range s.leases {
			if l.Worker() == id && !l.Ended() {
				kib += l.Throughput
			}
		}
		w.cpu = w.load(w, kib)
	}
	if w.cpu >= 0 {
		r.Stats = map[string][]float64{"C": append(slices.Clone(w.report.Stats["C"]), w.cpu)}
		if n := len(r.Stats["C"]); n > 10 {
			r.Stats["C"] = r.Stats["C"][n-10:]
		}
		r.Limits = map[string]float64{"C": 100}
	}
	w.report, w.sentAt = r, s.now
}

func (s *sim) add(key, owner string, kib float64) *lease.Lease {
	l := &lease.Lease{Key: key, Shard: stream.ShardID(key), Owner: owner, Checkpoint: stream.TrimHorizon, Throughput: kib, ThroughputKnown: kib >= 0}
	s.leases[key] = l
	return l
}

// tick lets the workers work for d.
func (s *sim) tick(d time.Duration) {
	s.now = s.now.Add(d)
	for _, id := range slices.Sorted(maps.Keys(s.workers)) {
		w := s.workers[id]
		if w.dead {
			continue
		}
		for _, l := range s.leases {
			switch {
			case l.Worker() != id || w.idle || w.ignores == l.Key:
			case l.InHandoff() && !w.stubborn:
				l.CheckpointOwner = ""
				l.Counter++
			default:
				l.Counter++
			}
		}
		if s.now.Sub(w.sentAt) >= 30*time.Second {
			s.sendReport(id, w)
		}
	}
}

func (s *sim) snapshot() (snap lease.Snapshot) {
	for _, key := range slices.Sorted(maps.Keys(s.leases)) {
		snap.Leases = append(snap.Leases, *s.leases[key])
	}
	for _, id := range slices.Sorted(maps.Keys(s.workers)) {
		if w := s.workers[id]; w.report.ID != "" {
			snap.Workers = append(snap.Workers, w.report)
		}
	}
	return snap
}

// look is one round of the leader: it looks, plans and writes.
func (s *sim) look() assign.Plan {
	s.obs = s.cfg.Observe(s.obs, s.snapshot(), s.now, s.now)
	var p assign.Plan
	p, s.obs = s.cfg.Plan(s.obs)
	s.write(p.Moves)
	return p
}

func (s *sim) write(moves []assign.Move) {
	s.moves += len(moves)
	for _, m := range moves {
		l := s.leases[m.Lease.Key]
		if l == nil || l.Owner != m.Lease.Owner || l.CheckpointOwner != m.Lease.CheckpointOwner {
			s.log = append(s.log, fmt.Sprintf("refused: %s", m.Lease.Key))
			continue
		}
		s.log = append(s.log, fmt.Sprintf("%v %s %s: %s -> %s", s.now.Sub(s.start), m.Kind, m.Lease.Key, cmp.Or(m.From(), "nobody"), m.To))
		if m.Kind == assign.Handoff {
			l.CheckpointOwner, l.Owner = l.Owner, m.To
			continue
		}
		l.Owner, l.CheckpointOwner = m.To, ""
		l.Counter++
	}
}

// run lets time pass with a look every 2 s.
func (s *sim) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.tick(2 * time.Second)
		s.look()
	}
}

// shares returns, for each worker, its leases by destination.
func (s *sim) shares() map[string][]string {
	by := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(s.leases)) {
		by[s.leases[key].Owner] = append(by[s.leases[key].Owner], key)
	}
	return by
}

func (s *sim) show() string {
	var out strings.Builder
	by := s.shares()
	for _, id := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(&out, "%s:", cmp.Or(id, "nobody"))
		for _, key := range by[id] {
			out.WriteString(" " + key)
			if l := s.leases[key]; l.InHandoff() {
				out.WriteString("(from " + l.CheckpointOwner + ")")
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

func (s *sim) takeLog() string {
	defer func() { s.log = nil }()
	if len(s.log) == 0 {
		return "nothing moves"
	}
	return strings.Join(s.log, "\n")
}
