package lease

import (
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/stream"
)

// ErrNotFound says that there is no such lease.
var ErrNotFound = errors.New("lease: not found")

// ErrThrottled says that the store had no capacity; nothing was written.
var ErrThrottled = errors.New("lease: store throttled")

// ErrUnavailable says that the store did not answer, or not usefully. A write may have taken effect.
var ErrUnavailable = errors.New("lease: store unavailable")

// ErrLockHeld says that the leader's lock is not in the state the caller knew.
var ErrLockHeld = errors.New("lease: leader lock is held by another")

// ErrUnusable says that the store cannot or must not be used: missing, of another format, not permitted, or in a state this
// version must not join. The error that wraps it names the resource and the remedy.
var ErrUnusable = errors.New("lease: store unusable")

// ErrMalformed says that a row cannot be read. The error that wraps it names the row and the attribute. The row is left as it
// is; other rows are not affected.
var ErrMalformed = errors.New("lease: malformed row")

// HeldError says that a conditional write was refused because the row has moved on. For errors.Is it is
// [stream.ErrLeaseLost]; whether the lease is really lost the owner decides by looking at Current.
type HeldError struct {
	Key     string
	Current Lease // the row as the refusing store saw it; only its Key where the row is malformed ([ErrMalformed])
}

// Error names the key, the owner and the counter found.
func (e *HeldError) Error() string {
	return fmt.Sprintf("lease %s is held by %q at counter %d", e.Key, e.Current.Worker(), e.Current.Counter)
}

// Is reports whether target is [stream.ErrLeaseLost].
func (e *HeldError) Is(target error) bool { return target == stream.ErrLeaseLost }
