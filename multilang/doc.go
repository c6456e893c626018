// Package multilang makes a child process the processor of a shard: the parent side of the MultiLang protocol. The child may
// be written in any language for which there is a Kinesis Client Library; it talks in JSON lines over stdin and stdout.
//
//	worker ─ NewProcessor ─► Command ── spawns, initialize ──► child of one shard
//	         Process      ─► processRecords, its checkpoints, status
//	         Close        ─► shutdownRequested, leaseLost, shardEnded; then the end of stdin, and of the child
//
// A [Command] is what to start. Its NewProcessor method is a [stream.NewProcessor]:
//
//	cmd := multilang.Command{Path: "./consumer.py"}
//	w, err := worker.New(worker.Config{NewProcessor: cmd.NewProcessor, …})
//
// # What is promised
//
//   - One child for each assignment, never used again. Actions are sent strictly one at a time; the next one follows the
//     status of the last. Reading and writing go on at the same time, so a child that writes before it reads blocks nobody.
//   - A child that exits, hangs beyond [Command.ReplyTimeout], closes a pipe or answers the wrong action makes the call fail.
//     The child is then gone when the call returns, and so is what it started in its process group. The processor never ends
//     more than its own child: what follows is the worker's decision.
//   - What a child prints on stdout beside the protocol is logged, shortened, and means nothing, whatever its length. Keys
//     that the protocol does not know are ignored, where the Java daemon ignores the whole line and waits for ever.
//   - Each line that a child writes on stderr is copied once to [Command.Stderr], behind the name of its shard.
//   - The end of a shard counts only once its checkpoint was stored. A child that answers shardEnded without it makes Close
//     fail, so that a new child is asked again.
//   - A child has its own process group: Ctrl-C in a terminal reaches the worker alone, which stops its children through the
//     protocol. On Linux a child is killed by the kernel when this process dies, and what it started in turn sees the end of
//     its pipes. On Windows there are no process groups of this kind, and only the child itself is killed.
//
// # Stopping
//
// A child that has answered leaseLost or shardEnded sees the end of its stdin, and has [Command.ExitTimeout] to exit and to
// let go of its stdout and stderr. Then its process group gets SIGTERM, and a second later SIGKILL. After a failure SIGTERM
// comes at once. A child that exits with a code other than 0 after its last answer is warned of, nothing more. When the child
// has exited, whatever it left behind in its process group is killed.
//
// When the context ends because the lease is lost, a child may finish its batch and is told leaseLost, within ExitTimeout;
// its checkpoints are refused. When the context ends for another reason, the child is killed at once.
//
// A processor that is dropped without Close keeps its child until the context ends. The child is then killed and waited for
// in the background. A call that fails needs no Close: its child is gone.
//
// # Checkpoints
//
// Which positions are permitted is the worker's decision; this package translates. In shardEnded the number of the last
// record means the end of the shard, like no number at all: the Java daemon can lose the end there. A request that a child
// writes between two actions is answered before the next action, and no number then means the records delivered before it,
// never those that follow.
package multilang
