package fetch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/local"
)

const (
	describeOp = "DescribeStreamConsumer"
	registerOp = "RegisterStreamConsumer"
)

// refuseCalls answers all calls of an operation with an error.
func (r *rig) refuseCalls(op, code string) (remove func()) {
	return r.srv.Intercept(local.Rule{Service: local.Kinesis, Operation: op, Effect: local.Effect{Error: &local.Error{Code: code, Message: "no"}}})
}

func (r *rig) calls(op string) int { return len(r.wire.all(op)) }

// A consumer that exists is used, one that does not is registered, and both only once for a process.
func TestConsumer36OneRegistrationPerStream(t *testing.T) {
	for _, exists := range []bool{false, true} {
		t.Run(fmt.Sprint("exists=", exists), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, local.Config{})
				if exists {
					r.registered("app")
					r.wire.calls = nil
				}
				r.rule(describeOp, 0, 1, local.Effect{Delay: time.Second})
				consumers := r.consumers(fetch.FanOut{})
				r.put("a")
				for range 3 { // one after the other: there is one shard, and each takes the subscription over
					rd := r.subscribeWith(r.fanOutConfig(), consumers)
					rd.want("a")
					time.Sleep(6 * time.Second)
					rd.stop()
				}
				want := 1
				if exists {
					want = 0
				}
				if d, n := r.calls(describeOp), r.calls(registerOp); d != 1 || n != want {
					t.Errorf("%d descriptions and %d registrations, want 1 and %d", d, n, want)
				}
				if n := r.calls("DeregisterStreamConsumer"); n != 0 {
					t.Errorf("%d deregistrations, want none", n)
				}
			})
		})
	}
}

// All shards of a process want the consumer at the same moment.
func TestConsumer36ManyShardsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{CreateDelay: 0})
		if err := r.srv.CreateStream("many", 64); err != nil {
			t.Fatal(err)
		}
		r.rule(registerOp, 0, 0, local.Effect{Delay: time.Second})
		consumers := r.consumers(fetch.FanOut{})
		var all []*reader
		for i := range 64 {
			cfg := r.fanOutConfig()
			cfg.Shard.Stream, cfg.Shard.StreamARN = "many", strings.Replace(arn, orders, "many", 1)
			cfg.Shard.ID = shardID(i)
			all = append(all, r.subscribeWith(cfg, consumers))
		}
		time.Sleep(time.Minute)
		if d, n, s := r.calls(describeOp), r.calls(registerOp), r.calls(subscribeOp); d != 1 || n != 1 || s != 64 {
			t.Errorf("%d descriptions, %d registrations, %d subscriptions, want 1, 1 and 64", d, n, s)
		}
		for _, rd := range all {
			rd.cancel()
			<-rd.done
		}
		r.noFailures()
	})
}

// Many workers that start at once all register the consumer, and one of them does.
func TestConsumer36ManyWorkersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{CreateDelay: 3 * time.Second})
		time.Sleep(4 * time.Second) // the stream is being created
		r.rule(describeOp, 0, 8, local.Effect{DelayReply: time.Second})
		var all []*reader
		for range 8 {
			all = append(all, r.subscribe(r.fanOutConfig(), fetch.FanOut{}))
		}
		time.Sleep(10 * time.Second)
		refused := 0
		for _, c := range r.wire.all(registerOp) {
			if c.status != 200 {
				refused++
			}
		}
		_, failures := r.failed()
		for _, err := range failures { // the one shard is in demand; the consumer is not
			if strings.Contains(err.Error(), "register consumer") {
				t.Errorf("failure %v, want that the other's consumer is used", err)
			}
		}
		if refused != 7 {
			t.Errorf("%d registrations were refused, want 7 of 8", refused)
		}
		for _, c := range r.wire.all(subscribeOp) {
			if c.status == 404 || c.at.Before(r.wire.all(registerOp)[0].at.Add(3*time.Second)) {
				t.Errorf("subscribed at %v with status %d, before the consumer was active", c.at, c.status)
			}
		}
		for _, rd := range all {
			rd.cancel()
			<-rd.done
		}
	})
}

