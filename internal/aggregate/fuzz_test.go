package aggregate_test

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/stream"
)

// Any bytes, as they are and with magic and digest put around them: nothing panics (113), nothing is lost, and what was
// split can be packed and split again to the same.
func FuzzSplit(f *testing.F) {
	for _, c := range corpus(f) {
		if len(c.data) < 4096 {
			f.Add(c.data[4:len(c.data)-16], uint64(0), uint64(math.MaxUint64))
		}
	}
	for _, s := range []string{"", "\x0a\x01a\x1a\x05\x08\x01\x1a\x012", "\x2b\x2b\x2c\x2c", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		f.Add([]byte(s), uint64(5), uint64(1<<63))
	}
	f.Fuzz(func(t *testing.T, message []byte, first, last uint64) {
		keys := stream.HashKeyRange{First: stream.HashKey{Hi: first}, Last: stream.HashKey{Hi: last, Lo: math.MaxUint64}}
		aggregate.Split(nil, outer(message), keys)

		r := outer(sealed(string(message)))
		all, out := aggregate.Split(nil, r, stream.HashKeyRange{})
		if !out.Aggregated {
			if len(all) != 1 || !bytes.Equal(all[0].Data, r.Data) || !out.Damaged {
				t.Fatalf("%d records, outcome %+v: want the record whole", len(all), out)
			}
			return
		}
		some, out := aggregate.Split(nil, r, keys)
		if len(some)+out.Strays != len(all) {
			t.Fatalf("%d kept and %d strays of %d", len(some), out.Strays, len(all))
		}
		if len(all) == 0 {
			return
		}
		again, _ := aggregate.Split(nil, outer(aggregate.Append(nil, all)), stream.HashKeyRange{})
		if d := cmp.Diff(all, again); d != "" {
			t.Fatalf("packed and split again (-first +again):\n%s", d)
		}
	})
}

// Split113: the densest aggregates there are cost a bounded multiple of their size.
func TestSplit113MemoryIsBounded(t *testing.T) {
	const n = 100_000
	for name, message := range map[string][]byte{
		"records": append([]byte("\x0a\x00"), bytes.Repeat([]byte("\x1a\x04\x08\x00\x1a\x00"), n)...),
		"keys":    bytes.Repeat([]byte("\x0a\x00"), n),
		"groups":  bytes.Repeat([]byte("\x2b\x2c"), n),
		"lengths": bytes.Repeat([]byte("\x1a\xff\xff\xff\x7f"), n),
	} {
		r := outer(sealed(string(message)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, _ := aggregate.Split(nil, r, stream.HashKeyRange{Last: stream.MaxHashKey})
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(got)
		if times := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(r.Data)); times > 30 {
			t.Errorf("%s: %.1f bytes allocated per byte of input", name, times)
		}
	}
}
