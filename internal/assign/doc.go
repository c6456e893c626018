// Package assign decides which lease belongs to which worker. It is what the leader thinks; it is pure: what was seen goes
// in, moves come out.
//
//	Snapshot ──► Observe ──► Observation ──► Plan ──► moves ──► the leader writes them
//	                ▲                          │
//	                └── Observation (next look)┘      who stops:  Observe ──► Leave ──► moves of its own leases
//
// [Config.Observe] compares a snapshot of the table with the one before and notes when each counter and each report last
// changed, on this process's clock. [Config.Plan] then
//
//  1. places what nobody works on: unassigned and expired leases, and handoffs that are overdue;
//  2. lets workers that have far less than their share, as new ones do, take up to their share from the fullest;
//  3. now and then evens out the load that is left, a part of the difference at a time.
//
// # Load
//
// A lease weighs its throughput and a little for being there at all, so an idle fleet shares by number and a busy one by
// bytes. A worker's level is 1 if it bears its fair share: by weight, or, if it reports utilization (CPU), by that with its weight as
// the view when there is little to see. Taking a lease raises the level by the lease's part of a fair share. There is nothing
// to divide by zero: see the comments in load.go. [Config.ByCount] gives all leases the same weight and looks at nothing else.
//
// Leases of ended shards weigh nothing and are not moved for balance, since nobody reads them; the Java KCL counts them.
// They still are given to a live worker at once, because a Java worker cleans up only what it owns.
//
// # Guarantees
//
//   - A lease occurs in at most one move of a plan. A lease that is alive is moved only for balance or an overdue handoff,
//     and for balance only once its owner was seen to renew it: one that its owner has yet to find is left to it.
//   - No lease stays unassigned while a candidate has room, see [Config.MaxLeases]; those without are named.
//   - A move for balance makes the fuller worker less full than it was and leaves the other below where that one stood. So a
//     balanced fleet is left alone, and repeated plans come to rest.
//   - The same observation gives the same plan.
//
// # Who is alive
//
// A lease is expired when its counter stood still for the lease duration, here. A worker may get leases while its report
// changes every now and then, here; the report's own time is looked at once only, when the report is seen for the first time,
// and can only hold a worker back. A worker whose lease expired while it gave no other sign of life is in doubt and gets nothing until
// it gives one, since its last report outlives it by up to a minute. While somebody is in doubt, and at the beginning of a term,
// workers that showed no life within a lease duration are asked last, since workers die together. One that reports but never
// begins with what it is given is barred, for longer each time. A worker that holds leases but does not report keeps them.
//
// # What it does not do
//
// It reads and writes no table, elects no leader and makes no rows (internal/lineage). Moves are advice on what was seen:
// each write is conditional on it, and one that is refused is planned anew after the next look.
//
// The rules stem from the Java KCL 3.5 (LeaseAssignmentManager, VarianceBasedLeaseAssignmentDecider), whose formats we share but
// not its decisions; only the leader's count for the fleet.
package assign
