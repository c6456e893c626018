package fetch_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// starts lists where subscriptions were asked to begin.
func (r *rig) starts() (out []string) {
	for _, c := range r.wire.all("SubscribeToShard") {
		at := c.body.StartingPosition
		out = append(out, strings.TrimSpace(at.Type+" "+at.SequenceNumber))
	}
	return out
}

// subscribedAfter lists how long after the first each subscription was asked for.
func (r *rig) subscribedAfter() (out []time.Duration) {
	calls := r.wire.all("SubscribeToShard")
	for _, c := range calls {
		out = append(out, c.at.Sub(calls[0].at))
	}
	return out
}

func (r *rig) noFailures() {
	r.t.Helper()
	if _, failures := r.failed(); len(failures) > 0 {
		r.t.Errorf("failures %v, want none", failures)
	}
}

// rule puts an effect into force for calls, or events, of SubscribeToShard.
func (r *rig) rule(op string, skip, times int, e local.Effect) (remove func()) {
	return r.srv.Intercept(local.Rule{Service: local.Kinesis, Operation: op, Skip: skip, Times: times, Effect: e})
}

const subscribeOp = "SubscribeToShard"

func TestSubscribe47TheEndOfAShardComesBehindItsRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("a", "b")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a", "b")
		r.put("c")
		r.split()
		p := rd.take()
		if len(p.Records) != 1 || string(p.Records[0].Data) != "c" {
			t.Errorf("%d records, want c", len(p.Records))
		}
		if !p.End { // it may come with the last records, or behind them
			p = rd.take()
		}
		if !p.End || len(p.Children) != 2 || p.Children[0].Parents[0] != first || p.Children[0].HashKeys == (stream.HashKeyRange{}) {
			t.Errorf("page %+v, want the end with two children", p)
		}
		rd.ended()
		r.noFailures()
		if got := r.starts(); len(got) != 1 {
			t.Errorf("subscriptions %q, want one", got)
		}
	})
}

// Before its five minutes are over a subscription is followed by another, which begins where the last one stands.
func TestSubscribe42RenewedWithoutGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		for i := range 3000 { // 50 minutes
			r.put(fmt.Sprint(i))
			before := time.Now()
			if rd.want(fmt.Sprint(i)); time.Since(before) != 0 {
				t.Fatalf("record %d came after %v", i, time.Since(before))
			}
			time.Sleep(time.Second)
		}
		rd.stop()
		r.noFailures()
		all := r.subscribedAfter()
		for i := 1; i < len(all); i++ {
			if gap := all[i] - all[i-1]; gap < 4*time.Minute || gap > 5*time.Minute {
				t.Errorf("subscription %d is %v after the one before, want 4 to 5 minutes", i, gap)
			}
		}
		if n := len(all); n < 10 || n > 13 {
			t.Errorf("%d subscriptions in 50 minutes", n)
		}
	})
}

// While its follower is in the making the old subscription delivers on, and what both bring comes once.
func TestSubscribe42TheOldSubscriptionDeliversUntilTheNewOneStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{Renew: time.Minute})
		r.put("first")
		rd.want("first")
		r.rule(subscribeOp, 0, 0, local.Effect{Delay: 10 * time.Second})
		for i := range 100 {
			time.Sleep(time.Second)
			r.put(fmt.Sprint(i))
			before := time.Now()
			if rd.want(fmt.Sprint(i)); time.Since(before) != 0 {
				t.Fatalf("record %d came after %v", i, time.Since(before))
			}
		}
		rd.stop()
		r.noFailures()
		if got := r.starts(); len(got) != 2 {
			t.Errorf("subscriptions %q, want two", got)
		}
	})
}

// What the old subscription delivered while its follower was in the making comes once, even if the follower brings it in several
// events.
func TestSubscribe42WhatBothBringInSeveralEventsComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{Renew: time.Minute})
		r.put("first")
		rd.want("first")
		r.rule(subscribeOp, 0, 0, local.Effect{Delay: 10 * time.Second})
		big := " " + strings.Repeat("x", 400<<10) // an event has 1 MiB at most
		for i := range 100 {
			time.Sleep(time.Second)
			r.put(fmt.Sprint(i, big))
			for _, rec := range rd.take().Records {
				if got, _, _ := strings.Cut(string(rec.Data), " "); got != fmt.Sprint(i) {
					t.Fatalf("record %s, want %d", got, i)
				}
			}
		}
		rd.none(time.Second)
		rd.stop()
		r.noFailures()
		if got := r.starts(); len(got) != 2 {
			t.Errorf("subscriptions %q, want two", got)
		}
	})
}

