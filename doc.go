// Package kcl makes a Go program the child of a MultiLang daemon: the process that Amazon's Kinesis Client Library starts
// for each shard it owns, and talks to in JSON lines over stdin and stdout. The daemon may be Amazon's, in Java, or this
// module's own, the command kcl run. It owns leases, reading and checkpoints; the child processes records.
//
//	Kinesis ──► daemon ── initialize, processRecords, … ──► stdin ──► kcl.Run or kcl.Serve ──► your processor
//	DynamoDB ◄─ daemon ◄─ status, checkpoint ────────────── stdout ◄────────┘
//
// # Two interfaces, any host
//
// [RecordProcessor], [Checkpointer] and [Run] are the frozen interface: their names, signatures, values and bytes on the
// wire stay as they are. A whole program is
//
//	func main() { kcl.Run(&processor{}) }
//
// New code implements [stream.Processor], which adds contexts, bytes instead of base64, arrival times, sub-sequence numbers
// and how far behind the shard is. [Serve] runs it in a child, package worker in your own process, and package kcltest in a
// test. [Adapt] makes a RecordProcessor run in each of them too.
//
//	processor            under a daemon            in your own process, in tests
//	RecordProcessor      Run(p)                    Adapt(func() kcl.RecordProcessor { … })
//	stream.NewProcessor  Serve(ctx, in, out, np)   np
//
// # What is promised
//
//   - Calls are made strictly one at a time, in the order of the daemon's messages. A message is answered once its call has
//     returned without an error, and never before every checkpoint of that call has its answer.
//   - An error or a panic is never answered: the program prints it, ends with code 1, and the records are delivered again.
//     Nothing is skipped.
//   - Checkpoints work while a call that may checkpoint is running. Before, after, and once the lease is lost they fail at
//     once, in the child, so a goroutine that is late cannot disturb the conversation. They may be asked for from any
//     goroutine; the parent sees one at a time.
//   - A refused checkpoint is a [*CheckpointError] with the name the daemon gave, and is one of package stream's errors for
//     [errors.Is]. [RetryCheckpoint] tries again what is worth it. At the end of a shard Run and Serve do that
//     without asking, because a shard whose end is not checkpointed never ends: its status is withheld and the program
//     fails instead.
//   - A lost lease is an outcome. Returning [stream.ErrLeaseLost], as a checkpoint gave it, ends the work on the shard
//     quietly: the daemon gets its answer, and batches that it may still send are not delivered.
//   - Stopping is bounded. When the daemon goes away, the program returns at once between calls, and at most 10 s later in
//     the midst of one.
//   - Lines may have any length, keys any order, and unknown keys are ignored. A message that cannot be understood ends the
//     program with an error that says where it went wrong; silence would hang the daemon.
//   - Stdout belongs to the protocol. While Run is running, prints to [os.Stdout] go to stderr. Keep them few: the Java
//     daemon logs each line of stderr twice.
//
// Records are delivered at least once: after a restart the shard is read from behind its last checkpoint.
//
// A request for shutdown concerns one shard, because that moves to another worker, as often as the whole daemon; each shard
// has its process, and this package does nothing to any other. Children of the 1.x daemons, whose conversations end with the
// message shutdown, work as well.
//
// The package imports the standard library only: a program that needs nothing else links no AWS code and is ready within
// milliseconds of its start.
package kcl
