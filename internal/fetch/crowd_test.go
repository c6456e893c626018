package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
)

// 256 shards full of records whose processors are all blocked hold the budget and one answer, and neither subscriptions nor what
// these would bring. When the processors go on, every shard is read to its end.
func TestI7BlockedSubscriptionsStayWithinTheBudget(t *testing.T) {
	const (
		shards    = 256
		perShard  = 4
		record    = 16 << 10
		budget    = 2 << 20
		oneAnswer = 1 << 20 // what one event of this server can take
		overhead  = 12 << 20
	)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		if err := r.srv.CreateStream("many", shards); err != nil {
			t.Fatal(err)
		}
		put := fill(t, r.srv, "many", shards, perShard, bytes.Repeat([]byte("x"), record))
		r.budget = fetch.NewBudget(budget)
		before := heap()
		consumers := r.consumers(fetch.FanOut{})
		ctx, cancel := context.WithCancel(t.Context())
		unblock := make(chan struct{})
		var readers sync.WaitGroup
		var mu sync.Mutex
		read := map[int]int{}
		for i := range shards {
			cfg := r.fanOutConfig()
			cfg.Read, cfg.Failed = nil, nil
			cfg.Shard = fetch.Shard{Stream: "many", StreamARN: strings.Replace(arn, orders, "many", 1), ID: shardID(i)}
			pages := make(chan fetch.Page)
			readers.Go(func() {
				if err := fetch.Subscribe(ctx, cfg, consumers, pages); ctx.Err() == nil {
					t.Errorf("Subscribe = %v", err)
				}
			})
			readers.Go(func() {
				for {
					select {
					case p := <-pages:
						<-unblock
						mu.Lock()
						read[i] += len(p.Records)
						mu.Unlock()
						p.Release()
					case <-ctx.Done():
						return
					}
				}
			})
		}
		for range 6 {
			time.Sleep(10 * time.Second)
			if n := r.budget.InUse(); n > budget+oneAnswer {
				t.Errorf("%d bytes in use, want at most %d and one answer", n, budget)
			}
		}
		if grown := heap() - before; grown > budget+oneAnswer+overhead {
			t.Errorf("the heap has grown by %d MiB", grown>>20)
		}
		if n := r.wire.open(); n > shards/2 {
			t.Errorf("%d subscriptions are open", n)
		}
		t.Logf("budget in use %d KiB, heap grown by %d KiB, %d subscriptions open", r.budget.InUse()>>10, (heap()-before)>>10, r.wire.open())
		close(unblock)
		time.Sleep(3 * time.Minute)
		cancel()
		readers.Wait()
		total := 0
		for _, n := range read {
			total += n
		}
		if total != put {
			t.Errorf("%d records were read, want %d", total, put)
		}
		if n := r.budget.InUse(); n != 0 {
			t.Errorf("%d bytes in use at the end", n)
		}
	})
}

// fill puts about so many records into each shard, and returns how many in all.
func fill(t *testing.T, srv *local.Server, name string, shards, perShard int, data []byte) int {
	t.Helper()
	for i := range shards * perShard {
		if _, _, err := srv.Put(name, fmt.Sprint(i), data); err != nil {
			t.Fatal(err)
		}
	}
	return shards * perShard
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