// A renewal that is closed at once, because its receiver has not taken a page for too long, counts as a subscription: the next
// call waits until the service allows it.
func TestSubscribe43KeepsThePaceAfterARenewalThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{Renew: time.Minute, Patience: 4 * time.Second})
		r.put("first")
		rd.want("first")
		var renewing atomic.Bool
		r.srv.Intercept(local.Rule{Operation: subscribeOp, Choose: func(*local.Call) local.Effect {
			renewing.Store(true)
			return local.Effect{Delay: 2 * time.Second}
		}})
		for !renewing.Load() {
			time.Sleep(time.Second)
			r.put("x")
			rd.want("x")
		}
		r.put("not taken")
		time.Sleep(4500 * time.Millisecond) // the renewal has stood for a while, and both were closed
		rd.want("not taken")
		r.put("last")
		rd.want("last")
		rd.stop()
		r.noFailures()
	})
}

// A renewal that fails is no failure: the subscription lasts until the service ends it, and is made again at once.
func TestSubscribe42TheServiceEndsASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		r.put("a")
		a := rd.want("a")
		remove := r.rule(subscribeOp, 0, 0, local.Effect{Error: local.Unavailable()})
		time.Sleep(4*time.Minute + 45*time.Second)
		remove()
		rd.none(20 * time.Second)
		r.put("b")
		rd.want("b")
		r.noFailures()
		got := r.subscribedAfter()
		if end := got[len(got)-1]; len(got) != 3 || end != 5*time.Minute {
			t.Errorf("subscriptions after %v, want the third after 5m0s", got)
		}
		if got := r.starts(); !strings.HasPrefix(got[2], "AFTER_SEQUENCE_NUMBER ") || got[2] < "AFTER_SEQUENCE_NUMBER "+string(a.Position.Sequence) {
			t.Errorf("subscriptions %q, want the last behind record %s", got, a.Position)
		}
		rd.stop()
	})
}

// The continuation number moves on a shard without records; without it the start would fall behind the retention period.
func TestSubscribe40GoesOnBehindTheContinuationOfAnIdleShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("a")
		time.Sleep(time.Second)
		cfg := r.fanOutConfig()
		cfg.From = stream.Latest
		rd := r.subscribe(cfg, fetch.FanOut{Renew: time.Hour})
		rd.none(6 * time.Minute)
		got := r.starts()
		if len(got) != 2 || got[0] != "LATEST" || !strings.HasPrefix(got[1], "AFTER_SEQUENCE_NUMBER ") {
			t.Errorf("subscriptions %q, want LATEST, then AFTER_SEQUENCE_NUMBER", got)
		}
		r.put("b")
		rd.want("b")
		rd.stop()
		r.noFailures()
	})
}

// Until an event came, a subscription begins where the first one should have.
func TestSubscribe41BrokenBeforeTheFirstEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		seq := r.put(string(aggregate.Append(nil, []stream.Record{
			{PartitionKey: "k", Data: []byte("0")}, {PartitionKey: "k", Data: []byte("1")}, {PartitionKey: "k", Data: []byte("2")}})))[0]
		r.rule(local.SubscriptionEvent, 0, 3, local.Effect{LoseRequest: true})
		cfg := r.fanOutConfig()
		cfg.From = stream.Position{Sequence: seq, Sub: 0}
		rd := r.subscribe(cfg, fetch.FanOut{})
		rd.want("1", "2")
		for i, at := range r.starts() {
			if at != "AT_SEQUENCE_NUMBER "+string(seq) {
				t.Errorf("subscription %d began %s", i, at)
			}
		}
		rd.stop()
	})
}

func TestSubscribe41LatestIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("old")
		time.Sleep(time.Minute)
		r.rule(subscribeOp, 0, 1, local.Effect{LoseRequest: true})
		r.rule(subscribeOp, 1, 1, local.Effect{Error: local.Unavailable()})
		cfg := r.fanOutConfig()
		cfg.From = stream.Latest
		rd := r.subscribe(cfg, fetch.FanOut{})
		time.Sleep(time.Millisecond)
		r.put("new")
		rd.want("new")
		rd.stop()
		if got := r.starts(); got[0] != "LATEST" || got[1] != "AT_TIMESTAMP" {
			t.Errorf("subscriptions %q, want LATEST, then AT_TIMESTAMP", got)
		}
	})
}

