package kcl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

// writes collects what each call of Write was given.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

func TestC09_OneWritePerMessageBetweenLineFeeds(t *testing.T) {
	p := processor{process: checkpointAll}
	var out writes
	must(t, kcl.Serve(t.Context(), strings.NewReader(sayInitialize+sayRecords+sayDone), &out, p.start))
	if want := (writes{statusInitialize, askAll, statusRecords}); !slices.Equal(out, want) {
		t.Errorf("writes %q, want %q", out, want)
	}
}

func TestC10_LinesOfGoroutinesDoNotInterleave(t *testing.T) {
	const goroutines, each = 8, 25
	p := processor{process: func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		var all sync.WaitGroup
		errs := make(chan error, goroutines)
		for range goroutines {
			all.Go(func() {
				for range each {
					if err := cp.Checkpoint(ctx, b.Records[0].Position); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		all.Wait()
		close(errs)
		return <-errs
	}}
	d := kcltest.Serve(t, p.start)
	must(t, d.Initialize("s", stream.TrimHorizon))
	must(t, d.Process(&stream.Batch{Records: kcltest.Records(1, "x")}))
	must(t, d.HangUp())
	if len(d.Checkpoints) != goroutines*each || len(d.Skipped) != 0 {
		t.Errorf("%d checkpoints and %d broken lines, want %d and none", len(d.Checkpoints), len(d.Skipped), goroutines*each)
	}
}

// TestC11 reads what a child writes in every phase key by key.
func TestC11_OnlyTheDocumentedKeys(t *testing.T) {
	for _, m := range everyMessage(t) {
		allowed := []string{"action", "responseFor"}
		if m["action"] == "checkpoint" {
			allowed = []string{"action", "sequenceNumber", "subSequenceNumber"}
		}
		for key := range m {
			if !slices.Contains(allowed, key) {
				t.Errorf("message %v has the key %s", m, key)
			}
		}
	}
}

func TestC12_NoKeyCheckpoint(t *testing.T) {
	for _, m := range everyMessage(t) {
		if _, ok := m["checkpoint"]; ok {
			t.Errorf("message %v", m)
		}
	}
}

func TestC13_NoBareNull(t *testing.T) {
	for _, m := range everyMessage(t) { // each line is an object, or everyMessage fails
		if m == nil {
			t.Error("a line that is the word null")
		}
	}
}

func TestC14_TypesOfCheckpointKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range everyMessage(t) {
		if m["action"] != "checkpoint" {
			continue
		}
		number, sub := m["sequenceNumber"], m["subSequenceNumber"]
		seen[fmt.Sprintf("%T %T", number, sub)] = true
		if s, ok := sub.(json.Number); ok && s != "4" {
			t.Errorf("subSequenceNumber %s, want 4", s)
		}
	}
	for _, want := range []string{"<nil> <nil>", "string <nil>", "string json.Number"} {
		if !seen[want] {
			t.Errorf("no checkpoint with sequence and sub-sequence of types %s in %v", want, seen)
		}
	}
	if len(seen) != 3 {
		t.Errorf("types %v", seen)
	}
}

// everyMessage returns all a child writes in a conversation with every kind of message, decoded.
func everyMessage(t *testing.T) []map[string]any {
	t.Helper()
	p := processor{process: func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		return errors.Join(cp.Checkpoint(ctx, stream.Position{}), cp.Checkpoint(ctx, b.Records[0].Position),
			cp.Checkpoint(ctx, stream.Position{Sequence: "456", Sub: 4}))
	}}
	var messages []map[string]any
	for _, last := range []string{sayShardEnded + sayDone, sayShutdown + sayLeaseLost} {
		out, err := serve(t, p.start, sayInitialize, sayRecords, sayDone, sayDone, sayDone, last)
		must(t, err)
		p = processor{process: p.process}
		for line := range strings.Lines(out) {
			if line == "\n" {
				continue
			}
			d := json.NewDecoder(strings.NewReader(line))
			d.UseNumber()
			var m map[string]any
			must(t, d.Decode(&m))
			messages = append(messages, m)
		}
	}
	return messages
}

func TestC15_OneStatusPerActionWithItsName(t *testing.T) {
	var p processor
	out, err := serve(t, p.start, sayInitialize, sayRecords, sayRecords, sayShutdown, sayLeaseLost)
	must(t, err)
	wantOutput(t, out, statusInitialize, statusRecords, statusRecords, statusShutdown, statusLeaseLost)
}

// leavesRequest returns from Process while a goroutine's checkpoint is on its way.
func leavesRequest(result chan<- error) *processor {
	return &processor{process: func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
		go func() { result <- cp.Checkpoint(ctx, stream.Position{}) }()
		synctest.Wait() // until it waits for its answer
		return nil
	}}
}

func TestC16_NoStatusBeforeAPendingAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := make(chan error, 1)
		d := listen(t, leavesRequest(result).start)
		d.says(sayInitialize)
		d.wants(statusInitialize)
		must(t, d.Send([]byte(sayRecords)))
		time.Sleep(time.Hour) // of the bubble: all that can happen happens
		d.wants(askAll)
		d.says(sayDone)
		d.wants(statusRecords)
		must(t, <-result)
	})
}

func TestC17_CheckpointBlocksAndOthersQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returned := make(chan string, 2)
		p := processor{process: func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() { returned <- fmt.Sprint(cp.Checkpoint(ctx, stream.Position{})) })
			}
			both.Wait()
			return nil
		}}
		d := listen(t, p.start)
		d.says(sayInitialize, sayRecords)
		d.wants(statusInitialize, askAll) // the second is not written
		if n := len(returned); n != 0 {
			t.Fatalf("%d checkpoints returned before an answer", n)
		}
		d.says(sayDone)
		d.wants(askAll)
		if n := len(returned); n != 1 {
			t.Fatalf("%d checkpoints returned after one answer", n)
		}
		d.says(sayDone)
		d.wants(statusRecords)
	})
}

func TestC18_NoCheckpointWhereTheParentHasNone(t *testing.T) {
	var got error
	p := processor{close: func(_ context.Context, _ stream.EndReason, cp stream.Checkpointer) error {
		got = cp.Checkpoint(context.Background(), stream.Position{})
		return nil
	}}
	out, err := serve(t, p.start, sayInitialize, sayLeaseLost)
	must(t, err)
	wantOutput(t, out, statusInitialize, statusLeaseLost) // and no request
	if !errors.Is(got, stream.ErrLeaseLost) {
		t.Errorf("Checkpoint after the lease was lost = %v", got)
	}
	// An old processor can keep its Checkpointer from an earlier call.
	old := &keeper{}
	out, err = serve(t, kcl.Adapt(func() kcl.RecordProcessor { return old }), sayInitialize, sayRecords, sayLeaseLost)
	must(t, err)
	wantOutput(t, out, statusInitialize, statusRecords, statusLeaseLost)
	if !errors.Is(old.atLoss, stream.ErrLeaseLost) {
		t.Errorf("old Checkpoint in LeaseLost = %v", old.atLoss)
	}
}

// keeper keeps the Checkpointer and uses it in LeaseLost.
type keeper struct {
	classic
	cp     *kcl.Checkpointer
	atLoss error
}

func (k *keeper) ProcessRecords(_ []*kcl.Record, cp *kcl.Checkpointer) error { k.cp = cp; return nil }
func (k *keeper) LeaseLost() error                                           { k.atLoss = k.cp.Checkpoint(nil); return nil }

func TestC19_LateGoroutinesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept stream.Checkpointer
		p := processor{process: func(_ context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
			kept = cp
			return nil
		}}
		d := listen(t, p.start)
		d.says(sayInitialize, sayRecords)
		d.wants(statusInitialize, statusRecords)
		late := make(chan error)
		go func() { late <- kept.Checkpoint(context.Background(), stream.Position{}) }()
		err := <-late
		wantError(t, err, "checkpoint (all delivered): InvalidStateException: no call that may checkpoint is running")
		if !errors.Is(err, stream.ErrNoCheckpoint) {
			t.Error("it is not ErrNoCheckpoint")
		}
		d.wants() // nothing
		d.says(sayRecords)
		d.wants(statusRecords)
	})
}

