package fetch_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// Of a stream that spreads its records over the shards itself nothing is left out, whatever the keys in its aggregates; of others
// that are the sub-records of other shards.
func TestSpreadingStreamsAreNotFiltered(t *testing.T) {
	tests := map[string]struct {
		prepare func(*rig)
		want    int // records, of ten that all belong to other shards
		asks    int // whether the service was asked how it spreads
	}{
		"by key":   {func(*rig) {}, 0, 1},
		"AUTO":     {func(r *rig) { r.strategy("AUTO") }, 10, 1},
		"named":    {func(r *rig) { r.strategy("USER_PARTITION_KEY") }, 0, 1},
		"keyless":  {func(r *rig) { r.keyless() }, 10, 0},
		"not told": {func(r *rig) { r.deny() }, 10, 2}, // each time
	}
	for name, tt := range tests {
		for _, fanOut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fan-out %v", name, fanOut), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, local.Config{})
					tt.prepare(r)
					cfg := r.fanOutConfig()
					cfg.Shard.HashKeys = stream.HashKeyRange{Last: stream.HashKey{Lo: 50}}
					begin := r.start
					if fanOut {
						begin = func(cfg fetch.Config) *reader { return r.subscribe(cfg, fetch.FanOut{Required: true}) }
					}
					cfg.EmptyPages = true
					rd := begin(cfg)
					got := 0
					for range 2 {
						var sub []stream.Record
						for i := range 5 {
							sub = append(sub, stream.Record{PartitionKey: fmt.Sprint("key", i), Data: []byte("data")})
						}
						r.put(string(aggregate.Append(nil, sub)))
						for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
							select {
							case p := <-rd.pages:
								got += len(p.Records)
								p.Release()
							case <-time.After(time.Second):
							}
						}
					}
					if got != tt.want {
						t.Errorf("%d records, want %d", got, tt.want)
					}
					if n := len(r.wire.all("DescribeStreamSummary")); n != tt.asks {
						t.Errorf("asked %d times, want %d", n, tt.asks)
					}
					rd.stop()
				})
			})
		}
	}
}

// A change of strategy is seen within a minute.
func TestSpreadingIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		cfg := r.config()
		cfg.Shard.HashKeys = stream.HashKeyRange{Last: stream.HashKey{Lo: 50}}
		rd := r.start(cfg)
		stray := string(aggregate.Append(nil, []stream.Record{{PartitionKey: "key", Data: []byte("data")}}))
		r.put(stray)
		rd.none(10 * time.Second)
		r.strategy("AUTO")
		time.Sleep(time.Minute)
		r.put(stray)
		rd.want("data")
		rd.stop()
	})
}

// strategy makes the server tell how it distributes records.
func (r *rig) strategy(name string) {
	r.wire.editing(func(op string, answer map[string]any) {
		if op == "DescribeStreamSummary" {
			answer["StreamDescriptionSummary"].(map[string]any)["RecordDistributionStrategy"] = name
		}
	})
}

// keyless makes the server deliver records without their partition keys.
func (r *rig) keyless() {
	strip := func(answer map[string]any) {
		records, _ := answer["Records"].([]any)
		for _, rec := range records {
			delete(rec.(map[string]any), "PartitionKey")
		}
	}
	r.wire.editing(func(_ string, answer map[string]any) { strip(answer) })
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	r.wire.editEvent = strip
}

func (r *rig) deny() {
	r.srv.Intercept(local.Rule{Operation: "DescribeStreamSummary", Effect: local.Effect{
		Error: &local.Error{Code: "AccessDeniedException", Message: "no"},
	}})
}
