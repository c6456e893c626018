package kcltest

import (
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Records returns one record for each text, with sequence numbers that count up from first, partition keys "key-0" and so
// on, and arrival times one millisecond apart.
func Records(first int, data ...string) []stream.Record {
	records := make([]stream.Record, len(data))
	for i, text := range data {
		records[i] = stream.Record{
			Data:         []byte(text),
			PartitionKey: fmt.Sprintf("key-%d", i),
			Position:     Position(first + i),
			Arrived:      time.UnixMilli(1_760_000_000_000 + int64(first+i)).UTC(),
		}
	}
	return records
}

// Position returns the position that [Records] gives to number n: digits as long as Kinesis' own.
func Position(n int) stream.Position {
	return stream.Position{Sequence: stream.SequenceNumber(fmt.Sprintf("4965%052d", n))}
}
