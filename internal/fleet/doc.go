// Package fleet is what a worker does for the fleet rather than for its own shards: it reports itself, stands for leader, and
// as leader sees to it that every shard has a row, every row an owner, and no row outlives its use.
//
//	report ──► roster                       (every worker)
//	campaign ─► lock held? ─► term:          (one worker)
//	                            heartbeat    the lock stays ours
//	                            look ──► snapshot ─► assign.Plan ─► Assign, Handoff
//	                            audit ─► holes? ─► ListShards ─► lineage ─► Create
//	                            clean ─► lineage ─► Delete
//
// The plans are pure and live in internal/assign and internal/lineage; this package reads the clock, calls the services and
// carries the plans out. It never sees a processor.
//
// Guarantees: a leader that cannot do its duties gives the lock up and abstains for as long as the lock lasts; a lock is
// believed in only for its duration from before the write that proved it, on this process's clock; another's lock is taken
// only after its version has not changed for its whole duration on this process's clock.
package fleet
