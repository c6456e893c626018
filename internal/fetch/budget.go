package fetch

import (
	"container/list"
	"context"
	"sync"
)

// Budget bounds the record data that a process holds: what is being received, what waits, and what is in the processors'
// hands. Each call to the service reserves the most its answer can hold and keeps what arrived until [Page.Release].
//
// Shards that hold no page are served first come, first served. A shard that does hold one reads ahead only while no
// other waits and at most half of the budget is in use, so that reading ahead never starves another shard.
//
// While less is in use than the budget allows, but not enough is free for the largest answer, one call at a time is let
// in all the same: otherwise a few small pages in slow hands could silence every other shard, and a budget under 10 MiB
// all of them. So at most the budget and one answer, about 11 MiB, is in use. Only records of a few bytes each, packed
// by the million into aggregates of many megabytes, can take more, for as long as their page is held.
type Budget struct {
	max int64

	mu    sync.Mutex
	used  int64
	over  *hold     // the call that was let in without room; nil if there is none
	first list.List // of *claim: shards that hold no page
	ahead list.List // of *claim: shards that hold one
}

// NewBudget returns a budget of max bytes, at least 1.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// InUse returns the bytes in use now, reservations included.
func (b *Budget) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// account is the part that one shard has in a budget.
type account struct {
	budget  *Budget
	pages   int    // held; guarded by budget.mu
	waiting *claim // at most one; guarded by budget.mu
}

// hold is bytes in use: a reservation, and after keep those of a page.
type hold struct {
	of    *account
	bytes int64 // guarded by budget.mu
	page  bool  // guarded by budget.mu
}

// claim is a reservation that waits in line.
type claim struct {
	hold    *hold
	granted chan struct{} // closed when the bytes are in use
	line    *list.List
	place   *list.Element
}

// reserve waits for n bytes. The caller must call keep or release on the result.
func (a *account) reserve(ctx context.Context, n int64) (*hold, error) {
	b := a.budget
	c := &claim{hold: &hold{of: a, bytes: n}, granted: make(chan struct{})}
	b.mu.Lock()
	a.waiting = c
	b.queueLocked(c)
	b.grantLocked()
	b.mu.Unlock()
	select {
	case <-c.granted:
		return c.hold, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted: // at the same moment
		b.dropLocked(c.hold)
	default:
		c.line.Remove(c.place)
		a.waiting = nil
	}
	b.grantLocked()
	return nil, context.Cause(ctx)
}

// keep makes a reservation the n bytes of a page that arrived; a page of none is given back.
func (h *hold) keep(n int64) {
	if n == 0 {
		h.release()
		return
	}
	b := h.of.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n - h.bytes
	h.bytes, h.page = n, true
	h.of.pages++
	b.endOverLocked(h)
	b.grantLocked()
}

// release gives everything back. Calling it again does nothing.
func (h *hold) release() {
	b := h.of.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked(h)
	b.grantLocked()
}

func (b *Budget) dropLocked(h *hold) {
	b.used -= h.bytes
	h.bytes = 0
	b.endOverLocked(h)
	if !h.page {
		return
	}
	h.page = false
	a := h.of
	a.pages--
	if c := a.waiting; c != nil && a.pages == 0 && c.line == &b.ahead { // it does not read ahead any more
		b.ahead.Remove(c.place)
		b.queueLocked(c)
	}
}

func (b *Budget) endOverLocked(h *hold) {
	if b.over == h {
		b.over = nil
	}
}

func (b *Budget) queueLocked(c *claim) {
	c.line = &b.first
	if c.hold.of.pages > 0 {
		c.line = &b.ahead
	}
	c.place = c.line.PushBack(c)
}

// grantLocked lets in whom there is room for, each line in its order.
func (b *Budget) grantLocked() {
	for e := b.first.Front(); e != nil; e = b.first.Front() {
		c := e.Value.(*claim)
		if b.used+c.hold.bytes > b.max {
			if b.over != nil || b.used >= b.max {
				return
			}
			b.over = c.hold
		}
		b.admitLocked(c)
	}
	for e := b.ahead.Front(); e != nil; e = b.ahead.Front() {
		c := e.Value.(*claim)
		if b.used+c.hold.bytes > b.max/2 {
			return
		}
		b.admitLocked(c)
	}
}

func (b *Budget) admitLocked(c *claim) {
	c.line.Remove(c.place)
	c.hold.of.waiting = nil
	b.used += c.hold.bytes
	close(c.granted)
}
