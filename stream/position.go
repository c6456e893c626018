package stream

import (
	"cmp"
	"fmt"
	"strings"
)

// SequenceNumber is a Kinesis sequence number in decimal digits, or the name of a sentinel: TRIM_HORIZON, LATEST,
// AT_TIMESTAMP or SHARD_END (the Java KCL's SentinelCheckpoint, stored verbatim in the lease table).
//
// Two numbers of one shard compare by value. Kinesis calls them opaque: never compute a next one.
type SequenceNumber string

// The sentinels, as the lease table and the MultiLang protocol spell them.
const (
	atTimestamp SequenceNumber = "AT_TIMESTAMP"
	trimHorizon SequenceNumber = "TRIM_HORIZON"
	latest      SequenceNumber = "LATEST"
	shardEnd    SequenceNumber = "SHARD_END"
)

// IsNumber reports whether s is a plain sequence number: one or more decimal digits.
func (s SequenceNumber) IsNumber() bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Compare orders two sequence numbers by value, whatever their length, with the sentinels where the Java KCL's
// ExtendedSequenceNumber has them: AT_TIMESTAMP < TRIM_HORIZON < LATEST < every number < SHARD_END. The empty string and
// malformed text sort before all of these, in the order of their bytes. It does not allocate.
func (s SequenceNumber) Compare(o SequenceNumber) int {
	if a, b := s.rank(), o.rank(); a != b {
		return cmp.Compare(a, b)
	}
	if s.rank() != rankNumber {
		return strings.Compare(string(s), string(o))
	}
	a, b := strings.TrimLeft(string(s), "0"), strings.TrimLeft(string(o), "0")
	if len(a) != len(b) {
		return cmp.Compare(len(a), len(b))
	}
	return strings.Compare(a, b)
}

const (
	rankMalformed = iota
	rankAtTimestamp
	rankTrimHorizon
	rankLatest
	rankNumber
	rankShardEnd
)

func (s SequenceNumber) rank() int {
	switch s {
	case atTimestamp:
		return rankAtTimestamp
	case trimHorizon:
		return rankTrimHorizon
	case latest:
		return rankLatest
	case shardEnd:
		return rankShardEnd
	}
	if s.IsNumber() {
		return rankNumber
	}
	return rankMalformed
}

// Position is a place in a shard: a sequence number with the index inside an aggregated (KPL) record, or a sentinel.
// Positions are comparable with ==.
//
// The zero Position, given to a [Checkpointer], means all that was delivered so far, and the end of the shard once the
// shard has ended.
type Position struct {
	Sequence SequenceNumber
	Sub      int64 // index inside an aggregated record; 0 for plain records and sentinels
}

// The sentinel positions. They are values, not settings: do not assign to them.
var (
	TrimHorizon = Position{Sequence: trimHorizon} // the oldest record that is retained
	Latest      = Position{Sequence: latest}      // only what is put from now on
	AtTimestamp = Position{Sequence: atTimestamp} // the first record at or after a time that is configured, not stored
	ShardEnd    = Position{Sequence: shardEnd}    // the shard is finished
)

// IsZero reports whether p is the zero Position.
func (p Position) IsZero() bool { return p == Position{} }

// IsNumber reports whether p names a record rather than a sentinel.
func (p Position) IsNumber() bool { return p.Sequence.IsNumber() }

// Valid reports whether p is a sentinel or names a record, with a sub-sequence number that is not negative. The zero
// Position is not valid in this sense: it names no place by itself.
func (p Position) Valid() bool {
	return p.Sub >= 0 && p.Sequence.rank() != rankMalformed
}

// Compare orders positions by sequence number, then by sub-sequence number; see [SequenceNumber.Compare].
func (p Position) Compare(o Position) int {
	if c := p.Sequence.Compare(o.Sequence); c != 0 {
		return c
	}
	return cmp.Compare(p.Sub, o.Sub)
}

// String returns "sequence" or "sequence/sub", the sentinel's name, or "(all delivered)" for the zero Position.
func (p Position) String() string {
	switch {
	case p.IsZero():
		return "(all delivered)"
	case p.Sub == 0:
		return string(p.Sequence)
	}
	return fmt.Sprintf("%s/%d", p.Sequence, p.Sub)
}