// answered returns what Checkpoint returned when the parent answered with these keys.
func answered(t *testing.T, keys string) (result error) {
	t.Helper()
	p := processor{process: func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
		result = cp.Checkpoint(ctx, stream.Position{})
		return nil
	}}
	_, err := serve(t, p.start, sayInitialize, sayRecords, `{"action":"checkpoint"`+keys+"}\n")
	must(t, err)
	return result
}

func TestC20_RefusedCheckpointsAreTyped(t *testing.T) {
	sentinels := []error{stream.ErrLeaseLost, stream.ErrThrottled, stream.ErrUnavailable, stream.ErrNoCheckpoint, stream.ErrPosition}
	for name, want := range map[string]error{
		"ShutdownException":                   stream.ErrLeaseLost,
		"ThrottlingException":                 stream.ErrThrottled,
		"KinesisClientLibDependencyException": stream.ErrUnavailable,
		"InvalidStateException":               stream.ErrNoCheckpoint,
		"IllegalArgumentException":            stream.ErrPosition,
		"NullPointerException":                nil,
	} {
		err := answered(t, `,"error":"`+name+`"`)
		typed, ok := errors.AsType[*kcl.CheckpointError](err)
		if !ok || typed.Name != name || typed.Error() != name {
			t.Errorf("%s: Checkpoint = %v", name, err)
		}
		for _, s := range sentinels {
			if got := errors.Is(err, s); got != (s == want) {
				t.Errorf("%s is %v: %t", name, s, got)
			}
		}
	}
}

func TestC21_AnswersWithoutError(t *testing.T) {
	for _, keys := range []string{``, `,"error":null`, `,"error":""`, `,"sequenceNumber":"9","error":null`} {
		if err := answered(t, keys); err != nil {
			t.Errorf("%s: Checkpoint = %v", keys, err)
		}
	}
}

func TestC22_TheNumberInTheAnswerMeansNothing(t *testing.T) {
	old := &checkpointer{}
	out, err := serve(t, kcl.Adapt(func() kcl.RecordProcessor { return old }), sayInitialize,
		sayRecords, `{"action":"checkpoint","sequenceNumber":"999999","subSequenceNumber":7,"error":null}`+"\n",
		strings.Replace(sayRecords, `"456"`, `"999999"`, 1), sayDone)
	must(t, err)
	ask := func(n string) string { return "\n" + `{"action":"checkpoint","sequenceNumber":"` + n + `"}` + "\n" }
	wantOutput(t, out, statusInitialize, ask("456"), statusRecords, ask("999999"), statusRecords)
}

// checkpointer checkpoints the number of the last record of each batch, and at the end of the shard once more, as the
// classic sample does.
type checkpointer struct {
	classic
	last *string
}

func (c *checkpointer) ProcessRecords(r []*kcl.Record, cp *kcl.Checkpointer) error {
	c.last = &r[len(r)-1].SequenceNumber
	return cp.Checkpoint(c.last)
}
func (c *checkpointer) ShardEnded(cp *kcl.Checkpointer) error { return cp.Checkpoint(c.last) }

// asks runs one Process that checkpoints at these positions and returns what the child wrote for it.
func asks(t *testing.T, at ...stream.Position) string {
	t.Helper()
	p := processor{process: func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
		var errs []error
		for _, at := range at {
			errs = append(errs, cp.Checkpoint(ctx, at))
		}
		return errors.Join(errs...)
	}}
	out, err := serve(t, p.start, sayInitialize, sayRecords, strings.Repeat(sayDone, len(at)))
	must(t, err)
	return strings.TrimSuffix(strings.TrimPrefix(out, statusInitialize), statusRecords)
}

