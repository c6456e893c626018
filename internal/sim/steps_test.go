package sim_test

import (
	"fmt"
	"hash/crc32"

	"github.com/kinesis-go/kcl/stream"
)

// step is from a record, or from where reading began, to the next that a processor was given.
type step struct{ from, to stream.Position }

// sumOf stands for what is in a record.
func sumOf(r stream.Record) uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%q %q %q", r.PartitionKey, r.ExplicitHashKey, r.Data))
}

func (l *ledger) stepped(id shardID, n *node, s step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ofLocked(id).steps[s] = n
}

// promise notes that a processor was told that a checkpoint is stored.
func (l *ledger) promise(id shardID, at stream.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.ofLocked(id); at.IsNumber() && (h.promised.IsZero() || at.Compare(h.promised) > 0) {
		h.promised = at
	}
}

// begins holds a new processor's beginning to the checkpoints that were promised (I3).
func (l *ledger) begins(id shardID, n *node, from stream.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.ofLocked(id); !h.promised.IsZero() && from.Compare(h.promised) < 0 && !n.isDead() && !h.gone {
		l.breachLocked("I3: %s begins %s at %s, although a checkpoint at %s was stored", n, id, from, h.promised)
	}
}

// doubts notes that a worker could not ask whether a stream spreads its records, and therefore delivers strays of it, too.
func (l *ledger) doubts(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted[name] = true
}

// audit compares all that was delivered with what was put, once both are over: nothing came that was not put, or changed, or was a
// stray (I1), and no reading passed a record over (I4), be it that it was accepted before.
func (l *ledger) audit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.shards {
		if h.gone {
			continue
		}
		index := map[stream.Position]int{stream.TrimHorizon: -1}
		for i, e := range h.put {
			index[e.Position] = i
			if sum, ok := h.sums[e.Position]; ok && sum != e.sum {
				l.breachLocked("I1: %s of %s is not what was put", e.Position, id)
			}
		}
		for at := range h.accepted {
			if _, ok := index[at]; !ok && !(h.strays[at] && l.doubted[id.stream]) {
				l.breachLocked("I1: %s of %s was not put, or is a stray", at, id)
			}
		}
		for s, n := range h.steps {
			from, known := index[s.from]
			if to, ok := index[s.to]; known && ok && to != from+1 {
				l.breachLocked("I4: %s passed from %s to %s of %s: %d between them were not delivered", n, s.from, s.to, id, to-from-1)
			}
		}
	}
}
