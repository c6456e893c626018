package operate

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Measure says what a [Behind] was told by.
type Measure string

// The measures, from what is known best on.
const (
	ByRecord Measure = "record"  // Age is that of the oldest record behind the checkpoint
	ByTip    Measure = "tip"     // the service sent no record; Age is its distance from the tip
	CaughtUp Measure = "none"    // nothing is behind the checkpoint
	AtEnd    Measure = "ended"   // the shard is read to its end
	NotKnown Measure = "unknown" // Why says why
)

// Behind is how far one lease's checkpoint is behind what was put.
type Behind struct {
	By  Measure `json:"by"`
	Age Span    `json:"ageSeconds"`
	Why string  `json:"why,omitempty"`
	// Lost: the checkpoint lies before the retention period, or the shard is gone; records may have been lost.
	Lost bool `json:"lost,omitempty"`
}

// Behind reads one record behind the checkpoint of each lease and returns the answers by lease key. What cannot be measured is
// [NotKnown] with the reason; there is no other error.
func (a App) Behind(ctx context.Context, leases []lease.Lease) map[string]Behind {
	answers := make([]Behind, len(leases))
	eachShard(len(leases), func(i int) { answers[i] = a.behind(ctx, leases[i]) })
	byKey := make(map[string]Behind, len(leases))
	for i, l := range leases {
		byKey[l.Key] = answers[i]
	}
	return byKey
}

func (a App) behind(ctx context.Context, l lease.Lease) Behind {
	in, why := placeBehind(l.Checkpoint)
	switch {
	case l.Ended():
		return Behind{By: AtEnd}
	case why != "":
		return Behind{By: NotKnown, Why: why}
	}
	s, err := a.sourceOf(l.StreamID)
	if err != nil {
		return Behind{By: NotKnown, Why: err.Error()}
	}
	r, err := a.openAt(ctx, s, l.Shard, in)
	if err != nil {
		return unreadable(err, l.Checkpoint)
	}
	p, err := r.first(ctx)
	if err != nil {
		return unreadable(err, l.Checkpoint)
	}
	return p.behind()
}

// placeBehind returns where what is not checkpointed begins, or why that cannot be told.
func placeBehind(at stream.Position) (in kinesis.GetShardIteratorInput, why string) {
	switch {
	case at == stream.TrimHorizon:
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	case at == stream.Latest:
		why = "begins at the tip, and nothing is checkpointed yet"
	case at == stream.AtTimestamp:
		why = "begins at a time that only the workers know, and nothing is checkpointed yet"
	case at.IsNumber():
		in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		in.StartingSequenceNumber = aws.String(string(at.Sequence))
	}
	return in, why
}

// behind judges the first record after a checkpoint.
func (p page) behind() Behind {
	switch {
	case len(p.records) > 0:
		return Behind{By: ByRecord, Age: Span(max(0, p.now.Sub(aws.ToTime(p.records[0].ApproximateArrivalTimestamp)).Round(time.Millisecond)))}
	case p.fromTip > 0:
		return Behind{By: ByTip, Age: Span(p.fromTip)}
	}
	return Behind{By: CaughtUp}
}

// unreadable says why a shard cannot be read behind a checkpoint.
func unreadable(err error, at stream.Position) Behind {
	b := Behind{By: NotKnown, Why: err.Error()}
	switch retry.Classify(err) {
	case retry.Gone:
		b.Lost, b.Why = true, "the shard or the stream does not exist any more: "+err.Error()
	case retry.Invalid:
		if at.IsNumber() {
			b.Lost, b.Why = true, "the checkpoint lies before the retention period, or is of another stream: "+err.Error()
		}
	case retry.Throttled:
		b.Why = "the shard's readers leave no room for this one; try again"
	case retry.Canceled:
		b.Why = context.Canceled.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		b.Why = "the service did not answer in time"
	}
	return b
}

// WithBehind returns the view with the answers of [App.Behind], and what is wrong by them.
func (v View) WithBehind(behind map[string]Behind, atMost time.Duration) View {
	v.Leases = append([]Lease(nil), v.Leases...)
	for i := range v.Leases {
		l := &v.Leases[i]
		b, known := behind[l.Key]
		if !known {
			continue
		}
		l.Behind = &b
		switch {
		case b.Lost:
			v.Problems = append(v.Problems, Problem{Stream: l.Stream, Shard: l.Shard, What: b.Why, kind: "lost"})
		case atMost > 0 && time.Duration(b.Age) > atMost:
			v.Problems = append(v.Problems, Problem{Stream: l.Stream, Shard: l.Shard, kind: "behind",
				What: "the oldest record that is not checkpointed is " + rough(time.Duration(b.Age)).String() + " old, over " + atMost.String()})
		}
	}
	return v
}