// Two calls for one shard are a second apart, and five when the first one succeeded.
func TestSubscribe43KeepsTheServicesPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.rule(subscribeOp, 0, 5, local.Effect{Error: local.Unavailable()})
		r.rule(subscribeOp, 5, 5, local.Effect{Error: &local.Error{Code: "LimitExceededException", Message: "Rate exceeded"}})
		r.rule(local.SubscriptionEvent, 0, 3, local.Effect{Error: local.Unavailable()})
		r.put("a")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		rd.stop()
		calls := r.wire.all(subscribeOp)
		for i := 1; i < len(calls); i++ {
			want := time.Second
			if calls[i-1].status == 200 {
				want = 5 * time.Second
			}
			if gap := calls[i].at.Sub(calls[i-1].at); gap < want {
				t.Errorf("call %d came %v after one with status %d, want at least %v", i, gap, calls[i-1].status, want)
			}
		}
		if _, failures := r.failed(); len(calls) != 14 || len(failures) != 13 {
			t.Errorf("%d calls, %d failures, want 14 and 13", len(calls), len(failures))
		}
	})
}

// A shard that is left and taken up again in one process waits for its turn without being refused.
func TestSubscribe43ReadAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		consumers := r.consumers(fetch.FanOut{})
		r.put("a")
		for range 5 {
			rd := r.subscribeWith(r.fanOutConfig(), consumers)
			rd.want("a")
			rd.stop()
		}
		r.noFailures()
	})
}

// other subscribes as another worker does that reads with the same consumer, and returns what it reads from.
func (r *rig) other(consumer string) *kinesis.SubscribeToShardEventStream {
	r.t.Helper()
	out, err := kinesis.NewFromConfig(r.srv.AWSConfig()).SubscribeToShard(r.t.Context(), &kinesis.SubscribeToShardInput{
		ConsumerARN: aws.String(consumer), ShardId: aws.String(string(first)),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.GetStream()
}

func (r *rig) registered(name string) string {
	r.t.Helper()
	out, err := r.client.RegisterStreamConsumer(r.t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String(arn), ConsumerName: aws.String(name)})
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.Consumer.ConsumerARN
}

// The subscription of a worker that crashed a moment ago is in the way for five seconds.
func TestSubscribe43AfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("a")
		crashed := r.other(r.registered("app"))
		defer crashed.Close()
		began := time.Now()
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		if took := time.Since(began); took < 5*time.Second || took > 15*time.Second {
			t.Errorf("the first record came after %v, want 5s to 15s", took)
		}
		if _, failures := r.failed(); len(failures) == 0 || errors.Is(failures[0], fetch.ErrConsumerBusy) {
			t.Errorf("failures %v, want plain ones", failures)
		}
		rd.stop()
	})
}

// Somebody who keeps taking the subscription away is named, and does not stop reading altogether.
func TestSubscribeNamesWhoTakesItAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		r.put("0")
		rd.want("0")
		consumer := r.wire.all(subscribeOp)[0].body.ConsumerARN
		stop, thief := make(chan struct{}), kinesis.NewFromConfig(r.srv.AWSConfig())
		go func() {
			var taken *kinesis.SubscribeToShardEventStream
			for {
				select {
				case <-time.After(6 * time.Second):
					out, err := thief.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
						ConsumerARN: aws.String(consumer), ShardId: aws.String(string(first)),
						StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
					})
					if err == nil {
						if taken != nil {
							taken.Close()
						}
						taken = out.GetStream()
					}
				case <-stop:
					if taken != nil {
						taken.Close()
					}
					return
				}
			}
		}()
		for i := range 20 {
			time.Sleep(20 * time.Second)
			r.put(fmt.Sprint(i))
			rd.want(fmt.Sprint(i))
		}
		close(stop)
		rd.stop()
		_, failures := r.failed()
		for i, err := range failures {
			if busy := errors.Is(err, fetch.ErrConsumerBusy); busy != (i >= 3) && i < 5 {
				t.Errorf("failure %d is %v", i, err)
			}
		}
		if len(failures) < 5 {
			t.Errorf("failures %v, want more", failures)
		}
	})
}

