package stagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/stream"
)

// Flow is a feed that goes on while other things happen.
type Flow struct {
	stop context.CancelFunc
	done chan struct{} // closed when nothing more is put; put and err may be read then
	put  int
	err  error
}

// Flow puts a batch every f.Every, numbered from 0, until it is stopped or the test ends. f.Count is not used.
func (f Feed) Flow(t testing.TB, books *ledger.Ledger) *Flow {
	if f.Every == 0 {
		f.Every = 50 * time.Millisecond
	}
	if f.Batch == 0 {
		f.Batch = 25
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Flow{stop: cancel, done: make(chan struct{})}
	go w.run(ctx, f, books)
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	return w
}

func (w *Flow) run(ctx context.Context, f Feed, books *ledger.Ledger) {
	defer close(w.done)
	every := time.NewTicker(f.Every)
	defer every.Stop()
	f.Count, f.Every = f.Batch, 0
	for {
		// A request that was begun is brought to its end, so that the books know of all records.
		if w.err = f.Put(context.WithoutCancel(ctx), books, w.put); w.err != nil {
			return
		}
		w.put += f.Count
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends the flow and returns how many records were put.
func (w *Flow) Stop(t testing.TB) int {
	t.Helper()
	w.stop()
	<-w.done
	if w.err != nil {
		t.Fatalf("feed: %v", w.err)
	}
	return w.put
}

// CatchUp waits until so many more records were put, then until all put by then are delivered, and returns the longest gap of
// any shard since the last call. The test ends if either takes longer than within.
func (d *Deliveries) CatchUp(t testing.TB, more int, within time.Duration) time.Duration {
	t.Helper()
	before := d.Books.Totals().Put
	Eventually(t, within, fmt.Sprintf("%d more records are put", more), func() bool {
		return d.Books.Totals().Put >= before+int64(more)
	})
	put := map[stream.ShardID]int64{}
	for _, s := range d.Books.Verdict().Shards {
		put[s.Shard] = s.Put
	}
	Eventually(t, within, fmt.Sprintf("%v are delivered", put), func() bool {
		if err := d.Read(); err != nil {
			t.Fatal(err)
		}
		for shard, n := range put {
			if d.Books.Shard(shard).Delivered < n {
				return false
			}
		}
		return true
	})
	longest := time.Duration(0)
	if len(d.Gaps) > 0 {
		longest = slices.Max(slices.Collect(maps.Values(d.Gaps)))
	}
	clear(d.Gaps)
	return longest
}

// Checkpoints returns what a lease table holds for each lease: a sequence number, or TRIM_HORIZON, LATEST, SHARD_END. A table
// that does not exist yet holds nothing.
func Checkpoints(t testing.TB, cfg aws.Config, table string) map[string]string {
	t.Helper()
	all := map[string]string{}
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(cfg), &dynamodb.ScanInput{TableName: aws.String(table), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if missing := (*types.ResourceNotFoundException)(nil); errors.As(err, &missing) {
			return all
		}
		if err != nil {
			t.Fatalf("scan %s: %v", table, err)
		}
		for _, item := range out.Items {
			key, _ := item["leaseKey"].(*types.AttributeValueMemberS)
			at, isLease := item["checkpoint"].(*types.AttributeValueMemberS)
			if isLease {
				all[key.Value] = at.Value
			}
		}
	}
	return all
}
