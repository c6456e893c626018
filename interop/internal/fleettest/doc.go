// Package fleettest runs fleets of Go and Java workers against an embedded server and watches every write to their lease
// table: who made it, what the row said before and what it said afterwards.
//
//	workers ─► Stage (server) ─► watch: one write at a time, judged ─► Faults, Moves
//	Feed ────►
package fleettest
