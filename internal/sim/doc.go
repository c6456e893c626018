// Package sim tests whole fleets in virtual time: real workers and the real AWS SDK over the embedded services, in one
// process inside a testing/synctest bubble. It has tests only.
//
// A seed decides everything that happens: how many workers, streams and shards there are; which workers crash (at any time,
// between any two requests, at any write at the end of a shard), stop, freeze, are cut off, start anew under their old id,
// lose replies or get them late; when the whole table is throttled; which processors fail or are slow; how far clocks differ and the
// index lags; who reads by polling and who by enhanced fan-out, and what its subscriptions suffer; which records are aggregates, with
// strays or damaged; when shards are split and merged and streams deleted. Meanwhile and afterwards the invariants I1 to I9 of the
// project's design are checked from what the processors saw, what the table holds, and each request that was sent.
//
//	plan ─► world ─► nodes, each:  worker ─► SDK ─► network (faults) ─► local
//	          │                      │                  │
//	        chaos                processor          judgeWrite          each breach names its invariant
//	                                 ▼                  ▼                          ▲
//	                               ledger ◄── look at every row ──► checkGaps ─────┘
//
//	go test ./internal/sim                                       200 seeds, the timings, and the cost
//	go test ./internal/sim -run TestSim -sim.seeds 5000          as many as you like
//	go test ./internal/sim -run TestSim -sim.seed 12 -v -count 9 one seed again, with its log
//	go test ./internal/sim -run TestTiming -v                    the timings of design section 6, measured
//	go test ./internal/sim -run TestMutations -sim.mutate -v     each invariant broken on purpose, and caught
//	go test ./internal/sim -run TestScale -sim.scale -v          1,000 shards and 50 workers
//
// A seed gives the same faults at the same times. It does not give the same run to the last detail: workers jitter their
// timers, and goroutines that run at the same instant do so in any order. Repeat a seed to see a rare breach again.
package sim
