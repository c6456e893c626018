// Package counting is the record processor of the comparisons, the same in a child and in the engine's process.
package counting

import (
	"context"
	"os"

	"github.com/kinesis-go/kcl/bench/internal/tally"
	"github.com/kinesis-go/kcl/stream"
)

// Processor counts the records of one shard in the folder that KCL_BENCH_DIR names, and checkpoints after each batch.
type Processor struct{ file *tally.File }

// New makes the processor of one assignment.
func New(_ context.Context, a stream.Assignment) (stream.Processor, error) {
	f, err := tally.Open(os.Getenv("KCL_BENCH_DIR"), string(a.Shard))
	return Processor{f}, err
}

// Process counts the batch.
func (p Processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	var bytes int64
	for i := range b.Records {
		bytes += int64(len(b.Records[i].Data))
	}
	if err := p.file.Add(len(b.Records), bytes); err != nil {
		return err
	}
	return cp.Checkpoint(ctx, stream.Position{})
}

// Close checkpoints what was accepted, unless the lease is in other hands.
func (p Processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	if why != stream.LeaseLost {
		if err := cp.Checkpoint(ctx, stream.Position{}); err != nil {
			return err
		}
	}
	return p.file.Close()
}
