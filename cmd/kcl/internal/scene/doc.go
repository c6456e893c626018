// Package scene plays the demo: a stream, a producer that feeds it, a worker that reads it, a split and a merge while records
// flow, and a verdict that rests on what the service told the producer and what the processors got.
//
//	           ┌──────── reshard ────────┐
//	feed ─▶ Kinesis ─▶ worker ─▶ reader ─▶ ledger ─▶ Report
//	  └─────────── what was taken ───────────┘  └──▶ Frame, as often as one likes
//
// It knows the services only by their clients, so they may be anywhere.
package scene