// A consumer that stays as it is, whatever that is, is asked after once a second, and then counts as a failure.
func TestConsumer37WaitsUntilActive(t *testing.T) {
	for _, status := range []string{"CREATING", "DELETING"} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, local.Config{})
				r.put("a")
				r.registered("app")
				until := time.Now().Add(25 * time.Second)
				r.wire.editing(func(op string, answer map[string]any) {
					if d, ok := answer["ConsumerDescription"].(map[string]any); ok && time.Now().Before(until) {
						d["ConsumerStatus"] = status
					}
				})
				rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
				rd.none(25 * time.Second)
				rd.want("a")
				rd.stop()
				if n := r.calls(subscribeOp); n != 1 {
					t.Errorf("%d subscriptions, want one", n)
				}
				describes := r.wire.all(describeOp)
				for i := 1; i < len(describes); i++ {
					if gap := describes[i].at.Sub(describes[i-1].at); gap < time.Second {
						t.Errorf("description %d came %v after the one before", i, gap)
					}
				}
				if _, failures := r.failed(); len(failures) == 0 || !strings.Contains(failures[0].Error(), "is "+status) {
					t.Errorf("failures %v, want one that says it is %s", failures, status)
				}
			})
		})
	}
}

func TestConsumer35GivenByARN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		given := r.registered("other-name")
		r.wire.calls = nil
		r.put("a")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{ARNs: []string{given}})
		rd.want("a")
		rd.stop()
		if d, n := r.calls(describeOp), r.calls(registerOp); d != 0 || n != 0 {
			t.Errorf("%d descriptions and %d registrations, want none", d, n)
		}
		if got := r.wire.all(subscribeOp)[0].body.ConsumerARN; got != given {
			t.Errorf("subscribed as %s, want %s", got, given)
		}
	})
}

// Somebody deregisters the consumer while it is in use.
func TestConsumerRegisteredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		r.put("a")
		rd.want("a")
		_, err := r.client.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{
			StreamARN: aws.String(arn), ConsumerName: aws.String("app")})
		if err != nil {
			t.Fatal(err)
		}
		r.put("b")
		before := time.Now()
		rd.want("b")
		if took := time.Since(before); took > 15*time.Second {
			t.Errorf("the next record came after %v", took)
		}
		rd.stop()
		if n := r.calls(registerOp); n != 2 {
			t.Errorf("%d registrations, want 2", n)
		}
	})
}

// One that was given by its ARN is not replaced by another, and its shards do not end.
func TestConsumerGivenIsNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{ARNs: []string{arn + "/consumer/gone:1"}})
		r.put("a")
		rd.none(10 * time.Minute)
		rd.stop()
		_, failures := r.failed()
		if n := r.calls(registerOp); n != 0 || len(failures) < 10 || retry.Classify(failures[0]) != retry.Gone {
			t.Errorf("%d registrations, failures %v, want none and many", n, failures)
		}
		if !strings.Contains(failures[0].Error(), "consumer/gone:1") {
			t.Errorf("failure %q does not name the consumer", failures[0])
		}
	})
}

// Without fan-out the stream is polled: nothing is lost on the way from one to the other, and one warning says so.
func TestFanOutNotToBeHad(t *testing.T) {
	refusals := []struct{ name, op, code string }{
		{"may not subscribe", subscribeOp, "AccessDeniedException"},
		{"may not describe", describeOp, "AccessDeniedException"},
		{"may not register", registerOp, "AccessDeniedException"},
		{"has no room for another", registerOp, "LimitExceededException"},
		{"knows no consumers", describeOp, "UnknownOperationException"},
		{"knows no subscriptions", subscribeOp, "UnknownOperationException"},
	}
	for _, refusal := range refusals {
		for _, required := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, required=%v", refusal.name, required), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, local.Config{})
					remove := r.refuseCalls(refusal.op, refusal.code)
					r.put("a")
					rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{Required: required})
					if required {
						rd.none(5 * time.Minute)
						remove()
					}
					rd.want("a")
					rd.stop()
					polls, want := r.calls("GetRecords"), !required
					if polled := polls > 0; polled != want {
						t.Errorf("%d polls, required=%v", polls, required)
					}
					wantLines := 1
					if required {
						wantLines = 0
					}
					if n := strings.Count(r.log.String(), "the stream is polled instead"); n != wantLines {
						t.Errorf("%d warnings, want %d:\n%s", n, wantLines, r.log)
					}
					if _, failures := r.failed(); required && len(failures) < 5 {
						t.Errorf("failures %v, want more", failures)
					}
				})
			})
		}
	}
}

