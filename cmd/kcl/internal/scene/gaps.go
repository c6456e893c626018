package scene

import (
	"cmp"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/stream"
)

// Gap is a time in which records of a shard waited and none of them was read.
type Gap struct {
	Shard   stream.ShardID `json:"shard"`
	At      float64        `json:"at"`      // in seconds since records flow, when it began
	Seconds float64        `json:"seconds"` // how long it was
	Why     string         `json:"why"`
}

// The causes of gaps that do not name a worker.
const (
	coldStart = "cold start"
	reshard   = "its parents were read first"
	reading   = "the pause between two reads"
)

// blame says that what follows on a shard, until another run reads it, is due to cause.
func (sh *shard) blame(cause string) {
	if sh.cause == "" {
		sh.cause, sh.blamed = cause, sh.run
	}
}

// free notes that nobody reads a shard.
func (sh *shard) free(cause string) {
	sh.blame(cause)
	sh.state, sh.owner = picture.Free, ""
}

// read enters that a processor got records of a shard.
func (s *Scene) read(r *run) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shardLocked(r.shard)
	s.endGapLocked(sh, now)
	if sh.cause != "" && (sh.blamed == nil || sh.blamed != r) {
		sh.cause, sh.blamed = "", nil
	}
	if sh.state == picture.Failing {
		sh.state = picture.Reading
	}
	if s.books.Shard(sh.id).Missing > 0 {
		sh.waiting = now
	}
}

// wait enters that a shard has a new record.
func (s *Scene) wait(id stream.ShardID) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shardLocked(id); sh.waiting.IsZero() && s.books.Shard(id).Missing > 0 {
		sh.waiting = now
	}
}

// endGapLocked ends the time in which a shard was not read, if records waited.
func (s *Scene) endGapLocked(sh *shard, now time.Time) {
	if sh.waiting.IsZero() {
		return
	}
	g := Gap{
		Shard: sh.id, At: sh.waiting.Sub(s.began).Seconds(), Seconds: now.Sub(sh.waiting).Seconds(), Why: cmp.Or(sh.cause, reading),
	}
	sh.waiting = time.Time{}
	if g.Seconds > sh.gap.Seconds {
		sh.gap = g
	}
	if worst := s.causes[g.Why]; g.Seconds > worst.Seconds {
		s.causes[g.Why] = g
	}
}

// gapsLocked returns the longest gap of each shard, and of each cause; those still open end now.
func (s *Scene) gapsLocked() (byShard, byCause []Gap) {
	now := time.Now()
	for _, sh := range s.shards {
		s.endGapLocked(sh, now)
		if sh.gap.Seconds > 0 {
			byShard = append(byShard, sh.gap)
		}
	}
	for _, g := range s.causes {
		byCause = append(byCause, g)
	}
	slices.SortFunc(byCause, func(a, b Gap) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Why, b.Why)) })
	return byShard, byCause
}
