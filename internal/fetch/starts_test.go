package fetch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// The first subscription begins at the checkpoint, or where its sentinel says, to the millisecond.
func TestSubscribe39BeginsAtTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		seq := r.put("a", "b")
		time.Sleep(10 * time.Second)
		at := time.Now().Add(-5*time.Second + 123*time.Millisecond)
		time.Sleep(time.Second)
		r.put("c")
		for i, tt := range []struct {
			from stream.Position
			at   time.Time
			asks string
			want []string
		}{
			{stream.Position{Sequence: seq[0]}, time.Time{}, "AT_SEQUENCE_NUMBER " + string(seq[0]), []string{"b", "c"}},
			{stream.TrimHorizon, time.Time{}, "TRIM_HORIZON", []string{"a", "b", "c"}},
			{stream.AtTimestamp, at, "AT_TIMESTAMP", []string{"c"}},
		} {
			cfg := r.fanOutConfig()
			cfg.From, cfg.StartAt = tt.from, tt.at
			rd := r.subscribe(cfg, fetch.FanOut{})
			rd.want(tt.want...)
			rd.stop()
			time.Sleep(10 * time.Second) // another call sooner would be refused
			if got := r.starts(); len(got) != i+1 || got[i] != tt.asks {
				t.Fatalf("subscriptions %q, want the last to be %s", got, tt.asks)
			}
		}
		got := r.wire.all(subscribeOp)[2].body.StartingPosition.Timestamp
		if want := float64(at.UnixMilli()) / 1000; got != want {
			t.Errorf("timestamp %f, want %f", got, want)
		}
		r.noFailures()
	})
}

// What cannot be read from is refused before any call is made: a shard that has ended above all.
func TestSubscribe51EndedShardIsNotSubscribed(t *testing.T) {
	synctest.Test(t, testSubscribe51)
}

func testSubscribe51(t *testing.T) {
	r := newRig(t, local.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for want, change := range map[string]func(*fetch.Config){
		"fetch: From SHARD_END is no place to read from":         func(c *fetch.Config) { c.From = stream.ShardEnd },
		"fetch: StartAt is required with From AT_TIMESTAMP":      func(c *fetch.Config) { c.From = stream.AtTimestamp },
		"fetch: Shard.StreamARN is required for fan-out":         func(c *fetch.Config) { c.Shard.StreamARN = "" },
		"fetch: From (all delivered) is no place to read from":   func(c *fetch.Config) { c.From = stream.Position{} },
		"fetch: Client is required\nfetch: Shard.ID is required": func(c *fetch.Config) { c.Client, c.Shard.ID = nil, "" },
	} {
		cfg := r.fanOutConfig()
		change(&cfg)
		if err := fetch.Subscribe(ctx, cfg, r.consumers(fetch.FanOut{}), nil); err == nil || err.Error() != want {
			t.Errorf("Subscribe = %v, want %s", err, want)
		}
	}
	if n := len(r.wire.calls); n > 0 {
		t.Errorf("%d calls were made", n)
	}
}
