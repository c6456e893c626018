package kcl

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

const (
	retryFirst    = 100 * time.Millisecond
	retryLongest  = 5 * time.Second
	retryAttempts = 12 // 31 s in all, if each wait is as long as it may be
)

// RetryCheckpoint calls checkpoint again while it fails with [stream.ErrThrottled] or [stream.ErrUnavailable], and returns
// its last result. Any other error, the end of ctx, or the twelfth failure ends it. The waits between calls are random,
// from a half to the whole of 100 ms, then of twice as much each time, up to 5 s: 16 to 31 s in all. It works with both
// interfaces:
//
//	err := kcl.RetryCheckpoint(ctx, func() error { return cp.Checkpoint(ctx, stream.Position{}) })
//	err := kcl.RetryCheckpoint(context.Background(), func() error { return checkpointer.Checkpoint(nil) })
func RetryCheckpoint(ctx context.Context, checkpoint func() error) error {
	longest := retryFirst
	for attempt := 1; ; attempt++ {
		err := checkpoint()
		again := errors.Is(err, stream.ErrThrottled) || errors.Is(err, stream.ErrUnavailable)
		if !again || attempt == retryAttempts {
			return err
		}
		select {
		case <-time.After(longest/2 + rand.N(longest/2)):
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
		longest = min(2*longest, retryLongest)
	}
}
