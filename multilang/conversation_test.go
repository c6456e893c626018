//go:build unix

package multilang_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/stream"
)

func (r *rig) wantStderr(want ...string) {
	r.Helper()
	if diff := cmp.Diff(want, r.stderr.lines()); diff != "" {
		r.Errorf("child's stderr (-want +got):\n%s", diff)
	}
}

func (r *rig) wantAsked(want ...stream.Position) {
	r.Helper()
	if diff := cmp.Diff(want, r.ledger.asked); diff != "" {
		r.Errorf("checkpoints (-want +got):\n%s", diff)
	}
}

// D1 to D4, D6, D7, D9: the messages, byte for byte.
func TestD1ToD9Messages(t *testing.T) {
	r := newRig(t, "echoes raw").start()
	r.ok(r.process())
	r.ok(r.p.Process(r.ctx, &stream.Batch{BehindUnknown: true}, r.ledger))
	r.ok(r.close(stream.ShutdownRequested))
	r.wantStderr(
		`{"action":"initialize","shardId":"shardId-000000000007","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}`,
		`{"action":"processRecords","records":[`+
			`{"data":"b25l","partitionKey":"a","sequenceNumber":"1","approximateArrivalTimestamp":1760000000123,"subSequenceNumber":0,"action":"record"},`+
			`{"data":"dHdv","partitionKey":"ü<&>","sequenceNumber":"2","approximateArrivalTimestamp":1760000000124,"subSequenceNumber":0,"action":"record"}],`+
			`"millisBehindLatest":340}`,
		`{"action":"processRecords","records":[],"millisBehindLatest":null}`,
		`{"action":"shutdownRequested"}`,
		`{"action":"leaseLost"}`,
	)
}

func TestD5MissingArrivalTimeBecomesThatOfDelivery(t *testing.T) {
	r := newRig(t, "echoes raw").start()
	b := batch()
	b.Records[0].Arrived = time.Time{}
	before := time.Now().UnixMilli()
	r.ok(r.p.Process(r.ctx, b, r.ledger))
	r.ok(r.close(stream.LeaseLost))
	if !strings.Contains(r.stderr.String(), fmt.Sprint(`"approximateArrivalTimestamp":`, b.Records[0].Arrived.UnixMilli(), ",")) {
		t.Errorf("arrival time %v is not in\n%s", b.Records[0].Arrived, r.stderr)
	}
	if at := b.Records[0].Arrived.UnixMilli(); at < before {
		t.Errorf("arrival time %d, want that of delivery, %d or later", at, before)
	}
}

func TestGoodChildEndsCleanly(t *testing.T) {
	t.Parallel()
	for _, why := range []stream.EndReason{stream.LeaseLost, stream.ShutdownRequested} {
		t.Run(why.String(), func(t *testing.T) {
			r := newRig(t, "good").start()
			for range 3 {
				r.ok(r.process())
			}
			r.ok(r.close(why))
			r.gone()
			r.logged("level=INFO", `msg="child started"`, "stream=orders", "shard=shardId-000000000007")
			r.logged("level=INFO", `msg="child ended"`, `outcome="exited with code 0"`)
			if strings.Contains(r.log.String(), "level=WARN") {
				t.Errorf("a warning in\n%s", r.log)
			}
		})
	}
}

// The child side of this module under its parent side.
func TestServedChild(t *testing.T) {
	r := newRig(t, "served").start()
	r.ok(r.process())
	r.ok(r.close(stream.ShardEnded))
	r.wantStderr("1 a one", "2 ü<&> two")
	r.wantAsked(stream.Position{}, stream.Position{})
}

