package lifecycle

import (
	"fmt"

	"github.com/kinesis-go/kcl/stream"
)

// Progress is how far one assignment is: what is durable, and what the processor was given. It decides what a checkpoint
// request means (the Java KCL's ShardRecordProcessorCheckpointer, without its trap at the end of a shard).
type Progress struct {
	// Durable is the last checkpoint stored.
	Durable stream.Position
	// Delivered is the last record handed to the processor; zero before the first.
	Delivered stream.Position
	// AtEnd is set while the processor is told that the shard has ended.
	AtEnd bool
}

// Resolve returns the position that a request for at stores. write is false where nothing needs to be stored, because
// it is durable already. The error is, or wraps, stream.ErrPosition.
//
// At the end of the shard the zero position, the last record's and stream.ShardEnd all mean the end, even if the last
// record was checkpointed before (awslabs/amazon-kinesis-client issue 211).
func (p Progress) Resolve(at stream.Position) (target stream.Position, write bool, err error) {
	high := p.Delivered
	if high.IsZero() {
		high = p.Durable
	}
	switch {
	case p.AtEnd && (at.IsZero() || at == stream.ShardEnd || at == p.Delivered || p.sameRecord(at)):
		target = stream.ShardEnd
	case at.IsZero():
		target = high
	case at.Sub < 0:
		return at, false, fmt.Errorf("checkpoint at %s: the sub-sequence number is negative: %w", at.Sequence, stream.ErrPosition)
	case !at.Valid():
		return at, false, fmt.Errorf("checkpoint at %q: want decimal digits: %w", at.Sequence, stream.ErrPosition)
	case at.Compare(p.Durable) < 0:
		return at, false, fmt.Errorf("checkpoint at %s: behind the last checkpoint %s: %w", at, p.Durable, stream.ErrPosition)
	case at.Compare(high) > 0:
		return at, false, fmt.Errorf("checkpoint at %s: ahead of the last record delivered %s: %w", at, high, stream.ErrPosition)
	default:
		target = at
	}
	return target, target != p.Durable, nil
}

// sameRecord reports whether at names the last Kinesis record by its sequence number alone, as children in other
// languages do that know no sub-sequence numbers.
func (p Progress) sameRecord(at stream.Position) bool {
	return at.Sub == 0 && at.Sequence == p.Delivered.Sequence
}
