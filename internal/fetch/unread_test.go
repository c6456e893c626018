package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
)

// scale weighs the bodies of answers: none may be read for which there is no room.
type scale struct {
	t      *testing.T
	next   http.RoundTripper
	budget *fetch.Budget
	hide   bool          // does not tell how long answers are
	slow   time.Duration // what each read of a body takes

	mu     sync.Mutex
	calls  int // now
	most   int // calls at once
	unread int // answers now that are not closed, and not read to their end
	given  int // answers closed before their end
}

func (s *scale) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
		return s.next.RoundTrip(r)
	}
	s.note(func() { s.calls++; s.most = max(s.most, s.calls) })
	res, err := s.next.RoundTrip(r)
	s.note(func() { s.calls-- })
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.ContentLength = int64(len(body))
	if s.hide {
		res.ContentLength = -1
	}
	s.note(func() { s.unread++ })
	res.Body = &weighed{scale: s, rest: body, size: int64(len(body))}
	return res, nil
}

func (s *scale) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

type weighed struct {
	scale      *scale
	rest       []byte
	size, read int64
	done       bool
}

func (w *weighed) Read(b []byte) (int, error) {
	if len(w.rest) == 0 {
		w.end(false)
		return 0, io.EOF
	}
	if used := w.scale.budget.InUse(); used < w.size && (!w.scale.hide || w.read >= 8<<10) {
		w.scale.t.Errorf("%d bytes of %d were read, with %d in use", w.read, w.size, used)
	}
	if w.scale.slow > 0 {
		time.Sleep(w.scale.slow)
	}
	n := copy(b[:min(len(b), 64<<10)], w.rest)
	w.rest, w.read = w.rest[n:], w.read+int64(n)
	return n, nil
}

func (w *weighed) Close() error {
	w.end(len(w.rest) > 0)
	return nil
}

func (w *weighed) end(early bool) {
	w.scale.note(func() {
		if w.done {
			return
		}
		w.done = true
		w.scale.unread--
		if early {
			w.scale.given++
		}
	})
}

// crowd is many shards that are polled.
type crowd struct {
	*rig
	scale   *scale
	budget  *fetch.Budget
	highest int64 // bytes in use, of all looks
	waiting int   // answers that are neither read nor given up

	readers sync.WaitGroup
	cancel  context.CancelFunc
	got     []int // records of each shard; guarded by mu
}

func newCrowd(t *testing.T, budget int64, cfg local.Config) *crowd {
	t.Helper()
	c := &crowd{rig: newRig(t, cfg), budget: fetch.NewBudget(budget)}
	cfg2 := c.srv.AWSConfig()
	c.scale = &scale{t: t, next: cfg2.HTTPClient.(*http.Client).Transport, budget: c.budget}
	cfg2.HTTPClient = &http.Client{Transport: c.scale}
	c.client = kinesis.NewFromConfig(cfg2)
	return c
}

