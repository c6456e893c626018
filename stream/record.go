package stream

import "time"

// ShardID names a shard of one stream, such as shardId-000000000007.
type ShardID string

// Record is one record as its producer put it; records that a producer aggregated (KPL) arrive one by one.
type Record struct {
	// Data is the payload, at most 10 MiB. It belongs to the processor once delivered: the library neither changes it nor
	// uses it again. Data, keys and sequence numbers of a batch lie in the one answer that brought them, up to 20 MiB, and
	// whoever keeps one of them keeps it all: clone (bytes.Clone, strings.Clone) what is kept for long. What was given to
	// a Checkpointer needs no cloning.
	Data []byte

	// PartitionKey is the key the record was put with; empty where the stream distributes records itself and none was given.
	PartitionKey string

	// ExplicitHashKey is the hash key that overrode the partition key inside an aggregated record, in decimal; else empty.
	ExplicitHashKey string

	// Position is where the record stands in its shard. Records out of one aggregate share the sequence number.
	Position Position

	// Arrived is when Kinesis took the record, in milliseconds; approximate, and not always rising within a shard.
	Arrived time.Time
}

// Batch is the records of one call to a processor. The slice and its records belong to the processor.
type Batch struct {
	Records []Record // in the order of the shard; never empty unless the host was told to deliver empty batches

	// Behind is how far the end of this batch was from the tip of the shard when it was read; 0 at the tip.
	Behind time.Duration

	// BehindUnknown is true where the service did not tell; Behind is then 0.
	BehindUnknown bool
}

// Assignment is one period in which this worker owns one shard.
type Assignment struct {
	Stream   string // the stream's name; empty in a child process, because the MultiLang protocol does not tell
	Shard    ShardID
	HashKeys HashKeyRange // unknown in a child process

	// From is the last checkpoint, or a sentinel on a shard without one. The first record delivered lies behind it.
	From Position

	// Pending and PendingState are a prepared checkpoint that a former owner did not complete; the zero Position if
	// there is none. Reading starts at From all the same.
	Pending      Position
	PendingState []byte
}
