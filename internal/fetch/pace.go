package fetch

import (
	"context"
	"time"
)

const (
	// callGap: 5 GetRecords and 5 GetShardIterator a second per shard, of all who read it (Kinesis service limits).
	callGap = time.Second / 5
	// bytesPerSecond of a shard for all who read it by GetRecords. An answer of 10 MiB is followed by 5 s in which the
	// service refuses (GetRecords API reference), so nothing is read on credit.
	bytesPerSecond = 2 << 20
)

// pace keeps one kind of calls for one shard within the service's limits, so that they need not be refused. It is used by
// one goroutine. The zero pace is ready.
type pace struct {
	off  bool
	next time.Time // when the next call may be made
}

// wait returns when the next call may be made.
func (p *pace) wait(ctx context.Context) error { return sleepUntil(ctx, p.next) }

// called notes a call that ended now and how many bytes it brought.
func (p *pace) called(now time.Time, bytes int64) {
	if p.off {
		return
	}
	p.next = now.Add(max(callGap, time.Duration(float64(bytes)/bytesPerSecond*float64(time.Second))))
}

// sleepUntil returns nil at the given time, or the cause of ctx's end.
func sleepUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
