package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// bubble runs a test in fake time against a server with one shard. The numbers in the tests' names are those of the
// checklist in the retrieval specification, section 10.2.
func bubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t, local.Config{})) })
}

func TestPoll01StartsAtTheCheckpoint(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		seq := r.put("a", "b", "c")
		cfg := r.config()
		cfg.From = stream.Position{Sequence: seq[1]}
		rd := r.start(cfg)
		rd.want("c")
		rd.stop()
		r.wantIterators("AT_SEQUENCE_NUMBER " + string(seq[1]))
	})
}

func TestPoll02Sentinels(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		time.Sleep(10 * time.Second)
		at := time.Now().Add(-5*time.Second + 123*time.Millisecond)
		time.Sleep(time.Second)
		r.put("b")
		for _, tt := range []struct {
			from stream.Position
			at   time.Time
			want []string
		}{
			{stream.TrimHorizon, time.Time{}, []string{"a", "b", "new"}},
			{stream.AtTimestamp, at, []string{"b", "new"}},
			{stream.Latest, time.Time{}, []string{"new"}},
		} {
			cfg := r.config()
			cfg.From, cfg.StartAt = tt.from, tt.at
			rd := r.start(cfg)
			if tt.from == stream.Latest {
				rd.none(time.Second)
				r.put("new")
			} else {
				rd.want(tt.want[:len(tt.want)-1]...)
				tt.want = nil
			}
			rd.want(tt.want...)
			rd.stop()
		}
		r.wantIterators("TRIM_HORIZON", "AT_TIMESTAMP", "LATEST")
		got := r.wire.all("GetShardIterator")[1].body.Timestamp
		if want := float64(at.UnixMilli()) / 1000; got != want {
			t.Errorf("timestamp %f, want %f", got, want)
		}
	})
}

func TestPoll03and04ConfigIsChecked(t *testing.T) {
	r := newRig(t, local.Config{})
	for want, change := range map[string]func(*fetch.Config){
		"fetch: StartAt is required with From AT_TIMESTAMP":                               func(c *fetch.Config) { c.From = stream.AtTimestamp },
		"fetch: MaxRecords 10001 is not within 1 to 10000":                                func(c *fetch.Config) { c.MaxRecords = 10_001 },
		"fetch: MaxRecords -1 is not within 1 to 10000":                                   func(c *fetch.Config) { c.MaxRecords = -1 },
		"fetch: Idle -1ns is negative":                                                    func(c *fetch.Config) { c.Idle = -1 },
		"fetch: From SHARD_END is no place to read from":                                  func(c *fetch.Config) { c.From = stream.ShardEnd },
		"fetch: From (all delivered) is no place to read from":                            func(c *fetch.Config) { c.From = stream.Position{} },
		"fetch: Client is required\nfetch: Budget is required":                            func(c *fetch.Config) { c.Client, c.Budget = nil, nil },
		"fetch: Shard.ID is required\nfetch: Shard.Stream or Shard.StreamARN is required": func(c *fetch.Config) { c.Shard = fetch.Shard{} },
	} {
		cfg := r.config()
		change(&cfg)
		if err := fetch.Poll(t.Context(), cfg, nil); err == nil || err.Error() != want {
			t.Errorf("Poll = %v, want %s", err, want)
		}
	}
	if len(r.wire.all("GetShardIterator")) > 0 {
		t.Error("a call was made")
	}
}

func TestPoll04and34LimitAndARN(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a", "b", "c")
		cfg := r.config()
		cfg.MaxRecords, cfg.Shard.StreamARN = 2, arn
		rd := r.start(cfg)
		if p := rd.take(); len(p.Records) != 2 {
			t.Errorf("%d records, want 2", len(p.Records))
		}
		rd.want("c")
		rd.stop()
		for op, name := range map[string]string{"GetShardIterator": "orders", "GetRecords": ""} { // GetRecords takes no name
			for _, c := range r.wire.all(op) {
				if c.body.StreamARN != arn || c.body.StreamName != name || op == "GetRecords" && c.body.Limit != 2 {
					t.Errorf("%s with ARN %q, name %q, limit %d", op, c.body.StreamARN, c.body.StreamName, c.body.Limit)
				}
			}
		}
	})
}

