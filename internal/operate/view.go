package operate

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Span is a duration that JSON shows in seconds, rounded to milliseconds.
type Span time.Duration

// MarshalJSON implements [json.Marshaler].
func (s Span) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(time.Duration(s).Seconds()*1e3) / 1e3)
}

// View is an application as an operator sees it. It is a copy, ready to be encoded as JSON.
type View struct {
	Application string    `json:"application"`
	At          time.Time `json:"at"`
	// Watched is how long it was watched; 0 for one look, which can tell who owns what but not who lives.
	Watched  Span      `json:"watchedSeconds"`
	Leader   *Leader   `json:"leader"` // null: nobody holds the lock
	Leases   []Lease   `json:"leases"`
	Workers  []Worker  `json:"workers"`
	Broken   []Broken  `json:"broken,omitempty"`
	Problems []Problem `json:"problems"` // empty: nothing is wrong as far as was watched
}

// Life says whether something was seen to move.
type Life string

// The values of Life.
const (
	Moving  Life = "moving"  // it moved while it was watched
	Still   Life = "still"   // not yet, which means nothing until the lease duration is over
	Silent  Life = "silent"  // not for as long as it must
	Unknown Life = "unknown" // there was nothing to watch: one look, or nobody owns it
)

// State is what a row says of its shard.
type State string

// The states of a lease.
const (
	Owned      State = "owned"
	Handoff    State = "handoff" // on its way from Worker to Next
	Unassigned State = "unassigned"
	Ended      State = "ended" // read to its end; the row stays until the children are under way
)

// Lease is one row as an operator sees it.
type Lease struct {
	Stream string         `json:"stream,omitempty"` // name; empty in a table of one stream
	Key    string         `json:"key"`
	Shard  stream.ShardID `json:"shard"`
	State  State          `json:"state"`
	Worker string         `json:"worker,omitempty"` // works on it, or may
	Next   string         `json:"next,omitempty"`   // is to follow, in a handoff
	Life   Life           `json:"life"`
	// Since is how long owner and next owner have been as they are. AtLeast: they were so at the first look, and it is longer.
	Since   Span `json:"sinceSeconds"`
	AtLeast bool `json:"sinceAtLeast"`

	Counter    int64            `json:"counter"`
	Switches   int64            `json:"ownerSwitchesSinceCheckpoint"`
	Checkpoint string           `json:"checkpoint"` // sequence number, with "/" and the index inside an aggregate if not 0
	Pending    string           `json:"pendingCheckpoint,omitempty"`
	KiBPerS    *float64         `json:"throughputKiBps,omitempty"` // smoothed by the worker; absent: not known
	HashKeys   string           `json:"hashKeys"`
	Parents    []stream.ShardID `json:"parents,omitempty"`
	Children   []stream.ShardID `json:"children,omitempty"`
	Behind     *Behind          `json:"behind,omitempty"`
}

// Worker is one worker as an operator sees it: one that reports, that owns a lease, or that leads.
type Worker struct {
	ID      string `json:"worker"`
	Life    Life   `json:"life"`
	Leads   bool   `json:"leads,omitempty"`
	Reports bool   `json:"reports"`
	// ReportedAt is by the worker's clock, and ReportAge the difference to this machine's, which may be off by theirs.
	ReportedAt time.Time `json:"reportedAt,omitzero"`
	ReportAge  Span      `json:"reportAgeSeconds"`
	CPU        *float64  `json:"cpuPercent,omitempty"` // its latest average; absent: not measured
	Leases     int       `json:"leases"`               // it works on, ended ones not counted
	Coming     int       `json:"coming"`               // in handoff to it
	Ended      int       `json:"ended"`                // rows of ended shards in its name
	KiBPerS    float64   `json:"throughputKiBps"`      // the sum over its leases, as far as known
}

// Leader is who holds the leader's lock.
type Leader struct {
	Worker   string `json:"worker"`
	Life     Life   `json:"life"`
	Age      Span   `json:"lockAgeSeconds"`     // since the lock was last seen to be renewed; with AtLeast: it was not while watched
	AtLeast  bool   `json:"lockAgeAtLeast"`     //
	Duration Span   `json:"lockSeconds"`        // after so long without renewal another may take it
	Since    Span   `json:"sinceSeconds"`       // leads for so long as far as was watched
	Longer   bool   `json:"sinceAtLeast"`       // it did so at the first look
	Released bool   `json:"released,omitempty"` // given up: the next candidate takes it
}

// Broken is a row that cannot be read.
type Broken struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

// Bounds say from when on something is wrong. The zero value selects the defaults.
type Bounds struct {
	LeaseDuration  time.Duration // as the workers have it; default 10 s
	HandoffTimeout time.Duration // as the workers have it; default 30 s
}

func (b Bounds) withDefaults() Bounds {
	if b.LeaseDuration == 0 {
		b.LeaseDuration = 10 * time.Second
	}
	if b.HandoffTimeout == 0 {
		b.HandoffTimeout = 30 * time.Second
	}
	return b
}

// Patience is how long to watch until a lease that is not renewed is known to be so: the lease duration and a tenth.
func (b Bounds) Patience() time.Duration {
	d := b.withDefaults().LeaseDuration
	return d + d/10
}

