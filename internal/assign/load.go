package assign

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/kinesis-go/kcl/lease"
)

const (
	// idleWeight in KiB/s is what a lease weighs without any data: reading an empty shard costs something. It makes an
	// idle fleet share by number, keeps noise around zero from moving anything, and is never zero.
	idleWeight = 16
	// mostWeight in KiB/s bounds a lease's weight, far above what a shard can carry, against absurd rows.
	mostWeight = 1e9
	// slack in percentage points says how much utilization counts as little to see: with it as the mean, half the level comes
	// from utilization and half from weight.
	slack = 10
)

// bearer is a candidate with the leases it bears or is about to.
type bearer struct {
	id         string
	rank       int // by id: ties are broken alike in every run
	leases     int // not counting ended shards
	ended      int
	shy        bool // it may be dead: others are asked first, and it takes nothing for balance
	quiet      bool // it has shown no life for a lease duration, as idle workers do between reports: others are asked first
	still      bool // nor for half of one, in which a live worker renews what it has: it takes nothing for balance
	weight     float64
	throughput float64
	measures   []measure
	level      float64
	added      float64 // the part of level that comes from moves of this plan
	movable    []*item // by weight, lightest first

	give, take float64 // weight that it may still give or take in one round of balance
}

// measure is one utilization that a worker reports, in percent.
type measure struct {
	value, mean, limit float64 // mean: over all candidates that report it
}

// item is a lease with its weight.
type item struct {
	lease              *lease.Lease
	weight, throughput float64
	from               *bearer // that it is expected to work on, or nil
	never              bool    // from had it and never began
	force              bool
}

// fleet is the candidates, their load and what the plan did to it so far.
type fleet struct {
	Config
	unit    float64 // the weight of a fair share
	mean    float64 // of all levels, once everything is placed
	bearers []*bearer
	byID    map[string]*bearer
	moves   []Move
}

func (c Config) newFleet(o Observation, without string) *fleet {
	f := &fleet{Config: c, byID: map[string]*bearer{}}
	wary := c.wary(o)
	for _, id := range slices.Sorted(maps.Keys(o.workers)) {
		if id == "" || id == without || !c.candidate(o, id) {
			continue
		}
		b := &bearer{id: id, rank: len(f.bearers), quiet: !c.lively(o, id, c.LeaseDuration), still: !c.lively(o, id, c.LeaseDuration/2)}
		b.shy = wary && b.quiet || !wary && o.unproven(c.Me, id)
		f.bearers = append(f.bearers, b)
		f.byID[id] = b
	}
	if c.ByCount {
		return f
	}
	type sum struct {
		total float64
		n     int
	}
	sums := map[string]sum{}
	for _, b := range f.bearers {
		for _, name := range slices.Sorted(maps.Keys(o.workers[b.id].report.Stats)) {
			v := smooth(o.workers[b.id].report.Stats[name])
			sums[name] = sum{sums[name].total + v, sums[name].n + 1}
		}
	}
	for _, b := range f.bearers {
		r := o.workers[b.id].report
		for _, name := range slices.Sorted(maps.Keys(r.Stats)) {
			b.measures = append(b.measures, measure{smooth(r.Stats[name]), sums[name].total / float64(sums[name].n), r.Limits[name]})
		}
	}
	return f
}

// smooth is the exponential mean of a worker's reported values, oldest first, as the Java leader takes it: half of each
// new value, −1 for no sample left out. Values beyond any percentage are cut.
func smooth(values []float64) float64 {
	mean, any := 0.0, false
	for _, v := range values {
		switch v = min(v, 1000); {
		case v < 0:
		case !any:
			mean, any = v, true
		default:
			mean = (mean + v) / 2
		}
	}
	return mean
}

// items weighs the leases. One whose throughput is not known weighs as much as the known ones do on average.
func (f *fleet) items(leases []lease.Lease) []item {
	known, sum := 0, 0.0
	for i := range leases {
		if l := &leases[i]; !l.Ended() && l.ThroughputKnown {
			known, sum = known+1, sum+sane(l.Throughput)
		}
	}
	items := make([]item, len(leases))
	for i := range leases {
		l := &leases[i]
		it := item{lease: l}
		switch {
		case l.Ended():
		case l.ThroughputKnown:
			it.throughput = sane(l.Throughput)
		case known > 0:
			it.throughput = sum / float64(known)
		}
		it.weight = it.throughput + idleWeight
		if f.ByCount {
			it.weight = 1
		}
		if l.Ended() {
			it.weight = 0
		}
		items[i] = it
	}
	return items
}

