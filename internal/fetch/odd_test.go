package fetch_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
)

// What other servers do wrong in SubscribeToShard.

// ferrokinesis names the children together with a number to go on from, and then ends the stream.
func TestOddServerEndWithAContinuation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.wire.events(func(e map[string]any) {
			if e["ContinuationSequenceNumber"] == nil {
				e["ContinuationSequenceNumber"] = "49377645731838394239669026679163221033110657946370441218"
			}
		})
		r.put("a")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		r.put("b")
		r.split()
		r.endsAfter(rd, "b")
		if n := strings.Count(r.log.String(), "taken for the end of the shard"); n != 1 {
			t.Errorf("%d warnings, want one:\n%s", n, r.log)
		}
	})
}

// Others leave the children out, as kinesalite does from GetRecords.
func TestOddServerEndWithoutChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.wire.events(func(e map[string]any) { delete(e, "ChildShards") })
		r.put("a", "b")
		r.split()
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		r.endsAfter(rd, "a", "b")
	})
}

// An end without children of a shard that is open is no end.
func TestSubscribe48NoEndWithoutChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		odd := 20
		r.wire.events(func(e map[string]any) {
			if odd--; odd >= 0 {
				e["ContinuationSequenceNumber"] = nil
			}
		})
		r.put("a")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		rd.none(time.Minute)
		rd.stop()
		if _, failures := r.failed(); len(failures) != 20 {
			t.Errorf("%d failures, want 20", len(failures))
		}
	})
}

// kinesis-mock sends no initial response, and goes on with empty events at the end of a shard.
func TestOddServerThatNeverEndsAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{Heartbeat: time.Second})
		r.wire.unannounced()
		last := ""
		r.wire.events(func(e map[string]any) {
			if c, ok := e["ContinuationSequenceNumber"].(string); ok {
				last = c
				return
			}
			e["ContinuationSequenceNumber"] = last
			delete(e, "ChildShards")
		})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		r.put("a")
		rd.want("a")
		rd.none(10 * time.Minute)
		lists := r.calls("ListShards")
		r.put("b")
		rd.want("b")
		r.split()
		// The embedded server ends the stream behind its last event; that server would not.
		before := time.Now()
		r.endsAfter(rd)
		if took := time.Since(before); took > 5*time.Minute {
			t.Errorf("the end came after %v", took)
		}
		if lists == 0 {
			t.Error("the list of shards was never looked at")
		}
	})
}

// A server that does everything right is never asked for its shards while a shard is idle.
func TestSubscribeDoesNotListShardsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.none(time.Hour)
		rd.stop()
		if n := r.calls("ListShards"); n != 0 {
			t.Errorf("%d lists of shards, want none", n)
		}
	})
}

// endsAfter takes what is left, and the end with two children.
func (r *rig) endsAfter(rd *reader, data ...string) {
	r.t.Helper()
	var got []string
	for {
		p := rd.take()
		for _, rec := range p.Records {
			got = append(got, string(rec.Data))
		}
		if p.End {
			if len(p.Children) != 2 || strings.Join(got, " ") != strings.Join(data, " ") {
				r.t.Errorf("the end with %d children behind %q, want 2 behind %q", len(p.Children), got, data)
			}
			break
		}
	}
	rd.ended()
}
