// Package sim tests whole fleets in virtual time: real workers and the real AWS SDK over the embedded services, in one
// process inside a testing/synctest bubble. It has tests only.
//
// A seed decides everything that happens: how many workers and shards there are, which workers crash, are cut off, lose replies
// or are throttled, which processors fail or are slow, and when shards are split and merged. Meanwhile and afterwards the
// invariants I1 to I9 of the project's design are checked from what the processors saw and what the table holds:
//
//	go test ./internal/sim                       a few hundred seeds
//	go test ./internal/sim -sim.seeds 5000       as many as you like
//	go test ./internal/sim -sim.seed 1234 -v     one seed again, with its log
package sim
