package worker

import (
	"sync"
	"time"
)

// throughput is the smoothed rate of one shard: an exponential moving average, α = 0.5, of KiB per second between
// renewals, as the Java KCL computes it, but seeded with the stored value itself, so that a shard that moves does not look
// lighter than it is.
type throughput struct {
	mu    sync.Mutex
	bytes int64 // accepted since at
	at    time.Time
	rate  float64
	known bool
}

func (t *throughput) seed(rate float64, known bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate, t.known, t.at = rate, known, now
}

func (t *throughput) add(bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += bytes
}

// sample closes the interval that ends now and returns the rate, if one is known: a shard that never had a record says nothing.
func (t *throughput) sample(now time.Time) (rate float64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := now.Sub(t.at).Seconds()
	if seconds <= 0 {
		return t.rate, t.known
	}
	if t.bytes == 0 && !t.known {
		t.at = now // the silence is no part of what the first records are measured by
		return 0, false
	}
	latest := float64(t.bytes) / 1024 / seconds
	if t.known {
		latest = (t.rate + latest) / 2
	}
	t.rate, t.known, t.bytes, t.at = latest, true, 0, now
	return t.rate, true
}
