package operate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Target is where to read on from: a time, or a position if At is zero.
type Target struct {
	At       time.Time
	Position stream.Position
}

// String returns the target as [ParseTarget] reads it.
func (t Target) String() string {
	switch {
	case !t.At.IsZero():
		return t.At.Format(time.RFC3339Nano)
	case t.Position == stream.TrimHorizon:
		return "oldest"
	case t.Position == stream.Latest:
		return "latest"
	}
	return t.Position.String()
}

var errTarget = errors.New(`want oldest, latest, a time such as 2026-01-31T08:30:00Z, how long ago, such as 15m, or a checkpoint's sequence number`)

// ParseTarget reads "oldest", "latest", a time in RFC 3339, how long before now, such as "15m", or a sequence number, with "/" and
// the index inside an aggregate if that matters. A time must not lie in the future, after now.
func ParseTarget(s string, now time.Time) (Target, error) {
	switch strings.ToLower(s) {
	case "oldest":
		return Target{Position: stream.TrimHorizon}, nil
	case "latest":
		return Target{Position: stream.Latest}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		if at.After(now) {
			return Target{}, fmt.Errorf("%s lies in the future", s)
		}
		return Target{At: at}, nil
	}
	if p, err := ParsePosition(s); err == nil && p.IsNumber() {
		return Target{Position: p}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago > 0 {
		return Target{At: now.Add(-ago)}, nil
	}
	return Target{}, fmt.Errorf("%q: %w", s, errTarget)
}

// ParsePosition reads a checkpoint as [stream.Position.String] writes it: a sentinel's name, or a sequence number, with "/" and
// the index inside an aggregate if it is not 0.
func ParsePosition(s string) (stream.Position, error) {
	number, sub, aggregated := strings.Cut(s, "/")
	p := stream.Position{Sequence: stream.SequenceNumber(number)}
	if aggregated {
		n, err := strconv.ParseInt(sub, 10, 64)
		if err != nil || !p.IsNumber() {
			return stream.Position{}, fmt.Errorf("checkpoint %q: want <sequence number>/<index>", s)
		}
		p.Sub = n
	}
	if !p.Valid() {
		return stream.Position{}, fmt.Errorf("checkpoint %q: want a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END", s)
	}
	return p, nil
}