// start reads so many shards; work is done with each page before it is given back.
func (c *crowd) start(shards int, work func(shard int, ctx context.Context)) {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.cancel, c.got = cancel, make([]int, shards)
	wire := fetch.NewWire(false)
	for i := range shards {
		cfg := c.config()
		cfg.Shard, cfg.Budget, cfg.Read, cfg.Wire = fetch.Shard{Stream: "many", ID: shardID(i)}, c.budget, nil, wire
		cfg.Rand = rand.New(rand.NewPCG(c.seed, uint64(i)))
		pages := make(chan fetch.Page)
		c.readers.Go(func() {
			if err := fetch.Poll(ctx, cfg, pages); ctx.Err() == nil {
				c.t.Errorf("Poll = %v", err)
			}
		})
		c.readers.Go(func() {
			for {
				select {
				case p := <-pages:
					work(i, ctx)
					c.mu.Lock()
					c.got[i] += len(p.Records)
					c.mu.Unlock()
					p.Release()
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// look waits and watches the budget.
func (c *crowd) look(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		time.Sleep(37 * time.Millisecond)
		synctest.Wait()
		c.highest = max(c.highest, c.budget.InUse())
		c.scale.note(func() { c.waiting = max(c.waiting, c.scale.unread) })
	}
}

func (c *crowd) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, got := range c.got {
		n += got
	}
	return n
}

// stop ends all and checks that everything was read once and given back.
func (c *crowd) stop(want int) {
	c.t.Helper()
	c.cancel()
	c.readers.Wait()
	if n := c.total(); n != want {
		c.t.Errorf("%d records were read, want %d", n, want)
	}
	if n := c.budget.InUse(); n != 0 {
		c.t.Errorf("%d bytes in use at the end", n)
	}
	if c.scale.unread != 0 {
		c.t.Errorf("%d answers were neither read nor closed", c.scale.unread)
	}
	if _, failures := c.failed(); len(failures) > 0 {
		c.t.Errorf("%d failures were told, the first is %v", len(failures), failures[0])
	}
}

// I7: of 256 polled shards whose processors are all blocked, no answer is read that there is no room for, few wait on their
// connections, and once the processors go on everything is read.
func TestI7BlockedPollingStaysWithinTheBudget(t *testing.T) {
	const shards, perShard, record, budget, oneAnswer = 256, 12, 8 << 10, 512 << 10, 128 << 10
	for _, hide := range []bool{false, true} {
		t.Run(fmt.Sprintf("unknown=%v", hide), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, budget, local.Config{IteratorLife: time.Hour})
				c.scale.hide = hide
				c.srv.Intercept(local.Rule{Operation: "GetRecords", Choose: func(*local.Call) local.Effect {
					return local.Effect{DelayReply: time.Second} // so that all ask at once
				}})
				if err := c.srv.CreateStream("many", shards); err != nil {
					t.Fatal(err)
				}
				put := fill(t, c.srv, "many", shards, perShard, bytes.Repeat([]byte("x"), record))
				blocked := make(chan struct{})
				c.start(shards, func(int, context.Context) { <-blocked })
				c.look(20 * time.Second)
				most := int64(budget + 3*oneAnswer) // a shard has up to three times as many records as the average
				if hide {
					most = budget + 18<<20
				}
				if c.highest > most || c.budget.InUse() < budget {
					t.Errorf("up to %d bytes in use, now %d, want about %d", c.highest, c.budget.InUse(), budget)
				}
				if c.waiting > 16 {
					t.Errorf("%d answers waited on their connections", c.waiting)
				}
				if n := c.scale.given; n > 2*shards {
					t.Errorf("%d answers were given up", n)
				}
				t.Logf("in use up to %d KiB, %d answers given up, %d unread at most", c.highest>>10, c.scale.given, c.waiting)
				close(blocked)
				for until := time.Now().Add(time.Hour); c.total() < put && time.Now().Before(until); {
					time.Sleep(time.Second)
				}
				c.stop(put)
			})
		})
	}
}

// At the tip a thousand shards read as if each were alone.
func TestManyShardsAtTheTipDoNotWaitForOneAnother(t *testing.T) {
	const shards = 1000
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 256<<20, local.Config{})
		if err := c.srv.CreateStream("many", shards); err != nil {
			t.Fatal(err)
		}
		c.srv.Intercept(local.Rule{Operation: "GetRecords", Choose: func(*local.Call) local.Effect {
			return local.Effect{DelayReply: 5 * time.Second}
		}})
		c.start(shards, func(int, context.Context) {})
		c.look(15 * time.Second)
		if c.scale.most < shards {
			t.Errorf("%d calls at once, want %d", c.scale.most, shards)
		}
		if c.highest > 16<<20 {
			t.Errorf("%d bytes in use for them", c.highest)
		}
		c.stop(0)
	})
}

// Whatever the sizes of records and of the budget, the speed of connections and receivers: nothing is read without room for it,
// the bound holds, no two shards wait for each other for ever, and every record arrives once.
func TestBudgetI7AnyCrowdIsReadWithinIt(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 0))
				shards, largest := 1+r.IntN(60), 1<<(4+r.IntN(12))
				budget := int64(1) << r.IntN(20)
				c := newCrowd(t, budget, local.Config{EmptyPageEvery: 5})
				c.seed = seed
				c.scale.hide, c.scale.slow = r.IntN(3) == 0, time.Duration(r.IntN(20))*time.Millisecond
				if err := c.srv.CreateStream("many", shards); err != nil {
					t.Fatal(err)
				}
				put, sum := 0, 0
				more := func(n int) {
					for range n {
						data := make([]byte, 1+r.IntN(largest))
						if _, _, err := c.srv.Put("many", fmt.Sprint(r.Uint64()), data); err != nil {
							t.Error(err)
						}
						put, sum = put+1, sum+len(data)+400
					}
				}
				more(r.IntN(4 * shards))
				pause := time.Duration(1+r.IntN(3000)) * time.Millisecond
				c.start(shards, func(shard int, ctx context.Context) {
					if shard%3 == 0 { // a slow one
						time.Sleep(pause)
					}
				})
				for range 6 {
					c.look(time.Duration(r.IntN(5000)) * time.Millisecond)
					more(r.IntN(2 * shards))
				}
				for until := time.Now().Add(time.Hour); c.total() < put && time.Now().Before(until); {
					c.look(5 * time.Second)
				}
				if most := budget + min(int64(sum)*2, 12<<20) + 16<<10; !c.scale.hide && c.highest > most {
					t.Errorf("%d bytes in use, want at most %d", c.highest, most)
				}
				c.stop(put)
			})
		})
	}
}
