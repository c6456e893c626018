package sim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// shardID names a shard of one of the streams.
type shardID struct {
	stream string
	shard  stream.ShardID
}

func (s shardID) String() string { return s.stream + "/" + string(s.shard) }

// ledger knows what was put and what every processor was given, and notes each breach of an invariant.
type ledger struct {
	began time.Time

	mu        sync.Mutex
	shards    map[shardID]*history
	ended     map[string]bool // by lease key: the shard's end was stored
	doubted   map[string]bool // the streams of which a worker could not tell what is a stray
	breaches  []string
	log       []string
	delivered int
	taken     int // leases, by whomever
	over      bool
}

// history is what happened to one shard.
type history struct {
	id       shardID
	put      []entry // in the order of the shard
	accepted map[stream.Position]int
	sums     map[stream.Position]uint32 // of what was accepted
	steps    map[step]*node             // that readings made, and who did
	strays   map[stream.Position]bool
	promised stream.Position // the last checkpoint that a processor was told is stored
	passed   int             // the first so many of put have been accepted
	checked  int             // the first so many of put lie behind the checkpoint and were accepted
	closedAt time.Time       // when it was split or merged
	merged   *shardID        // with which
	gone     bool            // its stream was deleted

	believers map[*node]time.Time // since when
	calls     int                 // to its processors, under way
	given     []delivery          // all calls to its processors, in order
	activeAt  time.Time           // when last something was done for it, or nothing could be

	// Of the row.
	counter    int64
	checkpoint stream.Position
	named      map[string]naming // the workers that the row has named
	handoff    handoff           // under way; zero: none
	parents    []shardID
}

type entry struct {
	stream.Position
	at  time.Time
	sum uint32
}

// naming is since when a row has named a worker, and when it was last seen to.
type naming struct{ from, last time.Time }

// handoff is a lease on its way from a live owner to the next.
type handoff struct {
	from, to string
	since    time.Time // when it was first seen
}

// delivery is a call to Process.
type delivery struct {
	to        *node
	at, until time.Time
}

func newLedger() *ledger {
	return &ledger{began: time.Now(), shards: map[shardID]*history{}, ended: map[string]bool{}, doubted: map[string]bool{}}
}

func (l *ledger) ofLocked(id shardID) *history {
	h := l.shards[id]
	if h == nil {
		h = &history{
			id: id, accepted: map[stream.Position]int{}, sums: map[stream.Position]uint32{}, steps: map[step]*node{}, strays: map[stream.Position]bool{},
			believers: map[*node]time.Time{}, named: map[string]naming{}, activeAt: time.Now(),
		}
		l.shards[id] = h
	}
	return h
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

// wasPut notes the records of the application that one record of the service holds: those that are to be delivered, and strays.
func (l *ledger) wasPut(id shardID, records, strays []stream.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ofLocked(id)
	for _, r := range records {
		h.put = append(h.put, entry{r.Position, time.Now(), sumOf(r)})
	}
	for _, r := range strays {
		h.strays[r.Position] = true
	}
}

// wereClosed notes that one shard was split, or two were merged.
func (l *ledger) wereClosed(ids []shardID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, id := range ids {
		h := l.ofLocked(id)
		h.closedAt = time.Now()
		if len(ids) == 2 {
			h.merged = &ids[1-i]
		}
	}
}

// wasBorn notes the parents of a shard.
func (l *ledger) wasBorn(id shardID, parents ...stream.ShardID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ofLocked(id)
	h.parents = nil
	for _, p := range parents {
		h.parents = append(h.parents, shardID{id.stream, p})
	}
}

func (l *ledger) parentsOf(id shardID) []shardID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ofLocked(id).parents
}

// wasDeleted ends what is expected of a stream.
func (l *ledger) wasDeleted(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.shards {
		h.gone = h.gone || id.stream == name
	}
}

// called notes that a call to a processor begins, and returned that it is over.
func (l *ledger) called(id shardID, n *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ofLocked(id)
	h.calls++
	h.activeAt = time.Now()
	h.given = append(h.given, delivery{to: n, at: time.Now()})
}

func (l *ledger) returned(id shardID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ofLocked(id)
	h.calls--
	h.activeAt = time.Now()
	h.given[len(h.given)-1].until = time.Now()
}

// excuse says that nothing could be done for a shard until now.
func (l *ledger) excuse(id shardID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ofLocked(id).activeAt = time.Now()
}

func (l *ledger) excuseAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.shards {
		h.activeAt = time.Now()
	}
}

// accept notes the records of a batch that a processor has accepted.
func (l *ledger) accept(id shardID, b *stream.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ofLocked(id)
	for _, r := range b.Records {
		h.accepted[r.Position]++
		h.sums[r.Position] = sumOf(r)
		l.delivered++
	}
	h.advance()
}

func (h *history) advance() {
	for h.passed < len(h.put) && h.accepted[h.put[h.passed].Position] > 0 {
		h.passed++
	}
}

// missing returns how many records nobody has accepted, and the first of them (I1).
func (l *ledger) missing() (n int, first string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.shards {
		if h.advance(); h.gone {
			continue
		}
		for _, e := range h.put[h.passed:] {
			if h.accepted[e.Position] == 0 {
				if n++; first == "" {
					first = fmt.Sprintf("%s %s", id, e.Position)
				}
			}
		}
	}
	return n, first
}

