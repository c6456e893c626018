//go:build unix

package multilang_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/stream"
)

// BenchmarkProcess sends batches of about 2 MiB to a child made with this module and waits for its answer, which comes
// after a checkpoint that costs nothing: MB/s of payload over real pipes, both processes together.
func BenchmarkProcess(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 100 << 10} {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			cmd := multilang.Command{Path: os.Args[0], Env: childEnv("quiet"), Stderr: io.Discard, Logger: slog.New(slog.DiscardHandler)}
			p, err := cmd.NewProcessor(b.Context(), assignment)
			if err != nil {
				b.Fatal(err)
			}
			records := make([]stream.Record, min(10_000, 2<<20/size))
			for i := range records {
				records[i] = stream.Record{Data: make([]byte, size), PartitionKey: fmt.Sprint("sensor-", i%997), Arrived: time.Now(),
					Position: stream.Position{Sequence: stream.SequenceNumber(fmt.Sprintf("4965%052d", i))}}
			}
			b.SetBytes(int64(size * len(records)))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Process(b.Context(), &stream.Batch{Records: records}, &ledger{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "records/s")
			if err := p.Close(b.Context(), stream.LeaseLost, nil); err != nil {
				b.Fatal(err)
			}
		})
	}
}
