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

// Run collects the records of source into batches and puts them until source ends. A batch is sent when it is full, when
// linger passed since its first record, or at the end. It returns nil when everything was taken.
//
// The sender of source closes it; when ctx ends, or Put fails, records that were not put are dropped.
func Run(ctx context.Context, source <-chan Record, linger time.Duration, put func(context.Context, []Record) error) error {
	var (
		batch []Record
		size  int
		due   <-chan time.Time
	)
	flush := func() error {
		full := batch
		batch, size, due = nil, 0, nil
		if len(full) == 0 {
			return nil
		}
		return put(ctx, full)
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
			if len(batch) == MaxRecords || size+n > MaxBytes {
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
