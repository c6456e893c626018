package ledger

import (
	"slices"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Verdict is what the books say.
type Verdict struct {
	Good          bool           `json:"good"` // nothing missing, nothing out of order in shard or key, nothing altered
	Total         Counts         `json:"total"`
	KeyOutOfOrder int64          `json:"keyOutOfOrder"` // records delivered after one that was put later with their key
	Keys          int            `json:"keys"`          // different partition keys
	Shards        []ShardVerdict `json:"shards"`        // in the order of their ids
	Delay         Delay          `json:"delay"`
}

// ShardVerdict is the verdict on one shard.
type ShardVerdict struct {
	Shard stream.ShardID `json:"shard"`
	Counts
}

// Delay says how long records took from their arrival in the stream to their first delivery; zero if nothing arrived. In
// JSON these are nanoseconds.
type Delay struct {
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
	Max    time.Duration `json:"max"`
}

// Verdict judges the books as they stand. A record that is on its way counts as missing, so ask when all was delivered or
// can be no more.
func (l *Ledger) Verdict() Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := Verdict{Total: l.totals, Keys: len(l.keys), Delay: delayOf(l.delays)}
	for _, id := range l.sortedLocked() {
		v.Shards = append(v.Shards, ShardVerdict{Shard: id, Counts: l.shards[id].counts})
	}
	for _, k := range l.keys {
		v.KeyOutOfOrder += k.outOfOrder()
	}
	v.Good = v.Total.Missing == 0 && v.Total.OutOfOrder == 0 && v.KeyOutOfOrder == 0 && v.Total.Altered == 0
	return v
}

// outOfOrder counts the records of a key that came after one that was put later. Records that were never taken, as far as
// the producer was told, have no place in the order; and a key's order counts for records that were taken with that key.
func (k *key) outOfOrder() int64 {
	var late int64
	var furthest uint32
	for _, e := range k.first {
		switch {
		case e.key != k:
		case e.order < furthest:
			late++
		default:
			furthest = e.order
		}
	}
	return late
}

func delayOf(delays []time.Duration) Delay {
	if len(delays) == 0 {
		return Delay{}
	}
	sorted := slices.Sorted(slices.Values(delays))
	at := func(percent int) time.Duration { return sorted[(len(sorted)-1)*percent/100] }
	return Delay{Median: at(50), P99: at(99), Max: at(100)}
}