func TestPoll05FirstReadIsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		r.put("a")
		rd := r.start(r.config())
		rd.want("a")
		if took := time.Since(began); took != 0 {
			t.Errorf("first record after %v", took)
		}
		rd.stop()
	})
}

// At the tip the wait grows from Idle by a tenth each time to a second, with up to a tenth of jitter, and a record brings
// the short wait back.
func TestPoll06IdleWaitsGrowAndFallBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		rd := r.start(r.config())
		rd.none(30 * time.Second)
		calls := r.wire.all("GetRecords")
		want, jittered := 250*time.Millisecond, false
		for i := 1; i < len(calls); i++ {
			gap := calls[i].at.Sub(calls[i-1].at)
			if gap < want || gap > want+want/10 {
				t.Fatalf("wait %d is %v, want %v to %v", i, gap, want, want+want/10)
			}
			jittered = jittered || gap != want
			want = min(want+want/10, time.Second)
		}
		if want != time.Second || !jittered {
			t.Errorf("wait grew to %v, jittered %v", want, jittered)
		}
		r.put("a")
		rd.want("a")
		rd.none(time.Second)
		calls = r.wire.all("GetRecords")[len(calls):]
		if gap := calls[2].at.Sub(calls[1].at); gap > 275*time.Millisecond {
			t.Errorf("wait after a record is %v", gap)
		}
		rd.stop()
	})
}

func TestPoll06LongIdleDoesNotGrow(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		cfg := r.config()
		cfg.Idle = 1500 * time.Millisecond
		rd := r.start(cfg)
		rd.none(time.Minute)
		rd.stop()
		calls := r.wire.all("GetRecords")
		for i := 1; i < len(calls); i++ {
			if gap := calls[i].at.Sub(calls[i-1].at); gap < cfg.Idle || gap > cfg.Idle*11/10 {
				t.Errorf("wait %d is %v", i, gap)
			}
		}
	})
}

// Behind the tip only the service's limits hold reading back, and none is exceeded: a server that enforces them never
// refuses. (D11, in place of 6 to 8.)
func TestPoll06D11CatchesUpWithinTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		const records, bytes = 6, 1 << 20
		for i := range records {
			r.put(string(rune('a'+i%26)) + strings.Repeat("x", bytes-1-len("key")))
		}
		began, n := time.Now(), 0
		cfg := r.config()
		cfg.MaxRecords = 3
		rd := r.start(cfg)
		for n < records {
			n += len(rd.take().Records)
		}
		took := time.Since(began)
		if least := records * bytes / (2 << 20) * time.Second; took < least-3*time.Second/2 || took > least+time.Second {
			t.Errorf("6 MiB took %v, want about %v", took, least)
		}
		rd.stop()
		calls := r.wire.all("GetRecords")
		for i := 5; i < len(calls); i++ {
			if d := calls[i].at.Sub(calls[i-5].at); d < time.Second {
				t.Errorf("six calls within %v", d)
			}
		}
	})
}

func TestPollUnpaced(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put(words("", 500)...)
		cfg := r.config()
		cfg.Unpaced, cfg.MaxRecords = true, 10
		began := time.Now()
		rd := r.start(cfg)
		rd.want(words("", 500)...)
		rd.stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("50 pages took %v", took)
		}
	})
}

