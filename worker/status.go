package worker

import (
	"slices"
	"time"

	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/stream"
)

// Status is what a worker knows of itself at one moment. It is a copy: keep it, change it, encode it as JSON.
type Status struct {
	Application string    `json:"application"`
	Worker      string    `json:"worker"`
	Phase       Phase     `json:"phase"`
	StartedAt   time.Time `json:"startedAt"`
	Leading     bool      `json:"leading"`          // this worker is the leader
	Leader      string    `json:"leader,omitempty"` // the leader last seen

	// BufferedBytes is the record data held now, in the processors' hands or waiting, and what calls under way will probably
	// bring; at most MaxBytes and one answer of GetRecords (10 MiB, 15 in JSON), which is let in when there is no room so that
	// no shard falls silent.
	BufferedBytes int64 `json:"bufferedBytes"`
	MaxBytes      int64 `json:"maxBytes"`

	Streams  []StreamStatus `json:"streams,omitempty"`  // sorted by name
	Shards   []ShardStatus  `json:"shards"`             // the shards whose leases this worker holds, sorted by stream and id
	Problems []Problem      `json:"problems,omitempty"` // empty: healthy
}

// Healthy reports whether nothing is wrong: every shard this worker owns moves, or has nothing to move.
func (s Status) Healthy() bool { return len(s.Problems) == 0 }

// Phase is where a worker stands in its life.
type Phase string

// The phases of a worker.
const (
	Idle     Phase = "idle"     // Run was not called
	Starting Phase = "starting" // setting up the lease table
	Running  Phase = "running"
	Draining Phase = "draining" // asked to stop: processors finish
	Stopped  Phase = "stopped"
)

// ShardStatus is one shard that this worker owns.
type ShardStatus struct {
	Stream string         `json:"stream"`
	Shard  stream.ShardID `json:"shard"`
	Phase  ShardPhase     `json:"phase"`
	Since  time.Time      `json:"since"` // when this worker took the lease

	Checkpoint stream.Position `json:"checkpoint"` // the last one written
	Delivered  stream.Position `json:"delivered"`  // the last record handed to the processor; zero before the first
	Records    int64           `json:"records"`    // accepted by the processor in this assignment
	Bytes      int64           `json:"bytes"`

	// Behind is how far the last read was from the tip of the shard, at ReadAt; BehindKnown is false before the first read.
	Behind      time.Duration `json:"behind"`
	BehindKnown bool          `json:"behindKnown"`
	ReadAt      time.Time     `json:"readAt,omitzero"`

	CallSince time.Time `json:"callSince,omitzero"` // when the running call to the processor began; zero if none runs
	Attempt   int       `json:"attempt,omitempty"`  // failures in a row
	Error     string    `json:"error,omitempty"`    // the last failure, until the shard moves again
}

// ShardPhase is where an assignment stands.
type ShardPhase string

// The phases of an assignment.
const (
	WaitingForParents ShardPhase = "waiting for parents"
	StartingProcessor ShardPhase = "starting"
	Processing        ShardPhase = "processing"
	BackingOff        ShardPhase = "backing off" // after a failure
	Ending            ShardPhase = "ending"      // at the shard's end, or on the way to another worker
	Ended             ShardPhase = "ended"       // finished; the row waits to be deleted
)

// Problem is one thing that is wrong, in words a person can act on.
type Problem struct {
	Stream string         `json:"stream,omitempty"`
	Shard  stream.ShardID `json:"shard,omitempty"`
	What   string         `json:"what"`
	Since  time.Time      `json:"since,omitzero"`
}

// Status returns what the worker knows of itself now. It may be called at any time, from any goroutine, and does not block
// on the engine.
func (w *Worker) Status() Status {
	now := time.Now()
	s := Status{Application: w.cfg.Application, Worker: w.cfg.ID, BufferedBytes: w.budget.InUse(), MaxBytes: w.cfg.Reading.MaxBytes}
	w.mu.Lock()
	s.Phase, s.StartedAt = w.phase, w.started
	s.Problems = append(w.troublesLocked(now), w.twins.problems(now, w.cfg.ID)...)
	sources, list := w.sources, slices.Clone(w.streams)
	leader, working := w.leader, make([]*assignment, 0, len(w.shards))
	for _, a := range w.shards {
		working = append(working, a)
	}
	w.mu.Unlock()
	s.Problems = append(s.Problems, w.untaken.problems(now, sources)...)
	for _, a := range working {
		shard, problems := a.seen.status(now, w.cfg.SlowAfter)
		s.Shards, s.Problems = append(s.Shards, shard), append(s.Problems, problems...)
	}
	var former []fleet.FormerStream
	if leader != nil {
		former = leader.Former()
		s.Leader = leader.Leader()
		s.Leading = s.Leader == w.cfg.ID
		for _, p := range leader.Problems() {
			s.Problems = append(s.Problems, Problem{Stream: p.Stream, Shard: p.Shard, What: p.What, Since: p.Since})
		}
	}
	streams, problems := streamsOf(list, former, now)
	s.Streams, s.Problems = streams, append(s.Problems, problems...)
	sortShards(s.Shards)
	sortProblems(s.Problems)
	return s
}
