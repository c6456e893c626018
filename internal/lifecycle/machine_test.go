package lifecycle_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/internal/script"
	"github.com/kinesis-go/kcl/stream"
)

var kinds = map[string]lifecycle.EventKind{}

func init() {
	for k := lifecycle.Start; k <= lifecycle.Expire; k++ {
		kinds[k.String()] = k
	}
}

// TestScripts plays the stories of testdata: one event a line, then the actions and the state.
func TestScripts(t *testing.T) {
	script.Run(t, "testdata", func(t *testing.T) func(script.Command) string {
		var m lifecycle.Machine
		return func(c script.Command) string {
			switch c.Name {
			case "machine":
				m = lifecycle.Machine{EmptyBatches: c.Has("empty-batches"), ExitOnFailure: c.Has("exit-on-failure")}
				return m.State().String()
			}
			kind, ok := kinds[c.Name]
			if !ok {
				t.Fatalf("%s: no event %q", c.Pos, c.Name)
			}
			var out strings.Builder
			for _, a := range m.Step(event(t, kind, c)) {
				fmt.Fprintln(&out, a)
			}
			fmt.Fprintf(&out, "-> %v", m.State())
			return out.String()
		}
	})
}

func event(t *testing.T, kind lifecycle.EventKind, c script.Command) lifecycle.Event {
	e := lifecycle.Event{Kind: kind, Parents: c.Has("parents"), End: c.Has("end"), EndStored: c.Has("end-stored")}
	if from, ok := c.Option("from"); ok {
		e.From.Sequence = stream.SequenceNumber(from)
	}
	if text, ok := c.Option("err"); ok {
		e.Err = errors.New(text)
	}
	if n, ok := c.Option("last"); ok {
		e.Last.Sequence = stream.SequenceNumber(n)
	}
	if n, ok := c.Option("records"); ok {
		var err error
		if e.Records, err = strconv.Atoi(n); err != nil {
			t.Fatalf("%s: %v", c.Pos, err)
		}
	}
	return e
}

