// Package picture draws a stream and its readers as text: a river of hash keys in which time flows from left to right and
// each shard is a band of its own colour, bright where records are processed and dark where nobody reads; below it the shards,
// what happened, and the sums.
//
//	Frame ─▶ Lines (pure: the same frame gives the same lines) ─▶ Screen.Paint (draws over the frame before)
//
// All characters used are one cell wide in every font that has them.
package picture
