package operate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

const (
	first  = stream.ShardID("shardId-000000000000")
	second = stream.ShardID("shardId-000000000001")
	third  = stream.ShardID("shardId-000000000002")
)

// rig is a stream of one shard with its lease, in a bubble.
type rig struct {
	t      *testing.T
	server *local.Server
	client *kinesis.Client
	store  *memlease.Store
	app    operate.App
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server := local.New(local.Config{})
	r := &rig{t: t, server: server, client: kinesis.NewFromConfig(server.AWSConfig()), store: memlease.New()}
	r.app = operate.App{Name: "app", Store: r.store, Kinesis: r.client, Stream: "orders"}
	_, err := r.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(1)})
	must(t, err)
	return r
}

// put puts one record and returns its sequence number.
func (r *rig) put() stream.SequenceNumber {
	r.t.Helper()
	out, err := r.client.PutRecord(r.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), Data: []byte("x"), PartitionKey: aws.String("k")})
	must(r.t, err)
	return stream.SequenceNumber(*out.SequenceNumber)
}

func (r *rig) lease(id stream.ShardID, at stream.Position, parents ...stream.ShardID) {
	r.t.Helper()
	must(r.t, create(r.t.Context(), r.store, lease.Lease{Key: string(id), Shard: id, Checkpoint: at, Parents: parents}))
}

func at(n stream.SequenceNumber) stream.Position { return stream.Position{Sequence: n} }

func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		one := r.put()
		time.Sleep(time.Hour)
		two := r.put()
		time.Sleep(time.Minute)
		tests := []struct {
			at   stream.Position
			want operate.Behind
		}{
			{stream.TrimHorizon, operate.Behind{By: operate.ByRecord, Age: operate.Span(time.Hour + time.Minute)}},
			{at(one), operate.Behind{By: operate.ByRecord, Age: operate.Span(time.Minute)}},
			{at(two), operate.Behind{By: operate.CaughtUp}},
			{stream.ShardEnd, operate.Behind{By: operate.AtEnd}},
			{stream.Latest, operate.Behind{By: operate.NotKnown, Why: "begins at the tip, and nothing is checkpointed yet"}},
			{stream.AtTimestamp, operate.Behind{By: operate.NotKnown, Why: "begins at a time that only the workers know, and nothing is checkpointed yet"}},
		}
		for _, tt := range tests {
			l := lease.Lease{Key: string(first), Shard: first, Checkpoint: tt.at}
			if got := r.app.Behind(t.Context(), []lease.Lease{l})[l.Key]; got != tt.want {
				t.Errorf("behind %s: %+v, want %+v", tt.at, got, tt.want)
			}
		}
		gone := lease.Lease{Key: "gone", Shard: "shardId-000000000009", Checkpoint: at(one)}
		if got := r.app.Behind(t.Context(), []lease.Lease{gone})["gone"]; !got.Lost || got.By != operate.NotKnown {
			t.Errorf("behind a shard that does not exist: %+v, want it lost", got)
		}
		r.server.Intercept(local.Rule{Operation: "GetRecords", Effect: local.Effect{Error: local.Throttled()}})
		busy := lease.Lease{Key: "busy", Shard: first, Checkpoint: at(one)}
		if got := r.app.Behind(t.Context(), []lease.Lease{busy})["busy"]; got.Why != "the shard's readers leave no room for this one; try again" {
			t.Errorf("behind a throttled shard: %+v", got)
		}
		nameless := r.app
		nameless.Stream = ""
		if got := nameless.Behind(t.Context(), []lease.Lease{busy})["busy"]; !strings.Contains(got.Why, "name the stream") {
			t.Errorf("without a stream: %+v", got)
		}
	})
}

// TestRewindToTime: the checkpoint is the last record before the time, so that the first record at or after it is delivered.
func TestRewindToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := time.Now()
		var seq []stream.SequenceNumber
		var arrived []time.Time
		for _, gap := range []time.Duration{0, time.Millisecond, time.Second, time.Minute, 3 * time.Hour, 10 * time.Millisecond} {
			time.Sleep(gap)
			arrived = append(arrived, time.Now())
			seq = append(seq, r.put())
		}
		r.lease(first, at(seq[5]))
		time.Sleep(time.Hour)
		tests := []struct {
			name string
			to   time.Time
			want stream.Position
		}{
			{"before everything", start.Add(-time.Hour), stream.TrimHorizon},
			{"the first record", arrived[0], stream.TrimHorizon},
			{"the second record", arrived[1], at(seq[0])},
			{"between", arrived[2].Add(time.Millisecond), at(seq[2])},
			{"exactly", arrived[3], at(seq[2])},
			{"after a long silence", arrived[4], at(seq[3])},
			{"in the silence", arrived[4].Add(-time.Hour), at(seq[3])},
			{"the last record", arrived[5], at(seq[4])},
		}
		for _, tt := range tests {
			in, err := r.app.Find(t.Context())
			must(t, err)
			p, err := r.app.PlanTo(t.Context(), in, operate.Target{At: tt.to})
			must(t, err)
			if len(p.Steps) != 1 || p.Steps[0].To != tt.want {
				t.Errorf("%s: %+v, want %s", tt.name, p.Steps, tt.want)
			}
		}
		in, err := r.app.Find(t.Context())
		must(t, err)
		p, err := r.app.PlanTo(t.Context(), in, operate.Target{At: time.Now()})
		must(t, err)
		if len(p.Steps) != 0 {
			t.Errorf("to now, where it is already: %+v", p.Steps)
		}
	})
}

