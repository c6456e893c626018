package worker

import (
	"context"
	"errors"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// asleep returns for how long this machine has slept since then, as far as its clocks tell: by how much more the wall clock has moved
// than the monotonic one, which stands still while a machine is suspended (on Linux; Go issue 24595).
func asleep(since time.Time) time.Duration {
	now := time.Now()
	return now.Round(0).Sub(since.Round(0)) - now.Sub(since)
}

// overslept reports whether this machine has slept so long since the lease was last proved that others may have taken it. The trust in
// a lease is measured by the monotonic clock, which does not count sleep; d/20 is what it leaves of the lease's duration.
//
// The wall clock is no proof of anything: it is stepped ahead, too, when it is set. So what it says costs a renewal and nothing
// else. A sleep that it does not show, as where a paused virtual machine's clock is set later, is noticed when it is set, or at the
// next renewal, within a third of the lease's duration.
func (h *held) overslept() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost == nil && h.asleep(h.provedAt) > h.duration/20
}

// wake proves the lease anew if this machine has slept. It tries until it has, the lease is lost, or ctx ends.
func (h *held) wake(ctx context.Context) error {
	for attempt := 0; h.overslept(); attempt++ {
		if attempt == 0 {
			h.log.Debug("the wall clock is ahead of the lease's, as after a sleep: the lease is proved before anything is delivered")
		}
		if err := h.renew(ctx, 0, false); errors.Is(err, stream.ErrLeaseLost) {
			return err
		} else if err != nil && !sleep(ctx, insistBackoff.Bound(attempt)) {
			return ctx.Err()
		}
	}
	return nil
}
