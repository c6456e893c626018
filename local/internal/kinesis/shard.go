package kinesis

import (
	"fmt"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// Limits of one shard (spec retrieval-and-lifecycle.md 1.1).
const (
	readsPerSecond        = 5
	readBytesPerSecond    = 2 << 20
	writeRecordsPerSecond = 1000
	writeBytesPerSecond   = 1 << 20
	readBytesPerCall      = 10 << 20
	recordsPerCall        = 10000
)

// shard is one shard of a stream, open or closed.
type shard struct {
	id       string
	number   uint32
	birth    int64 // seconds, in every sequence number; greater than that of the parents
	openedAt int64 // milliseconds
	from, to hashKey
	parents  []*shard

	mu          sync.Mutex // guards what follows
	log         log
	lastArrival int64
	closedAt    int64 // milliseconds; 0 while the shard is open
	ending      string
	children    []*shard
	wake        chan struct{} // closed at the next record or the end; nil while nobody waits

	reads, readBytes, iterators budget
	writes, writeBytes          budget
}

func newShard(number uint32, birth, openedAt int64, from, to hashKey, parents ...*shard) *shard {
	return &shard{
		id: shardID(number), number: number, birth: birth, openedAt: openedAt,
		from: from, to: to, parents: parents,
		log:   log{base: 1}, // 0 is the start of the shard
		reads: budget{rate: readsPerSecond}, iterators: budget{rate: readsPerSecond},
		readBytes: budget{rate: readBytesPerSecond},
		writes:    budget{rate: writeRecordsPerSecond}, writeBytes: budget{rate: writeBytesPerSecond},
	}
}

func shardID(number uint32) string { return fmt.Sprintf("shardId-%012d", number) }

// sequence returns the sequence number with the given index.
func (s *shard) sequence(index uint64, milli int64) sequence {
	return sequence{created: s.birth, shard: s.number, index: index, at: milli / 1000}
}

func (s *shard) startingNumber() string { return s.sequence(0, s.openedAt).String() }

// put appends a record and returns its sequence number.
func (s *shard) put(r record, now time.Time, limited, kms bool) (sequence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limited && !(s.writes.covers(now, 1) && s.writeBytes.covers(now, float64(r.size()))) {
		return sequence{}, awserr.New("ProvisionedThroughputExceededException", "")
	}
	s.writes.spend(now, 1)
	s.writeBytes.spend(now, float64(r.size()))
	s.lastArrival = max(s.lastArrival, now.UnixMilli())
	seq := s.sequence(s.log.next(), s.lastArrival)
	s.log.append(r, seq, s.lastArrival, kms)
	s.wakeLocked()
	return seq, nil
}

// close ends the shard in favour of its children.
func (s *shard) close(at int64, children ...*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closedAt = at
	s.ending = s.sequence(s.log.next(), at).String()
	s.children = children
	s.wakeLocked()
}

func (s *shard) wakeLocked() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// page is what one read of a shard found.
type page struct {
	entries []entry
	next    uint64 // index to go on with
	behind  int64  // milliseconds; 0 only at the tip
	ended   bool   // closed, and nothing is left behind entries
	// changed is closed when there is more to read. It is nil unless asked for, and when there is something to see.
	changed <-chan struct{}
}

// read returns the records from index on within the limits.
func (s *shard) read(index uint64, records int, bytes int64, horizon int64) page {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readLocked(index, records, bytes, horizon)
}

// readOrWait is read, except that a page with nothing to tell says when to look again.
func (s *shard) readOrWait(index uint64, records int, bytes int64, horizon int64) page {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.readLocked(index, records, bytes, horizon)
	if len(p.entries) == 0 && !p.ended {
		if s.wake == nil {
			s.wake = make(chan struct{})
		}
		p.changed = s.wake
	}
	return p
}

func (s *shard) readLocked(index uint64, records int, bytes int64, horizon int64) page {
	s.log.trim(horizon)
	rest, index := s.log.from(index)
	taken, _ := cut(rest, records, bytes)
	p := page{entries: taken, next: index + uint64(len(taken))}
	if len(taken) < len(rest) {
		p.behind = max(1, time.Now().UnixMilli()-taken[len(taken)-1].arrived)
	} else {
		p.ended = s.closedAt != 0
	}
	return p
}

// withhold turns p into an empty page that stands where p began.
func (p *page) withhold() {
	p.next -= uint64(len(p.entries))
	p.behind = max(1, time.Now().UnixMilli()-p.entries[0].arrived)
	p.entries, p.ended = nil, false
}

// tip returns the index of the next record to be put.
func (s *shard) tip() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.next()
}

// since returns the index of the first record that arrived at or after milli.
func (s *shard) since(milli int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.firstSince(milli)
}

// state returns when the shard closed (0: it is open) and its last sequence number.
func (s *shard) closing() (at int64, ending string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closedAt, s.ending
}

// allowRead charges one GetRecords call and reports whether the shard's limits admit it.
func (s *shard) allowRead(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Bytes are charged after the call, so a debt means that an earlier answer used up this second's share, or, after
	// 10 MiB, that of five seconds.
	if !s.readBytes.covers(now, 0) || !s.reads.covers(now, 1) {
		return false
	}
	s.reads.spend(now, 1)
	return true
}

func (s *shard) chargeRead(now time.Time, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBytes.spend(now, float64(bytes))
}

func (s *shard) allowIterator(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.iterators.covers(now, 1) {
		return false
	}
	s.iterators.spend(now, 1)
	return true
}

// budget is a token bucket that holds one second's worth and may fall into debt. Its zero rate admits nothing.
type budget struct {
	rate  float64 // per second
	spent float64 // of the current capacity; above rate it is debt
	at    time.Time
}

// covers reports whether n may be spent now. More than a whole second's worth is covered by a full budget.
func (b *budget) covers(now time.Time, n float64) bool {
	b.refill(now)
	return b.spent+min(n, b.rate) <= b.rate
}

// spend takes n, going into debt if need be.
func (b *budget) spend(now time.Time, n float64) {
	b.refill(now)
	b.spent += n
}

// wait returns how long until the budget is out of debt.
func (b *budget) wait(now time.Time) time.Duration {
	b.refill(now)
	return time.Duration(max(0, b.spent-b.rate) / b.rate * float64(time.Second))
}

func (b *budget) refill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.spent = max(0, b.spent-b.rate*passed.Seconds())
		b.at = now
	}
}