func TestC23_CheckpointAtEndAtRecordAndAtSub(t *testing.T) {
	wantOutput(t, asks(t, stream.Position{}, stream.Position{Sequence: "456"}, stream.Position{Sequence: "456", Sub: 3}), askAll,
		"\n"+`{"action":"checkpoint","sequenceNumber":"456"}`+"\n",
		"\n"+`{"action":"checkpoint","sequenceNumber":"456","subSequenceNumber":3}`+"\n")
}

func TestC24_SubSequenceNumberOfARecord(t *testing.T) {
	p := processor{process: func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		return cp.Checkpoint(ctx, b.Records[0].Position)
	}}
	d := kcltest.Serve(t, p.start)
	must(t, d.Initialize("s", stream.TrimHorizon))
	records := kcltest.Records(5, "of an aggregate")
	records[0].Position.Sub = 17
	must(t, d.Process(&stream.Batch{Records: records}))
	c := d.Checkpoints[0]
	if *c.Sequence != string(records[0].Position.Sequence) || c.Sub == nil || *c.Sub != 17 {
		t.Errorf("asked for %v", c)
	}
}

func TestC25_ShardEndIsCheckpointedWithoutNumber(t *testing.T) {
	for name, at := range map[string]stream.Position{
		"all delivered": {}, "the end": stream.ShardEnd, "the last record": {Sequence: "456"},
	} {
		p := processor{close: func(ctx context.Context, _ stream.EndReason, cp stream.Checkpointer) error {
			return cp.Checkpoint(ctx, at)
		}}
		out, err := serve(t, p.start, sayInitialize, sayRecords, sayShardEnded, sayDone)
		must(t, err)
		t.Log(name)
		wantOutput(t, out, statusInitialize, statusRecords, askAll, statusShardEnded)
	}
	old := &checkpointer{}
	out, err := serve(t, kcl.Adapt(func() kcl.RecordProcessor { return old }), sayInitialize, sayRecords, sayDone, sayShardEnded, sayDone)
	must(t, err)
	wantOutput(t, out, statusInitialize, "\n"+`{"action":"checkpoint","sequenceNumber":"456"}`+"\n", statusRecords, askAll, statusShardEnded)
}

func TestC26_NoStatusWithoutTheEndCheckpointed(t *testing.T) {
	refuse := func(name string) string { return `{"action":"checkpoint","error":"` + name + `"}` + "\n" }
	swallow := func(ctx context.Context, _ stream.EndReason, cp stream.Checkpointer) error {
		_ = cp.Checkpoint(ctx, stream.Position{})
		return nil
	}
	synctest.Test(t, func(t *testing.T) { // retries what may succeed
		d := listen(t, new(processor).start)
		d.says(sayInitialize, sayShardEnded)
		d.wants(statusInitialize, askAll)
		for range 4 {
			d.says(refuse("ThrottlingException"))
			d.wants() // not at once
			time.Sleep(2 * time.Second)
			d.wants(askAll)
		}
		d.says(sayDone)
		d.wants(statusShardEnded)
		must(t, d.HangUp())
	})
	for name, test := range map[string]struct {
		close  func(context.Context, stream.EndReason, stream.Checkpointer) error
		answer string
		want   string
	}{
		"refused":   {nil, refuse("InvalidStateException"), "kcl: shardEnded: checkpoint (all delivered): InvalidStateException"},
		"lost":      {nil, refuse("ShutdownException"), "kcl: shardEnded: checkpoint (all delivered): ShutdownException"},
		"swallowed": {swallow, refuse("InvalidStateException"), "kcl: shardEnded: the end of the shard is not checkpointed: InvalidStateException"},
		"not tried": {
			func(context.Context, stream.EndReason, stream.Checkpointer) error { return nil }, "",
			"kcl: shardEnded: the processor did not checkpoint the end of the shard",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := processor{close: test.close}
			out, err := serve(t, p.start, sayInitialize, sayShardEnded, test.answer)
			wantError(t, err, test.want)
			if strings.Contains(out, "shardEnded") {
				t.Errorf("wrote %q", out)
			}
		})
	}
}