// A permission that is taken away in the midst: polling goes on where the subscription stood, and later readers poll too.
func TestFanOutTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{SubscriptionLife: time.Minute})
		consumers := r.consumers(fetch.FanOut{})
		rd := r.subscribeWith(r.fanOutConfig(), consumers)
		r.put("a")
		a := rd.want("a")
		r.refuseCalls(subscribeOp, "AccessDeniedException")
		time.Sleep(10 * time.Minute)
		r.put("b")
		rd.want("b")
		rd.stop()
		n := r.calls(subscribeOp)
		cfg := r.fanOutConfig()
		cfg.From = a.Position
		rd = r.subscribeWith(cfg, consumers)
		rd.want("b")
		rd.stop()
		if more := r.calls(subscribeOp) - n; more != 0 {
			t.Errorf("%d subscriptions were tried again, want none", more)
		}
	})
}

// Credentials that have expired, and keys that are disabled, are no reason to poll: polling meets them, too.
func TestFanOutIsNotGivenUpLightly(t *testing.T) {
	for _, code := range []string{"ExpiredTokenException", "KMSAccessDeniedException", "InternalFailure", "ResourceInUseException"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, local.Config{})
				remove := r.refuseCalls(subscribeOp, code)
				rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
				r.put("a")
				rd.none(10 * time.Minute)
				remove()
				rd.want("a")
				rd.stop()
				if n := r.calls("GetRecords"); n != 0 {
					t.Errorf("%d polls, want none", n)
				}
			})
		})
	}
}

// A permission that comes a little late, as those of a new role do, is waited for.
func TestFanOutPermittedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.rule(subscribeOp, 0, 2, local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "not yet"}})
		r.put("a")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a")
		rd.stop()
		if n := r.calls("GetRecords"); n != 0 {
			t.Errorf("%d polls, want none", n)
		}
	})
}

func TestNewConsumersNamesAllThatIsWrong(t *testing.T) {
	_, err := fetch.NewConsumers(fetch.FanOut{
		ARNs: []string{"arn:x", "arn:s/consumer/a:1", "arn:s/consumer/b:2"}, Renew: -1,
	})
	for _, want := range []string{"Client is required", "must not be negative", `"arn:x"`, "two consumers of stream arn:s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	r := newRig(t, local.Config{})
	consumers := r.consumers(fetch.FanOut{})
	cfg := r.fanOutConfig()
	cfg.Shard.StreamARN = ""
	if err := fetch.Subscribe(t.Context(), cfg, consumers, nil); err == nil || !strings.Contains(err.Error(), "StreamARN is required") {
		t.Errorf("Subscribe = %v", err)
	}
}

// A stream that is deleted ends reading; that its consumer is gone, too, does not hide it.
func TestSubscribe81DeletedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		r.put("a")
		rd.want("a")
		_, err := r.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(orders), EnforceConsumerDeletion: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		<-rd.done
		if !errors.Is(rd.err, fetch.ErrStreamGone) {
			t.Errorf("Subscribe = %v, want ErrStreamGone", rd.err)
		}
	})
}

// A shard that has left the retention period ends without children.
func TestSubscribeShardThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		cfg := r.fanOutConfig()
		cfg.Shard.ID = shardID(7)
		rd := r.subscribe(cfg, fetch.FanOut{})
		if p := rd.take(); !p.End || len(p.Children) != 0 {
			t.Errorf("page %+v, want the end", p)
		}
		rd.ended()
	})
}
