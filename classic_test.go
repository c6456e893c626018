package kcl_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

// classic is an old processor that writes down its calls, and checkpoints the end of the shard only.
type classic struct{ calls []string }

func (c *classic) Initialize(shard string) error {
	c.calls = append(c.calls, "initialize "+shard)
	return nil
}
func (c *classic) ProcessRecords([]*kcl.Record, *kcl.Checkpointer) error {
	c.calls = append(c.calls, "process")
	return nil
}

func (c *classic) ShutdownRequested(*kcl.Checkpointer) error {
	c.calls = append(c.calls, "shutdown requested")
	return nil
}
func (c *classic) LeaseLost() error { c.calls = append(c.calls, "lease lost"); return nil }
func (c *classic) ShardEnded(cp *kcl.Checkpointer) error {
	c.calls = append(c.calls, "shard ended")
	return cp.Checkpoint(nil)
}

// assign adapts p and gives it a shard that was read up to from.
func assign(t *testing.T, p kcl.RecordProcessor, from stream.Position) *kcltest.Driver {
	t.Helper()
	d, err := kcltest.Assign(t.Context(), kcl.Adapt(func() kcl.RecordProcessor { return p }), stream.Assignment{Shard: "s", From: from})
	must(t, err)
	return d
}

func TestAdaptCalls(t *testing.T) {
	for end, want := range map[string][]string{
		"shutdown": {"initialize s", "process", "shutdown requested", "lease lost"},
		"loss":     {"initialize s", "process", "lease lost"},
		"end":      {"initialize s", "process", "shard ended"},
	} {
		c := &classic{}
		d := assign(t, c, stream.TrimHorizon)
		must(t, d.Deliver(kcltest.Records(1, "a")...))
		must(t, map[string]func() error{"shutdown": d.Shutdown, "loss": d.LoseLease, "end": d.EndShard}[end]())
		if !slices.Equal(c.calls, want) {
			t.Errorf("%s: calls %q, want %q", end, c.calls, want)
		}
	}
}

// recorder keeps the records it got.
type recorder struct {
	classic
	records []*kcl.Record
}

func (r *recorder) ProcessRecords(records []*kcl.Record, _ *kcl.Checkpointer) error {
	r.records = records
	return nil
}

func TestAdaptRecords(t *testing.T) {
	r := &recorder{}
	d := assign(t, r, stream.TrimHorizon)
	must(t, d.Deliver(kcltest.Records(1, "meow", "", "\xFB\xFF")...))
	want := []*kcl.Record{
		{Data: "bWVvdw==", PartitionKey: "key-0", SequenceNumber: string(kcltest.Position(1).Sequence)},
		{Data: "", PartitionKey: "key-1", SequenceNumber: string(kcltest.Position(2).Sequence)},
		{Data: "+/8=", PartitionKey: "key-2", SequenceNumber: string(kcltest.Position(3).Sequence)},
	}
	if d := cmp.Diff(want, r.records); d != "" {
		t.Error(d)
	}
}

func TestAdaptLastNumberMeansTheEnd(t *testing.T) {
	d := assign(t, &checkpointer{}, stream.TrimHorizon)
	must(t, d.Deliver(kcltest.Records(1, "a", "b")...))
	if got := d.Checkpointed(); got != kcltest.Position(2) {
		t.Errorf("checkpointed %v before the end", got)
	}
	must(t, d.EndShard())
	must(t, assign(t, &checkpointer{}, stream.TrimHorizon).EndShard()) // no record, so nil
}

// forgetful does not checkpoint the end, or not with success.
type forgetful struct {
	classic
	tries bool
}

func (f *forgetful) ShardEnded(cp *kcl.Checkpointer) error {
	if f.tries {
		_ = cp.Checkpoint(nil)
	}
	return nil
}

func TestAdaptWithoutTheEndFails(t *testing.T) {
	d := assign(t, &forgetful{}, stream.TrimHorizon)
	wantError(t, d.EndShard(), "the processor did not checkpoint the end of the shard")
	d = assign(t, &forgetful{tries: true}, stream.TrimHorizon)
	d.FailCheckpoints(stream.ErrThrottled)
	wantError(t, d.EndShard(), "the processor did not checkpoint the end of the shard")
}

