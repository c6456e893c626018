package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// TestI4LatestSkipsNothingThatFailed: a shard that is read from LATEST and whose processor fails before its first checkpoint is read
// from where it was begun: what failed comes again.
func TestI4LatestSkipsNothingThatFailed(t *testing.T) {
	for _, fanOut := range []*worker.FanOut{nil, {}} {
		t.Run(fmt.Sprint("fan-out=", fanOut != nil), func(t *testing.T) { latestSkipsNothing(t, fanOut) })
	}
}

func latestSkipsNothing(t *testing.T, fanOut *worker.FanOut) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		cfg := r.config("a")
		cfg.Start, cfg.Reading.FanOut = stream.Latest, fanOut
		var failures atomic.Int32
		r.seen.process = func(context.Context, stream.Assignment, *stream.Batch, stream.Checkpointer) error {
			if failures.Add(1) <= 3 {
				return errors.New("not yet")
			}
			return nil
		}
		early := r.put("orders", "early", 10)
		time.Sleep(time.Minute)
		w := r.start(cfg)
		time.Sleep(5 * time.Second)
		late := r.put("orders", "late", 10)
		r.await(time.Minute, "what failed comes again", func() bool { return r.seen.missing(late) == 0 })
		if n := r.seen.missing(early); n != len(early) {
			t.Errorf("%d records came that were put before the start", len(early)-n)
		}
		wantHealthy(t, w)
		r.must(w.stop())
	})
}
