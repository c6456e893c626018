package worker

import (
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Trace is a set of functions called on events of a worker, from many goroutines. They must not block: the engine waits
// for them. Nil functions are skipped.
type Trace struct {
	// LeaseTaken is called when this worker proved that it owns a lease, before the processor is made.
	LeaseTaken func(s Shard)
	// LeaseLost is called at the moment this worker stops believing that it owns a lease it has not given up; the
	// processor's last call may still be running.
	LeaseLost func(s Shard, why error)
	// LeaseEnded is called when an assignment is over, for whatever reason: after the processor's last call returned, and
	// before the lease, if it is still ours, is passed on.
	LeaseEnded func(s Shard, why stream.EndReason)
	// Fetched is called after each read that succeeded: records and bytes of data, how far behind, and how long it took.
	Fetched func(s Shard, records int, bytes int64, behind, took time.Duration)
	// Processed is called after each call to Process: err is nil if the processor accepted the batch.
	Processed func(s Shard, records int, bytes int64, took time.Duration, err error)
	// Checkpointed is called after each checkpoint that was written.
	Checkpointed func(s Shard, at stream.Position)
	// Failed is called when a shard is restarted: the attempt, the pause before it and the reason.
	Failed func(s Shard, attempt int, wait time.Duration, err error)
	// Leading is called when this worker becomes the leader (true) and when it ceases to be (false).
	Leading func(leads bool)
}

// Shard names a shard of a stream.
type Shard struct {
	Stream string
	ID     stream.ShardID
}
