package fetch

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"

	"github.com/kinesis-go/kcl/stream"
)

// wireEvent is a SubscribeToShardEvent in JSON.
type wireEvent struct {
	Records []struct {
		ApproximateArrivalTimestamp float64 // seconds
		Data                        []byte
		PartitionKey                string
		SequenceNumber              string
	}
	ContinuationSequenceNumber string // empty at the end of the shard, although the API model requires it
	MillisBehindLatest         *int64
	ChildShards                []struct {
		ShardId      string
		ParentShards []string
		HashKeyRange *struct{ StartingHashKey, EndingHashKey string }
	}
}

// convert decodes the payload of a SubscribeToShardEvent. The answer does not refer to payload; its next is the
// continuation, instead of an iterator.
func convert(payload []byte) (answer, error) {
	var e wireEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return answer{}, fmt.Errorf("%w: event: %w", errBroken, err)
	}
	a := answer{next: e.ContinuationSequenceNumber, unknown: e.MillisBehindLatest == nil, records: make([]stream.Record, len(e.Records))}
	if !a.unknown {
		a.behind = time.Duration(*e.MillisBehindLatest) * time.Millisecond
	}
	for i := range e.Records {
		r := &e.Records[i]
		a.records[i] = stream.Record{
			Data: r.Data, PartitionKey: r.PartitionKey, Arrived: smithytime.ParseEpochSeconds(r.ApproximateArrivalTimestamp),
			Position: stream.Position{Sequence: stream.SequenceNumber(r.SequenceNumber)},
		}
	}
	for _, c := range e.ChildShards {
		child := Child{ID: stream.ShardID(c.ShardId)}
		for _, parent := range c.ParentShards {
			child.Parents = append(child.Parents, stream.ShardID(parent))
		}
		if c.HashKeyRange != nil {
			var err error
			if child.HashKeys, err = stream.ParseHashKeyRange(c.HashKeyRange.StartingHashKey, c.HashKeyRange.EndingHashKey); err != nil {
				return answer{}, fmt.Errorf("%w: child %s: %w", errBroken, child.ID, err)
			}
		}
		a.children = append(a.children, child)
	}
	return a, nil
}

// failure is the error that a frame of another kind than event stands for.
func (f *frame) failure() error {
	e := &smithy.GenericAPIError{Code: f.exception, Message: f.message}
	if i := strings.LastIndexByte(e.Code, '#'); i >= 0 {
		e.Code = e.Code[i+1:]
	}
	var body struct{ Message string }
	if json.Unmarshal(f.payload, &body) == nil && body.Message != "" {
		e.Message = body.Message
	}
	if e.Code == "" {
		return fmt.Errorf("%w: a message of type %q", errBroken, f.kind)
	}
	return fmt.Errorf("in the event stream: %w", e)
}
