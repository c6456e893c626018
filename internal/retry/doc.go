// Package retry says what an error of an AWS call means, and how long to wait before the next attempt.
//
// Both are pure: [Classify] looks only at the error, [Backoff.Wait] only at its arguments. Who calls, sleeps, counts and
// gives up is the caller.
package retry
