package assign

import (
	"container/heap"
	"math"
	"slices"
	"sort"
)

// starved is the part of a fair share below which a worker gets more without waiting for a round of balance.
const starved = 0.5

// tiny is a difference in levels that is rounding, not load.
const tiny = 1e-9

// balance plans moves of live leases. It reports whether the time until the next round begins anew.
func (f *fleet) balance(o Observation) bool {
	if len(f.bearers) < 2 {
		return false
	}
	f.updateMean()
	if f.ByCount {
		return f.evenCounts()
	}
	if f.feed() {
		return true
	}
	last := o.since
	if o.balancedAt.After(last) {
		last = o.balancedAt
	}
	if o.ended.Sub(last) < f.BalanceInterval {
		return false
	}
	f.evenLoad()
	return true
}

func (f *fleet) updateMean() {
	f.mean = 0
	for _, b := range f.bearers {
		f.mean += b.level / float64(len(f.bearers))
	}
}

// evenCounts makes the numbers of leases differ by at most one.
func (f *fleet) evenCounts() bool {
	var givers, takers []*bearer
	for _, b := range f.bearers {
		b.give, b.take = math.Inf(1), math.Inf(1)
		if b.level > f.mean {
			givers = append(givers, b)
		} else {
			takers = append(takers, b)
		}
	}
	return f.shift(givers, takers)
}

// feed brings workers that have far less than their share, such as new ones, up to it. It goes by weight, which is known at
// once, because their utilization will show only with later reports.
func (f *fleet) feed() bool {
	var givers, takers []*bearer
	for _, b := range f.bearers {
		switch {
		case b.level > f.mean:
			b.give = math.Inf(1)
			givers = append(givers, b)
		case b.weight < starved*f.unit && b.overLimit() == 0:
			b.take = f.unit - b.weight
			takers = append(takers, b)
		}
	}
	return f.shift(givers, takers)
}

// evenLoad moves a part of what workers have above the mean, if some worker is far from it or above a limit of its own.
func (f *fleet) evenLoad() {
	threshold, damping := float64(f.Threshold)/100, float64(f.Damping)/100
	var above, farAbove, takers []*bearer
	farBelow := false
	for _, b := range f.bearers {
		b.take = math.Inf(1)
		surplus := math.Max((b.level-f.mean)/math.Max(b.level, tiny), b.overLimit())
		b.give = b.weight * surplus * damping
		if b.level > f.mean*(1+threshold)+tiny || b.overLimit() > 0 {
			farAbove = append(farAbove, b)
		}
		if b.level > f.mean+tiny {
			above = append(above, b)
		} else {
			takers = append(takers, b)
		}
		farBelow = farBelow || b.level < f.mean*(1-threshold)-tiny
	}
	switch {
	case len(farAbove) > 0:
		takers = slices.DeleteFunc(takers, func(b *bearer) bool { return slices.Contains(farAbove, b) })
		f.shift(farAbove, takers)
	case farBelow:
		f.shift(above, takers)
	}
}

// shift moves leases one by one from the fullest giver to the emptiest taker, as far as both may, and only where the taker
// stays below where the giver was: so the spread shrinks with each move, and no two workers pass a lease to and fro.
func (f *fleet) shift(givers, takers []*bearer) (moved bool) {
	from, to := &queue{b: givers, order: fuller}, &queue{b: takers, order: emptier}
	heap.Init(from)
	heap.Init(to)
	for from.Len() > 0 && to.Len() > 0 {
		g, t := from.b[0], to.b[0]
		if len(g.movable) == 0 || !(g.give > 0) {
			heap.Pop(from)
			continue
		}
		if t.shy || t.still || t.leases >= f.MaxLeases || !(t.take > 0) {
			heap.Pop(to)
			continue
		}
		at, end := f.choose(g, t)
		switch end {
		case giverDone:
			heap.Pop(from)
			continue
		case takerDone:
			heap.Pop(to)
			continue
		}
		it := g.movable[at]
		g.movable = slices.Delete(g.movable, at, at+1)
		kind := Handoff
		if f.NoHandoff {
			kind = Steal
		}
		f.hand(it, t, kind)
		g.give -= it.weight
		t.take -= it.weight
		moved = true
		heap.Fix(from, 0)
		heap.Fix(to, 0)
	}
	return moved
}

// verdict says whether a giver and a taker have something for each other.
type verdict int

const (
	match     verdict = iota
	giverDone         // the giver has nothing that helps
	takerDone         // the taker cannot take even the lightest
)

// choose returns which of g's leases should go to t: the heaviest that both may move and that does not make t fuller
// than g, or else the lightest, if it is allowed to be more than was to be moved and still helps.
func (f *fleet) choose(g, t *bearer) (at int, v verdict) {
	gap := (g.level - t.level) * f.unit
	limit := min(g.give, t.take, gap/2) * (1 + tiny)
	at = sort.Search(len(g.movable), func(i int) bool { return g.movable[i].weight > limit }) - 1
	for ; at >= 0; at-- {
		if f.fits(t, g.movable[at]) {
			return at, match
		}
	}
	lightest := g.movable[0]
	switch {
	case lightest.weight <= limit:
		return 0, takerDone // something was light enough, but beyond t's bounds
	case f.NoOvershoot || lightest.weight > gap-tiny*f.unit:
		return 0, giverDone
	case lightest.weight > t.take && t.leases > 0:
		return 0, takerDone // it has its share, as nearly as leases go
	case !f.fits(t, lightest):
		return 0, takerDone
	}
	g.give = math.Min(g.give, lightest.weight) // an overshoot is the giver's last move
	return 0, match
}