// D11 to D13, D15 to D17, D20: each request, its effect and its answer.
func TestD11ToD20Checkpoints(t *testing.T) {
	r := newRig(t, "asks everything").start()
	r.ledger.errors = []error{nil, stream.ErrThrottled, fmt.Errorf("asked: %w", stream.ErrUnavailable), stream.ErrLeaseLost,
		stream.ErrPosition, stream.ErrNoCheckpoint, stream.ErrDrainTimeout, errors.New("odd")}
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	r.wantStderr(
		"checkpoint null null InvalidStateException", // in initialize: D17
		"checkpoint null null ok",
		"checkpoint null 4 ThrottlingException",
		"checkpoint 2 null KinesisClientLibDependencyException",
		"checkpoint 2 3 ShutdownException",
		"checkpoint 2 3 IllegalArgumentException",
		"checkpoint 2 null InvalidStateException",
		"checkpoint  null IllegalArgumentException", // never reaches the worker, which would take it for all delivered
		"checkpoint true null IllegalArgumentException",
		"checkpoint 2 -1 IllegalArgumentException",
		"checkpoint TRIM_HORIZON null ShutdownException",
		"checkpoint 2 null RuntimeException",
		"checkpoint 2 null InvalidStateException", // in leaseLost: D17
	)
	r.wantAsked(stream.Position{}, stream.Position{}, // D13: the sub-sequence number alone means nothing
		stream.Position{Sequence: "2"}, stream.Position{Sequence: "2", Sub: 3}, stream.Position{Sequence: "2", Sub: 3},
		stream.Position{Sequence: "2"}, stream.TrimHorizon, stream.Position{Sequence: "2"})
}

func TestCheckpointInShutdownRequested(t *testing.T) {
	r := newRig(t, "asks in shutdown").start()
	r.ok(r.process())
	r.ok(r.close(stream.ShutdownRequested))
	r.wantStderr("checkpoint null null ok")
	r.wantAsked(stream.Position{})
}

// A request between two actions must not cover what comes with the next one.
func TestRequestBetweenActionsMeansWhatWasDelivered(t *testing.T) {
	r := newRig(t, "asks between actions").start()
	r.ok(r.process())
	r.stderr.await(t, "asked")
	r.log.await(t, "child started")
	next := batch()
	next.Records[0].Position.Sequence, next.Records[1].Position.Sequence = "3", "4"
	for len(r.ledger.asked) == 0 { // until the request has come through the pipe
		r.ok(r.p.Process(r.ctx, &stream.Batch{Records: next.Records}, r.ledger))
	}
	r.ok(r.close(stream.LeaseLost))
	if at := r.ledger.asked[0]; at.Sequence != "2" {
		t.Errorf("checkpoint at %s, want at 2", at)
	}
}

// D12, D14, D36: what ends a shard, and what does not.
func TestShardEnd(t *testing.T) {
	t.Parallel()
	end := stream.Position{}
	for _, tt := range []struct {
		number, child string
		errors        []error
		asked         []stream.Position
		want          string
	}{
		{"D12", "ends the shard", nil, []stream.Position{end}, ""},
		{"D14", "ends with the last number", nil, []stream.Position{end}, ""},
		{"D14", "ends with number and sub", nil, []stream.Position{end}, ""},
		{"D12", "ends with SHARD_END", nil, []stream.Position{end}, ""},
		{"D12", "ends at the second attempt", []error{stream.ErrThrottled}, []stream.Position{end, end}, ""},
		{"D36", "ends with an older number", nil, []stream.Position{{Sequence: "1"}},
			"multilang: child answered shardEnded, but did not checkpoint the end of the shard"},
		{"D36", "ends without a checkpoint", nil, nil,
			"multilang: child answered shardEnded, but did not checkpoint the end of the shard"},
		{"D36", "ends the shard", []error{stream.ErrThrottled}, []stream.Position{end},
			"multilang: child answered shardEnded, but did not checkpoint the end of the shard: stream: checkpoint throttled"},
	} {
		t.Run(tt.number+" "+tt.child, func(t *testing.T) {
			r := newRig(t, tt.child).start()
			r.ledger.errors = tt.errors
			r.ok(r.process())
			err := r.close(stream.ShardEnded)
			if tt.want == "" {
				r.ok(err)
				r.gone()
			} else {
				r.fails(err, tt.want)
			}
			r.wantAsked(tt.asked...)
		})
	}
}