// Failures are paced by their class: 7, 15, 33.
func TestPoll07FailuresAreSpacedOut(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for _, tt := range []struct {
			op    string
			err   *local.Error
			class retry.Class
			floor time.Duration
			top   time.Duration
		}{
			{"GetRecords", local.Throttled(), retry.Throttled, time.Second, 10 * time.Second},
			{"GetShardIterator", local.Throttled(), retry.Throttled, time.Second, 10 * time.Second},
			{"GetRecords", local.Unavailable(), retry.Transient, 200 * time.Millisecond, 10 * time.Second},
			{"GetShardIterator", local.Unavailable(), retry.Transient, 200 * time.Millisecond, 10 * time.Second},
			{"GetRecords", &local.Error{Code: "AccessDeniedException", Message: "no"}, retry.Denied, 2 * time.Second, time.Minute},
			{"GetShardIterator", &local.Error{Code: "AccessDeniedException", Message: "no"}, retry.Denied, 2 * time.Second, time.Minute},
			{"GetRecords", &local.Error{Code: "KMSDisabledException", Message: "no"}, retry.Denied, 2 * time.Second, time.Minute},
			{"GetRecords", &local.Error{Code: "KMSThrottlingException", Message: "no"}, retry.Throttled, time.Second, 10 * time.Second},
		} {
			r.attempts, r.failures = nil, nil
			heal := r.srv.Intercept(local.Rule{Operation: tt.op, Effect: local.Effect{Error: tt.err}})
			before := len(r.wire.all(tt.op))
			rd := r.start(r.config())
			rd.none(10 * time.Minute)
			attempts, failures := r.failed()
			calls := r.wire.all(tt.op)[before:][:len(attempts)]
			heal()
			r.put("x")
			rd.take()
			rd.stop()
			if len(calls) < 8 {
				t.Errorf("%s %s: %d calls", tt.op, tt.err.Code, len(calls))
			}
			for i := 1; i < len(calls); i++ {
				gap := calls[i].at.Sub(calls[i-1].at)
				if gap < tt.floor || gap > tt.top {
					t.Errorf("%s %s: wait %d is %v, want %v to %v", tt.op, tt.err.Code, i, gap, tt.floor, tt.top)
				}
				if attempts[i] != i+1 || retry.Classify(failures[i]) != tt.class {
					t.Errorf("%s %s: attempt %d told as %d, %v", tt.op, tt.err.Code, i+1, attempts[i], failures[i])
				}
			}
		}
	})
}

// At most one page waits beside the one in the receiver's hands (10, 13).
func TestPoll10OnePageAhead(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put(words("", 10)...)
		cfg := r.config()
		cfg.MaxRecords = 1
		rd := r.start(cfg)
		for i := range 3 {
			p := rd.hold()
			time.Sleep(10 * time.Minute)
			if n := len(r.wire.all("GetRecords")); n > i*2+2+1 {
				t.Fatalf("with page %d in hand %d calls were made", i, n)
			}
			if got := string(p.Records[0].Data); got != fmt.Sprint(i) {
				t.Fatalf("record %s, want %d", got, i)
			}
			p.Release()
		}
		rd.stop()
	})
}

func TestPoll12and65LargestRecord(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		if _, err := r.client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: aws.String(arn), MaxRecordSizeInKiB: aws.Int32(10240),
		}); err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte{7}, 10<<20-3)
		if _, _, err := r.srv.Put(orders, "key", data); err != nil {
			t.Fatal(err)
		}
		r.put("after")
		cfg := r.config()
		cfg.Budget = fetch.NewBudget(1 << 20)
		began := time.Now()
		rd := r.start(cfg)
		if p := rd.take(); len(p.Records) == 0 || !bytes.Equal(p.Records[0].Data, data) || p.Bytes < 10<<20-3 {
			t.Errorf("%d records of %d bytes", len(p.Records), p.Bytes)
		} else if len(p.Records) == 1 {
			rd.want("after")
			if took := time.Since(began); took < 5*time.Second-time.Millisecond {
				t.Errorf("read again after %v; the service refuses for 5s", took)
			}
		}
		rd.stop()
		if n := cfg.Budget.InUse(); n != 0 {
			t.Errorf("%d bytes in use at the end", n)
		}
	})
}

func TestPoll14CallTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		never := make(chan struct{})
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Until: never}})
		r.srv.Intercept(local.Rule{Operation: "GetShardIterator", Times: 1, Effect: local.Effect{Until: never}})
		began := time.Now()
		rd := r.start(r.config())
		rd.want("a")
		if took := time.Since(began); took < time.Minute || took > 62*time.Second {
			t.Errorf("two calls that hang took %v, want about a minute", took)
		}
		rd.stop()
		calls := r.wire.all("GetRecords")
		if calls[0].body.ShardIterator != calls[1].body.ShardIterator {
			t.Error("the iterator changed")
		}
	})
}

func TestPoll15and16ThrottledKeepsTheIterator(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 6, Effect: local.Effect{Error: local.Throttled()}})
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Skip: 7, Times: 1, Effect: local.Effect{Error: local.Throttled()}})
		rd := r.start(r.config())
		rd.want("a")
		rd.none(time.Minute)
		rd.stop()
		calls := r.wire.all("GetRecords")
		for _, c := range calls[:7] {
			if c.body.ShardIterator != calls[0].body.ShardIterator {
				t.Error("the iterator changed")
			}
		}
		if attempts, _ := r.failed(); !slices.Equal(attempts, []int{1, 2, 3, 4, 5, 6, 1}) {
			t.Errorf("attempts %v: a success ends the count", attempts)
		}
		r.wantIterators("TRIM_HORIZON")
	})
}

