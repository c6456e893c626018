package sim_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// ledger knows what was put and what every processor was given, and notes each breach of an invariant.
type ledger struct {
	mu        sync.Mutex
	began     time.Time
	put       map[stream.ShardID][]stream.SequenceNumber // in the order of the shard
	accepted  map[stream.SequenceNumber]int
	believers map[stream.ShardID]map[*node]bool
	lastMark  map[string]mark // by lease key: the last checkpoint seen
	breaches  []string
	log       []string
	delivered int
	over      bool
}

type mark struct {
	counter    int64
	checkpoint stream.Position
}

func newLedger() *ledger {
	return &ledger{
		began: time.Now(), put: map[stream.ShardID][]stream.SequenceNumber{}, accepted: map[stream.SequenceNumber]int{},
		believers: map[stream.ShardID]map[*node]bool{}, lastMark: map[string]mark{},
	}
}

func (l *ledger) breach(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breachLocked(format, args...)
}

func (l *ledger) breachLocked(format string, args ...any) {
	text := fmt.Sprintf("%8.3fs ", time.Since(l.began).Seconds()) + fmt.Sprintf(format, args...)
	if len(l.breaches) < 20 {
		l.breaches = append(l.breaches, text)
	}
	l.log = append(l.log, "BREACH "+text)
}

func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, fmt.Sprintf("%8.3fs ", time.Since(l.began).Seconds())+fmt.Sprintf(format, args...))
}

func (l *ledger) wasPut(shard stream.ShardID, seq stream.SequenceNumber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put[shard] = append(l.put[shard], seq)
}

// accept notes the records of a batch that a processor has accepted.
func (l *ledger) accept(b *stream.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range b.Records {
		l.accepted[r.Position.Sequence]++
		l.delivered++
	}
}

// missing returns how many records nobody has accepted, and the first of them (I1).
func (l *ledger) missing() (n int, first string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for shard, seqs := range l.put {
		for _, seq := range seqs {
			if l.accepted[seq] == 0 {
				if n++; first == "" {
					first = fmt.Sprintf("%s %s", shard, seq)
				}
			}
		}
	}
	return n, first
}

// believes notes that a live worker believes that it owns a shard; two at once are a breach (I5).
func (l *ledger) believes(shard stream.ShardID, n *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.isDead() {
		return
	}
	for other := range l.believers[shard] {
		if other != n && !other.isDead() {
			l.breachLocked("I5: %s and %s both believe that they own %s", n, other, shard)
		}
	}
	if l.believers[shard] == nil {
		l.believers[shard] = map[*node]bool{}
	}
	l.believers[shard][n] = true
}

func (l *ledger) ceases(shard stream.ShardID, n *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.believers[shard], n)
}

// look compares a checkpoint in the table with the one seen before (I3) and with what was accepted (I4).
func (l *ledger) look(key string, shard stream.ShardID, counter int64, at stream.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.lastMark[key]
	if known && before.checkpoint == at {
		l.lastMark[key] = mark{counter, at}
		return
	}
	if known && at.Compare(before.checkpoint) < 0 {
		l.breachLocked("I3: the checkpoint of %s went back from %s to %s", key, before.checkpoint, at)
	}
	if known && counter < before.counter {
		l.breachLocked("I3: the counter of %s went back from %d to %d", key, before.counter, counter)
	}
	l.lastMark[key] = mark{counter, at}
	for _, seq := range l.put[shard] {
		if at.Sequence.Compare(seq) >= 0 && l.accepted[seq] == 0 {
			l.breachLocked("I4: %s lies behind the checkpoint %s of %s, but nobody accepted it", seq, at, shard)
			return
		}
	}
}

func (l *ledger) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.log, "\n")
}

// close ends the putting of records: from here on the fleet has to catch up.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

func (l *ledger) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}
