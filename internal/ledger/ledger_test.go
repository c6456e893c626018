package ledger_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/stream"
)

const a, b = stream.ShardID("shardId-000000000000"), stream.ShardID("shardId-000000000001")

func record(number int, key string) stream.Record {
	return stream.Record{PartitionKey: key, Data: []byte("1234"), Position: stream.Position{Sequence: sequence(number)}}
}

func sequence(number int) stream.SequenceNumber {
	return stream.SequenceNumber(fmt.Sprint(number))
}

// took enters records of one key, all put to one shard in this order.
func took(l *ledger.Ledger, id stream.ShardID, key string, numbers ...int) {
	for _, n := range numbers {
		l.Took(id, sequence(n), key, []byte("1234"))
	}
}

// got enters one assignment.
func got(l *ledger.Ledger, id stream.ShardID, key string, numbers ...int) {
	run := l.Begin(id)
	for _, n := range numbers {
		run.Deliver([]stream.Record{record(n, key)}, time.Time{})
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct {
		name  string
		run   func(l *ledger.Ledger)
		want  ledger.Counts
		byKey int64
		good  bool
	}{
		{
			name: "all delivered once",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 9, 10, 11)
				got(l, a, "x", 9, 10, 11)
			},
			want: ledger.Counts{Put: 3, Delivered: 3, Bytes: 12},
			good: true,
		},
		{
			name: "delivered before the answer to the put",
			run: func(l *ledger.Ledger) {
				got(l, a, "x", 9, 10)
				took(l, a, "x", 9, 10)
			},
			want: ledger.Counts{Put: 2, Delivered: 2, Bytes: 8},
			good: true,
		},
		{
			name: "one missing",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1, 2, 3)
				got(l, a, "x", 1, 3)
			},
			want: ledger.Counts{Put: 3, Delivered: 2, Missing: 1, Bytes: 8},
		},
		{
			name: "same number on two shards is two records",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1)
				took(l, b, "y", 1)
				got(l, a, "x", 1)
			},
			want: ledger.Counts{Put: 2, Delivered: 1, Missing: 1, Bytes: 4},
		},
		{
			name: "a second assignment begins at the checkpoint",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1, 2, 3, 4)
				got(l, a, "x", 1, 2, 3)
				got(l, a, "x", 2, 3, 4)
			},
			want: ledger.Counts{Put: 4, Delivered: 4, Duplicates: 2, Bytes: 16},
			good: true,
		},
		{
			name: "a record that was passed comes later in another assignment",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1)
				took(l, a, "y", 2)
				got(l, a, "y", 2)
				got(l, a, "x", 1)
			},
			want: ledger.Counts{Put: 2, Delivered: 2, OutOfOrder: 1, Bytes: 8},
		},
		{
			name: "one assignment goes backwards",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1, 2)
				got(l, a, "x", 1, 2, 1)
			},
			want: ledger.Counts{Put: 2, Delivered: 2, Duplicates: 1, OutOfOrder: 1, Bytes: 8},
		},
		{
			name: "a child is read before its parent has ended",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1, 2)
				took(l, b, "x", 3)
				got(l, a, "x", 1)
				got(l, b, "x", 3)
				got(l, a, "x", 2)
			},
			want:  ledger.Counts{Put: 3, Delivered: 3, Bytes: 12},
			byKey: 1,
		},
		{
			name: "never told that it was taken",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1)
				got(l, a, "x", 1, 2)
			},
			want: ledger.Counts{Put: 1, Delivered: 2, Unknown: 1, Bytes: 8},
			good: true,
		},
		{
			name: "altered, heard of in either order",
			run: func(l *ledger.Ledger) {
				l.Took(a, "1", "x", []byte("other"))
				got(l, a, "x", 1)
				got(l, b, "x", 2)
				l.Took(b, "2", "x", []byte("other"))
			},
			want: ledger.Counts{Put: 2, Delivered: 2, Altered: 2, Bytes: 8},
		},
		{
			name: "one answer entered twice",
			run: func(l *ledger.Ledger) {
				took(l, a, "x", 1, 1)
				got(l, a, "x", 1)
			},
			want: ledger.Counts{Put: 1, Delivered: 1, Bytes: 4},
			good: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l ledger.Ledger
			tt.run(&l)
			v := l.Verdict()
			if diff := cmp.Diff(tt.want, v.Total); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
			if v.KeyOutOfOrder != tt.byKey || v.Good != tt.good {
				t.Errorf("KeyOutOfOrder, Good = %d, %v, want %d, %v", v.KeyOutOfOrder, v.Good, tt.byKey, tt.good)
			}
			var sum ledger.Counts
			for _, s := range v.Shards {
				sum.Put += s.Put
				sum.Missing += s.Missing
				sum.Delivered += s.Delivered
			}
			if sum.Put != v.Total.Put || sum.Missing != v.Total.Missing || sum.Delivered != v.Total.Delivered {
				t.Errorf("shards sum up to %+v, the total is %+v", sum, v.Total)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	var l ledger.Ledger
	run, now := l.Begin(a), time.UnixMilli(100_000)
	for i := range 101 {
		r := record(i+1, "x")
		r.Arrived = now.Add(-time.Duration(i) * time.Millisecond)
		run.Deliver([]stream.Record{r}, now)
	}
	want := ledger.Delay{Median: 50 * time.Millisecond, P99: 99 * time.Millisecond, Max: 100 * time.Millisecond}
	if got := l.Verdict().Delay; got != want {
		t.Errorf("Delay = %+v, want %+v", got, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	var l ledger.Ledger
	var all sync.WaitGroup
	const each = 500
	for i := range 4 {
		id, key := stream.ShardID(fmt.Sprint(i)), fmt.Sprint("key", i)
		all.Go(func() {
			for n := range each {
				took(&l, id, key, n+1)
			}
		})
		all.Go(func() {
			run := l.Begin(id)
			for n := range each {
				run.Deliver([]stream.Record{record(n+1, key)}, time.Time{})
				l.Totals()
				l.Shard(id)
			}
		})
	}
	all.Wait()
	v := l.Verdict()
	if !v.Good || v.Total.Put != 4*each || v.Total.Delivered != 4*each || v.Total.Unknown != 0 || v.Keys != 4 {
		t.Errorf("Verdict = %+v", v)
	}
}
