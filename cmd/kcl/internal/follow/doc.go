// Package follow reads a whole stream, or one shard of it, without leases and checkpoints: for looking, not for working.
//
//	ListShards ─▶ lineage ─▶ one fetcher for each shard that may start ─▶ Deliver, one page at a time
//	                 ▲                          │
//	                 └──── children at its end ─┘
//
// A child shard starts when all its parents that are followed have been delivered to their end, so records of one partition
// key stay in order, and nothing is passed over at a split or a merge.
package follow
