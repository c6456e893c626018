//go:build unix

package worker_test

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/worker"
)

// TestIdleCPU logs what a shard at the tip costs in an hour with the default settings, the server's and the table's part of it
// included. It counts the calls, which do not depend on the machine.
func TestIdleCPU(t *testing.T) {
	for name, fanOut := range map[string]*worker.FanOut{"polling": nil, "fan-out": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const shards, measured = 100, 30 * time.Second
				r := newRig(t, shards)
				calls := r.counted()
				cfg := r.config("a")
				cfg.Reading.FanOut = fanOut
				w := r.start(cfg)
				r.await(time.Minute, "all shards are read", func() bool { return len(w.Status().Shards) == shards })
				time.Sleep(30 * time.Second)
				began, before := cpu(), calls("GetRecords")
				time.Sleep(measured)
				used, polls := cpu()-began, calls("GetRecords")-before
				hours := measured.Hours() * shards
				t.Logf("an idle shard takes %.2f CPU seconds an hour, and %s calls a second", used.Seconds()/hours,
					fmt.Sprintf("%.2f", float64(polls)/measured.Seconds()/shards))
				if most := shards * int(measured/time.Second); polls > most || fanOut != nil && polls > 0 {
					t.Errorf("%d calls, want at most one a second for each shard", polls)
				}
				r.must(w.stop())
			})
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
