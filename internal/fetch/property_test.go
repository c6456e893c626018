package fetch_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

var (
	seeds    = flag.Int("fetch.seeds", 60, "how many random histories to try")
	onlySeed = flag.Uint64("fetch.seed", 0, "try this one only")
)

// Whatever fails, however slow the receiver, and wherever reading is broken off and taken up again: behind a checkpoint
// come exactly the records behind it, each once, in order, and then the end with its children.
func TestPoll30EveryHistoryIsReadOnceInOrder(t *testing.T) {
	tryHistories(t, false)
}

// The same for fan-out, whose subscriptions end, break off, fall silent and are taken away, too.
func TestSubscribe30EveryHistoryIsReadOnceInOrder(t *testing.T) {
	tryHistories(t, true)
}

func tryHistories(t *testing.T, fanOut bool) {
	if *onlySeed != 0 {
		t.Run(fmt.Sprintf("seed=%d", *onlySeed), func(t *testing.T) { tryHistory(t, *onlySeed, fanOut) })
		return
	}
	for seed := uint64(1); seed <= uint64(*seeds); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { tryHistory(t, seed, fanOut) })
	}
}

// history is one random run. Its records are numbered.
type history struct {
	*rig
	rand *rand.Rand
	sent []stream.Position // in order; a record's data is its index
	done chan struct{}     // closed when the shard has ended

	begin func(fetch.Config) *reader
}

func tryHistory(t *testing.T, seed uint64, fanOut bool) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{
			IteratorLife: time.Minute, EmptyPageEvery: 4, SubscriptionLife: time.Minute * time.Duration(1+seed%6),
		})
		r.seed = seed
		h := &history{rig: r, rand: rand.New(rand.NewPCG(seed, 1)), done: make(chan struct{}), begin: r.start}
		fromLatest := seed%3 == 0
		cfg := r.config()
		if fanOut {
			cfg = r.fanOutConfig()
			consumers := r.consumers(fetch.FanOut{Required: true, Renew: 3 * time.Minute})
			h.begin = func(cfg fetch.Config) *reader { return r.subscribeWith(cfg, consumers) }
		}
		cfg.MaxRecords = 1 + h.rand.IntN(20)
		cfg.Budget = fetch.NewBudget(1 << (10 + h.rand.IntN(20)))
		r.budget = cfg.Budget
		if fromLatest {
			cfg.From = stream.Latest
			r.put("old")
			time.Sleep(time.Minute)
		} else {
			h.append(h.rand.IntN(30), h.rand)
		}
		h.faults()
		rd := h.begin(cfg)
		h.settle(fromLatest && fanOut)
		puts := rand.New(rand.NewPCG(seed, 2))
		go h.produce(puts)
		h.consume(rd, cfg)
		<-h.done
		if n := r.budget.InUse(); n != 0 {
			t.Errorf("%d bytes in use at the end", n)
		}
	})
}

// settle waits until the reader has asked for what is new from now on.
func (h *history) settle(asked bool) {
	time.Sleep(time.Millisecond)
	for asked && len(h.wire.all("SubscribeToShard")) == 0 {
		time.Sleep(time.Second)
	}
}

// append puts n records, some of them packed.
func (h *history) append(n int, r *rand.Rand) {
	for n > 0 {
		packed := 1
		if r.IntN(3) == 0 {
			packed = 1 + r.IntN(n)
		}
		var sub []stream.Record
		for i := range packed {
			sub = append(sub, stream.Record{PartitionKey: "k", Data: fmt.Append(nil, len(h.sent)+i)})
		}
		data := string(sub[0].Data)
		if packed > 1 || r.IntN(5) == 0 {
			data = string(aggregate.Append(nil, sub))
		}
		seq := h.put(data)[0]
		for i := range packed {
			h.sent = append(h.sent, stream.Position{Sequence: seq, Sub: int64(i)})
		}
		n -= packed
	}
}

// produce puts records for some minutes and ends the shard.
func (h *history) produce(r *rand.Rand) {
	defer close(h.done)
	for range 5 + r.IntN(30) {
		time.Sleep(time.Duration(r.Int64N(int64(10 * time.Second))))
		h.mu.Lock()
		h.append(1+r.IntN(10), r)
		h.mu.Unlock()
	}
	h.split()
}

// faults makes calls fail in all ways for the first hour.
func (h *history) faults() {
	r, until := rand.New(rand.NewPCG(h.seed, 3)), time.Now().Add(time.Hour)
	rate := 1 + r.IntN(50)                   // in a hundred
	cuts := rand.New(rand.NewPCG(h.seed, 4)) // under another lock than r
	h.wire.cutting(func() int {
		if time.Now().After(until) || cuts.IntN(100) >= rate {
			return -1
		}
		return cuts.IntN(2_000)
	})
	choose := func(c *local.Call) local.Effect {
		if c.Operation == "SplitShard" || time.Now().After(until) || r.IntN(100) >= rate {
			return local.Effect{}
		}
		switch r.IntN(7) {
		case 0:
			return local.Effect{Error: local.Throttled()}
		case 1:
			return local.Effect{Error: local.Unavailable()}
		case 2:
			if strings.HasPrefix(c.Operation, "SubscribeToShard") {
				return local.Effect{Error: inUse()}
			}
			return local.Effect{Error: expired()}
		case 3:
			return local.Effect{LoseRequest: true}
		case 4:
			return local.Effect{LoseReply: true}
		case 5:
			return local.Effect{Delay: time.Duration(r.Int64N(int64(40 * time.Second)))}
		}
		return local.Effect{DelayReply: time.Duration(r.Int64N(int64(40 * time.Second)))}
	}
	h.srv.Intercept(local.Rule{Service: "Kinesis", Choose: choose})
}

// consume takes pages at random paces and compares what comes. Now and then it breaks off and goes on from a position
// that was taken.
func (h *history) consume(rd *reader, cfg fetch.Config) {
	next := 0 // index of the record that must come now
	for {
		if h.rand.IntN(4) == 0 {
			time.Sleep(time.Duration(h.rand.Int64N(int64(2 * time.Minute))))
		}
		p := rd.hold()
		for _, rec := range p.Records {
			h.mu.Lock()
			want := stream.Position{}
			if next < len(h.sent) {
				want = h.sent[next]
			}
			h.mu.Unlock()
			if string(rec.Data) != fmt.Sprint(next) || rec.Position != want {
				h.t.Fatalf("record %s at %s, want %d at %s", rec.Data, rec.Position, next, want)
			}
			next++
		}
		if h.rand.IntN(2) == 0 {
			time.Sleep(time.Duration(h.rand.Int64N(int64(time.Minute))))
		}
		p.Release()
		if p.End {
			rd.ended()
			if len(p.Children) != 2 || next != len(h.sent) {
				h.t.Fatalf("the end with %d children after %d of %d records", len(p.Children), next, len(h.sent))
			}
			return
		}
		if next > 0 && h.rand.IntN(6) == 0 {
			rd.stop()
			next -= h.rand.IntN(min(next, 5)) // the checkpoint is a little behind
			h.mu.Lock()
			cfg.From = h.sent[next-1]
			h.mu.Unlock()
			rd = h.begin(cfg)
		}
	}
}
