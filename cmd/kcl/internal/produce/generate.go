package produce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Generator makes records up.
type Generator struct {
	Count    int64         // how many; 0: no end
	Rate     float64       // records per second, evenly; 0: as fast as they are taken
	Size     int           // bytes of data; records whose number does not fit are longer
	Keys     int           // different partition keys "key-0" and so on; at least 1
	Seed     uint64        // of what the records hold and which keys they have
	Duration time.Duration // after which it stops; 0: none
}

// tick is how often a generator with a rate wakes up; what is due by then comes at once.
const tick = 10 * time.Millisecond

// Run sends records to out until Count or Duration is reached or ctx ends, and closes out.
func (g Generator) Run(ctx context.Context, out chan<- Record) {
	defer close(out)
	random := rand.New(rand.NewPCG(g.Seed, 0))
	if g.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Duration)
		defer cancel()
	}
	began := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := int64(0); g.Count == 0 || n < g.Count; {
		if g.Rate > 0 && float64(n) >= g.due(time.Since(began)) {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case out <- g.record(n, random):
			n++
		}
	}
}

// due is how many records there should be by now. A timer that fires late does not make them more than Duration allows.
func (g Generator) due(elapsed time.Duration) float64 {
	if g.Duration > 0 {
		elapsed = min(elapsed, g.Duration)
	}
	return g.Rate * elapsed.Seconds()
}

// record makes record number n, which its data begins with.
func (g Generator) record(n int64, random *rand.Rand) Record {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	data := make([]byte, 0, max(g.Size, 20))
	data = strconv.AppendInt(data, n, 10)
	if len(data) < g.Size {
		data = append(data, ' ')
	}
	for len(data) < g.Size {
		for bits, i := random.Uint64(), 0; i < 12 && len(data) < g.Size; i++ {
			data = append(data, letters[bits>>(5*i)&31])
		}
	}
	return Record{Key: fmt.Sprintf("key-%d", random.IntN(g.Keys)), Data: data}
}