// After a restart behind the last record nothing is delivered; its number still means the end.
func TestD14ShardEndWithoutRecords(t *testing.T) {
	r := newRig(t, "ends with the last number")
	a := assignment
	a.From = stream.Position{Sequence: "2"}
	p, err := r.NewProcessor(r.ctx, a)
	r.ok(err)
	r.ok(p.Close(r.ctx, stream.ShardEnded, r.ledger))
	r.wantAsked(stream.Position{})
}

// D18, D19, D22, D23: what is not a message is skipped, and logged in a few words.
func TestD18ToD23JunkIsSkipped(t *testing.T) {
	r := newRig(t, "prints garbage").start()
	r.ok(r.process())
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	for _, line := range []string{"line=null", "line=hello", `line="   "`, "resign", "line=[1,2]", "line=true"} {
		r.logged("level=INFO", `msg="child printed a line that is no message"`, line)
	}
	r.logged("level=INFO", "line="+strings.Repeat("x", 200)+"…", "bytes=1000")
	r.logged("level=DEBUG", `msg="child sent a message that means nothing to a parent"`, "action=processRecords")
	if n := strings.Count(r.log.String(), "no message"); n != 10 {
		t.Errorf("%d lines logged as no message, want 10: blank lines mean nothing\n%s", n, r.log)
	}
}

func TestD22LineOf64MiB(t *testing.T) {
	r := newRig(t, "prints 64 MiB").start()
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	r.logged("no message", "line="+strings.Repeat("x", 200)+"…", fmt.Sprint("bytes=", 64<<20))
	if n := len(r.log.String()); n > 2000 {
		t.Errorf("the log has %d bytes", n)
	}
}

func TestD18ExtraKeysAreTolerated(t *testing.T) {
	r := newRig(t, "extra keys").start()
	r.ok(r.process())
	r.ok(r.close(stream.ShutdownRequested))
}

func TestD21LineEnds(t *testing.T) {
	r := newRig(t, "carriage returns").start()
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	r = &rig{T: t, Command: r.Command, stderr: r.stderr, log: newOutput(), ledger: r.ledger, ctx: r.ctx, cancel: r.cancel}
	r.Env = childEnv("last line without end")
	r.start()
	r.ok(r.process())
}

func TestD26Stderr(t *testing.T) {
	r := newRig(t, "writes to stderr").start()
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	lines := strings.Split(strings.TrimSuffix(r.stderr.String(), "\n"), "\n")
	long := ""
	for i, l := range lines {
		text, ok := strings.CutPrefix(l, "[orders shardId-000000000007] ")
		if !ok {
			t.Errorf("line %d has no tag: %.60s", i, l)
		}
		if text != "short" && text != "unfinished" {
			long += text
		}
	}
	if long != strings.Repeat("y", 150<<10) || !slices.Contains(lines, "[orders shardId-000000000007] short") ||
		lines[len(lines)-1] != "[orders shardId-000000000007] unfinished" {
		t.Errorf("%d lines, the long one with %d bytes", len(lines), len(long))
	}
}

func TestD25FullStderrBlocksNobody(t *testing.T) {
	r := newRig(t, "fills stderr").start()
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	if n := strings.Count(r.stderr.String(), "\n"); n != 2000 {
		t.Errorf("%d lines of stderr, want 2000", n)
	}
}

// D25: the child fills its stdout while the parent fills its stdin.
func TestD25ChildThatWritesBeforeItReads(t *testing.T) {
	r := newRig(t, "asks a lot before reading").start()
	r.ok(r.p.Process(r.ctx, large(), r.ledger))
	r.ok(r.close(stream.LeaseLost))
	r.wantStderr("answers 8000")
}

// D40 to D42: a command is started as it is given.
func TestD42Lookup(t *testing.T) {
	dir := t.TempDir()
	prog := filepath.Join(dir, "prog")
	if err := os.Symlink(os.Args[0], prog); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv(childVar, "good")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(wd, prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"prog", prog, relative, "./" + relative} {
		p, err := multilang.Command{Path: path, Logger: slog.New(slog.DiscardHandler)}.NewProcessor(t.Context(), assignment)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if err := p.Close(t.Context(), stream.LeaseLost, nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