// TestRewindCrowd: thousands of records in one second, and an empty shard.
func TestRewindCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.lease(first, stream.Latest)
		in, err := r.app.Find(t.Context())
		must(t, err)
		p, err := r.app.PlanTo(t.Context(), in, operate.Target{At: time.Now().Add(-time.Hour)})
		must(t, err)
		if len(p.Steps) != 1 || p.Steps[0].To != stream.TrimHorizon {
			t.Errorf("an empty shard: %+v", p.Steps)
		}
		var last stream.SequenceNumber
		for range 2500 {
			last = r.put()
		}
		time.Sleep(time.Hour)
		then := time.Now()
		r.put()
		p, err = r.app.PlanTo(t.Context(), in, operate.Target{At: then})
		must(t, err)
		if len(p.Steps) != 1 || p.Steps[0].To != at(last) {
			t.Errorf("after the crowd: %+v, want %s", p.Steps, last)
		}
	})
}

// split makes first the parent of second and third.
func (r *rig) split() {
	r.t.Helper()
	_, err := r.client.SplitShard(r.t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("orders"),
		ShardToSplit: aws.String(string(first)), NewStartingHashKey: aws.String("1000")})
	must(r.t, err)
	time.Sleep(time.Minute)
}

// TestRewindAcrossSplit: the parent's row was cleaned up; it is made again, and its undoing restores everything that matters.
func TestRewindAcrossSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		one := r.put()
		time.Sleep(time.Minute)
		middle := time.Now()
		r.put()
		r.split()
		three := r.put()
		r.lease(second, stream.TrimHorizon, first)
		r.lease(third, at(three), first)
		assign(t, r.store, string(third), "a")
		in, err := r.app.Find(t.Context())
		must(t, err)
		p, err := r.app.PlanTo(t.Context(), in, operate.Target{At: middle})
		must(t, err)
		made, err := r.app.Rewind(t.Context(), p)
		must(t, err)
		r.want(first, at(one), "")
		r.want(second, stream.TrimHorizon, "")
		r.want(third, stream.TrimHorizon, "")

		in, err = r.app.Find(t.Context())
		must(t, err)
		set := map[string]stream.Position{}
		for _, u := range operate.Undo(made) {
			shard, pos, _ := strings.Cut(u, "=")
			set[shard] = position(t, pos)
		}
		back, err := operate.PlanSet(in, set)
		must(t, err)
		_, err = r.app.Rewind(t.Context(), back)
		must(t, err)
		r.want(first, stream.ShardEnd, "")
		r.want(third, at(three), "")

		time.Sleep(time.Hour) // a time after the split: the parent stays finished, or without a row
		must(t, r.store.Delete(t.Context(), get(t, r.store, string(first))))
		in, err = r.app.Find(t.Context())
		must(t, err)
		p, err = r.app.PlanTo(t.Context(), in, operate.Target{At: time.Now().Add(-time.Minute)})
		must(t, err)
		for _, s := range p.Steps {
			if s.Shard == first {
				t.Errorf("to a time after the split: %+v", s)
			}
		}
	})
}

func (r *rig) want(id stream.ShardID, at stream.Position, owner string) {
	r.t.Helper()
	if l := get(r.t, r.store, string(id)); l.Checkpoint != at || l.Owner != owner {
		r.t.Errorf("lease %s is at %s of %q, want %s of %q", id, l.Checkpoint, l.Owner, at, owner)
	}
}

