package kcl

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/kinesis-go/kcl/stream"
)

// TestC20_TheAnswerCountsFirst: a lost lease ends the context along with the answer that says so, and the asker, when it
// wakes, finds both.
func TestC20_TheAnswerCountsFirst(t *testing.T) {
	for range 50 { // without the rule every second one fails
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			g := newGate(false)
			result := make(chan error)
			go func() { result <- g.Checkpoint(ctx, stream.Position{}) }()
			synctest.Wait()
			r := <-g.requests
			r.answer <- errLost
			cancel(stream.ErrLeaseLost)
			if err := <-result; !errors.Is(err, errLost) {
				t.Errorf("Checkpoint = %v, want the answer", err)
			}
		})
	}
}