func TestPoll17and20ExpiredAfterRecords(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		seq := r.put(words("", 4)...)
		cfg := r.config()
		cfg.MaxRecords = 2
		rd := r.start(cfg)
		rd.want("0", "1")
		time.Sleep(6 * time.Minute) // the second page waits, so its iterator expires
		rd.want("2", "3")
		r.put("4")
		rd.want("4")
		rd.stop()
		r.wantIterators("TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER "+string(seq[3]))
		attempts, failures := r.failed()
		if len(attempts) != 1 || retry.Classify(failures[0]) != retry.Expired {
			t.Errorf("told %v %v, want one that expired", attempts, failures)
		}
	})
}

func TestPoll18ExpiredBeforeAnyRecordIsAtTheCheckpointAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		seq := r.put("a", "b")
		at := "AT_SEQUENCE_NUMBER " + string(seq[0])
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 2, Effect: local.Effect{Error: expired()}})
		cfg := r.config()
		cfg.From = stream.Position{Sequence: seq[0]}
		rd := r.start(cfg)
		rd.want("b")
		rd.stop()
		r.wantIterators(at, at, at)
	})
}

func TestPoll18ExpiredBeforeAnyRecordKeepsTheTimestamp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Error: expired()}})
		cfg := r.config()
		cfg.From, cfg.StartAt = stream.AtTimestamp, time.Now().Add(-time.Hour)
		rd := r.start(cfg)
		rd.want("a")
		rd.stop()
		r.wantIterators("AT_TIMESTAMP", "AT_TIMESTAMP")
		if c := r.wire.all("GetShardIterator"); c[0].body.Timestamp != c[1].body.Timestamp {
			t.Error("the timestamp changed")
		}
	})
}

// Nothing put since LATEST was first asked for is passed, whatever becomes of the request, of the iterator, and whatever
// our clock says.
func TestPoll19LatestIsAnchored(t *testing.T) {
	for name, tt := range map[string]struct {
		rule local.Rule
		skew time.Duration // of the service's clock against ours, as its answers tell it
	}{
		"expired":           {rule: local.Rule{Operation: "GetRecords", Times: 2, Effect: local.Effect{Error: expired()}}},
		"reply lost":        {rule: local.Rule{Operation: "GetShardIterator", Times: 1, Effect: local.Effect{LoseReply: true}}},
		"request lost":      {rule: local.Rule{Operation: "GetShardIterator", Times: 1, Effect: local.Effect{LoseRequest: true}}},
		"throttled":         {rule: local.Rule{Operation: "GetShardIterator", Times: 3, Effect: local.Effect{Error: local.Throttled()}}},
		"read throttled":    {rule: local.Rule{Operation: "GetRecords", Times: 3, Effect: local.Effect{Error: local.Throttled()}}},
		"our clock is late": {rule: local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Error: expired()}}, skew: 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.put("old")
				time.Sleep(time.Minute)
				if tt.skew != 0 {
					r.wire.date = func(h http.Header) { h.Set("Date", time.Now().Add(tt.skew).UTC().Format(http.TimeFormat)) }
				}
				r.srv.Intercept(tt.rule)
				r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Delay: time.Second}})
				cfg := r.config()
				cfg.From = stream.Latest
				rd := r.start(cfg)
				time.Sleep(time.Millisecond)
				r.put("new")
				if tt.skew != 0 {
					// What counts is which time is asked for: the service's, not ours.
					rd.none(5 * time.Second)
					asked := r.wire.all("GetShardIterator")[1].body.Timestamp
					if d := asked - float64(time.Now().Add(tt.skew).Unix()); d < -9 || d > -4 {
						t.Errorf("asked for %.3f s from the service's now", d)
					}
				} else {
					rd.want("new")
				}
				rd.stop()
				for i, it := range r.wire.iterators() {
					if i == 0 != (it == "LATEST") {
						t.Errorf("iterator %d is %s", i, it)
					}
				}
			})
		})
	}
}