// A connection that is half open brings nothing, not even an error.
func TestSubscribe46WatchdogEndsASilentSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{IdleTimeout: 30 * time.Second})
		r.put("a")
		rd.want("a")
		remove := r.rule(local.SubscriptionEvent, 0, 0, local.Effect{Until: make(chan struct{})})
		r.put("b")
		time.Sleep(29 * time.Second)
		remove()
		before := time.Now()
		rd.want("b")
		if took := time.Since(before); took < 500*time.Millisecond || took > 3*time.Second {
			t.Errorf("the record came after %v, want about a second", took)
		}
		if _, failures := r.failed(); len(failures) != 1 || !strings.Contains(failures[0].Error(), "silent") {
			t.Errorf("failures %v, want one of silence", failures)
		}
		rd.stop()
	})
}

// The watchdog counts only time in which something could have come.
func TestSubscribe45ASlowReceiverLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		all := words("", 50)
		next := 0
		for _, w := range all {
			r.put(w)
			time.Sleep(time.Millisecond)
			if next%7 == 0 {
				time.Sleep(10 * time.Minute)
			}
			next++
		}
		rd.want(all...)
		rd.stop()
		r.noFailures()
	})
}

// One page waits; then the subscription is closed, and nothing is asked for until the page is taken.
func TestSubscribe44OnePageWaitsWithoutASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{Patience: 3 * time.Second})
		r.put("a")
		time.Sleep(time.Hour)
		r.put("b")
		time.Sleep(time.Hour)
		if got := r.starts(); len(got) != 1 {
			t.Errorf("subscriptions %q while a page waits, want one", got)
		}
		if n := r.wire.open(); n != 0 {
			t.Errorf("%d subscriptions are open while a page waits, want none", n)
		}
		if n := r.budget.InUse(); n == 0 || n > 1000 {
			t.Errorf("%d bytes in use, want those of one record", n)
		}
		rd.want("a", "b")
		if n := r.budget.InUse(); n != 0 {
			t.Errorf("%d bytes in use at the end", n)
		}
		rd.stop()
		r.noFailures()
	})
}

func TestSubscribe46TheWatchdogDoesNotCountProcessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{IdleTimeout: 10 * time.Second, Patience: 2 * time.Minute})
		r.put("a")
		time.Sleep(time.Minute)
		rd.want("a")
		r.put("b")
		rd.want("b")
		if got := r.starts(); len(got) != 1 {
			t.Errorf("subscriptions %q, want one", got)
		}
		rd.stop()
		r.noFailures()
	})
}

// Subscriptions that are taken away now and then are a change of owners, not a second reader.
func TestSubscribeTakenAwayNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		for range 10 {
			time.Sleep(2 * time.Minute)
			r.rule(local.SubscriptionEvent, 0, 1, local.Effect{Error: inUse()})
			rd.none(30 * time.Second)
		}
		rd.stop()
		_, failures := r.failed()
		for _, err := range failures {
			if errors.Is(err, fetch.ErrConsumerBusy) {
				t.Errorf("failure %v", err)
			}
		}
		if len(failures) != 10 {
			t.Errorf("%d failures, want 10", len(failures))
		}
	})
}

func TestSubscribe49ExceptionsInTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		codes := []string{"InternalFailureException", "KMSThrottlingException", "KMSDisabledException", "ResourceInUseException", "SomethingNew"}
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		for i, code := range codes {
			remove := r.rule(local.SubscriptionEvent, 0, 1, local.Effect{Error: &local.Error{Code: code, Message: "because"}})
			r.put(code)
			rd.want(code)
			remove()
			_, failures := r.failed()
			if len(failures) != i+1 || !strings.Contains(failures[i].Error(), code+": because") {
				t.Fatalf("failures %v, want number %d to be %s", failures, i, code)
			}
		}
		rd.stop()
	})
}

// Events that break off, at every byte.
func TestSubscribeBrokenInEveryPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("a")
		n := 0
		r.wire.cutting(func() int { n++; return n - 1 })
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		rd.stop()
		if n < 200 {
			t.Errorf("%d subscriptions, want one for each byte", n)
		}
		for i, got := range r.starts() {
			if got != "TRIM_HORIZON" {
				t.Errorf("subscription %d began %s", i, got)
			}
		}
	})
}

