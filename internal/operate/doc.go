// Package operate sees and steers an application from outside: its leases, its workers, how far it is behind, and where it
// is to read on. It needs no worker of its own, and none of its readings disturbs one.
//
//	lease table ─► App.Look ─► Watch.See ─► Watch.View ─► leases, workers, leader, problems      (pure from Look on)
//	streams ─────► App.Behind ─► age of the oldest record behind each checkpoint
//	operator ────► PlanRelease, PlanRewind, PlanSet ─► steps ─► App.Release, App.Rewind ─► lease table
//
// # What can be known
//
// There are no times in a lease. That its owner lives shows only in its counter, which each renewal raises, so liveness and
// "since when" are observed: one look knows neither, and says so. What was seen is measured by this process's monotonic clock.
// A worker's report carries its own clock; its age is shown, and taken for a sign of life only when it changes.
//
// # How far behind
//
// By the age of the oldest record that is not checkpointed: one record is read behind each checkpoint. The record may be in a
// processor's hands already. Where the service sends none although there is something, its distance from the tip
// (MillisBehindLatest) is told instead, and which of the two it is. One such reading takes two requests of the five reads per
// second that a shard allows all its readers; [App.Behind] makes them at a pace.
//
// # Steering
//
// Plans are made first and shown; carrying them out is conditional on what was planned from. Every write raises the counter
// and leaves the lease without an owner, so that its present owner loses it at its next renewal, within a third of the lease
// duration, and the leader assigns it anew. Until then both owners may be at work: records are delivered twice, never lost, and
// only the new owner's checkpoints count.
//
// A shard's children start once its own row is ended. A plan to read an ended shard again therefore takes its
// descendants back to their beginning as well: else records that are older than those the children are at would follow them.
// It writes parents before children, so that no child can start over before its parent is open again; a plan to undo that is
// written children first.
package operate