func TestPoll21InvalidIteratorIsRefreshed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		seq := r.put("a")
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Skip: 1, Times: 1,
			Effect: local.Effect{Error: &local.Error{Code: "InvalidArgumentException", Message: "Invalid ShardIterator."}}})
		rd := r.start(r.config())
		rd.want("a")
		rd.none(time.Second)
		r.put("b")
		rd.want("b")
		rd.stop()
		r.wantIterators("TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER "+string(seq[0]))
	})
}

func trimmed() local.Rule {
	return local.Rule{Operation: "GetShardIterator", Choose: func(c *local.Call) local.Effect {
		if !bytes.Contains(c.Body, []byte("StartingSequenceNumber")) {
			return local.Effect{}
		}
		return local.Effect{Error: &local.Error{Code: "InvalidArgumentException", Message: "StartingSequenceNumber is too old"}}
	}}
}

func TestPoll22TrimmedCheckpointFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		seq := r.put("a", "b")
		r.srv.Intercept(trimmed())
		cfg := r.config()
		cfg.From = stream.Position{Sequence: seq[0]}
		rd := r.start(cfg)
		rd.none(time.Hour)
		rd.stop()
		attempts, failures := r.failed()
		if n := len(attempts); n < 60 || n > 2000 || attempts[n-1] != n || !errors.Is(failures[n-1], fetch.ErrTrimmed) {
			t.Errorf("%d failures in an hour, the last %v", len(attempts), failures[len(failures)-1])
		}
		if n := len(r.wire.all("GetRecords")); n != 0 {
			t.Errorf("%d reads", n)
		}
	})
}

func TestPoll22TrimmedCheckpointSkips(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a", "b")
		heal := r.srv.Intercept(trimmed())
		cfg := r.config()
		// A foreign number that is higher than any here must not hide what is here.
		cfg.From, cfg.SkipTrimmed = stream.Position{Sequence: stream.SequenceNumber(strings.Repeat("9", 56))}, true
		rd := r.start(cfg)
		rd.want("a", "b")
		heal()
		r.put("c")
		rd.want("c")
		if _, failures := r.failed(); len(failures) != 1 || !errors.Is(failures[0], fetch.ErrTrimmed) {
			t.Errorf("told %v", failures)
		}
		if !strings.Contains(r.log.String(), "level=ERROR") {
			t.Errorf("log: %s", r.log)
		}
		// Refused while running, too, and without need: what was delivered does not come again.
		r.srv.Intercept(trimmed())
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Error: expired()}})
		rd.none(time.Minute)
		r.put("d")
		rd.want("d")
		rd.stop()
	})
}

func TestPoll23and27and28ShardEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put(words("", 5)...)
		r.split()
		cfg := r.config()
		cfg.MaxRecords = 2
		rd := r.start(cfg)
		var got []string
		for {
			p := rd.take()
			for _, rec := range p.Records {
				got = append(got, string(rec.Data))
			}
			if !p.End {
				if len(p.Children) > 0 {
					t.Error("children before the end")
				}
				continue
			}
			for i, c := range p.Children {
				if !slices.Equal(c.Parents, []stream.ShardID{first}) || !c.HashKeys.IsKnown() {
					t.Errorf("child %d: %+v", i, c)
				}
			}
			if len(p.Children) != 2 || p.Children[0].ID == p.Children[1].ID {
				t.Errorf("children %+v", p.Children)
			}
			break
		}
		rd.ended()
		if !slices.Equal(got, words("", 5)) {
			t.Errorf("records %q", got)
		}
		calls := r.wire.all("GetRecords")
		time.Sleep(time.Minute)
		if n := len(r.wire.all("GetRecords")); n != len(calls) {
			t.Errorf("%d reads behind the end", n-len(calls))
		}
	})
}

