package operate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Problem is one thing that is wrong, in words a person can act on.
type Problem struct {
	Stream string         `json:"stream,omitempty"`
	Shard  stream.ShardID `json:"shard,omitempty"`
	Worker string         `json:"worker,omitempty"`
	What   string         `json:"what"`
	// For is how long it was seen; 0 at one look, when it may be passing.
	For Span `json:"forSeconds"`

	kind string // what stays the same while the words count seconds
}

// grace is how long what passes by itself, such as a lease between two owners, may last before it is a problem. Watching
// for less than that, it is told all the same.
const grace = 3 * time.Second

// hole is a range of hash keys of one stream that no lease covers.
type hole struct {
	streamID string
	keys     stream.HashKeyRange
}

// holesIn returns the holes of all streams that have leases. A stream with a lease whose range is not stored is left out: what
// that lease covers is not known.
func holesIn(leases []lease.Lease) []hole {
	byStream := map[string][]lease.Lease{}
	blind := map[string]bool{}
	for _, l := range leases {
		byStream[l.StreamID] = append(byStream[l.StreamID], l)
		blind[l.StreamID] = blind[l.StreamID] || !l.Ended() && !l.HashKeys.IsKnown()
	}
	var holes []hole
	for id, rows := range byStream {
		if blind[id] {
			continue
		}
		for _, r := range lineage.Holes(id, rows) {
			holes = append(holes, hole{id, r})
		}
	}
	return holes
}

// problems returns what is wrong, those of shards first.
func (w Watch) problems(v View, b Bounds) []Problem {
	problems := []Problem{}
	for _, l := range v.Leases {
		if kind, what, since := w.wrongWith(w.leases[l.Key], b); what != "" {
			problems = append(problems, Problem{Stream: l.Stream, Shard: l.Shard, Worker: l.Worker, What: what, For: Span(since), kind: kind})
		}
	}
	slices.SortStableFunc(problems, func(x, y Problem) int { return cmp.Compare(x.Stream, y.Stream) })
	for h, since := range w.holes {
		if seen := w.stood(since); w.lasts(seen, grace) {
			problems = append(problems, Problem{Stream: streamName(h.streamID), For: Span(seen), kind: "hole " + h.keys.String(),
				What: fmt.Sprintf("no lease covers the hash keys %s: what is put there is not read until the leader makes the missing leases", h.keys)})
		}
	}
	for _, br := range v.Broken {
		problems = append(problems, Problem{kind: "broken " + br.Key, What: fmt.Sprintf("row %s cannot be read, and is left alone by all workers: %s", br.Key, br.Why)})
	}
	problems = append(problems, w.wrongWithTable()...)
	return append(problems, w.wrongWithLeader(v)...)
}

// lasts reports whether what was seen for so long is to be told: it lasted, or it was there all the time that was watched.
func (w Watch) lasts(seen, bound time.Duration) bool { return seen >= min(bound, w.Watched()) }

// wrongWith returns what is wrong with one lease, and for how long that was seen.
func (w Watch) wrongWith(s sight, b Bounds) (kind, what string, seen time.Duration) {
	stood := w.stood(s.ownersAt)
	switch {
	case s.Ended():
		return "", "", 0
	case s.InHandoff() && s.CheckpointOwner == s.Owner:
		return "illegal", fmt.Sprintf("the row names %s as old and as next owner, which no worker accepts; release it", s.Owner), stood
	case s.Worker() == "":
		if w.lasts(stood, grace) {
			return "unowned", "nobody owns the lease: the shard is not read", stood
		}
	case w.lifeOf(s, b) == Silent:
		still := w.stood(s.counterAt)
		return "silent", fmt.Sprintf("%s has not renewed the lease for %s: the shard may not be read", s.Worker(), rough(still)), still
	case s.InHandoff() && stood >= b.HandoffTimeout+b.LeaseDuration:
		return "stuck", fmt.Sprintf("the handoff from %s to %s does not end; releasing the lease gives it to %s at once", s.CheckpointOwner, s.Owner, s.Owner), stood
	}
	return "", "", 0
}

// wrongWithTable finds rows of both formats: no worker reads more than one of them.
func (w Watch) wrongWithTable() []Problem {
	single, multi := 0, 0
	for _, s := range w.leases {
		if s.StreamID == "" {
			single++
		} else {
			multi++
		}
	}
	if single == 0 || multi == 0 {
		return nil
	}
	return []Problem{{kind: "formats", What: fmt.Sprintf("%d rows name their stream and %d do not: a table is of one format for ever, and workers of the one do not read the other's rows", multi, single)}}
}

func (w Watch) wrongWithLeader(v View) []Problem {
	if len(v.Leases) == 0 && len(v.Workers) == 0 {
		return []Problem{{kind: "empty", What: "there are no leases and no workers: the application has not been started, or this is another's table"}}
	}
	var problems []Problem
	if len(v.Leases) == 0 {
		problems = append(problems, Problem{kind: "none", What: "there are no leases yet", For: v.Watched})
	}
	switch {
	case v.Leader == nil || v.Leader.Released:
		if seen := w.stood(w.lock.ownerAt); w.lasts(seen, grace) {
			problems = append(problems, Problem{kind: "leaderless", What: leaderless(v), For: Span(seen)})
		}
	case v.Leader.Life == Silent:
		problems = append(problems, Problem{Worker: v.Leader.Worker, For: v.Leader.Age, kind: "lock",
			What: fmt.Sprintf("the leader's lock has not been renewed for %s, longer than it lasts, and nobody takes it: leases are not assigned", rough(time.Duration(v.Leader.Age)))})
	}
	return problems
}

// leaderless says what it means that nobody leads. Workers of KCL 1.x and 2.x take leases themselves and report nothing.
func leaderless(v View) string {
	if slices.ContainsFunc(v.Workers, func(w Worker) bool { return w.Reports }) {
		return "nobody leads: leases are not assigned"
	}
	return "nobody leads and no worker reports: leases are not assigned, unless by workers of KCL 1.x or 2.x, which do neither"
}

// rough rounds a duration to what a person wants to know.
func rough(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d < 10*time.Minute:
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}
