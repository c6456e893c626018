package produce

import (
	"context"
	"time"
)

// The limits of one PutRecords call: Kinesis API reference.
const (
	MaxRecords = 500
	MaxBytes   = 5 << 20 // of data and partition keys; a larger record goes alone, and the service decides
)

// Limits say when a batch is full.
type Limits struct {
	Records int
	Bytes   int // of data and partition keys; a larger record makes a batch alone
}

// PutLimits are those of one PutRecords call.
func PutLimits() Limits { return Limits{Records: MaxRecords, Bytes: MaxBytes} }

// PackLimits leave room in one call for what aggregates have around their records.
func PackLimits() Limits { return Limits{Records: 20_000, Bytes: 4 << 20} }

// Run collects the records of source into batches and puts them until source ends. A batch is sent when it is full, when
// linger passed since its first record, or at the end. It returns nil when everything was taken.
//
// The sender of source closes it; when ctx ends, or Put fails, records that were not put are dropped.
func Run(ctx context.Context, source <-chan Record, linger time.Duration, full Limits, put func(context.Context, []Record) error) error {
	var (
		batch []Record
		size  int
		due   <-chan time.Time
	)
	flush := func() error {
		complete := batch
		batch, size, due = nil, 0, nil
		if len(complete) == 0 {
			return nil
		}
		return put(ctx, complete)
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-due:
			if err := flush(); err != nil {
				return err
			}
		case r, more := <-source:
			if !more {
				return flush()
			}
			n := len(r.Key) + len(r.Data)
			if len(batch) == full.Records || size+n > full.Bytes {
				if err := flush(); err != nil {
					return err
				}
			}
			if len(batch) == 0 {
				due = time.After(linger)
			}
			batch, size = append(batch, r), size+n
		}
	}
}