// Answers that are neither the end nor a page are asked for again with the same iterator: 24, 25, 26.
func TestPoll24to26BrokenEnds(t *testing.T) {
	for name, breakIt := range map[string]func(map[string]any){
		"24 no children": func(a map[string]any) { delete(a, "ChildShards") },
		"25 iterator and children": func(a map[string]any) {
			if a["NextShardIterator"] == nil {
				a["NextShardIterator"] = "AAAA"
			}
		},
		"26 child without parents": func(a map[string]any) {
			for _, c := range a["ChildShards"].([]any) {
				c.(map[string]any)["ParentShards"] = []any{}
			}
		},
		"record without sequence number": func(a map[string]any) {
			for _, c := range a["Records"].([]any) {
				delete(c.(map[string]any), "SequenceNumber")
			}
		},
		"hash keys that are none": func(a map[string]any) {
			for _, c := range a["ChildShards"].([]any) {
				c.(map[string]any)["HashKeyRange"].(map[string]any)["EndingHashKey"] = "x"
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.put("a")
				r.split()
				bad := 2
				r.wire.editing(func(op string, a map[string]any) {
					if op == "GetRecords" && a["ChildShards"] != nil && bad > 0 {
						bad--
						breakIt(a)
					}
				})
				rd := r.start(r.config())
				var got []string
				for p := rd.take(); ; p = rd.take() {
					for _, rec := range p.Records {
						got = append(got, string(rec.Data))
					}
					if p.End {
						break
					}
				}
				rd.ended()
				attempts, _ := r.failed()
				if !slices.Equal(got, []string{"a"}) || !slices.Equal(attempts, []int{1, 2}) || r.budget.InUse() != 0 {
					t.Errorf("records %q, attempts %v, %d bytes in use", got, attempts, r.budget.InUse())
				}
				iterators := map[string]bool{}
				for _, c := range r.wire.all("GetRecords") {
					iterators[c.body.ShardIterator] = true
				}
				if len(iterators) > 2 || len(r.wire.all("ListShards")) > 0 {
					t.Errorf("%d iterators, %d lists", len(iterators), len(r.wire.all("ListShards")))
				}
			})
		})
	}
}

// D15: a server that never names children. They are taken from its list of shards, but only for a shard that is closed.
func TestPoll24ServerThatNamesNoChildren(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		r.wire.editing(func(op string, a map[string]any) {
			if op == "GetRecords" {
				delete(a, "ChildShards")
				if r.srv != nil && len(r.wire.calls) > 3 {
					delete(a, "NextShardIterator") // lies: the shard is open
				}
			}
		})
		rd := r.start(r.config())
		rd.want("a")
		rd.none(10 * time.Minute)
		r.split()
		p := rd.take()
		if !p.End || len(p.Children) != 2 || !slices.Equal(p.Children[1].Parents, []stream.ShardID{first}) || !p.Children[0].HashKeys.IsKnown() {
			t.Errorf("page %+v", p)
		}
		rd.ended()
		if !strings.Contains(r.log.String(), "taken from the list of shards") {
			t.Errorf("log: %s", r.log)
		}
	})
}

func TestPoll29EmptyPageBehindTheTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("a")
		empty := 20
		r.wire.editing(func(op string, a map[string]any) {
			if op == "GetRecords" && empty > 0 {
				empty--
				a["Records"], a["MillisBehindLatest"] = []any{}, 5000
				a["NextShardIterator"] = r.wire.calls[len(r.wire.calls)-1].body.ShardIterator
			}
		})
		began := time.Now()
		rd := r.start(r.config())
		rd.want("a")
		rd.stop()
		if took := time.Since(began); took != 20*200*time.Millisecond {
			t.Errorf("20 empty pages took %v, want 200ms each", took)
		}
	})
}

func TestPoll31EndIsOfOneAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put(words("", 4)...)
		r.split()
		cfg := r.config()
		rd := r.start(cfg)
		time.Sleep(time.Minute) // the last page is fetched and waits
		rd.stop()
		cfg.MaxRecords = 1
		rd = r.start(cfg)
		for i := range 4 {
			if p := rd.take(); len(p.Records) != 1 || p.End && i < 3 {
				t.Errorf("page %d: %d records, end %v", i, len(p.Records), p.End)
			}
		}
		rd.cancel()
		<-rd.done
	})
}

func TestPoll33IteratorsArePaced(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Error: expired()}})
		rd := r.start(r.config())
		rd.none(time.Minute)
		rd.stop()
		calls := r.wire.all("GetShardIterator")
		for i := 5; i < len(calls); i++ {
			if d := calls[i].at.Sub(calls[i-5].at); d < time.Second {
				t.Errorf("six iterators within %v", d)
			}
		}
	})
}

