package worker

import "time"

// SleepUntil makes the worker's leases believe that the machine slept until at, for so long by the wall clock. Call it before Run.
func (w *Worker) SleepUntil(at func() time.Time, long time.Duration) {
	w.asleep = func(since time.Time) time.Duration {
		if at := at(); at.IsZero() || since.After(at) {
			return 0
		}
		return long
	}
}