// unread returns how many records of a shard nobody has accepted.
func (l *ledger) unread(id shardID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.shards[id]
	if h == nil || h.gone {
		return 0
	}
	h.advance()
	return len(h.put) - h.passed
}

func (l *ledger) takenSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

func (l *ledger) deliveredSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delivered
}

// duplicates returns how many deliveries repeated an earlier one.
func (l *ledger) duplicates() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.shards {
		for _, times := range h.accepted {
			n += times - 1
		}
	}
	return n
}

// believes notes that a live worker believes that it owns a shard; two at once are a breach (I5).
func (l *ledger) believes(id shardID, n *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.isDead() {
		return
	}
	h := l.ofLocked(id)
	for other := range h.believers {
		if other != n && !other.isDead() {
			l.breachLocked("I5: %s and %s both believe that they own %s", n, other, id)
		}
	}
	h.believers[n] = time.Now()
	l.taken++
}

func (l *ledger) ceases(id shardID, n *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ofLocked(id).believers, n)
}

// believed returns the shards that a worker believes to own, and for how long it has.
func (l *ledger) believed(n *node) map[shardID]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := map[shardID]time.Duration{}
	for id, h := range l.shards {
		if since, ok := h.believers[n]; ok {
			ids[id] = time.Since(since)
		}
	}
	return ids
}

func (l *ledger) hasEnded(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[key]
}

// look compares a row with the one seen before (I3) and with what was accepted (I4).
func (l *ledger) look(id shardID, it item, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ofLocked(id)
	at := stream.Position{Sequence: stream.SequenceNumber(it.text("checkpoint")), Sub: it.number("checkpointSubSequenceNumber")}
	for _, name := range []string{"leaseOwner", "checkpointOwner"} {
		if owner := it.text(name); owner != "" {
			was := h.named[owner]
			if now.Sub(was.last) > time.Second {
				was.from = now
			}
			h.named[owner] = naming{was.from, now}
		}
	}
	if from, to := it.text("checkpointOwner"), it.text("leaseOwner"); from != h.handoff.from || to != h.handoff.to {
		h.handoff = handoff{from, to, now}
	}
	before, counter := h.checkpoint, it.number("leaseCounter")
	if counter < h.counter {
		l.breachLocked("I3: the counter of %s went back from %d to %d", id, h.counter, counter)
	}
	h.counter = counter
	if before == at {
		return
	}
	if !before.IsZero() && at.Compare(before) < 0 {
		l.breachLocked("I3: the checkpoint of %s went back from %s to %s", id, before, at)
	}
	h.checkpoint = at
	if at == stream.ShardEnd {
		l.ended[it.text("leaseKey")] = true
	}
	for ; h.checked < len(h.put) && at.Compare(h.put[h.checked].Position) >= 0; h.checked++ {
		if p := h.put[h.checked].Position; h.accepted[p] == 0 && !h.gone {
			l.breachLocked("I4: %s lies behind the checkpoint %s of %s, but nobody accepted it", p, at, id)
		}
	}
}

// looked is called after all rows. A shard that waits for a parent, or whose parent has yet to make its row, cannot be read:
// the parent is what has to move.
func (l *ledger) looked(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.shards {
		waits := slices.ContainsFunc(h.parents, func(p shardID) bool {
			parent := l.shards[p]
			return parent != nil && parent.checkpoint != stream.ShardEnd && !parent.checkpoint.IsZero()
		})
		// The end of a merged shard waits for a row of the other parent, which may wait for its own parents.
		if h.advance(); h.passed == len(h.put) && h.merged != nil {
			waits = waits || l.shards[*h.merged].checkpoint.IsZero()
		}
		if waits || h.checkpoint.IsZero() || h.calls > 0 || h.idle() {
			h.activeAt = now
		}
	}
}

// idle reports whether there is nothing to do for the shard.
func (h *history) idle() bool {
	h.advance()
	return h.gone || h.passed == len(h.put) && (h.closedAt.IsZero() || h.checkpoint == stream.ShardEnd)
}

// silent is a shard with something to do, for which nothing was done for a while.
type silent struct {
	id    shardID
	since time.Time
	named map[string]naming
}

func (l *ledger) silences(longerThan time.Duration) (list []silent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.shards {
		since := h.activeAt
		if h.passed < len(h.put) && h.put[h.passed].at.After(since) {
			since = h.put[h.passed].at
		}
		if !h.idle() && time.Since(since) > longerThan {
			list = append(list, silent{id, since, maps.Clone(h.named)})
		}
	}
	return list
}

// pending is a handoff that a worker has yet to finish, and since when nothing keeps it from that.
type pending struct {
	id shardID
	handoff
}

// handoffs returns the handoffs from a worker of leases that it believes to own and whose processors are idle.
func (l *ledger) handoffs(n *node) (list []pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.shards {
		since, believed := h.believers[n]
		if h.handoff.from != n.id || !believed || h.calls > 0 || h.gone {
			continue
		}
		p := pending{id, h.handoff}
		p.since = laterOf(p.since, since)
		if len(h.given) > 0 {
			p.since = laterOf(p.since, h.given[len(h.given)-1].until)
		}
		list = append(list, p)
	}
	return list
}

// deliveries returns all calls to Process for a shard.
func (l *ledger) deliveries(id shardID) []delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ofLocked(id).given)
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