// Positions at or before the checkpoint are left out, inside aggregates too: 56, 111, 112.
func TestPoll56and111and112InsideAnAggregate(t *testing.T) {
	for name, rules := range map[string][]local.Rule{
		"111": nil,
		"112 connection lost": {
			{Operation: "GetRecords", Times: 1, Effect: local.Effect{LoseReply: true}},
			{Operation: "GetRecords", Skip: 1, Times: 1, Effect: local.Effect{Error: expired()}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				var sub []stream.Record
				for _, w := range words("s", 10) {
					sub = append(sub, stream.Record{PartitionKey: "key", Data: []byte(w)})
				}
				seq := r.put("before", string(aggregate.Append(nil, sub)), "after")
				for _, rule := range rules {
					r.srv.Intercept(rule)
				}
				cfg := r.config()
				cfg.From = stream.Position{Sequence: seq[1], Sub: 3}
				rd := r.start(cfg)
				var got []string
				for _, rec := range rd.take().Records {
					got = append(got, string(rec.Data)+" "+rec.Position.String())
				}
				var want []string
				for i := 4; i < 10; i++ {
					want = append(want, fmt.Sprintf("s%d %s/%d", i, seq[1], i))
				}
				if want = append(want, "after "+string(seq[2])); !slices.Equal(got, want) {
					t.Errorf("records %q, want %q", got, want)
				}
				rd.stop()
			})
		})
	}
}

func TestPoll57OnlyOldRecordsMakeNoPage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		seq := r.put("a")
		cfg := r.config()
		cfg.From = stream.Position{Sequence: seq[0]}
		rd := r.start(cfg)
		rd.none(time.Minute)
		if n := r.budget.InUse(); n != 0 {
			t.Errorf("%d bytes in use", n)
		}
		r.put("b")
		rd.want("b")
		rd.stop()
	})
}

func TestPoll58EmptyPages(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		cfg := r.config()
		cfg.EmptyPages = true
		rd := r.start(cfg)
		for range 3 {
			if p := rd.take(); len(p.Records) != 0 || p.Behind != 0 || p.BehindUnknown {
				t.Errorf("page %+v", p)
			}
		}
		time.Sleep(time.Hour) // nobody takes them; reading goes on, and nothing expires
		if n := len(r.wire.all("GetRecords")); n < 3000 {
			t.Errorf("%d reads in an hour", n)
		}
		r.put("a")
		time.Sleep(2 * time.Second)
		if p := rd.take(); len(p.Records) != 1 {
			t.Errorf("an empty page came first")
		}
		rd.stop()
		if attempts, _ := r.failed(); len(attempts) != 0 {
			t.Errorf("%d failures", len(attempts))
		}
	})
}

// Damage and strays are told, and cost no other record: 63, 103, 105.
func TestPoll63DamagedAndStray(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		good := aggregate.Append(nil, []stream.Record{
			{PartitionKey: "a", ExplicitHashKey: "1", Data: []byte("mine")},
			{PartitionKey: "a", ExplicitHashKey: "99", Data: []byte("stray")},
		})
		bad := bytes.Clone(good)
		bad[len(bad)-1] ^= 1
		r.put("x", string(good), string(bad), "y")
		cfg := r.config()
		cfg.Shard.HashKeys = stream.HashKeyRange{Last: stream.HashKey{Lo: 50}}
		rd := r.start(cfg)
		p := rd.take()
		var got []string
		for _, rec := range p.Records {
			got = append(got, string(rec.Data))
		}
		if want := []string{"x", "mine", string(bad), "y"}; !slices.Equal(got, want) || p.Strays != 1 || p.Damaged != 1 {
			t.Errorf("records %q, %d strays, %d damaged", got, p.Strays, p.Damaged)
		}
		rd.stop()
	})
}

func TestPoll64NoPartitionKey(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		r.wire.editing(func(op string, a map[string]any) {
			if op == "GetRecords" {
				delete(a, "MillisBehindLatest")
				for _, rec := range a["Records"].([]any) {
					delete(rec.(map[string]any), "PartitionKey")
					delete(rec.(map[string]any), "ApproximateArrivalTimestamp")
				}
			}
		})
		rd := r.start(r.config())
		if p := rd.take(); p.Records[0].PartitionKey != "" || string(p.Records[0].Data) != "a" || !p.BehindUnknown || p.Behind != 0 {
			t.Errorf("page %+v", p)
		}
		rd.stop()
	})
}

