package fetch_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// answer is the most that one call takes: 10 MiB, and the records themselves.
const answer = 10<<20 + 10_000*120

func shardID(i int) stream.ShardID { return stream.ShardID(fmt.Sprintf("shardId-%012d", i)) }

// many is a stream of many shards, each with its reader.
type many struct {
	*rig
	readers []*reader
	peak    int64
}

// newMany puts records of the size into each shard, as many as asked for, and starts a reader for each.
func newMany(t *testing.T, shards, records, size int, budget int64) *many {
	t.Helper()
	m := &many{rig: newRig(t, local.Config{})}
	if err := m.srv.CreateStream("many", shards); err != nil {
		t.Fatal(err)
	}
	m.budget = fetch.NewBudget(budget)
	m.srv.Intercept(local.Rule{Operation: "GetRecords", Choose: func(*local.Call) local.Effect {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.peak = max(m.peak, m.budget.InUse())
		return local.Effect{Delay: 10 * time.Millisecond}
	}})
	data := []byte(strings.Repeat("x", size))
	for i, counts := 0, map[string]int{}; len(counts) < shards || least(counts) < records; i++ {
		shard, _, err := m.srv.Put("many", fmt.Sprint(i), data)
		if err != nil {
			t.Fatal(err)
		}
		counts[shard]++
	}
	for i := range shards {
		cfg := m.config()
		cfg.Shard = fetch.Shard{Stream: "many", ID: shardID(i)}
		cfg.Budget, cfg.MaxRecords = m.budget, 1
		cfg.Read = nil
		m.readers = append(m.readers, m.start(cfg))
	}
	return m
}

func least(counts map[string]int) int { return slices.Min(slices.Collect(maps.Values(counts))) }

// stop ends all readers, after the pages still in hand were given back, some of them twice.
func (m *many) stop(held ...fetch.Page) {
	m.t.Helper()
	for _, p := range held {
		again := p
		p.Release()
		again.Release()
	}
	for _, rd := range m.readers {
		rd.stop()
	}
	if n := m.budget.InUse(); n != 0 {
		m.t.Errorf("%d bytes in use at the end", n)
	}
}

func (m *many) highest() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peak
}

// I7: with 256 shards and processors that never finish, what is held stays within the budget and one answer, however long.
func TestBudgetI7BlockedProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, budget = 8 << 10, 1 << 20
		m := newMany(t, 256, 2, size, budget)
		held := make([]fetch.Page, 0, 256)
		time.Sleep(time.Minute)
		for _, rd := range m.readers {
			select {
			case p := <-rd.pages:
				held = append(held, p)
			default:
			}
		}
		time.Sleep(10 * time.Minute)
		if peak := m.highest(); peak > budget+answer {
			t.Errorf("%d bytes in use, want at most %d", peak, budget+answer)
		}
		if n := m.budget.InUse(); n > budget+size+1024 || n < budget {
			t.Errorf("%d bytes held, want the budget of %d and no more than a page above it", n, budget)
		}
		const most = budget/size + 1
		if n := len(held); n < budget/(size+512) || n > most { // a page is all of its answer, names of members and all
			t.Errorf("%d shards hold a page, want about %d", n, most)
		}
		m.stop(held...)
	})
}

// I6: a processor that keeps a page for an hour silences no other shard, however small the budget.
func TestBudgetI6SlowProcessorStarvesNobody(t *testing.T) {
	for _, budget := range []int64{1 << 20, 11 << 20, 64 << 20} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMany(t, 8, 3, 1000, budget)
				slow := m.readers[0].hold()
				time.Sleep(time.Hour)
				for _, rd := range m.readers[1:] {
					for range 3 {
						began := time.Now()
						if p := rd.take(); len(p.Records) != 1 {
							t.Errorf("%d records", len(p.Records))
						}
						if took := time.Since(began); took > time.Second {
							t.Errorf("waited %v for a page", took)
						}
					}
				}
				m.stop(slow)
			})
		})
	}
}

// Reading ahead does not happen while it could take what other shards need, and does happen where there is plenty.
func TestBudgetReadsAheadOnlyWithRoom(t *testing.T) {
	for budget, ahead := range map[int64]bool{16 << 10: false, 64 << 10: true} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMany(t, 1, 5, 1000, budget)
				p := m.readers[0].hold()
				time.Sleep(time.Hour)
				calls := len(m.wire.all("GetRecords"))
				if want := map[bool]int{false: 1, true: 2}[ahead]; calls != want {
					t.Errorf("%d calls while one page is held, want %d", calls, want)
				}
				p.Release()
				if p := m.readers[0].take(); len(p.Records) != 1 {
					t.Errorf("%d records", len(p.Records))
				}
				m.stop()
			})
		})
	}
}

// Calls that wait for room are let in in the order in which they came: of many hungry shards none has more turns than another,
// but for those that the end cuts off.
func TestBudgetIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMany(t, 64, 30, 100, 1) // one call of 10 ms at a time
		turns, enough := make([]int, len(m.readers)), time.After(10*time.Second)
		var eaters sync.WaitGroup
		done := make(chan struct{})
		for i, rd := range m.readers {
			eaters.Go(func() {
				for {
					select {
					case p := <-rd.pages:
						p.Release()
						turns[i]++
					case <-done:
						return
					}
				}
			})
		}
		<-enough
		close(done)
		eaters.Wait()
		if least, most := slices.Min(turns), slices.Max(turns); least < 10 || most > least+2 {
			t.Errorf("turns of each shard: %v", turns)
		}
		if peak := m.highest(); peak > 64<<10 {
			t.Errorf("%d bytes in use", peak)
		}
		m.stop()
	})
}