func sane(throughput float64) float64 {
	if !(throughput > 0) { // also if it is no number
		return 0
	}
	return min(throughput, mostWeight)
}

// bear counts a lease to a bearer before levels are known.
func (b *bearer) bear(it *item) {
	if it.lease.Ended() {
		b.ended++
		return
	}
	b.leases++
	b.weight += it.weight
	b.throughput += it.throughput
}

// measureUp computes the levels, once every lease that is settled is counted; loose is the weight still to be placed.
//
// The level by weight is weight/unit. By a utilization with mean m it is (value + slack·weight/unit)/(m + slack): close to
// value/m in a busy fleet, close to the level by weight in an idle one, and always 1 for a worker at the mean. A fair share
// more of weight raises value by m (the Java KCL's estimate), and so any level by exactly 1.
func (f *fleet) measureUp(loose float64) {
	total := loose
	for _, b := range f.bearers {
		total += b.weight
	}
	f.unit = total / float64(len(f.bearers))
	if !(f.unit > 0) {
		f.unit = 1
	}
	for _, b := range f.bearers {
		share := b.weight / f.unit
		b.level = share
		for i, m := range b.measures {
			if by := (m.value + slack*share) / (m.mean + slack); i == 0 || by > b.level {
				b.level = by
			}
		}
		sort.SliceStable(b.movable, func(i, j int) bool { return b.movable[i].weight < b.movable[j].weight })
	}
}

// hand moves an item to a bearer and its level with it.
func (f *fleet) hand(it *item, to *bearer, kind Kind) {
	f.moves = append(f.moves, Move{Lease: *it.lease, To: to.id, Kind: kind})
	if from := it.from; from != nil && (kind == Handoff || kind == Steal) {
		from.leases--
		from.weight -= it.weight
		from.throughput -= it.throughput
		from.raise(-it.weight / f.unit)
	}
	to.bear(it)
	to.raise(it.weight / f.unit)
}

func (b *bearer) raise(by float64) {
	b.level += by
	b.added += by
}

// hasRoom reports whether a bearer may be given a lease that nobody works on.
func (f *fleet) hasRoom(b *bearer) bool {
	return b.leases < f.MaxLeases && b.throughput <= f.MaxThroughput
}

// fits reports whether a bearer may be given a lease for balance: within all bounds, its own utilization limits included.
func (f *fleet) fits(b *bearer, it *item) bool {
	if b.leases >= f.MaxLeases || b.throughput+it.throughput > f.MaxThroughput {
		return false
	}
	for _, m := range b.measures {
		if m.value+m.mean*(b.added+it.weight/f.unit) > m.limit {
			return false
		}
	}
	return true
}

// overLimit reports by which part of its load a bearer exceeds a utilization limit of its own, 0 if none.
func (b *bearer) overLimit() float64 {
	part := 0.0
	for _, m := range b.measures {
		if m.value > m.limit {
			part = math.Max(part, (m.value-math.Min(m.mean, m.limit))/m.value)
		}
	}
	return part
}

// emptier orders bearers, the one to be given something first.
func emptier(a, b *bearer) int {
	return cmp.Or(after(a.shy, b.shy), after(a.quiet, b.quiet), cmp.Compare(a.level, b.level), cmp.Compare(a.leases, b.leases), cmp.Compare(a.rank, b.rank))
}

// fewerEnded orders bearers for the leases of ended shards.
func fewerEnded(a, b *bearer) int {
	return cmp.Or(after(a.shy, b.shy), after(a.quiet, b.quiet), cmp.Compare(a.ended, b.ended), emptier(a, b))
}

// after orders true after false.
func after(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// fuller orders bearers, the one to be relieved first.
func fuller(a, b *bearer) int {
	return cmp.Or(cmp.Compare(b.level, a.level), cmp.Compare(b.leases, a.leases), cmp.Compare(a.rank, b.rank))
}

// queue is a heap of bearers, for container/heap.
type queue struct {
	b     []*bearer
	order func(a, b *bearer) int
}

func (q *queue) Len() int           { return len(q.b) }
func (q *queue) Less(i, j int) bool { return q.order(q.b[i], q.b[j]) < 0 }
func (q *queue) Swap(i, j int)      { q.b[i], q.b[j] = q.b[j], q.b[i] }
func (q *queue) Push(x any)         { q.b = append(q.b, x.(*bearer)) }
func (q *queue) Pop() any {
	last := q.b[len(q.b)-1]
	q.b = q.b[:len(q.b)-1]
	return last
}
