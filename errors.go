package kcl

import (
	"errors"

	"github.com/kinesis-go/kcl/stream"
)

// ErrParentGone is the [context.Cause] of a processor's context when the parent closed its end of the conversation while a
// call was running: nobody waits for the outcome any more. Checkpoints return it from then on.
var ErrParentGone = errors.New("kcl: parent closed the conversation")

// CheckpointError says that a checkpoint was refused, by the parent or by this package. With errors.Is it is what its name
// stands for:
//
//	ShutdownException                       stream.ErrLeaseLost     stop working on the shard
//	ThrottlingException                     stream.ErrThrottled     try again, see RetryCheckpoint
//	KinesisClientLibDependencyException     stream.ErrUnavailable   try again
//	InvalidStateException                   stream.ErrNoCheckpoint  the call was made where none is possible
//	IllegalArgumentException                stream.ErrPosition      malformed, or out of range
//
// Any other name is none of these: an unknown failure of the parent, not worth trying again.
type CheckpointError struct {
	Name string // simple name of a Java exception, as the protocol carries it
	Err  error  // what this package or the host knows beside the name; nil if the parent refused
}

// Error returns the name, which is all that a parent tells, and Err's text behind a colon if there is one.
func (e *CheckpointError) Error() string {
	if e.Err == nil {
		return e.Name
	}
	return e.Name + ": " + e.Err.Error()
}

// Is reports whether target is the sentinel of package stream that the name stands for.
func (e *CheckpointError) Is(target error) bool {
	for _, n := range exceptions {
		if n.name == e.Name {
			return target == n.err
		}
	}
	return false
}

// Unwrap returns Err.
func (e *CheckpointError) Unwrap() error { return e.Err }

// The names are those of the Java KCL's checkpointer (package software.amazon.kinesis.exceptions, java.lang).
const (
	shutdownException        = "ShutdownException"
	invalidStateException    = "InvalidStateException"
	illegalArgumentException = "IllegalArgumentException"
)

// exceptions is a table, never changed.
var exceptions = [...]struct {
	name string
	err  error
}{
	{shutdownException, stream.ErrLeaseLost},
	{"ThrottlingException", stream.ErrThrottled},
	{"KinesisClientLibDependencyException", stream.ErrUnavailable},
	{invalidStateException, stream.ErrNoCheckpoint},
	{illegalArgumentException, stream.ErrPosition},
}

// named gives err, from whatever host, the name that a program of the frozen interface looks for. An error that has none
// stays as it is.
func named(err error) error {
	if known, ok := errors.AsType[*CheckpointError](err); ok {
		return known
	}
	for _, n := range exceptions {
		if errors.Is(err, n.err) {
			return &CheckpointError{Name: n.name, Err: err}
		}
	}
	return err
}
