package worker_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyIdleShards: what a shard costs that has nothing to read, the server's and the table's part of it included, which are in this
// process too. The difference between two fleets shows it.
func TestManyIdleShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const few, many = 100, 600
		measure := func(shards int) (goroutines int, bytes uint64) {
			r := newRig(t, shards)
			cfg := r.config("a")
			cfg.Reading.Idle = 5 * time.Second
			w := r.start(cfg)
			r.await(time.Minute, "all shards are read", func() bool { return len(w.Status().Shards) == shards })
			time.Sleep(20 * time.Second)
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			goroutines, bytes = runtime.NumGoroutine(), m.HeapAlloc+m.StackInuse
			r.must(w.stop())
			return goroutines, bytes
		}
		g1, b1 := measure(few)
		g2, b2 := measure(many)
		goroutines, bytes := float64(g2-g1)/(many-few), (float64(b2)-float64(b1))/(many-few)
		t.Logf("an idle shard takes %.2f goroutines and %.0f bytes", goroutines, bytes)
		if goroutines > 2.1 || bytes > 40<<10 {
			t.Errorf("an idle shard takes %.2f goroutines and %.0f bytes", goroutines, bytes)
		}
	})
}
