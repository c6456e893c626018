package produce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/stream"
)

// Record is one record to put.
type Record struct {
	Key     string // partition key; at most 256 characters, not empty
	HashKey string // explicit hash key in decimal digits, if it is to decide instead of Key
	Data    []byte
}

// parcel is what goes to the service as one record.
type parcel struct {
	Record
	users []Record       // that it holds: itself, or several if it is an aggregate
	meant stream.ShardID // where an aggregate belongs
}

// Stats are what a Sender did so far.
type Stats struct {
	Records int64 `json:"records"` // that the service took
	Bytes   int64 `json:"bytes"`   // of their data
	Packed  int64 `json:"packed"`  // aggregated records that they were put as; 0 if none was
	Calls   int64 `json:"calls"`   // of PutRecords
	Retries int64 `json:"retries"` // records that were put again because the service had refused them
}

// Sender puts batches into one stream. It belongs to one goroutine.
type Sender struct {
	// Client makes the calls; required.
	Client *kinesis.Client
	// Stream is the stream's name; required.
	Stream string
	// Took is called for each record that the service took, in the order in which it took those of one shard; may be nil. All
	// records of an aggregate have its sequence number.
	Took func(r Record, shard stream.ShardID, at stream.SequenceNumber)
	// Waiting is called when records were refused and are put again after a pause, with why; may be nil.
	Waiting func(records int, why error)
	// Patience is how long the service may refuse everything before Put gives up; default 1 minute.
	Patience time.Duration

	stats  Stats
	landed func(p parcel, on stream.ShardID) // the Packer hears where its aggregates came; or nil
}

// backoff is between attempts. The least is what a shard that is over its limit needs: limits count by the second.
var backoff = retry.Backoff{Floor: 100 * time.Millisecond, Min: 500 * time.Millisecond, Max: 3 * time.Second}

// Stats returns what was done so far.
func (s *Sender) Stats() Stats { return s.stats }

// Put puts a batch of at most [MaxRecords] records and [MaxBytes] bytes and returns when the service took all of it. Parts
// that were refused for want of capacity are put again; so is the whole batch after a failure of the service, and then
// records may be in the stream twice. It returns the context's error, an error that repeating cannot mend, or the last one
// once Patience is over.
func (s *Sender) Put(ctx context.Context, batch []Record) error {
	parcels := make([]parcel, len(batch))
	for i := range batch {
		parcels[i] = parcel{Record: batch[i], users: batch[i : i+1]}
	}
	return s.send(ctx, parcels)
}

func (s *Sender) send(ctx context.Context, batch []parcel) error {
	patience := s.Patience
	if patience == 0 {
		patience = time.Minute
	}
	progress, failures := time.Now(), 0
	for len(batch) > 0 {
		refused, err := s.put(ctx, batch)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(refused) < len(batch) {
			progress, failures = time.Now(), 0
		}
		batch = refused
		if err == nil {
			continue
		}
		if class := retry.Classify(err); class != retry.Throttled && class != retry.Transient {
			return fmt.Errorf("put to stream %s: %w", s.Stream, err)
		}
		if time.Since(progress) > patience {
			return fmt.Errorf("put to stream %s: nothing taken for %v: %w", s.Stream, patience, err)
		}
		if s.Waiting != nil {
			s.Waiting(len(batch), err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(backoff.Wait(failures, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))):
		}
		failures++
		s.stats.Retries += int64(len(batch))
	}
	return nil
}

// put makes one call. It returns what was not taken, and why the first of it was not.
func (s *Sender) put(ctx context.Context, batch []parcel) (refused []parcel, err error) {
	entries := make([]types.PutRecordsRequestEntry, len(batch))
	for i := range batch {
		entries[i] = types.PutRecordsRequestEntry{PartitionKey: &batch[i].Key, Data: batch[i].Data}
		if batch[i].HashKey != "" {
			entries[i].ExplicitHashKey = &batch[i].HashKey
		}
		if entries[i].Data == nil {
			entries[i].Data = []byte{}
		}
	}
	s.stats.Calls++
	out, err := s.Client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &s.Stream, Records: entries})
	if err != nil {
		return batch, err
	}
	if len(out.Records) != len(batch) {
		return batch, fmt.Errorf("PutRecords answered for %d records of %d", len(out.Records), len(batch))
	}
	for i, answer := range out.Records {
		if answer.ErrorCode != nil {
			if err == nil {
				err = &refusal{code: *answer.ErrorCode, message: aws.ToString(answer.ErrorMessage)}
			}
			refused = append(refused, batch[i])
			continue
		}
		s.took(batch[i], stream.ShardID(aws.ToString(answer.ShardId)), stream.SequenceNumber(aws.ToString(answer.SequenceNumber)))
	}
	return refused, err
}

func (s *Sender) took(p parcel, shard stream.ShardID, at stream.SequenceNumber) {
	if len(p.users) > 1 {
		s.stats.Packed++
	}
	for _, r := range p.users {
		s.stats.Records++
		s.stats.Bytes += int64(len(r.Data))
		if s.Took != nil {
			s.Took(r, shard, at)
		}
	}
	if s.landed != nil {
		s.landed(p, shard)
	}
}
