package kcl

// Record is one record as a [RecordProcessor] receives it.
type Record struct {
	Data           string `json:"data"` // the payload as base64 text: standard alphabet, padded; empty for no data
	PartitionKey   string `json:"partitionKey"`
	SequenceNumber string `json:"sequenceNumber"` // decimal digits; records out of one aggregate (KPL) share it
}

// RecordProcessor is the application's code for one shard in the frozen interface. Its methods are called one at a time. An
// error or a panic of any of them ends the process under [Run], and restarts the shard from its last checkpoint in every
// host: nothing is skipped. New code implements [github.com/kinesis-go/kcl/stream.Processor] instead, which tells more.
//
// The Checkpointer is the same one in each call; it works while ProcessRecords, ShutdownRequested or ShardEnded runs, and
// fails otherwise. An error that means the lease is lost (stream.ErrLeaseLost) may be returned: it ends the work on the
// shard without counting as a failure.
type RecordProcessor interface {
	// Initialize is the first call, with the shard's ID.
	Initialize(string) error

	// ProcessRecords handles the records of one batch, in the order of the shard.
	ProcessRecords([]*Record, *Checkpointer) error

	// ShutdownRequested says that the shard moves to another worker or that this one stops. It is the last chance for a
	// checkpoint. LeaseLost follows; rarely ShardEnded.
	ShutdownRequested(*Checkpointer) error

	// LeaseLost says that this worker does not own the shard any more, so it cannot checkpoint. It is the last call.
	LeaseLost() error

	// ShardEnded says that the last record of the shard was delivered. It must checkpoint, best with nil, or the shard is
	// not finished and its children do not start. It is the last call.
	ShardEnded(*Checkpointer) error
}

// ShutdownType is a reason of the 1.x line of the protocol. Nothing in this package takes or returns one; the names remain
// for programs that use them.
type ShutdownType int

// The reasons of the 1.x line.
const (
	_ ShutdownType = iota

	// GracefulShutdown, TERMINATE on the wire: the shard ended.
	GracefulShutdown

	// ZombieShutdown, ZOMBIE on the wire: the lease is lost.
	ZombieShutdown
)
