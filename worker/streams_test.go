package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// catalogue is a list of streams that changes.
type catalogue struct {
	mu      sync.Mutex
	streams []worker.Stream
	instead func(ctx context.Context) ([]worker.Stream, error)
	calls   int
}

func (c *catalogue) set(names ...string) {
	var streams []worker.Stream
	for _, n := range names {
		streams = append(streams, worker.Stream{Name: n})
	}
	c.setAll(streams...)
}

func (c *catalogue) setAll(streams ...worker.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams, c.instead = streams, nil
}

func (c *catalogue) fail(instead func(ctx context.Context) ([]worker.Stream, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead = instead
}

func (c *catalogue) list(ctx context.Context) ([]worker.Stream, error) {
	c.mu.Lock()
	c.calls++
	instead, streams := c.instead, slices.Clone(c.streams)
	c.mu.Unlock()
	if instead != nil {
		return instead(ctx)
	}
	return streams, nil
}

// listed is a configuration with streams that come and go.
func (r *rig) listed(id string, c *catalogue) worker.Config {
	cfg := r.config(id)
	cfg.Streams, cfg.ListStreams = nil, c.list
	cfg.Reading.Idle = time.Second // hours pass
	return cfg
}

func (r *rig) createStream(name string, shards int32) {
	r.t.Helper()
	_, err := r.client.CreateStream(r.t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	r.must(err)
}

func (r *rig) deleteStream(name string) {
	r.t.Helper()
	_, err := r.client.DeleteStream(r.t.Context(), &kinesis.DeleteStreamInput{StreamName: &name})
	r.must(err)
}

// rows returns the leases of the streams of a name, by key.
func (r *rig) rows(name string) []lease.Lease {
	r.t.Helper()
	snap, err := r.store.Snapshot(r.t.Context())
	r.must(err)
	return slices.DeleteFunc(snap.Leases, func(l lease.Lease) bool { return !strings.Contains(l.StreamID, ":"+name+":") })
}

func phaseOf(w *running, name string, phase worker.StreamPhase) *worker.StreamStatus {
	for _, s := range w.Status().Streams {
		if s.Name == name && s.Phase == phase {
			return &s
		}
	}
	return nil
}

// owns returns how many shards of a stream a worker works on.
func owns(w *running, name string) (n int) {
	for _, s := range w.Status().Shards {
		if s.Stream == name && s.Phase != worker.Ending {
			n++
		}
	}
	return n
}

// TestStreamsComeAndGo: a stream that is listed while a fleet runs is read by all of it, from its beginning; one that is not listed
// any more is drained, keeps its progress, and goes on where it was when it is listed again.
func TestStreamsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, "orders", "returns")
		list := &catalogue{}
		list.set("orders")
		a, b := r.start(r.listed("a", list)), r.start(r.listed("b", list))
		first := r.put("orders", "o", 100)
		r.await(5*time.Second, "the first stream is read", func() bool { return r.seen.missing(first) == 0 })

		second := r.put("returns", "r", 100)
		list.set("orders", "returns")
		r.await(63*time.Second, "the second stream is read", func() bool { return r.seen.missing(second) == 0 })
		r.await(2*time.Minute, "it is shared", func() bool { return owns(a, "returns") == 1 && owns(b, "returns") == 1 })
		wantHealthy(t, a)
		wantHealthy(t, b)

		list.set("returns")
		r.await(70*time.Second, "the first stream is left", func() bool { return owns(a, "orders")+owns(b, "orders") == 0 })
		time.Sleep(5 * time.Minute)
		for _, l := range r.rows("orders") {
			if l.Owner != "" || !l.Checkpoint.IsNumber() {
				t.Errorf("lease %+v", l)
			}
		}
		former := phaseOf(a, "orders", worker.FormerStream)
		if other := phaseOf(b, "orders", worker.FormerStream); other != nil {
			former = other
		}
		if former == nil || former.Leases != 2 || !former.DeleteAt.IsZero() {
			t.Errorf("the leader shows %+v", former)
		}
		wantHealthy(t, a)
		wantHealthy(t, b)
		if n := strings.Count(r.seen.summary(), "shutdown requested"); n < 2 {
			t.Errorf("%d processors were closed\n%s", n, r.seen.summary())
		}

		more := r.put("orders", "more", 100)
		list.set("returns", "orders")
		r.await(63*time.Second, "the first stream is read on", func() bool { return r.seen.missing(more) == 0 })
		if n := r.seen.duplicates(); n > 0 {
			t.Errorf("%d records came twice", n)
		}
		r.must(a.stop())
		r.must(b.stop())
	})
}

