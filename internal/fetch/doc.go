// Package fetch reads one shard from a position, in order and without gaps, as fast as the service and the receiver allow.
//
//	iterator ─► pace ─► budget ─► GetRecords ─► split aggregates ─► drop what lies at or before the checkpoint ─► channel
//	    ▲                                                                                                   │
//	    └── expired, failed: again, behind the last record sent ◄───────────────────────────────────────────┘
//
// Guarantees of [Poll]:
//
//   - What it sends is every record behind [Config.From] that the shard holds, each once, in order, whatever fails on the way.
//     Before the first record it reads again AT the checkpoint, or from the time when LATEST was first asked for.
//   - A page waits in the channel's hands only: the next is read while the receiver works, and no more than that.
//   - The record data that is being received, waits, or is worked on is counted in a [Budget] that all shards of a process share. A
//     call is made only when there is room for the largest answer, or the whole budget is free.
//   - No failure ends it. Each is told to [Config.Failed]; throttling, refusals and outages are paced each in their way.
//   - The end of a shard is a property of one answer: no next iterator together with children.
//
// It does not decide what becomes of records, and knows nothing of leases.
package fetch