// 1,000 subscriptions that the service ends leave nothing behind: the bubble would tell.
func TestSubscribe50NoLeakAfter1000Subscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{SubscriptionLife: 6 * time.Second})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.none(6100 * time.Second)
		rd.stop()
		if n := len(r.starts()); n < 1000 {
			t.Errorf("%d subscriptions, want 1,000", n)
		}
		r.noFailures()
	})
}

func TestSubscribe16EmptyPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		cfg := r.fanOutConfig()
		cfg.EmptyPages = true
		rd := r.subscribe(cfg, fetch.FanOut{})
		for range 3 {
			before := time.Now()
			if p := rd.take(); len(p.Records) != 0 || p.End || time.Since(before) > 5*time.Second {
				t.Errorf("page %+v after %v, want an empty one within 5s", p, time.Since(before))
			}
		}
		time.Sleep(time.Minute) // nobody waits: nothing is kept
		r.put("a")
		rd.want("a")
		rd.stop()
		r.noFailures()
	})
}

// A checkpoint that has left the retention period is an error, or passed when told so.
func TestSubscribe22TrimmedCheckpoint(t *testing.T) {
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprint("skip=", skip), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, local.Config{})
				old := r.put("old")[0]
				time.Sleep(25 * time.Hour)
				r.put("new")
				cfg := r.fanOutConfig()
				cfg.From, cfg.SkipTrimmed = stream.Position{Sequence: old}, skip
				r.srv.Intercept(local.Rule{Service: local.Kinesis, Operation: subscribeOp, Choose: func(c *local.Call) local.Effect {
					if strings.Contains(string(c.Body), string(old)) {
						return local.Effect{Error: &local.Error{Code: "InvalidArgumentException", Message: "StartingSequenceNumber has aged out"}}
					}
					return local.Effect{}
				}})
				rd := r.subscribe(cfg, fetch.FanOut{})
				if skip {
					rd.want("new")
				} else {
					rd.none(time.Hour)
				}
				rd.stop()
				if _, failures := r.failed(); len(failures) == 0 || !errors.Is(failures[0], fetch.ErrTrimmed) {
					t.Errorf("failures %v, want ErrTrimmed", failures)
				}
			})
		})
	}
}

// A server that refuses its own continuation number is asked to go on behind the last record.
func TestSubscribeContinuationThatTheServerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		a := r.put("a")[0]
		r.srv.Intercept(local.Rule{Service: local.Kinesis, Operation: subscribeOp, Choose: func(c *local.Call) local.Effect {
			if body := string(c.Body); strings.Contains(body, "AFTER_SEQUENCE_NUMBER") && !strings.Contains(body, string(a)) {
				return local.Effect{Error: &local.Error{Code: "InvalidArgumentException", Message: "no such record"}}
			}
			return local.Effect{}
		}})
		r.wire.events(func(e map[string]any) {
			if c, ok := e["ContinuationSequenceNumber"].(string); ok {
				e["ContinuationSequenceNumber"] = c + "7"
			}
		})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		time.Sleep(6 * time.Minute)
		r.put("b")
		rd.want("b")
		rd.stop()
		r.noFailures()
	})
}

// A continuation number that lies before what was delivered, or at a checkpoint within an aggregate, says nothing.
func TestSubscribeContinuationThatGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		seq := r.put("x", string(aggregate.Append(nil, []stream.Record{{PartitionKey: "k", Data: []byte("0")}, {PartitionKey: "k", Data: []byte("1")}})))
		swallow := true
		r.wire.events(func(e map[string]any) {
			if swallow {
				swallow, e["Records"] = false, []any{}
				e["ContinuationSequenceNumber"] = string(seq[1])
				return
			}
			e["ContinuationSequenceNumber"] = string(seq[0])
		})
		r.wire.cutting(func() int {
			if len(r.wire.calls) == 3 { // describe, register, subscribe
				return 600
			}
			return -1
		})
		cfg := r.fanOutConfig()
		cfg.From = stream.Position{Sequence: seq[1]}
		rd := r.subscribe(cfg, fetch.FanOut{})
		rd.none(time.Second)
		r.wire.cutting(nil)
		rd.want("1")
		r.put("2")
		rd.want("2")
		rd.stop()
		if got := r.starts(); len(got) != 2 || got[1] != "AT_SEQUENCE_NUMBER "+string(seq[1]) {
			t.Errorf("subscriptions %q, want the second at the checkpoint", got)
		}
	})
}
