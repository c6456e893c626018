// Package cost computes what the coordination of a fleet costs in DynamoDB: requests and capacity units an hour, for workers of
// this library and, beside them, for Java KCL 3.5 workers with its defaults. It is pure.
//
// # The formula
//
// For S shards, W workers of which one leads, a lease duration f and a checkpoint of each shard each c, in a steady state, an
// hour has, with W(b) = ⌈b / 1 KB⌉ write units for an item of b bytes and R(b) = ⌈b / 4 KB⌉ read units for b bytes read
// consistently, half of that eventually consistently (DynamoDB developer guide, "Read and write operations"):
//
//	                       this library                                  Java KCL 3.5 (spec of its sources)
//	renewals               S · 3600/(f/3)        · W(row)                S · 3600/(f/3 − 25 ms) · W(row)
//	checkpoints            S · 3600/c            · W(row)                the same
//	finding own leases     W · 3600/0.875 s      · R(S/W · key)/2        W · 3600/(f − 25 ms)   · R(S/W · key)/2
//	reports                W · 3600/15 s         · W(report)             W · 3600/30 s          · W(report)
//	asking for the state   W · 3600/60 s         · R(state)              none in client version 3X
//	watching the lock      (W−1) · 3600/2 s      · R(lock)               (W−1) · 3600/30 s      · R(lock)
//	keeping the lock       3600/2.5 s            · W(lock)               3600/30 s              · W(lock)
//	the leader's look      3600/1 s              · R(table)/2            3600/2f                · R(table)/2
//	the followers' look    (W−1) · 3600/262.5 s  · R(table)/2            none
//	the leader's audit     with the look                                 3600/120 s             · R(table)/2
//
// where row, report, key, lock and state are sizes in bytes, and table = S·row + W·report + lock + state. A scan of a table of more
// than 1 MB takes a request for each MB. Neither renewals nor checkpoints touch the index over owners, because they do not
// change the owner.
//
// # What is left out
//
// What happens once and not each hour: starts, splits and merges, leases that move (a write, two units of the index, a
// consistent read and a renewal each), clean-up, and the consistent look at the table, twice as dear, that the leader takes
// before it creates, deletes, or takes a lease from a worker. Retries. Requests to Kinesis, which are not charged one by one: beside
// GetRecords each worker asks once when it starts for each stream, by DescribeStreamSummary and ListShards; the leader
// lists the shards of each stream when it begins to lead and each 15 minutes, and, where there are several streams, describes
// each one a minute, 60 of them at most. Pauses
// are taken as exact: each loop waits its interval after a request has ended, so that a slow table is asked a little less
// often than the formula says. Where the tables of KCL 3.0 to 3.4 still exist there are a few reads more.
package cost
