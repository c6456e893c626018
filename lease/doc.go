// Package lease holds the row that grants one shard to one worker, the contract of a [Store] that keeps such rows, and
// what its errors mean.
//
// A lease has an owner and a counter. The owner proves that it lives by raising the counter; everybody else judges it by
// how long the counter has not moved on their own clock. Every write that proves or changes ownership is conditional on
// what the writer saw, and raises the counter, so at most one of two contenders succeeds:
//
//	             Assign                Renew, Checkpoint           Handoff            Assign(to the same)
//	unassigned ─────────► owned by A ───────────────────► owned ───────────► A → B ─────────────────────► owned by B
//	     ▲                    │                                   (A may still renew
//	     └────── Release ─────┘                                    and checkpoint)
//
// A store holds three things beside each other, as the Java KCL 3.5 does in one table: the leases ([Leases]), the lock of
// the leader ([Lock]) and what each worker reports of itself ([Roster]). Package lease/dynamolease keeps them in
// DynamoDB in the Java format, package lease/memlease in memory. Package lease/leasetest is the contract as a test suite.
//
// A store makes each write once: it never repeats a conditional write by itself, because only the owner knows whether
// an earlier write of its own is in doubt. A reply that was lost is [ErrUnavailable]; whoever made the write then looks
// at the row.
package lease