// TestMachineAnyOrder drives machines with random events, as a driver may see them, and holds them to the promises of doc.go.
func TestMachineAnyOrder(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		if err := play(r); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// play is a driver that makes up what happens. It keeps its own, simpler account of what is allowed.
func play(r *rand.Rand) error {
	m := &lifecycle.Machine{EmptyBatches: r.IntN(2) == 0, ExitOnFailure: r.IntN(4) == 0}
	var (
		open, lost, leaving, stored bool
		pending                     *lifecycle.Verb // the action under way
		seen                        int             // interrupts
	)
	take := func(e lifecycle.Event) error {
		for _, a := range m.Step(e) {
			switch a.Verb {
			case lifecycle.Make, lifecycle.Deliver, lifecycle.Close, lifecycle.StoreChildren, lifecycle.AwaitParents, lifecycle.Pause:
				if pending != nil {
					return fmt.Errorf("%v while %v runs", a, *pending)
				}
				v := a.Verb
				pending = &v
			}
			switch a.Verb {
			case lifecycle.Make:
				if open {
					return errors.New("a second processor beside the first")
				}
				if leaving {
					return errors.New("a processor is made although the shard is left")
				}
				open, stored = true, false
			case lifecycle.Deliver:
				if !open {
					return errors.New("a page for no processor")
				}
			case lifecycle.Close:
				if !open {
					return errors.New("close without a processor")
				}
				if a.Why == stream.ShardEnded && !stored {
					return errors.New("the end is told before the children are stored")
				}
				if lost && a.Why != stream.LeaseLost {
					return fmt.Errorf("close with %v after the lease was lost", a.Why)
				}
			case lifecycle.Drop:
				open = false
			case lifecycle.Finish:
				if open {
					return errors.New("finished with a processor at hand")
				}
			}
		}
		return nil
	}
	fail := func() error {
		if r.IntN(4) == 0 {
			return errors.New("boom")
		}
		return nil
	}
	if err := take(lifecycle.Event{Kind: lifecycle.Start, Parents: r.IntN(3) == 0}); err != nil {
		return err
	}
	for steps := 0; m.State() != lifecycle.Done; steps++ {
		if steps > 500 && seen < 3 { // enough: every state must be left by the three interrupts
			for _, k := range []lifecycle.EventKind{lifecycle.Stop, lifecycle.Lost, lifecycle.Expire} {
				lost, leaving = lost || k == lifecycle.Lost, true
				if err := take(lifecycle.Event{Kind: k}); err != nil {
					return err
				}
				seen++
			}
		} else if steps > 1000 {
			return fmt.Errorf("stuck in %v", m.State())
		}
		if r.IntN(30) == 0 {
			k := lifecycle.Stop + lifecycle.EventKind(r.IntN(3))
			lost, leaving = lost || k == lifecycle.Lost, true
			if err := take(lifecycle.Event{Kind: k}); err != nil {
				return err
			}
			continue
		}
		var e lifecycle.Event
		switch {
		case m.State() == lifecycle.Ready && r.IntN(10) == 0:
			e = lifecycle.Event{Kind: lifecycle.Unreadable, Err: errors.New("gone")}
		case m.State() == lifecycle.Ready:
			e = lifecycle.Event{Kind: lifecycle.Page, Records: r.IntN(3), Last: at(r.IntN(100)), End: r.IntN(5) == 0}
		case pending == nil:
			continue
		default:
			v := *pending
			pending = nil
			e = lifecycle.Event{Kind: answers[v], Err: fail(), EndStored: r.IntN(2) == 0}
			stored = stored || v == lifecycle.StoreChildren && e.Err == nil
			if v == lifecycle.Pause && m.State() != lifecycle.BackingOff {
				continue
			}
		}
		if err := take(e); err != nil {
			return err
		}
	}
	return nil
}

var answers = map[lifecycle.Verb]lifecycle.EventKind{
	lifecycle.AwaitParents: lifecycle.ParentsEnded, lifecycle.Make: lifecycle.Made, lifecycle.Deliver: lifecycle.Returned,
	lifecycle.StoreChildren: lifecycle.Stored, lifecycle.Close: lifecycle.Closed, lifecycle.Pause: lifecycle.Resume,
}

func at(n int) stream.Position {
	return stream.Position{Sequence: stream.SequenceNumber(strconv.Itoa(n))}
}

func TestResolve(t *testing.T) {
	seq := func(s string, sub int64) stream.Position {
		return stream.Position{Sequence: stream.SequenceNumber(s), Sub: sub}
	}
	running := lifecycle.Progress{Durable: seq("100", 2), Delivered: seq("200", 5)}
	ended := lifecycle.Progress{Durable: seq("200", 5), Delivered: seq("200", 5), AtEnd: true}
	tests := []struct {
		name  string
		p     lifecycle.Progress
		at    stream.Position
		want  stream.Position
		write bool
		err   string
	}{
		{"82 all delivered", running, stream.Position{}, seq("200", 5), true, ""},
		{"all delivered before the first record", lifecycle.Progress{Durable: stream.Latest}, stream.Position{}, stream.Latest, false, ""},
		{"83 a plain number", running, seq("150", 0), seq("150", 0), true, ""},
		{"85 the last checkpoint", running, seq("100", 2), seq("100", 2), false, ""},
		{"84 behind the last checkpoint", running, seq("100", 1), stream.Position{}, false,
			"checkpoint at 100/1: behind the last checkpoint 100/2: stream: position out of range"},
		{"84 ahead of what was delivered", running, seq("200", 6), stream.Position{}, false,
			"checkpoint at 200/6: ahead of the last record delivered 200/5: stream: position out of range"},
		{"86 negative sub-sequence", running, seq("150", -1), stream.Position{}, false,
			"checkpoint at 150: the sub-sequence number is negative: stream: position out of range"},
		{"not a number", running, seq("12a", 0), stream.Position{}, false,
			`checkpoint at "12a": want decimal digits: stream: position out of range`},
		{"87 numeric, not lexical", lifecycle.Progress{Durable: seq("9", 0), Delivered: seq("10", 0)}, seq("10", 0), seq("10", 0), true, ""},
		{"94 the end before the end", running, stream.ShardEnd, stream.Position{}, false,
			"checkpoint at SHARD_END: ahead of the last record delivered 200/5: stream: position out of range"},
		{"92 all at the end", ended, stream.Position{}, stream.ShardEnd, true, ""},
		{"93 the last number at the end, stored before", ended, seq("200", 5), stream.ShardEnd, true, ""},
		{"93 the last number at the end without its sub-sequence", ended, seq("200", 0), stream.ShardEnd, true, ""},
		{"the end at the end", ended, stream.ShardEnd, stream.ShardEnd, true, ""},
		{"the end twice", lifecycle.Progress{Durable: stream.ShardEnd, Delivered: seq("200", 5), AtEnd: true}, stream.Position{}, stream.ShardEnd, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, write, err := test.p.Resolve(test.at)
			if test.err != "" {
				if err == nil || err.Error() != test.err || !errors.Is(err, stream.ErrPosition) {
					t.Fatalf("Resolve(%v) = %v, want %s", test.at, err, test.err)
				}
				return
			}
			if err != nil || got != test.want || write != test.write {
				t.Fatalf("Resolve(%v) = %v, %v, %v; want %v, %v", test.at, got, write, err, test.want, test.write)
			}
		})
	}
}
