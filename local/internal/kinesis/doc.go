// Package kinesis is the Kinesis Data Streams service in memory.
//
// An [Engine] holds streams; a stream holds shards; a shard holds a log of records. Calls arrive as the operation's name
// and the request body and leave as an [Answer], ready for the socket:
//
//	Handle ─▶ operation ─▶ stream ─▶ shard ─▶ log          GetRecords answers byte ranges of the log
//	                                   └─ wake ─▶ SubscribeToShard
//
// Records are encoded once, when they are put. Nothing runs in the background: states that change with time (CREATING,
// retention, expired iterators, throughput) are computed from time.Now when they are looked at, so the package works in
// a testing/synctest bubble.
//
// Locks, in the order in which they are taken: Engine.mu, stream.mu, shard.mu. Each is held for computing and copying
// only, never while something waits.
//
// Facts about the service come from the AWS API reference. Where it is silent, error texts follow what users of the
// service have reported.
package kinesis
