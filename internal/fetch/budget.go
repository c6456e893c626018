package fetch

import (
	"context"
	"sync"
)

// Budget bounds the record data that a process holds: what is being received, what waits, and what is in the processors'
// hands. Those who ask wait in line, first come, first served.
type Budget struct {
	max int64

	mu   sync.Mutex
	used int64
	line []*claim // waiting, in order
}

type claim struct {
	bytes   int64
	granted chan struct{} // closed when the bytes are the claimant's
}

// NewBudget returns a budget of max bytes, at least 1.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// InUse returns the bytes in use now.
func (b *Budget) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// reserve waits for n bytes, or for the whole budget if n is more than that, and returns how many it got.
func (b *Budget) reserve(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.max)
	b.mu.Lock()
	if len(b.line) == 0 && b.used+n <= b.max {
		b.used += n
		b.mu.Unlock()
		return n, nil
	}
	c := &claim{bytes: n, granted: make(chan struct{})}
	b.line = append(b.line, c)
	b.mu.Unlock()
	select {
	case <-c.granted:
		return n, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted: // at the same moment
		b.used -= n
	default:
		for i, other := range b.line {
			if other == c {
				b.line = append(b.line[:i], b.line[i+1:]...)
				break
			}
		}
	}
	b.grantLocked()
	return 0, ctx.Err()
}

// release gives n bytes back.
func (b *Budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grantLocked()
}

func (b *Budget) grantLocked() {
	for len(b.line) > 0 && b.used+b.line[0].bytes <= b.max {
		c := b.line[0]
		b.line = b.line[1:]
		b.used += c.bytes
		close(c.granted)
	}
}
