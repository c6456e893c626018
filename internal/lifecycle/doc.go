// Package lifecycle is one assignment as a state machine: an event goes in, the next state and the actions to take come
// out. It decides when a processor is made, given a batch, closed, thrown away and made anew, and which positions it may
// checkpoint. It does nothing itself: package worker carries the actions out and reports how they went.
//
//	            ┌────────────── failed: Pause, then Make anew from the last checkpoint ◄─────────────┐
//	            ▼                                                                                    │
//	Waiting ─► Making ─► Ready ─ page ─► Calling ─► Ready …  ─ last page ─► Storing ─► Closing ─► Ended
//	for parents            │                                    children     the end              │
//	            └──────────┴─ stop, lost ─► Closing (shutdown requested, lease lost) ─► Done ◄────┘
//
// Guarantees, whatever the order of events:
//
//   - calls to a processor never overlap, and none follows its Close;
//   - a batch that was not accepted is never passed: after a failure reading starts at the last checkpoint;
//   - the children's rows are stored before the processor hears that the shard has ended, and the shard counts as ended
//     only when that end was checkpointed;
//   - losing the lease outranks the end of the shard, which outranks a request to stop;
//   - every state can be left by Stop, Lost and Expire, after a failure too.
//
// The scripts in testdata tell it as stories.
package lifecycle