// "Not found" ends a shard only when the stream is there and does not list it: 81, D12.
func TestPoll81ShardLeftRetention(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		gone := &local.Error{Code: "ResourceNotFoundException", Message: "no shard"}
		r.split()
		r.srv.Intercept(local.Rule{Operation: "GetShardIterator", Effect: local.Effect{Error: gone}})
		listed := true
		r.wire.editing(func(op string, a map[string]any) {
			if op == "ListShards" && !listed {
				a["Shards"] = a["Shards"].([]any)[1:]
			}
		})
		rd := r.start(r.config())
		rd.none(time.Minute) // it is listed: the service contradicts itself
		r.wire.mu.Lock()
		listed = false
		r.wire.mu.Unlock()
		if p := rd.take(); !p.End || len(p.Children) != 2 || len(p.Records) != 0 {
			t.Errorf("page %+v", p)
		}
		rd.ended()
	})
}

func TestPoll81StreamDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		rd := r.start(r.config())
		rd.want("a")
		if _, err := r.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(orders)}); err != nil {
			t.Fatal(err)
		}
		<-rd.done
		if !errors.Is(rd.err, fetch.ErrStreamGone) || retry.Classify(rd.err) != retry.Gone {
			t.Errorf("Poll = %v", rd.err)
		}
		want := "read shard shardId-000000000000 of stream orders: fetch: the stream does not exist: it was deleted, or its name, region or account is wrong: "
		if !strings.HasPrefix(rd.err.Error(), want) {
			t.Errorf("Poll = %q,\nwant it to begin %q", rd.err, want)
		}
		if attempts, _ := r.failed(); len(attempts) != 2 {
			t.Errorf("%d failures told, want 2: the third ends it", len(attempts))
		}
	})
}

func TestPollSDKDoesNotRetry(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Intercept(local.Rule{Operation: "GetShardIterator", Times: 1, Effect: local.Effect{Error: local.Unavailable()}})
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Error: local.Throttled()}})
		rd := r.start(r.config())
		rd.none(10 * time.Second)
		rd.stop()
		if attempts, _ := r.failed(); len(attempts) != 2 {
			t.Errorf("%d failures told, want each of both", len(attempts))
		}
	})
}

// Ending the context ends Poll wherever it stands, and gives everything back.
func TestPollStopsAnywhere(t *testing.T) {
	for name, set := range map[string]func(r *rig, cfg *fetch.Config){
		"in GetShardIterator": func(r *rig, _ *fetch.Config) {
			r.srv.Intercept(local.Rule{Operation: "GetShardIterator", Effect: local.Effect{Delay: time.Hour}})
		},
		"in GetRecords": func(r *rig, _ *fetch.Config) {
			r.srv.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Delay: time.Hour}})
		},
		"in ListShards": func(r *rig, _ *fetch.Config) {
			r.srv.Intercept(local.Rule{Operation: "ListShards", Effect: local.Effect{Delay: time.Hour}})
			r.srv.Intercept(local.Rule{Operation: "GetShardIterator", Effect: local.Effect{
				Error: &local.Error{Code: "ResourceNotFoundException", Message: "no"}}})
		},
		"idle":    func(r *rig, cfg *fetch.Config) { cfg.Idle = time.Hour },
		"sending": func(r *rig, _ *fetch.Config) { r.put("a") },
		"backing off": func(r *rig, _ *fetch.Config) {
			r.srv.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Error: local.Throttled()}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				cfg := r.config()
				set(r, &cfg)
				rd := r.start(cfg)
				time.Sleep(20 * time.Second)
				began := time.Now()
				rd.stop()
				if took := time.Since(began); took != 0 || r.budget.InUse() != 0 {
					t.Errorf("took %v, %d bytes in use", took, r.budget.InUse())
				}
			})
		})
	}
}

func TestPollNeedsNoHooks(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.put("a")
		r.srv.Intercept(local.Rule{Operation: "GetRecords", Times: 1, Effect: local.Effect{Error: local.Throttled()}})
		ctx, cancel := context.WithCancel(t.Context())
		pages, done := make(chan fetch.Page), make(chan error)
		go func() {
			done <- fetch.Poll(ctx, fetch.Config{
				Client: r.client, Shard: fetch.Shard{Stream: orders, ID: first}, From: stream.TrimHorizon, Budget: r.budget,
			}, pages)
		}()
		if p := <-pages; len(p.Records) != 1 {
			t.Errorf("%d records", len(p.Records))
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Poll = %v", err)
		}
	})
}
