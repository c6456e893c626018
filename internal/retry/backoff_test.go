package retry_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/retry"
)

func TestBackoffBound(t *testing.T) {
	b := retry.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	for attempt, want := range map[int]time.Duration{
		0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 3: 800 * time.Millisecond, 4: time.Second, 1000: time.Second,
	} {
		if got := b.Bound(attempt); got != want {
			t.Errorf("Bound(%d) = %v, want %v", attempt, got, want)
		}
	}
	if got := (retry.Backoff{Min: 1, Max: math.MaxInt64}).Bound(200); got != math.MaxInt64 {
		t.Errorf("Bound(200) = %v, want no overflow", got)
	}
}

// Waits stay in their bounds and use all of them.
func TestBackoffWait(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := retry.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Floor: 50 * time.Millisecond}
	for attempt := range 6 {
		bound := b.Bound(attempt)
		least, most := bound, time.Duration(0)
		for range 2000 {
			w := b.Wait(attempt, r)
			least, most = min(least, w), max(most, w)
		}
		span := bound - b.Floor
		if least < b.Floor || most > bound {
			t.Errorf("attempt %d: waits from %v to %v leave %v to %v", attempt, least, most, b.Floor, bound)
		}
		if least > b.Floor+span/20 || most < bound-span/20 {
			t.Errorf("attempt %d: waits from %v to %v do not spread over %v to %v", attempt, least, most, b.Floor, bound)
		}
	}
	same := retry.Backoff{Min: time.Second, Max: time.Second, Floor: time.Second}
	if got := same.Wait(0, r); got != time.Second {
		t.Errorf("Wait with Floor = Max is %v, want 1s", got)
	}
}
