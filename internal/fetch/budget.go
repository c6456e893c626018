package fetch

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Budget bounds the record data that a process holds: what is being received, what waits, and what is in the processors'
// hands. A call to the service reserves what its answer will probably take. When the answer begins and its size is known, the
// reservation becomes that size, before the rest of the answer is read; what arrived is kept until [Page.Release].
//
// Shards that hold no page are served first come, first served, those whose answer has begun before the others. A shard that
// does hold one reads ahead only while no other waits and at most half of the budget is in use, so that reading ahead never
// starves another shard.
//
// An answer that waits for room has none reserved, so that no two wait for each other, and is given up after unreadPatience,
// or at once where maxUnread others wait already. It is asked for again when there is room for all of it.
//
// While less is in use than the budget allows, but not enough is free for an answer, one at a time is let in all the same:
// otherwise a few small pages in slow hands could silence every other shard, and a budget under 10 MiB all of them. So at
// most the budget and one answer, up to 11 MiB, or 15 in JSON, is in use. Only records of a few bytes each, packed by the
// million into aggregates of many megabytes, can take more, for as long as their page is held.
type Budget struct {
	max int64

	mu     sync.Mutex
	used   int64
	over   *hold     // the call that was let in without room; nil if there is none
	unread list.List // of *claim: shards that hold no page, and whose answer has begun
	first  list.List // of *claim: shards that hold no page
	ahead  list.List // of *claim: shards that hold one
}

// Bounds of what waits outside of the budget: in the buffers of a connection is part of an answer.
const (
	maxUnread      = 16
	unreadPatience = 5 * time.Second
)

// errNoRoom says that an answer was not read, because there was no room for it.
var errNoRoom = errors.New("fetch: no room for the answer")

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
	bytes   int64
	granted chan struct{} // closed when the bytes are in use
	line    *list.List
	place   *list.Element
}

func newClaim(h *hold, n int64) *claim {
	return &claim{hold: h, bytes: n, granted: make(chan struct{})}
}

// reserve waits for n bytes. The caller must call keep or release on the result.
func (a *account) reserve(ctx context.Context, n int64) (*hold, error) {
	b := a.budget
	c := newClaim(&hold{of: a}, n)
	b.mu.Lock()
	a.waiting = c
	b.queueLocked(c)
	b.grantLocked()
	b.mu.Unlock()
	select {
	case <-c.granted:
		return c.hold, nil
	case <-ctx.Done():
		b.giveUp(c)
		return nil, context.Cause(ctx)
	}
}

// giveUp ends the wait for a claim, and gives it back if it was granted at the same moment.
func (b *Budget) giveUp(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted:
		b.dropLocked(c.hold)
	default:
		c.line.Remove(c.place)
		c.hold.of.waiting = nil
	}
	b.grantLocked()
}

// grow makes a reservation one of n bytes, if it is smaller. It may wait, and has nothing reserved meanwhile nor after an
// error: errNoRoom, or the cause of ctx's end.
func (h *hold) grow(ctx context.Context, n int64) error {
	c, err := h.claim(n)
	if c == nil {
		return err
	}
	patience := time.NewTimer(unreadPatience)
	defer patience.Stop()
	select {
	case <-c.granted:
		return nil
	case <-patience.C:
		err = errNoRoom
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	h.of.budget.giveUp(c)
	return err
}

// claim is grow without the wait. A claim says that there must be one.
func (h *hold) claim(n int64) (*claim, error) {
	b := h.of.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if n <= h.bytes {
		return nil, nil
	}
	b.dropLocked(h)
	defer b.grantLocked()
	if h.of.pages > 0 { // it reads ahead: that is not worth a wait
		if b.unread.Len() > 0 || b.first.Len() > 0 || b.used+n > b.max/2 {
			return nil, errNoRoom
		}
		b.useLocked(h, n)
		return nil, nil
	}
	c := newClaim(h, n)
	c.line = &b.unread
	c.place = b.unread.PushBack(c)
	h.of.waiting = c
	b.grantLocked()
	switch {
	case h.bytes > 0:
		return nil, nil
	case b.unread.Len() > maxUnread:
		b.unread.Remove(c.place)
		h.of.waiting = nil
		return nil, errNoRoom
	}
	return c, nil
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
	for _, line := range []*list.List{&b.unread, &b.first} {
		for e := line.Front(); e != nil; e = line.Front() {
			c := e.Value.(*claim)
			if b.used+c.bytes > b.max {
				if b.over != nil || b.used >= b.max {
					return
				}
				b.over = c.hold
			}
			b.admitLocked(c)
		}
	}
	for e := b.ahead.Front(); e != nil; e = b.ahead.Front() {
		c := e.Value.(*claim)
		if b.used+c.bytes > b.max/2 {
			return
		}
		b.admitLocked(c)
	}
}

func (b *Budget) admitLocked(c *claim) {
	c.line.Remove(c.place)
	c.hold.of.waiting = nil
	b.useLocked(c.hold, c.bytes)
	close(c.granted)
}

func (b *Budget) useLocked(h *hold, n int64) {
	h.bytes = n
	b.used += n
}