// TestListThatFails: reading goes on whatever the list does, nothing is deleted, and health says so.
func TestListThatFails(t *testing.T) {
	tests := []struct {
		name string
		list func(ctx context.Context) ([]worker.Stream, error)
		want string
	}{
		{"error", func(context.Context) ([]worker.Stream, error) { return nil, errors.New("no catalogue") },
			"cannot list the streams: ListStreams: no catalogue"},
		{"canceled", func(context.Context) ([]worker.Stream, error) { return nil, context.Canceled }, "cannot list the streams: ListStreams: context canceled"},
		{"panic", func(context.Context) ([]worker.Stream, error) { panic("no catalogue") }, "cannot list the streams: ListStreams: panic: no catalogue"},
		{"hangs", func(ctx context.Context) ([]worker.Stream, error) { <-ctx.Done(); return nil, ctx.Err() }, "cannot list the streams: ListStreams"},
		{"no name", func(context.Context) ([]worker.Stream, error) { return []worker.Stream{{Name: "orders"}, {}}, nil },
			"cannot list the streams: worker: ListStreams: stream 1 has no name"},
		{"twice", func(context.Context) ([]worker.Stream, error) { return []worker.Stream{{Name: "x"}, {Name: "x"}}, nil },
			"cannot list the streams: worker: ListStreams: stream 1 names x again"},
		{"start", func(context.Context) ([]worker.Stream, error) {
			return []worker.Stream{{Name: "x", Start: stream.AtTimestamp}}, nil
		}, "cannot list the streams: worker: ListStreams: stream x: StartAt is required with Start AT_TIMESTAMP"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, "orders", "returns", "third")
				list := &catalogue{}
				list.set("orders", "returns")
				cfg := r.listed("a", list)
				cfg.Former = worker.Former{DeleteUnlisted: true, After: 4 * time.Minute}
				w := r.start(cfg)
				records := r.put("returns", "r", 10)
				r.await(5*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
				list.set("orders")
				r.await(63*time.Second, "one is left", func() bool { return phaseOf(w, "returns", worker.FormerStream) != nil })
				list.fail(test.list)
				time.Sleep(8 * time.Minute)
				if n := len(r.rows("returns")); n != 1 {
					t.Errorf("%d leases are left of what could not be listed", n)
				}
				found := slices.ContainsFunc(w.Status().Problems, func(p worker.Problem) bool { return strings.HasPrefix(p.What, test.want) })
				if !found {
					t.Errorf("problems %+v", w.Status().Problems)
				}
				more := r.put("orders", "o", 50)
				r.await(3*time.Second, "reading goes on", func() bool { return r.seen.missing(more) == 0 })
				list.set("orders", "third")
				third := r.put("third", "t", 10)
				r.await(2*time.Minute, "the list counts again", func() bool { return r.seen.missing(third) == 0 })
				wantHealthy(t, w)
				time.Sleep(6 * time.Minute)
				if n := len(r.rows("returns")); n != 0 {
					t.Errorf("%d leases are left of what has not been listed for long", n)
				}
				r.must(w.stop())
			})
		})
	}
}

// TestListThatFailsAtFirst: a worker that cannot list its streams yet waits, says so, and can be stopped.
func TestListThatFailsAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		list := &catalogue{}
		list.fail(func(context.Context) ([]worker.Stream, error) { return nil, errors.New("no catalogue") })
		one, two := r.start(r.listed("a", list)), r.start(r.listed("b", list))
		time.Sleep(time.Minute)
		wantProblem(t, one, "cannot list the streams: ListStreams: no catalogue")
		r.must(one.stop())
		list.set("orders")
		records := r.put("orders", "r", 10)
		r.await(15*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
		wantHealthy(t, two)
	})
}

// TestUnlistedStreamThatOthersRead: the leases of a stream that is not listed here are not deleted while any worker renews one,
// such as a Java worker with another list, and are once nobody has for long enough.
func TestUnlistedStreamThatOthersRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, "orders", "returns")
		list := &catalogue{}
		list.set("orders", "returns")
		cfg := r.listed("a", list)
		cfg.Former = worker.Former{DeleteUnlisted: true, After: 5 * time.Minute}
		w := r.start(cfg)
		r.await(5*time.Second, "both are read", func() bool { return len(w.Status().Shards) == 2 })
		list.set("orders")
		r.await(63*time.Second, "one is left", func() bool { return len(w.Status().Shards) == 1 })
		row := r.rows("returns")[0]
		row, err := r.store.Assign(t.Context(), row, "java")
		r.must(err)
		for range 6 * 10 {
			time.Sleep(10 * time.Second)
			row, err = r.store.Renew(t.Context(), row)
			r.must(err)
		}
		if row := r.rows("returns"); len(row) != 1 || row[0].Owner != "java" {
			t.Errorf("lease %+v", row)
		}
		time.Sleep(4 * time.Minute)
		if n := len(r.rows("returns")); n != 1 {
			t.Errorf("deleted too soon")
		}
		r.await(2*time.Minute, "it is deleted", func() bool { return len(r.rows("returns")) == 0 })
		if n := len(r.rows("orders")); n != 1 {
			t.Errorf("%d leases of the stream that is read", n)
		}
		wantHealthy(t, w)
	})
}