// View returns what the looks show. now is this machine's clock, for the age of reports.
func (w Watch) View(application string, b Bounds, now time.Time) View {
	b = b.withDefaults()
	v := View{Application: application, At: now, Watched: Span(w.Watched()), Leases: []Lease{}, Workers: []Worker{}, Problems: []Problem{}}
	for _, s := range w.leases {
		v.Leases = append(v.Leases, w.viewLease(s, b))
	}
	slices.SortFunc(v.Leases, func(x, y Lease) int {
		return cmp.Or(cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.Key, y.Key))
	})
	v.Leader = w.viewLeader()
	v.Workers = w.viewWorkers(v, b, now)
	for _, br := range w.latest.Snapshot.Broken {
		v.Broken = append(v.Broken, Broken{Key: br.Key, Why: br.Err.Error()})
	}
	slices.SortFunc(v.Broken, func(x, y Broken) int { return cmp.Compare(x.Key, y.Key) })
	v.Problems = w.problems(v, b)
	return v
}

func (w Watch) viewLease(s sight, b Bounds) Lease {
	l := Lease{
		Stream: streamName(s.StreamID), Key: s.Key, Shard: s.Shard, State: stateOf(s.Lease), Worker: s.Worker(),
		Life: w.lifeOf(s, b), Since: Span(w.stood(s.ownersAt)), AtLeast: !s.newOwners,
		Counter: s.Counter, Switches: s.OwnerSwitches, Checkpoint: s.Checkpoint.String(), HashKeys: s.HashKeys.String(),
		Parents: s.Parents, Children: s.Children,
	}
	if s.InHandoff() {
		l.Next = s.Owner
	}
	if !s.Pending.IsZero() {
		l.Pending = s.Pending.String()
	}
	if s.ThroughputKnown {
		rate := s.Throughput
		l.KiBPerS = &rate
	}
	return l
}

func stateOf(l lease.Lease) State {
	switch {
	case l.Ended():
		return Ended
	case l.InHandoff():
		return Handoff
	case l.Owner == "":
		return Unassigned
	}
	return Owned
}

// lifeOf judges an owner by the counter of one lease. A counter that moved once and then stood for the lease duration is
// silent again.
func (w Watch) lifeOf(s sight, b Bounds) Life {
	stood := w.stood(s.counterAt)
	switch {
	case s.Worker() == "" || w.Watched() == 0:
		return Unknown
	case stood >= b.LeaseDuration:
		return Silent
	case s.moved:
		return Moving
	}
	return Still
}

func (w Watch) viewLeader() *Leader {
	item := w.lock.item
	if item == nil {
		return nil
	}
	stood := w.stood(w.lock.versionAt)
	l := &Leader{
		Worker: item.Owner, Life: Still, Age: Span(stood), AtLeast: !w.lock.moved && !w.lock.newOwner, Duration: Span(item.Duration),
		Since: Span(w.stood(w.lock.ownerAt)), Longer: !w.lock.newOwner, Released: item.Released,
	}
	switch {
	case w.Watched() == 0:
		l.Life = Unknown
	case stood > item.Duration:
		l.Life = Silent
	case w.lock.moved:
		l.Life = Moving
	}
	return l
}

// viewWorkers gathers the workers from reports, owners and the lock.
func (w Watch) viewWorkers(v View, b Bounds, now time.Time) []Worker {
	found := map[string]*Worker{}
	named := func(id string) *Worker {
		if found[id] == nil {
			found[id] = &Worker{ID: id}
		}
		return found[id]
	}
	lives := map[string][]Life{}
	for id, r := range w.workers {
		worker := named(id)
		worker.Reports, worker.ReportedAt = true, r.report.ReportedAt
		worker.ReportAge = Span(now.Sub(r.report.ReportedAt))
		if cpu := r.report.Stats["C"]; len(cpu) > 0 && cpu[len(cpu)-1] >= 0 {
			latest := cpu[len(cpu)-1]
			worker.CPU = &latest
		}
		if r.changed {
			lives[id] = append(lives[id], Moving)
		}
	}
	for _, l := range v.Leases {
		if l.Next != "" {
			named(l.Next).Coming++
		}
		if l.Worker == "" {
			continue
		}
		worker := named(l.Worker)
		lives[l.Worker] = append(lives[l.Worker], l.Life)
		if l.State == Ended {
			worker.Ended++
			continue
		}
		worker.Leases++
		if l.KiBPerS != nil {
			worker.KiBPerS += *l.KiBPerS
		}
	}
	if v.Leader != nil && !v.Leader.Released {
		named(v.Leader.Worker).Leads = true
		lives[v.Leader.Worker] = append(lives[v.Leader.Worker], v.Leader.Life)
	}
	workers := make([]Worker, 0, len(found))
	for id, worker := range found {
		worker.Life = strongest(lives[id], w.Watched())
		workers = append(workers, *worker)
	}
	slices.SortFunc(workers, func(x, y Worker) int { return cmp.Compare(x.ID, y.ID) })
	return workers
}

// strongest returns what the signs of one worker say together: one that moves shows that it lives, and it is silent only if
// everything of it is.
func strongest(signs []Life, watched time.Duration) Life {
	switch {
	case slices.Contains(signs, Moving):
		return Moving
	case watched == 0 || len(signs) == 0:
		return Unknown
	case slices.Contains(signs, Still):
		return Still
	case slices.Contains(signs, Silent):
		return Silent
	}
	return Unknown
}

// streamName returns the name in the id that rows of a table of several streams carry; the id itself if it is malformed.
func streamName(id string) string {
	if parsed, err := lineage.ParseStreamID(id); err == nil {
		return parsed.Name
	}
	return id
}
