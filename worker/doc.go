// Package worker is the native engine of the Kinesis Client Library: it reads streams with a share of their shards, together
// with the other workers of the same application.
//
//	w, err := worker.New(worker.Config{
//		Application:  "orders",
//		Streams:      []string{"orders"},
//		Kinesis:      kinesis.NewFromConfig(cfg),
//		Leases:       leases, // lease/dynamolease
//		NewProcessor: newProcessor,
//	})
//	// …
//	err = w.Run(ctx)
//
// Run sets up the lease table, takes its share of the leases, and for each makes a processor and feeds it until the shard
// ends, the lease moves to another worker, or ctx ends:
//
//	lease table ──► discover ──► prove by a renewal ──► assignment:  fetch ─► one page waits ─► Process ─► Checkpoint
//	     ▲                                                  │
//	     └── renew each third of LeaseDuration, checkpoint, give up
//
// # What is promised
//
//   - Records of a shard arrive in order, one call at a time. A child shard starts after all its parents have ended.
//   - Every record within the retention period is delivered at least once, whatever dies. After a crash, and when a processor
//     fails, what follows the last checkpoint comes again; nothing is skipped.
//   - A processor that returns an error or panics is made anew after a pause, on its shard alone. The lease is kept meanwhile.
//     Config.OnFailure can end the worker instead.
//   - A lease is renewed independently of processors: a call may take hours. It is warned of, and Status.Problems names it.
//   - When the lease is lost, the processor's context ends at once with cause stream.ErrLeaseLost.
//   - The record data held in memory stays under Config.Reading.MaxBytes and one answer of 10 MiB, whatever the number of
//     shards.
//   - Run returns within Config.DrainTimeout after its context ended, plus a few seconds if processors ignore theirs.
//
// # Writing a processor
//
// See package stream for what a processor is and may rely on; [stream.Func] makes one of a function. Checkpoint what is done, as
// often as you like: each checkpoint is one conditional write, which renews the lease too. A batch that was not
// checkpointed comes again after a crash and after a failure, so what a processor does must bear being done twice.
//
// A checkpoint that fails with stream.ErrThrottled or stream.ErrUnavailable may be tried again, or left to the next one; returning
// it is a failure of the processor. With stream.ErrLeaseLost the shard is in other hands: return.
//
// # What ends Run
//
// Run returns nil when it was asked to stop and everything was closed in time. It returns an error
//
//   - at its start, if a stream does not exist, something is not permitted, or the lease table is not one that this version may
//     use; the error names the call, the resource and the remedy;
//   - if the lease table is deleted, is closed to the worker, or enters a state that this version must not work in;
//   - if the only stream is deleted, in a table of one; of several the others go on, and Status.Problems names the one;
//   - with ExitWorker, if a processor fails;
//   - if draining took too long; it names the shards that were cut off.
//
// Nothing else ends it. Throttling, time-outs and services that are down are tried again, for each shard on its own, until they
// work; so is a stream that is still being created, and an endpoint that does not answer. A permission on a stream
// that is taken away while the worker runs shows in Status.Problems, with the remedy.
//
// # Streams that come and go
//
// With Config.ListStreams the streams are asked for each minute instead of being fixed:
//
//	named for the first time   the leader makes its leases, and the fleet reads it from Stream.Start
//	not named any more         every worker drains it; its leases stay, unless Former.DeleteUnlisted
//	named again                read on from its checkpoints
//	retired                    drained; its leases are deleted after Former.After
//	deleted                    drained; Status.Problems names it while it is listed; leases as retired, unless Former.KeepGone
//	deleted and created anew   another stream: the first as deleted, the second read from Stream.Start
//
// The last two hold for several fixed Streams, too. A list that cannot be had changes nothing but Status.Problems.
//
// # Seeing what it does
//
// [Worker.Status] is a snapshot to show, and its Problems are what to alert on. Each is a sentence that names the cause, with the
// stream and shard it concerns and since when. A shard that is not read is always named, by the worker that has it or by the
// leader: a processor that keeps failing, one call that takes longer than Config.SlowAfter, reads that fail or are not answered,
// children's leases that cannot be stored, a parent that nobody reads, a lease that cannot be read or taken, that no worker
// has room for, or that the leader does not assign, two workers with one id. [Status.Healthy] fits a readiness probe; what
// mends itself within 15 to 30 seconds does not turn it red. [Trace] is for metrics.
//
// # Stopping and handing over
//
// Cancelling Run's context lets every processor finish the batch in hand, closes it with stream.ShutdownRequested and passes its lease
// on to another live worker, which reads on within about a second. After Config.DrainTimeout the processors' contexts end; a
// processor that ignores that is left behind two seconds later, without its lease. A shard that moves to balance the load is left in the
// same way, within Config.HandoffTimeout.
//
// # Polling and fan-out
//
// By default a worker polls. Config.Reading.FanOut selects enhanced fan-out instead: each application has 2 MB/s per shard for
// itself, and the service sends records as they come, within 70 ms on average by its own account, instead of being asked. It
// costs money for each shard and hour that a consumer is registered, and for each GB read, which is why it has to be asked for;
// under kcl run the rules of the Java daemon hold, where it is the default.
//
// The first worker registers a consumer on each stream, under the application's name unless it is given another, and all use it.
// Nothing ever deregisters it: other workers may be reading. Do so yourself when the application is gone, since it costs as long
// as it is registered. A stream takes 20 consumers. Where fan-out is not to be had, the stream is polled, and one warning says
// why; FanOut.Required forbids that.
//
// The service lets one subscription of a consumer read a shard, and refuses another for five seconds. After a worker has
// crashed right behind its subscription, or where two applications share a consumer, a shard waits for that long.
//
// Subscriptions share a few HTTP/2 connections of their own, about one for each hundred shards, if the Kinesis client has the
// SDK's own kind of HTTP client (aws/transport/http.BuildableClient, the default), and then the service sends at most 512 KiB
// ahead for each shard. A client of another kind is used as it is. A subscription whose records are not taken for ten seconds is
// closed, and made again behind the last record taken.
//
// # Many shards
//
// A shard with nothing to read takes two goroutines, 28 KB of memory and, polled with the default settings, one call a second,
// which is 0.4 s of CPU an hour, most of it the SDK's; by fan-out 0.02 s. A thousand shards at the tip do not wait for one another,
// and polling them uses at most 128 connections by HTTP/1.1 and a few by HTTP/2, see package internal/fetch; subscribing to them
// about ten by HTTP/2 and one for each shard by HTTP/1.1. TestManyIdleShards and TestIdleCPU measure it.
//
// # Aggregated records
//
// Records that a producer packed into one (Kinesis Producer Library) are unpacked, by polling and by fan-out, and arrive one by
// one: they share the sequence number, and Position.Sub is the place of each. A checkpoint may stand between two of them.
// Reading.MaxRecords counts them packed, so a batch may hold more. What looks like an aggregate and is damaged arrives as it is,
// as one record.
//
// # Permissions
//
// On the streams: kinesis:DescribeStreamSummary, ListShards, GetShardIterator and GetRecords. With fan-out also
// kinesis:DescribeStreamConsumer and RegisterStreamConsumer on the streams and their consumers (not if ConsumerARNs has them), and
// SubscribeToShard on the consumers (arn:aws:kinesis:<region>:<account>:stream/<stream>/consumer/<name>:*); GetShardIterator
// and GetRecords are then needed only for polling in its place. On the lease table: see package dynamolease. All workers need all
// of them, since any may become the leader.
//
// # Together with Java
//
// The lease table has the format of the Java KCL 3.5, so Go and Java workers share one application and take over from each
// other. Keep LeaseDuration (failoverTimeMillis), the start position and the balance settings equal on both sides.
package worker