// TestRetiredStream: leases of a stream that is retired go in time, although those that are only not listed stay.
func TestRetiredStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, "orders", "returns", "third")
		list := &catalogue{}
		list.set("orders", "returns", "third")
		cfg := r.listed("a", list)
		cfg.Former.After = 10 * time.Minute
		w := r.start(cfg)
		r.await(5*time.Second, "all are read", func() bool { return len(w.Status().Shards) == 3 })
		list.setAll(worker.Stream{Name: "orders"}, worker.Stream{Name: "arn:aws:kinesis:us-east-1:000000000000:stream/returns", Retired: true})
		time.Sleep(2 * time.Minute)
		if s := phaseOf(w, "returns", worker.FormerStream); s == nil || s.DeleteAt.IsZero() || s.Why != "it is retired" {
			t.Errorf("Status shows %+v", s)
		}
		time.Sleep(11 * time.Minute)
		if n, m := len(r.rows("returns")), len(r.rows("third")); n != 0 || m != 1 {
			t.Errorf("%d leases of the retired stream, %d of the one that is not listed", n, m)
		}
		wantHealthy(t, w)
	})
}

// TestDeletedStreamOfSeveral: the others go on; the rows of the one that is gone are deleted after an hour, or kept.
func TestDeletedStreamOfSeveral(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep=", keep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2, "orders", "returns")
				fleet := map[string]*running{}
				for _, id := range []string{"a", "b"} {
					cfg := r.config(id)
					cfg.Streams = []string{"orders", "returns"}
					cfg.Former, cfg.OnFailure = worker.Former{KeepGone: keep, After: 10 * time.Minute}, worker.ExitWorker
					cfg.Reading.Idle = time.Second
					fleet[id] = r.start(cfg)
				}
				a, b := fleet["a"], fleet["b"]
				r.await(2*time.Minute, "all are read", func() bool { return len(a.Status().Shards) == 2 && len(b.Status().Shards) == 2 })
				r.deleteStream("returns")
				time.Sleep(2 * time.Minute)
				wantProblem(t, a, "stream returns does not exist in region us-east-1: create it, or correct the name, the account or the region")
				records := r.put("orders", "o", 100)
				r.await(3*time.Second, "the other goes on", func() bool { return r.seen.missing(records) == 0 })
				time.Sleep(7 * time.Minute)
				if n := len(r.rows("returns")); n != 2 {
					t.Errorf("%d leases after 9 minutes", n)
				}
				time.Sleep(5 * time.Minute)
				if n := len(r.rows("returns")); n == 0 == keep {
					t.Errorf("%d leases after 14 minutes", n)
				}
				r.must(a.stop())
				r.must(b.stop())
			})
		})
	}
}

// TestStreamRecreated: a stream that is deleted and created anew under its name is another stream: it is read from the start, by
// leases of its own, and those of the first go.
func TestStreamRecreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, "orders", "returns")
		cfg := r.config("a")
		cfg.Streams, cfg.Former.After = []string{"orders", "returns"}, 10*time.Minute
		a := r.start(cfg)
		cfg.ID, cfg.NewProcessor = "b", r.seen.newProcessor("b")
		b := r.start(cfg)
		old := r.put("returns", "old", 50)
		r.await(5*time.Second, "the first", func() bool { return r.seen.missing(old) == 0 })
		time.Sleep(time.Minute)
		r.deleteStream("returns")
		time.Sleep(10 * time.Second)
		r.createStream("returns", 1)
		records := r.put("returns", "new", 50)
		r.await(70*time.Second, "the second", func() bool { return r.seen.missing(records) == 0 })
		r.await(3*time.Minute, "only it is read", func() bool { return owns(a, "returns")+owns(b, "returns") == 1 })
		if n := r.seen.duplicates(); n > 0 {
			t.Errorf("%d records came twice", n)
		}
		time.Sleep(2 * time.Minute)
		wantHealthy(t, a)
		wantHealthy(t, b)
		time.Sleep(10 * time.Minute)
		if rows := r.rows("returns"); len(rows) != 1 {
			t.Errorf("leases %+v", rows)
		}
	})
}

// TestStreamThatComesLater: a listed stream that does not exist is named by health, and read once it does.
func TestStreamThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		list := &catalogue{}
		list.set("orders", "later")
		w := r.start(r.listed("a", list))
		time.Sleep(30 * time.Second)
		wantProblem(t, w, "stream later does not exist in region us-east-1")
		if s := phaseOf(w, "later", worker.MissingStream); s == nil {
			t.Errorf("streams %+v", w.Status().Streams)
		}
		r.createStream("later", 1)
		records := append(r.put("later", "l", 10), r.put("orders", "o", 10)...)
		r.await(63*time.Second, "both are read", func() bool { return r.seen.missing(records) == 0 })
		wantHealthy(t, w)
	})
}

