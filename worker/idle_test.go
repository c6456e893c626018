package worker_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/worker"
)

// TestManyIdleShards: what a shard costs that has nothing to read, of a thousand in one worker, the server's and the table's
// part of it included, which are in this process too. The difference between two fleets shows it.
func TestManyIdleShards(t *testing.T) {
	tests := map[string]struct {
		fanOut     *worker.FanOut
		goroutines float64 // the fetcher's and the processor's; the server has some for each subscription
		bytes      float64
	}{
		"polling": {nil, 2.1, 40 << 10},
		"fan-out": {&worker.FanOut{}, 5.1, 80 << 10},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const few, many = 100, 1000
				g1, b1 := idle(t, few, tt.fanOut)
				g2, b2 := idle(t, many, tt.fanOut)
				goroutines, bytes := float64(g2-g1)/(many-few), (float64(b2)-float64(b1))/(many-few)
				t.Logf("an idle shard takes %.2f goroutines and %.0f bytes", goroutines, bytes)
				if goroutines > tt.goroutines || bytes > tt.bytes {
					t.Errorf("want at most %.2f goroutines and %.0f bytes", tt.goroutines, tt.bytes)
				}
			})
		})
	}
}

// idle runs a worker with so many shards and returns what the process has while they are idle.
func idle(t *testing.T, shards int, fanOut *worker.FanOut) (goroutines int, bytes uint64) {
	r := newRig(t, shards)
	cfg := r.config("a")
	cfg.Reading.Idle, cfg.Reading.FanOut = 5*time.Second, fanOut
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