func TestC27_RetryCheckpoint(t *testing.T) {
	lasts := func(err error) (calls int, took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			got := kcl.RetryCheckpoint(t.Context(), func() error {
				calls++
				return err
			})
			if got != err {
				t.Errorf("RetryCheckpoint = %v, want %v", got, err)
			}
			took = time.Since(began)
		})
		return calls, took
	}
	for _, err := range []error{nil, stream.ErrLeaseLost, stream.ErrNoCheckpoint, stream.ErrPosition, errors.New("else")} {
		if calls, took := lasts(err); calls != 1 || took != 0 {
			t.Errorf("%v: %d calls in %v, want one at once", err, calls, took)
		}
	}
	var all []time.Duration
	for _, name := range []string{"ThrottlingException", "KinesisClientLibDependencyException", "ThrottlingException"} {
		calls, took := lasts(&kcl.CheckpointError{Name: name})
		if calls != 12 || took < 15*time.Second || took > 32*time.Second {
			t.Errorf("%s: %d calls in %v, want 12 in about 25 s", name, calls, took)
		}
		all = append(all, took)
	}
	if all[0] == all[1] && all[1] == all[2] {
		t.Error("the waits are not random")
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, stream.ErrDrainTimeout)
		defer cancel()
		err := kcl.RetryCheckpoint(ctx, func() error { return stream.ErrThrottled })
		if !errors.Is(err, stream.ErrDrainTimeout) || !errors.Is(err, stream.ErrThrottled) {
			t.Errorf("RetryCheckpoint = %v, want both causes", err)
		}
	})
}

func TestC28_LostLeaseIsAnsweredQuietly(t *testing.T) {
	lostLeaseIsAnswered(t, checkpointAll)
	lostLeaseIsAnswered(t, func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
		_ = cp.Checkpoint(ctx, stream.Position{})
		return nil
	})
}

func lostLeaseIsAnswered(t *testing.T, process func(context.Context, *stream.Batch, stream.Checkpointer) error) {
	t.Helper()
	var cause error
	p := processor{process: process}
	p.close = func(ctx context.Context, _ stream.EndReason, cp stream.Checkpointer) error {
		cause = context.Cause(ctx)
		return cp.Checkpoint(ctx, stream.Position{})
	}
	lost := `{"action":"checkpoint","error":"ShutdownException"}` + "\n"
	out, err := serve(t, p.start, sayInitialize, sayRecords, lost, sayRecords, sayShutdown, sayLeaseLost)
	must(t, err)
	wantOutput(t, out, statusInitialize, askAll, statusRecords, statusRecords, statusShutdown, statusLeaseLost)
	if len(p.batches) != 1 || !slices.Equal(p.reasons, []stream.EndReason{stream.LeaseLost}) {
		t.Errorf("%d batches, closed for %v; want nothing delivered after the loss but Close", len(p.batches), p.reasons)
	}
	if cause != stream.ErrLeaseLost {
		t.Errorf("cause in Close = %v", cause)
	}
}

func TestCheckpointWithAWrongAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		sayRecords: "kcl: processRecords: answer to a checkpoint: the parent said processRecords",
		"{\n":      "kcl: processRecords: answer to a checkpoint: malformed message: byte 1: want a key in double quotes",
	} {
		p := processor{process: func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
			_ = cp.Checkpoint(ctx, stream.Position{})
			return nil
		}}
		out, err := serve(t, p.start, sayInitialize, sayRecords, answer)
		wantError(t, err, want)
		wantOutput(t, out, statusInitialize, askAll)
	}
}

func TestCheckpointAtNoPosition(t *testing.T) {
	for _, at := range []stream.Position{{Sub: 3}, {Sequence: "12x"}, {Sequence: "12", Sub: -1}} {
		var got error
		p := processor{process: func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
			got = cp.Checkpoint(ctx, at)
			return nil
		}}
		out, err := serve(t, p.start, sayInitialize, sayRecords)
		must(t, err)
		wantOutput(t, out, statusInitialize, statusRecords)
		if !errors.Is(got, stream.ErrPosition) {
			t.Errorf("Checkpoint(%v) = %v, want ErrPosition", at, got)
		}
	}
}