// TestStartOfEachStream: where a stream is begun may differ from stream to stream.
func TestStartOfEachStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, "oldest", "latest", "since")
		var early, late []string
		for _, s := range []string{"oldest", "latest", "since"} {
			early = append(early, r.put(s, "early-"+s, 5)...)
		}
		time.Sleep(10 * time.Second)
		at := time.Now()
		time.Sleep(10 * time.Second)
		list := &catalogue{}
		list.setAll(worker.Stream{Name: "oldest"}, worker.Stream{Name: "latest", Start: stream.Latest},
			worker.Stream{Name: "since", Start: stream.AtTimestamp, StartAt: at})
		for _, s := range []string{"oldest", "since"} {
			late = append(late, r.put(s, "late-"+s, 5)...)
		}
		r.start(r.listed("a", list))
		time.Sleep(10 * time.Second)
		late = append(late, r.put("latest", "late-latest", 5)...)
		r.await(3*time.Second, "what is to come", func() bool { return r.seen.missing(late) == 0 })
		if n := r.seen.missing(early); n != 10 {
			t.Errorf("%d of the early records were not delivered, want those of latest and since", n)
		}
	})
}

// TestNoStreamsAtAll: an empty list ends all reading and not the worker.
func TestNoStreamsAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		list := &catalogue{}
		w := r.start(r.listed("a", list))
		time.Sleep(time.Minute)
		wantHealthy(t, w)
		list.set("orders")
		records := r.put("orders", "o", 10)
		r.await(63*time.Second, "the stream is read", func() bool { return r.seen.missing(records) == 0 })
		list.set()
		r.await(63*time.Second, "it is left", func() bool { return len(w.Status().Shards) == 0 })
		time.Sleep(5 * time.Minute)
		wantHealthy(t, w)
		r.must(w.stop())
	})
}

// TestStopWhileStreamsGo: a worker that is stopped while it still keeps the leases of a stream that it has left lets go of them at
// once.
func TestStopWhileStreamsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, "orders", "returns")
		list := &catalogue{}
		list.set("orders", "returns")
		a := r.start(r.listed("a", list))
		time.Sleep(time.Second)
		b := r.start(r.listed("b", list))
		r.await(2*time.Minute, "both work", func() bool { return len(b.Status().Shards) == 2 && len(a.Status().Shards) == 2 })
		list.set()
		r.await(61*time.Second, "the streams are left", func() bool { return owns(b, "orders")+owns(b, "returns") == 0 })
		began := time.Now()
		r.must(b.stop())
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopping took %v", took)
		}
		for _, l := range append(r.rows("orders"), r.rows("returns")...) {
			if l.Owner == "b" {
				t.Errorf("lease %+v", l)
			}
		}
	})
}

// TestMissingStreamThatCannotBeAskedFor: while the service does not answer for a stream that it said it does not know, the stream
// stays missing: nobody is given its leases, and their time runs on.
func TestMissingStreamThatCannotBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, "orders", "returns")
		cfg := r.config("a")
		cfg.Streams, cfg.Former.After = []string{"orders", "returns"}, 10*time.Minute
		cfg.Reading.Idle = time.Second
		w := r.start(cfg)
		r.await(5*time.Second, "both are read", func() bool { return len(w.Status().Shards) == 4 })
		r.deleteStream("returns")
		r.await(2*time.Minute, "it is missed", func() bool { return phaseOf(w, "returns", worker.MissingStream) != nil && owns(w, "returns") == 0 })
		r.server.Intercept(local.Rule{Operation: "DescribeStreamSummary", Stream: "returns", Choose: func(c *local.Call) (e local.Effect) {
			if time.Now().Minute()%4 < 2 {
				e.Error = &local.Error{Code: "LimitExceededException", Message: "Rate exceeded (injected)."}
			}
			return e
		}})
		for range 9 * 60 {
			time.Sleep(time.Second)
			if phaseOf(w, "returns", worker.MissingStream) == nil || owns(w, "returns") > 0 {
				t.Fatalf("streams %+v, %d shards", w.Status().Streams, owns(w, "returns"))
			}
		}
		wantProblem(t, w, "stream returns does not exist")
		r.await(4*time.Minute, "its leases are deleted", func() bool { return len(r.rows("returns")) == 0 })
		r.createStream("returns", 1)
		records := r.put("returns", "new", 10)
		r.await(5*time.Minute, "it is found again", func() bool { return r.seen.missing(records) == 0 })
		r.must(w.stop())
	})
}
