// Package kcltest drives one processor in a test, without a stream, a lease table or a daemon.
//
// [Assign] makes a processor as a worker does and hands it what the test chooses: records, the end of the shard, a lost
// lease, checkpoints that fail. It keeps the rules of a worker: one call at a time, checkpoints that only move forward and
// never past what was delivered.
//
//	d, err := kcltest.Assign(t.Context(), newProcessor, stream.Assignment{Shard: "shardId-000000000000"})
//	err = d.Deliver(kcltest.Records(1, "first", "second")...)
//	err = d.EndShard()
//
// [Daemon] plays the parent of a MultiLang child, over any pair of pipes: those of an exec.Cmd, or those that [Serve] lays
// to a kcl.Serve in the same process.
package kcltest
