package kcltest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

// keeper keeps its Checkpointer and checkpoints nothing by itself.
type keeper struct {
	ctx context.Context
	cp  stream.Checkpointer
	do  func(context.Context, stream.Checkpointer) error
}

func (k *keeper) Process(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
	k.ctx, k.cp = ctx, cp
	return k.run(ctx, cp)
}

func (k *keeper) Close(ctx context.Context, _ stream.EndReason, cp stream.Checkpointer) error {
	return k.run(ctx, cp)
}

func (k *keeper) run(ctx context.Context, cp stream.Checkpointer) error {
	if k.do == nil {
		return nil
	}
	return k.do(ctx, cp)
}

func assign(t *testing.T, k *keeper, from stream.Position) *kcltest.Driver {
	t.Helper()
	d, err := kcltest.Assign(t.Context(), func(context.Context, stream.Assignment) (stream.Processor, error) { return k, nil },
		stream.Assignment{Shard: "s", From: from})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCheckpointsKeepTheRules(t *testing.T) {
	three := kcltest.Position(3)
	three.Sub = 1
	for name, test := range map[string]struct {
		at   stream.Position
		err  error
		want stream.Position
	}{
		"all":           {stream.Position{}, nil, kcltest.Position(4)},
		"a record":      {kcltest.Position(3), nil, kcltest.Position(3)},
		"a sub":         {three, nil, three},
		"the same":      {kcltest.Position(2), nil, kcltest.Position(2)},
		"behind":        {kcltest.Position(1), stream.ErrPosition, kcltest.Position(2)},
		"ahead":         {kcltest.Position(5), stream.ErrPosition, kcltest.Position(2)},
		"malformed":     {stream.Position{Sequence: "x"}, stream.ErrPosition, kcltest.Position(2)},
		"end too early": {stream.ShardEnd, stream.ErrPosition, kcltest.Position(2)},
	} {
		k := &keeper{do: func(ctx context.Context, cp stream.Checkpointer) error { return cp.Checkpoint(ctx, test.at) }}
		d := assign(t, k, kcltest.Position(2))
		if err := d.Deliver(kcltest.Records(3, "a", "b")...); !errors.Is(err, test.err) {
			t.Errorf("%s: Checkpoint = %v, want %v", name, err, test.err)
		}
		if got := d.Checkpointed(); got != test.want {
			t.Errorf("%s: checkpointed %v, want %v", name, got, test.want)
		}
	}
}

func TestFaults(t *testing.T) {
	k := &keeper{do: func(ctx context.Context, cp stream.Checkpointer) error { return cp.Checkpoint(ctx, stream.Position{}) }}
	d := assign(t, k, stream.TrimHorizon)
	d.FailCheckpoints(stream.ErrThrottled, stream.ErrUnavailable)
	for _, want := range []error{stream.ErrThrottled, stream.ErrUnavailable, nil} {
		if err := d.Deliver(kcltest.Records(1, "a")...); !errors.Is(err, want) {
			t.Errorf("Checkpoint = %v, want %v", err, want)
		}
	}
	if err := k.cp.Checkpoint(t.Context(), stream.Position{}); !errors.Is(err, stream.ErrNoCheckpoint) {
		t.Errorf("Checkpoint between calls = %v, want ErrNoCheckpoint", err)
	}
}

func TestLosingTheLease(t *testing.T) {
	k := &keeper{}
	d := assign(t, k, stream.TrimHorizon)
	k.do = func(ctx context.Context, cp stream.Checkpointer) error {
		d.StealLease()
		<-ctx.Done()
		if err := cp.Checkpoint(context.Background(), stream.Position{}); !errors.Is(err, stream.ErrLeaseLost) {
			t.Errorf("Checkpoint = %v, want ErrLeaseLost", err)
		}
		return context.Cause(ctx)
	}
	if err := d.Deliver(kcltest.Records(1, "a")...); err != stream.ErrLeaseLost {
		t.Errorf("cause %v", err)
	}
	k.do = nil
	if err := d.LoseLease(); err != nil {
		t.Error(err)
	}
}

func TestEndOfShard(t *testing.T) {
	if err := assign(t, &keeper{}, stream.TrimHorizon).EndShard(); err == nil {
		t.Error("a shard ended without a checkpoint")
	}
	k := &keeper{do: func(ctx context.Context, cp stream.Checkpointer) error { return cp.Checkpoint(ctx, stream.Position{}) }}
	d := assign(t, k, stream.TrimHorizon)
	if err := d.EndShard(); err != nil || d.Checkpointed() != stream.ShardEnd {
		t.Errorf("EndShard = %v, checkpointed %v", err, d.Checkpointed())
	}
}

// TestDaemonSeesBadChildren: what a child must not do fails the test that drives it.
func TestDaemonSeesBadChildren(t *testing.T) {
	for child, want := range map[string]string{
		"": "await status leaseLost: EOF",
		`{"action":"status","responseFor":"initialize"}`: `await status leaseLost: the child answered "initialize"`,
	} {
		d := kcltest.NewDaemon(nothing{}, strings.NewReader("noise\n\n"+child))
		if err := d.LeaseLost(); err == nil || err.Error() != want {
			t.Errorf("LeaseLost = %v, want %s", err, want)
		}
		if len(d.Skipped) != 1 || d.Skipped[0] != "noise" {
			t.Errorf("skipped %q", d.Skipped)
		}
	}
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error                { return nil }

var _ io.WriteCloser = nothing{}
