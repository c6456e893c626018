package fetch

import (
	"context"
	"time"
)

const (
	// callsPerSecond: Kinesis service limit for GetRecords, and for GetShardIterator, per shard, of all who read it.
	callsPerSecond = 5
	// bytesPerSecond: Kinesis service limit for GetRecords per shard.
	bytesPerSecond = 2 << 20
)

// pace keeps the reads of one shard within the service's limits, so that they need not be refused. It is used by one goroutine.
type pace struct {
	nextCall  time.Time
	bytesDebt time.Time // until when what was read uses up the throughput
}

// wait returns when the next call may be made.
func (p *pace) wait(ctx context.Context) error {
	at := p.nextCall
	if p.bytesDebt.After(at) {
		at = p.bytesDebt
	}
	return sleepUntil(ctx, at)
}

// called notes a call and how many bytes it returned. Up to a second's worth of bytes may be read in advance.
func (p *pace) called(now time.Time, bytes int64) {
	p.nextCall = now.Add(time.Second / callsPerSecond)
	worth := time.Duration(float64(bytes) / bytesPerSecond * float64(time.Second))
	from := p.bytesDebt
	if floor := now.Add(-time.Second); from.Before(floor) {
		from = floor
	}
	p.bytesDebt = from.Add(worth)
}

func sleepUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