// TestRewindNumber: a number of another shard, or without a shard, is refused.
func TestRewindNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		one := r.put()
		r.split()
		two := r.put()
		r.lease(first, stream.ShardEnd)
		r.lease(second, at(two), first)
		r.lease(third, at(two), first)
		plan := func(to stream.SequenceNumber, chosen ...stream.ShardID) error {
			in, err := r.app.Find(t.Context())
			must(t, err)
			in.Chosen = chosen
			_, err = r.app.PlanTo(t.Context(), in, operate.Target{Position: at(to)})
			return err
		}
		if err := plan(one); errText(err) != "a sequence number belongs to one shard: name that shard, and no other" {
			t.Errorf("without a shard: %v", err)
		}
		if err := plan(one, second); err == nil || !strings.Contains(err.Error(), "shardId-000000000001") {
			t.Errorf("with a number of another shard: %v", err)
		}
		if err := plan(one, first); err != nil {
			t.Errorf("with its own: %v", err)
		}
	})
}

// busyStore lets a worker get in between before some writes, and loses the reply to others.
type busyStore struct {
	*memlease.Store
	mu     sync.Mutex
	before []func() // one for each Rewind or Release, in order
	lose   int      // so many of the next writes take effect without an answer
}

func (s *busyStore) meet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.before) > 0 {
		f := s.before[0]
		s.before = s.before[1:]
		f()
	}
}

func (s *busyStore) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose--
	return s.lose >= 0
}

func (s *busyStore) Rewind(ctx context.Context, l lease.Lease, to stream.Position) (lease.Lease, error) {
	s.meet()
	next, err := s.Store.Rewind(ctx, l, to)
	if err == nil && s.lost() {
		return lease.Lease{}, fmt.Errorf("no answer: %w", lease.ErrUnavailable)
	}
	return next, err
}

func (s *busyStore) Release(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	s.meet()
	next, err := s.Store.Release(ctx, l)
	if err == nil && s.lost() {
		return lease.Lease{}, fmt.Errorf("no answer: %w", lease.ErrUnavailable)
	}
	return next, err
}

// TestWhileTheFleetRuns: the worker checkpoints between plan and write, and replies are lost. The checkpoint that is told for
// undoing is the one that was written over.
func TestWhileTheFleetRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.lease(first, stream.TrimHorizon)
		assign(t, r.store, string(first), "a")
		checkpoint := func(n stream.SequenceNumber) func() {
			return func() {
				_, err := r.store.Checkpoint(t.Context(), get(t, r.store, string(first)), at(n))
				must(t, err)
			}
		}
		busy := &busyStore{Store: r.store, before: []func(){checkpoint("100"), checkpoint("101")}, lose: 1}
		app := operate.App{Name: "app", Store: busy, Kinesis: r.client, Stream: "orders"}
		in, err := app.Find(t.Context())
		must(t, err)
		in.Shards[0].Starting = "1"
		set := map[string]stream.Position{string(first): at("50")}
		p, err := operate.PlanSet(in, set)
		must(t, err)
		made, err := app.Rewind(t.Context(), p)
		must(t, err)
		r.want(first, at("50"), "")
		if len(made) != 1 || made[0].From != at("101") || made[0].Worker != "a" {
			t.Errorf("made %+v, want it to have written over 101 of a", made)
		}

		assign(t, r.store, string(first), "a")
		busy.before, busy.lose = []func(){func() { renew(t, r.store, string(first)) }}, 1
		plan, _, err := operate.PlanRelease([]lease.Lease{get(t, r.store, string(first))}, operate.Selection{Worker: "a"})
		must(t, err)
		must(t, app.Release(t.Context(), plan[0]))
		r.want(first, at("50"), "")

		assign(t, r.store, string(first), "a")
		plan, _, err = operate.PlanRelease([]lease.Lease{get(t, r.store, string(first))}, operate.Selection{Worker: "a"})
		must(t, err)
		busy.before = []func(){func() { assign(t, r.store, string(first), "b") }}
		if err := app.Release(t.Context(), plan[0]); err == nil {
			t.Error("a lease that had gone to b was taken from b")
		}
		r.want(first, at("50"), "b")
	})
}

// TestShardEndsMeanwhile: a plan made for a shard that is read must not reopen it without its children.
func TestShardEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.lease(first, at("60"))
		assign(t, r.store, string(first), "a")
		busy := &busyStore{Store: r.store, before: []func(){func() {
			_, err := r.store.Checkpoint(t.Context(), get(t, r.store, string(first)), stream.ShardEnd)
			must(t, err)
		}}}
		in := operate.Rewind{Leases: []lease.Lease{get(t, r.store, string(first))}}
		p, err := operate.PlanSet(in, map[string]stream.Position{string(first): at("50")})
		must(t, err)
		made, err := operate.App{Name: "app", Store: busy}.Rewind(t.Context(), p)
		if err == nil || len(made) != 0 || errors.Is(err, stream.ErrLeaseLost) {
			t.Errorf("Rewind = %v, %v; want an error that says to plan again", made, err)
		}
		r.want(first, stream.ShardEnd, "a")
	})
}
