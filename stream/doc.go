// Package stream holds the words of the Kinesis Client Library as types: what an application receives, what it gives
// back, and what it implements.
//
// A stream has shards. A worker that owns the lease of a shard makes one [Processor] for it by calling the
// application's [NewProcessor], then hands it one [Batch] of records after the other, strictly one call at a time and in
// the order of the shard:
//
//	NewProcessor(ctx, Assignment) ─► Process(batch) ─► Process(batch) ─► … ─► Close(reason)
//	                                    │                                       │
//	                                    └── Checkpoint(position) ───────────────┘
//
// Shards run in parallel, and processors share nothing that they do not share themselves. A child shard starts only
// after all its parents have ended.
//
// # What is promised
//
//   - Every record is delivered at least once. What was delivered after the last checkpoint is delivered again when the
//     shard moves to another worker or its processor is restarted.
//   - [Processor.Process] failing, by an error or a panic, never skips a record: the processor is thrown away and a new
//     one starts at the last checkpoint after a pause, on that shard alone.
//   - A checkpoint moves forward only and is written only while this worker owns the lease. Without the lease
//     [Checkpointer.Checkpoint] returns [ErrLeaseLost].
//   - The context that a processor sees ends only when the lease is lost, when the time for draining is over, or when the
//     host gives up; [context.Cause] says which. Asking the host to stop does not end it: the batch in hand is finished first.
//
// The same processor runs in every host: in your own process under package worker, as a child of any MultiLang daemon
// through kcl.Serve, and in tests.
//
// The zero value of [Position] means "all that was delivered so far", which is what most processors checkpoint:
//
//	func (p *counter) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
//		p.n += len(b.Records)
//		return cp.Checkpoint(ctx, stream.Position{})
//	}
//
// This package imports the standard library only, so a child process that uses it links no AWS code.
package stream