// numbers checkpoints what the test tells it, and keeps the results.
type numbers struct {
	classic
	ask  []*string
	errs []error
}

func (n *numbers) ProcessRecords(_ []*kcl.Record, cp *kcl.Checkpointer) error {
	for _, number := range n.ask {
		n.errs = append(n.errs, cp.Checkpoint(number))
	}
	return nil
}

func TestAdaptNamesTheErrorsOfItsHost(t *testing.T) {
	for err, name := range map[error]string{
		stream.ErrLeaseLost:    "ShutdownException",
		stream.ErrThrottled:    "ThrottlingException",
		stream.ErrUnavailable:  "KinesisClientLibDependencyException",
		stream.ErrNoCheckpoint: "InvalidStateException",
		stream.ErrPosition:     "IllegalArgumentException",
	} {
		n := &numbers{ask: []*string{nil}}
		d := assign(t, n, stream.TrimHorizon)
		d.FailCheckpoints(err)
		must(t, d.Deliver(kcltest.Records(1, "a")...))
		typed, ok := errors.AsType[*kcl.CheckpointError](n.errs[0])
		if !ok || typed.Name != name || !errors.Is(n.errs[0], err) {
			t.Errorf("%v: Checkpoint = %v, want %s", err, n.errs[0], name)
		}
	}
	odd := errors.New("odd")
	n := &numbers{ask: []*string{nil}}
	d := assign(t, n, stream.TrimHorizon)
	d.FailCheckpoints(odd)
	must(t, d.Deliver(kcltest.Records(1, "a")...))
	if !errors.Is(n.errs[0], odd) {
		t.Errorf("Checkpoint = %v, want %v", n.errs[0], odd)
	}
}

// TestAdaptDoesNotMoveBackInsideAnAggregate covers a shard whose checkpoint lies among records that share a number, which is
// all that an old processor can give.
func TestAdaptDoesNotMoveBackInsideAnAggregate(t *testing.T) {
	from := kcltest.Position(1)
	from.Sub = 5
	number := string(from.Sequence)
	n := &numbers{ask: []*string{&number}}
	d := assign(t, n, from)
	records := kcltest.Records(1, "a")
	records[0].Position.Sub = 6
	must(t, d.Deliver(records...))
	must(t, n.errs[0])
	if got := d.Checkpointed(); got != from {
		t.Errorf("checkpointed %v, want %v", got, from)
	}
}

func TestAdaptEmptyNumberIsNotAll(t *testing.T) {
	empty := ""
	n := &numbers{ask: []*string{&empty}}
	d := assign(t, n, stream.TrimHorizon)
	must(t, d.Deliver(kcltest.Records(1, "a")...))
	wantError(t, n.errs[0], "IllegalArgumentException: a sequence number is decimal digits")
	if got := d.Checkpointed(); got != stream.TrimHorizon {
		t.Errorf("checkpointed %v", got)
	}
}

func TestAdaptFailures(t *testing.T) {
	_, err := kcltest.Assign(t.Context(), kcl.Adapt(func() kcl.RecordProcessor { return nil }), stream.Assignment{})
	wantError(t, err, "kcl: Adapt: no processor")
	d := assign(t, failing{}, stream.TrimHorizon)
	for call, err := range map[string]error{
		"process": d.Deliver(kcltest.Records(1, "a")...), "end": d.EndShard(), "shutdown": d.Shutdown(), "loss": d.LoseLease(),
	} {
		wantError(t, err, call)
	}
}

// failing fails in every call but the first.
type failing struct{}

func (failing) Initialize(string) error                               { return nil }
func (failing) ProcessRecords([]*kcl.Record, *kcl.Checkpointer) error { return errors.New("process") }
func (failing) ShutdownRequested(*kcl.Checkpointer) error             { return errors.New("shutdown") }
func (failing) LeaseLost() error                                      { return errors.New("loss") }
func (failing) ShardEnded(*kcl.Checkpointer) error                    { return errors.New("end") }
