// Package ledger keeps the books of a run: what the service told a producer it took, and what processors were given. From
// both it computes a verdict, and assumes nothing.
//
//	PutRecords answered ─▶ Took ─────────▶ ┌────────┐
//	                                       │ Ledger │ ─▶ Shards (as it stands), Verdict (at the end)
//	Process was called ──▶ Run.Deliver ──▶ └────────┘
//
// A record is known by its shard and sequence number, because only the service gives those: two records with equal data
// are two records, and one record delivered twice is a duplicate. The two sides may arrive in either order; a processor is
// often faster than the answer to the put.
//
// What counts as out of order: a record whose first delivery comes after that of a later record of its shard; a record that
// does not lie behind the one before it in the same assignment; a record whose first delivery comes after that of a
// record that was put later with the same partition key, on whichever shard. A delivery that repeats an earlier one, because a new
// assignment starts at a checkpoint, is a duplicate and not out of order.
//
// The books hold every record until the end, at some 200 bytes each: they are for runs, not for services.
package ledger
