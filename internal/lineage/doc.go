// Package lineage knows how the shards of a stream follow from one another, and which rows the lease table needs for that:
// which to create, which shards may start, which rows may go. It is pure: shards and leases in, answers out.
//
// The life of a row, and who asks what:
//
//	table empty ──── First ─────────────┐
//	hole confirmed ─ Holes, Detector, ──┼─► row created ─► Blocking: none ─► shard is read ─► its end ─► End.Rows: children's
//	                 Missing            │                  (may start)                                   rows, then SHARD_END
//	parent ended ─── End.Rows ──────────┘                                                                      │
//	                                                       row deleted ◄─ Finished, Garbage ◄──────────────────┘
//
// # Guarantees
//
//   - Once the rows that [Missing] names exist, every open shard has a row, or an ancestor with a live row whose end will
//     make one; and asking again names none.
//   - Rows come in an order in which a parent's is made before its child's, and no row is made for a shard while it could
//     start before a parent that is still to be read.
//   - What [Finished] lets go is never asked for again by [Missing].
//   - Children of a shard that was read begin at their trim horizon.
//   - All answers are the same whatever the order of shards and leases in the arguments.
//
// # What it does not do
//
// It lists no shards, reads and writes no rows, and decides nothing about owners: that is internal/assign. It does not
// know whether a list or a snapshot was torn by changes meanwhile: create rows from [Missing] only for a stream without any lease,
// or when a [Detector] has confirmed a hole, and confirm [Garbage] with Kinesis.
//
// The rules are those of the Java KCL 3.5 (HierarchicalShardSyncer, PeriodicShardSyncManager, LeaseCleanupManager); where
// they differ the comment says so and why.
package lineage
