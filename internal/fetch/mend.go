package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kinesis-go/kcl/internal/retry"
)

// stolen is how long to wait after another reader took the subscription: if that is the shard's new owner, ours should
// know by then that the lease is lost, and not take it back.
var stolen = retry.Backoff{Floor: takeoverGap, Min: 2 * takeoverGap, Max: time.Minute}

// manyConflicts in a row are more than a change of owners explains.
const manyConflicts = 4

// settled is the age at which a subscription that is lost was nobody else's.
const settled = time.Minute

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mend decides what follows when there is no further event: another subscription (errRetry), the end of the shard (a
// page), or an end with an error.
func (s *subscriber) mend(ctx context.Context, err error) (Page, error) {
	if errors.Is(err, errPoll) || errors.Is(err, errRetry) {
		return Page{}, err
	}
	if s.succeed() {
		return Page{}, errRetry
	}
	old := s.sub
	s.drop()
	if old != nil {
		if time.Since(old.openedAt) >= settled {
			s.conflicts = 0
		}
		if err == io.EOF && old.events > 0 {
			s.due = time.Time{} // it had its time
			return Page{}, errRetry
		}
		if err == io.EOF {
			err = fmt.Errorf("%w: the subscription ended without an event", errBroken)
		}
	}
	class := retry.Classify(err)
	if class == retry.Gone {
		page, confirmErr := s.confirmGone(ctx, err)
		if confirmErr == nil || ctx.Err() != nil || errors.Is(confirmErr, ErrStreamGone) {
			return page, confirmErr
		}
		err = confirmErr
	}
	if errors.Is(err, ErrTrimmed) && s.unproven() {
		return Page{}, errRetry
	}
	return Page{}, s.wait(class, old != nil, err)
}

// unproven goes back from a continuation number that the server refuses to the place of the last record.
func (s *subscriber) unproven() bool {
	if s.place == s.proven {
		return false
	}
	s.Logger.Warn("server refuses its own continuation number, going on behind the last record", "position", s.place.sequence)
	s.place, s.literal, s.due = s.proven, true, time.Time{}
	return true
}

// wait tells of a failure and says when to try again.
func (s *subscriber) wait(class retry.Class, subscribed bool, err error) error {
	backoff := failing
	switch {
	case errors.Is(err, ErrTrimmed):
		backoff = denied
	case class == retry.Throttled:
		backoff = refused
	case class == retry.Conflict:
		backoff = refused
		if subscribed {
			backoff = stolen
		}
		if s.conflicts++; s.conflicts >= manyConflicts {
			err = fmt.Errorf("%w: %w", ErrConsumerBusy, err)
		}
	case class == retry.Denied, class == retry.Gone:
		backoff = denied
	}
	s.failures++
	if s.Failed != nil {
		s.Failed(s.failures, err)
	}
	if errors.Is(err, ErrTrimmed) && s.SkipTrimmed {
		s.skipTrimmed()
		s.proven = s.place
		return errRetry
	}
	s.due = time.Now().Add(backoff.Wait(s.failures-1, s.Rand))
	return errRetry
}
