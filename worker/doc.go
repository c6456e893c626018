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
// # Seeing what it does
//
// [Worker.Status] is a snapshot to show, and its Problems are what to alert on: a shard whose processor keeps failing or hangs,
// that cannot be read, or that nobody reads. [Status.Healthy] fits a readiness probe. [Trace] is for metrics.
//
// # Together with Java
//
// The lease table has the format of the Java KCL 3.5, so Go and Java workers share one application and take over from each
// other. Keep LeaseDuration (failoverTimeMillis), the start position and the balance settings equal on both sides.
package worker
