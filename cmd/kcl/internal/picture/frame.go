package picture

import (
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Frame is what one picture shows.
type Frame struct {
	Title   string
	Where   string // the endpoint, for those who want to look with other tools
	Phase   string
	Elapsed time.Duration
	Total   time.Duration // until records stop flowing

	Workers []Worker // in the order in which they came; none: the shards tell enough
	Shards  []Shard  // in the order of their ids
	River   []Column
	Events  []Event

	Put, Delivered, Duplicates, OutOfOrder int64
	RecordsPerSecond, BytesPerSecond       float64
}

// Worker is one of several workers.
type Worker struct {
	ID      string
	Leads   bool // it is the leader
	Leaving bool // it was asked to go, or was killed
	Gone    bool
}

// Shard is one shard, with who reads it.
type Shard struct {
	ID       stream.ShardID
	HashKeys stream.HashKeyRange
	Parents  []stream.ShardID
	State    State
	Owner    string // the worker; "" for none

	Put, Delivered, Duplicates int64
	Behind                     time.Duration
	BehindKnown                bool
	Rates                      []float64     // records per second over the last moments, oldest first
	Waits                      time.Duration // for how long records wait and none was read
}

// State is where a shard stands.
type State string

// The states of a shard.
const (
	Free    State = "free" // nobody reads it
	Reading State = "reading"
	Failing State = "failing"
	Done    State = "done" // read to its end
)

// Column is one moment of the river: the bands of those shards that were read, in any order. Bands do not overlap.
type Column []Band

// Band is a shard in a moment.
type Band struct {
	Shard int                 // its index in Frame.Shards
	Keys  stream.HashKeyRange // its place
	Glow  float64             // how busy it was, 0 to 1
}

// Event is something worth telling.
type Event struct {
	At   time.Duration // since the beginning
	What string
	Bad  bool
}
