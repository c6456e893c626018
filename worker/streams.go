package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/stream"
)

// Stream is a stream that a [Lister] names.
type Stream struct {
	// Name is the stream's name or ARN; required.
	Name string
	// Start and StartAt say where shards without a checkpoint are read from, as Config.Start does; default: as Config says. They
	// count for shards that have no lease yet.
	Start   stream.Position
	StartAt time.Time
	// Retired says that the stream is not read any more and that its progress is not needed: its leases are deleted after
	// Config.Former.After, whatever else Config.Former says (the Java KCL's ProvidedLeasesDeletion).
	Retired bool
}

// Lister names all streams that the application is to read at present. Every worker calls it, one call at a time: when it starts,
// each Config.ListInterval, and when it is given a shard of a stream it does not know. All workers should be told the same.
//
// A stream that is named for the first time is read by the whole fleet within a second or two of the leader's call. One that is not
// named any more is left on each worker within its ListInterval: processors finish the batch in hand and are closed with
// stream.ShutdownRequested, where they may checkpoint. What becomes of its leases Config.Former says; if it is named
// again while they are there, it is read on from its checkpoints. A stream that was deleted and created anew is another
// stream, although it has the same name, and is read from Start.
//
// No list at all is not the same as an empty one, which ends all reading: return an error if the streams cannot be told. Then, and
// if the list has a mistake, the last good one stays in force, nothing is deleted, and Status.Problems says so. So it is if a
// call takes longer than the interval (at least 10 s); but it must return once ctx ends. The next call follows 10 s after one
// that failed.
type Lister func(ctx context.Context) ([]Stream, error)

// Former says what becomes of the leases of streams that are not read any more: because ListStreams does not name them, or
// because they were deleted. Only the leader's own settings count.
//
// Without progress there is no way back, so leases are deleted only after the leader has seen, at each look for the whole of After,
// the same reason for it, and that no worker of any kind renews one of them. A list or a service that cannot be asked, a
// worker that still reads the stream, and a new leader make it wait anew. Each row is deleted on condition that it
// did not change.
type Former struct {
	// DeleteUnlisted deletes the leases of streams that exist but are not named any more (the Java KCL's
	// AutoDetectionAndDeferredDeletion). By default they stay, and such a stream goes on where it was when it is named again.
	DeleteUnlisted bool
	// KeepGone keeps the leases of streams that the service does not know any more, or whose name another stream has taken.
	// By default they are deleted: nothing can be done with their progress. It does not concern a table of one stream.
	KeepGone bool
	// After is how long nothing may contradict before leases are deleted; default 1 hour, as in Java.
	After time.Duration
}

// withDefaults fills in where to begin.
func (s Stream) withDefaults(c Config) Stream {
	if s.Start.IsZero() {
		s.Start = c.Start
		if s.StartAt.IsZero() {
			s.StartAt = c.StartAt
		}
	}
	return s
}

// id returns what is known of a stream from its name alone: its own, and its account if the name is an ARN.
func (s Stream) id() lineage.StreamID {
	if account, name, ok := fleet.ParseARN(s.Name); ok {
		return lineage.StreamID{Account: account, Name: name}
	}
	return lineage.StreamID{Name: s.Name}
}

// checkList fills in defaults and names every mistake in a list.
func (c Config) checkList(streams []Stream) ([]Stream, error) {
	var p problems
	list := make([]Stream, 0, len(streams))
	names := make(map[string]bool, len(streams))
	for i, s := range streams {
		s = s.withDefaults(c)
		p.unless(s.Name != "", "ListStreams: stream %d has no name", i)
		p.unless(!names[s.Name], "ListStreams: stream %d names %s again", i, s.Name)
		if !s.Retired {
			checkStart(&p, "ListStreams: stream "+s.Name+": ", s.Start, s.StartAt)
		}
		names[s.Name] = true
		list = append(list, s)
	}
	return list, errors.Join(p...)
}

// StreamStatus is one stream that this worker reads or is to read, or, on the leader, one that still has leases.
type StreamStatus struct {
	Name  string      `json:"name"`
	ID    string      `json:"id,omitempty"` // "<account>:<name>:<creation epoch>" in a table of several streams
	Phase StreamPhase `json:"phase"`
	Why   string      `json:"why,omitempty"` // it is not read

	Since    time.Time `json:"since,omitzero"`    // FormerStream: when the leader first saw it so
	Leases   int       `json:"leases,omitempty"`  // FormerStream: how many there are
	DeleteAt time.Time `json:"deleteAt,omitzero"` // FormerStream: when they are deleted if nothing contradicts; zero: never
}

// StreamPhase is where a stream stands.
type StreamPhase string

// The phases of a stream.
const (
	ReadStream    StreamPhase = "read"
	UnknownStream StreamPhase = "not found yet" // it is being created, or the service could not be asked
	MissingStream StreamPhase = "missing"       // the service does not know it
	FormerStream  StreamPhase = "former"        // it is not read, but has leases; seen by the leader alone
)

// streamsOf returns what Status shows of the streams, with what is wrong.
func streamsOf(list []entry, former []fleet.FormerStream, now time.Time) (all []StreamStatus, problems []Problem) {
	for _, e := range list {
		s := StreamStatus{Name: e.found.Name, ID: e.found.ID, Phase: ReadStream}
		if s.Name == "" {
			s.Name = e.id().Name
		}
		switch {
		case e.Retired:
			continue
		case e.missing:
			s.Phase, s.Why = MissingStream, e.err.Error()
		case e.found.ARN == "":
			s.Phase = UnknownStream
		}
		if e.err != nil && now.Sub(e.since) >= troubleAfter {
			s.Why = e.err.Error()
			problems = append(problems, Problem{Stream: s.Name, What: s.Why, Since: e.since})
		}
		all = append(all, s)
	}
	for _, f := range former {
		s := StreamStatus{Name: f.ID, ID: f.ID, Phase: FormerStream, Why: f.Why, Since: f.Since, Leases: f.Leases, DeleteAt: f.DeleteAt}
		if id, err := lineage.ParseStreamID(f.ID); err == nil {
			s.Name = id.Name
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b StreamStatus) int { return strings.Compare(a.Name, b.Name) })
	return all, problems
}
