package retry

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait between attempts: exponential, with full jitter, so that many workers that failed together
// do not come back together (AWS Architecture Blog, "Exponential Backoff and Jitter").
type Backoff struct {
	Min time.Duration // the bound of the first wait; doubled with each attempt
	Max time.Duration // the bound of all waits; not under Min
	// Floor is the shortest wait; default 0. Kinesis wants at least a second after some refusals.
	Floor time.Duration
}

// Wait returns how long to wait after failed attempt number attempt, counted from 0: evenly distributed between Floor and
// min(Max, Min·2^attempt). All randomness comes from r.
func (b Backoff) Wait(attempt int, r *rand.Rand) time.Duration {
	top := b.Bound(attempt)
	if top <= b.Floor {
		return b.Floor
	}
	return b.Floor + time.Duration(r.Int64N(int64(top-b.Floor)+1))
}

// Bound returns the longest wait that [Backoff.Wait] can give after the attempt.
func (b Backoff) Bound(attempt int) time.Duration {
	top := b.Min
	for range attempt {
		if top >= b.Max-top { // doubling would pass Max, or overflow
			return b.Max
		}
		top *= 2
	}
	return min(top, b.Max)
}
