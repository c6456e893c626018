package ledger

import (
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Ledger holds the books of one stream. The zero value is empty and ready; it is safe for concurrent use and must not be
// copied.
type Ledger struct {
	mu     sync.Mutex
	shards map[stream.ShardID]*shard
	keys   map[string]*key
	delays []time.Duration
	totals Counts
}

// Counts are sums over records, of one shard or of all.
type Counts struct {
	Put        int64 `json:"put"`        // the service said that it took them
	Delivered  int64 `json:"delivered"`  // different records that a processor got
	Duplicates int64 `json:"duplicates"` // deliveries of a record that was delivered before
	Missing    int64 `json:"missing"`    // put and not delivered
	OutOfOrder int64 `json:"outOfOrder"` // deliveries out of the order of their shard
	Altered    int64 `json:"altered"`    // delivered with other data or another key than were put
	Unknown    int64 `json:"unknown"`    // delivered, but the service never told the producer that it took them
	Bytes      int64 `json:"bytes"`      // of data, delivered for the first time
}

// shard is the book of one shard.
type shard struct {
	entries  map[stream.SequenceNumber]*entry
	counts   Counts
	furthest stream.SequenceNumber // of those delivered
}

// entry is one record. The ledger of a million of them is large enough: keep it small.
type entry struct {
	sum       uint32 // of key and data, as first heard of
	taken     bool
	delivered bool
	order     uint32 // among the records taken with its key, from 1
	key       *key
}

// key is what is known of one partition key.
type key struct {
	taken uint32
	first []*entry // in the order of their first deliveries
}

// Took enters that the service took a record and said where. Calls for one partition key must be made in the order in
// which the service took the records.
func (l *Ledger) Took(id stream.ShardID, at stream.SequenceNumber, partitionKey string, data []byte) {
	sum := checksum(partitionKey, data)
	l.mu.Lock()
	defer l.mu.Unlock()
	s, e := l.entryLocked(id, at)
	if e.taken {
		return // one answer entered twice
	}
	k := l.keyLocked(partitionKey)
	k.taken++
	e.taken, e.order, e.key = true, k.taken, k
	s.add(&l.totals, func(c *Counts) { c.Put++ })
	switch {
	case !e.delivered:
		e.sum = sum
		s.add(&l.totals, func(c *Counts) { c.Missing++ })
	default:
		s.add(&l.totals, func(c *Counts) { c.Unknown-- })
		if e.sum != sum {
			s.add(&l.totals, func(c *Counts) { c.Altered++ })
		}
	}
}

// Run is the deliveries of one assignment. Its method belongs to one goroutine at a time.
type Run struct {
	l    *Ledger
	id   stream.ShardID
	last stream.SequenceNumber
}

// Begin opens a run for a new assignment of a shard.
func (l *Ledger) Begin(id stream.ShardID) *Run { return &Run{l: l, id: id} }

// Deliver enters the records of one call to a processor, received at now.
func (r *Run) Deliver(records []stream.Record, now time.Time) {
	sums := make([]uint32, len(records))
	for i, rec := range records {
		sums[i] = checksum(rec.PartitionKey, rec.Data)
	}
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	for i, rec := range records {
		r.deliverLocked(rec, sums[i], now)
	}
}

func (r *Run) deliverLocked(rec stream.Record, sum uint32, now time.Time) {
	at := rec.Position.Sequence
	s, e := r.l.entryLocked(r.id, at)
	inRun := r.last == "" || r.last.Compare(at) < 0
	r.last = at
	if e.delivered {
		s.add(&r.l.totals, func(c *Counts) { c.Duplicates++ })
		if !inRun {
			s.add(&r.l.totals, func(c *Counts) { c.OutOfOrder++ })
		}
		return
	}
	e.delivered = true
	s.add(&r.l.totals, func(c *Counts) { c.Delivered++; c.Bytes += int64(len(rec.Data)) })
	if !inRun || s.furthest.Compare(at) > 0 {
		s.add(&r.l.totals, func(c *Counts) { c.OutOfOrder++ })
	} else {
		s.furthest = at
	}
	if e.taken {
		s.add(&r.l.totals, func(c *Counts) { c.Missing-- })
		if e.sum != sum {
			s.add(&r.l.totals, func(c *Counts) { c.Altered++ })
		}
	} else {
		e.sum = sum
		s.add(&r.l.totals, func(c *Counts) { c.Unknown++ })
	}
	k := r.l.keyLocked(rec.PartitionKey)
	k.first = append(k.first, e)
	if !rec.Arrived.IsZero() {
		r.l.delays = append(r.l.delays, max(now.Sub(rec.Arrived), 0))
	}
}

// Totals returns the sums over all shards as they stand.
func (l *Ledger) Totals() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.totals
}

// Shard returns the sums of one shard as they stand.
func (l *Ledger) Shard(id stream.ShardID) Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shards[id]; s != nil {
		return s.counts
	}
	return Counts{}
}

func (s *shard) add(totals *Counts, change func(*Counts)) {
	change(&s.counts)
	change(totals)
}

func (l *Ledger) entryLocked(id stream.ShardID, at stream.SequenceNumber) (*shard, *entry) {
	s := l.shards[id]
	if s == nil {
		if l.shards == nil {
			l.shards = map[stream.ShardID]*shard{}
		}
		s = &shard{entries: map[stream.SequenceNumber]*entry{}}
		l.shards[id] = s
	}
	e := s.entries[at]
	if e == nil {
		e = &entry{}
		s.entries[stream.SequenceNumber(strings.Clone(string(at)))] = e // at may be part of a whole batch's text
	}
	return s, e
}

func (l *Ledger) keyLocked(partitionKey string) *key {
	k := l.keys[partitionKey]
	if k == nil {
		if l.keys == nil {
			l.keys = map[string]*key{}
		}
		k = &key{}
		l.keys[strings.Clone(partitionKey)] = k
	}
	return k
}

func checksum(partitionKey string, data []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(partitionKey)), crc32.IEEETable, data)
}

// sorted returns the ids of all shards in order.
func (l *Ledger) sortedLocked() []stream.ShardID {
	ids := make([]stream.ShardID, 0, len(l.shards))
	for id := range l.shards {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
