package kinesis

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// States of a stream or consumer, as the API spells them.
const (
	stateCreating = "CREATING"
	stateUpdating = "UPDATING"
	stateDeleting = "DELETING"
	stateActive   = "ACTIVE"

	modeProvisioned = "PROVISIONED"
	modeOnDemand    = "ON_DEMAND"
)

// stream is one stream.
type stream struct {
	name    string
	arn     string
	created time.Time
	birth   int64         // seconds, in the sequence numbers of its first shards
	gone    chan struct{} // closed when deletion begins

	mu           sync.RWMutex // guards what follows, not the inside of the shards
	activeAt     time.Time
	updatedAt    time.Time // UPDATING until then
	deletedAt    time.Time // zero unless it is being deleted
	shards       []*shard  // by number, without the expired
	firstClose   int64     // milliseconds: when the first of shards closed; math.MaxInt64 if none has
	open         []*shard  // by hash key
	nextShard    uint32
	retention    time.Duration
	mode         string
	keyID        string // not empty: encrypted with KMS
	maxRecord    int    // KiB, data and partition key
	metrics      []string
	tags         map[string]string
	consumers    map[string]*consumer
	lastConsumer int64 // seconds
	countChanges []time.Time
}

// state is the stream's state at now; empty means that it exists no more.
func (s *stream) state(now time.Time) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case !s.deletedAt.IsZero() && !now.Before(s.deletedAt):
		return ""
	case !s.deletedAt.IsZero():
		return stateDeleting
	case now.Before(s.activeAt):
		return stateCreating
	case now.Before(s.updatedAt):
		return stateUpdating
	}
	return stateActive
}

// horizon is the oldest arrival time, in milliseconds, that is still kept.
func (s *stream) horizon() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.horizonLocked()
}

func (s *stream) horizonLocked() int64 { return time.Now().Add(-s.retention).UnixMilli() }

// expire forgets shards that closed before the horizon: nothing of theirs can be read any more.
func (s *stream) expire() {
	s.mu.RLock()
	due := s.firstClose < s.horizonLocked()
	s.mu.RUnlock()
	if !due {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	horizon := s.horizonLocked()
	s.firstClose = math.MaxInt64
	s.shards = slices.DeleteFunc(slices.Clone(s.shards), func(sh *shard) bool {
		at, _ := sh.closing()
		if at == 0 {
			return false
		}
		if at >= horizon {
			s.firstClose = min(s.firstClose, at)
		}
		return at < horizon
	})
}

// listed returns the shards that are not expired, by number.
func (s *stream) listed() []*shard {
	s.expire()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.shards)
}

// shard returns the shard with the given ID unless it is expired.
func (s *stream) shard(id string) *shard {
	s.expire()
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, found := slices.BinarySearchFunc(s.shards, id, func(sh *shard, id string) int { return cmp.Compare(sh.id, id) })
	if !found {
		return nil
	}
	return s.shards[i]
}

// route returns the open shard that covers h. The caller holds mu.
func (s *stream) routeLocked(h hashKey) *shard {
	i, exact := slices.BinarySearchFunc(s.open, h, func(sh *shard, h hashKey) int { return sh.from.compare(h) })
	if !exact {
		i--
	}
	return s.open[i]
}

// addShardLocked makes a shard and lists it.
func (s *stream) addShardLocked(birth, openedAt int64, from, to hashKey, parents ...*shard) *shard {
	sh := newShard(s.nextShard, birth, openedAt, from, to, parents...)
	s.nextShard++
	s.shards = append(s.shards, sh)
	return sh
}

// succession returns the moment at which the parents close and their children open, and the children's birth. The
// moment is later than the parents' opening, so that at any time exactly one generation is open, and the birth is later
// than theirs, so that a child's sequence numbers are greater.
func succession(now time.Time, parents ...*shard) (at, birth int64) {
	at, birth = now.UnixMilli(), now.Unix()
	for _, p := range parents {
		at, birth = max(at, p.openedAt+1), max(birth, p.birth+1)
	}
	return at, birth
}

// splitLocked closes sh in favour of two shards, the second of which starts at key.
func (s *stream) splitLocked(sh *shard, key hashKey) {
	at, birth := succession(time.Now(), sh)
	low := s.addShardLocked(birth, at, sh.from, key.previous(), sh)
	high := s.addShardLocked(birth, at, key, sh.to, sh)
	sh.close(at, low, high)
	s.firstClose = min(s.firstClose, at)
	i := slices.Index(s.open, sh)
	s.open = slices.Replace(slices.Clone(s.open), i, i+1, low, high)
}

// mergeLocked closes two neighbours in favour of one shard. parent is the one that the request named first.
func (s *stream) mergeLocked(parent, adjacent *shard) {
	low, high := parent, adjacent
	if low.from.compare(high.from) > 0 {
		low, high = high, low
	}
	at, birth := succession(time.Now(), parent, adjacent)
	child := s.addShardLocked(birth, at, low.from, high.to, parent, adjacent)
	parent.close(at, child)
	adjacent.close(at, child)
	s.firstClose = min(s.firstClose, at)
	i := slices.Index(s.open, low)
	s.open = slices.Replace(slices.Clone(s.open), i, i+2, child)
}

// resizeLocked splits and merges until n shards of equal width are open: first a split at each boundary that is
// missing, then a merge of everything in between.
func (s *stream) resizeLocked(n int) {
	for i := 1; i < n; i++ {
		key := uniformBoundary(i, n)
		if sh := s.routeLocked(key); sh.from != key {
			s.splitLocked(sh, key)
		}
	}
	for i := range n {
		end := maxHashKey()
		if i < n-1 {
			end = uniformBoundary(i+1, n).previous()
		}
		for s.open[i].to != end {
			s.mergeLocked(s.open[i], s.open[i+1])
		}
	}
}
