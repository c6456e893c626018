//go:build unix

package multilang_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/stream"
)

func TestChildThatCannotStart(t *testing.T) {
	for _, tt := range []struct {
		name string
		cmd  multilang.Command
		want string
	}{
		{"no path", multilang.Command{}, "multilang: Path is required"},
		{"bad limits", multilang.Command{Path: "x", ReplyTimeout: -1, ExitTimeout: -2},
			"multilang: ReplyTimeout -1ns is negative\nmultilang: ExitTimeout -2ns is negative"},
		{"bare name", multilang.Command{Path: "no-such-program"},
			`multilang: start "no-such-program": exec: "no-such-program": executable file not found in $PATH`},
		{"path", multilang.Command{Path: "./no-such-program"},
			`multilang: start "./no-such-program": fork/exec ./no-such-program: no such file or directory`},
		{"not a program", multilang.Command{Path: "./doc.go"},
			`multilang: start "./doc.go": fork/exec ./doc.go: permission denied`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tt.cmd.NewProcessor(t.Context(), assignment)
			if p != nil || err == nil || err.Error() != tt.want {
				t.Errorf("NewProcessor = %v, %v\nwant %s", p, err, tt.want)
			}
		})
	}
}

func TestD31NoChildWithoutLease(t *testing.T) {
	r := newRig(t, "good")
	r.cancel(stream.ErrLeaseLost)
	p, err := r.NewProcessor(r.ctx, assignment)
	if p != nil || !errors.Is(err, stream.ErrLeaseLost) || err.Error() != "multilang: no child started: stream: lease lost" {
		t.Errorf("NewProcessor = %v, %v", p, err)
	}
	if r.log.String() != "" {
		t.Errorf("log:\n%s", r.log)
	}
}

// Each child that misbehaves in its own way makes the call fail with these words, and is gone then.
func TestBadChild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ child, want string }{
		{"dies in a batch", "multilang: child exited with code 3 before it answered processRecords"},
		{"dies while idle", "multilang: child exited with code 4 before it answered processRecords"},
		{"is killed in a batch", "multilang: child was ended by signal: killed before it answered processRecords"},
		{"prints half a line", "multilang: child exited with code 0 before it answered processRecords"},
		{"closes stdout", "multilang: child closed its stdout before it answered processRecords"},
		{"wrong answer", `multilang: child answered "initialize" while processRecords was awaited`},
		{"empty answer", "multilang: child sent a status without responseFor while processRecords was awaited"},
		{"leaves a grandchild", "multilang: child exited with code 7 before it answered processRecords"},
	} {
		t.Run(tt.child, func(t *testing.T) {
			r := newRig(t, tt.child).start()
			r.fails(r.process(), tt.want)
			if err := r.close(stream.LeaseLost); err != nil {
				t.Errorf("Close after a failure = %v, want nothing to be done", err)
			}
			if err := r.close(stream.ShardEnded); err == nil || err.Error() != "multilang: the child is gone since an earlier call failed" {
				t.Errorf("Close after a failure = %v", err)
			}
		})
	}
}

func TestChildThatDiesAtInitialize(t *testing.T) {
	r := newRig(t, "dies at once")
	_, err := r.NewProcessor(r.ctx, assignment)
	r.fails(err, "multilang: child exited with code 3 before it answered initialize")
}

func TestD33ReplyTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		child string
		batch *stream.Batch
		want  string
	}{
		{"hangs in a batch", batch(), "multilang: child did not answer processRecords within 3s"},
		{"ignores everything", batch(), "multilang: child did not answer processRecords within 3s"},
		{"does not read", large(), "multilang: child did not read processRecords within 3s"},
	} {
		t.Run(tt.child, func(t *testing.T) {
			r := newRig(t, tt.child)
			r.ReplyTimeout = 3 * time.Second
			r.start()
			r.fails(r.p.Process(r.ctx, tt.batch, r.ledger), tt.want)
		})
	}
}

func TestD33ReplyTimeoutAtInitialize(t *testing.T) {
	r := newRig(t, "hangs at initialize")
	r.ReplyTimeout = 3 * time.Second
	_, err := r.NewProcessor(r.ctx, assignment)
	r.fails(err, "multilang: child did not answer initialize within 3s")
}

// Each message starts the clock anew: the whole batch takes longer than the limit.
func TestD33EachMessageHasItsTime(t *testing.T) {
	r := newRig(t, "answers slowly")
	r.ReplyTimeout = 5 * time.Second
	r.start()
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
}

func TestAnswerBeforeReading(t *testing.T) {
	r := newRig(t, "answers before reading")
	r.ExitTimeout = 500 * time.Millisecond
	r.start()
	// The batch is on its way, and does not fit into the pipe, when the answer comes; or the answer is there even before.
	err := r.p.Process(r.ctx, large(), r.ledger)
	if err == nil || err.Error() != "multilang: child answered processRecords once more before processRecords was sent" {
		r.fails(err, "multilang: child answered processRecords without reading it")
	}
	r.gone()
}

// An answer too many would be taken for that to the next batch, and every checkpoint would cover one too many.
func TestAnswerTooMany(t *testing.T) {
	r := newRig(t, "answers twice").start()
	var err error
	for range 1000 { // the second answer may still be on its way
		if err = r.process(); err != nil {
			break
		}
	}
	r.fails(err, "multilang: child answered processRecords once more before processRecords was sent")
}

func TestClosedStdin(t *testing.T) {
	r := newRig(t, "closes stdin").start()
	r.stderr.await(t, "closed")
	r.fails(r.p.Process(r.ctx, large(), r.ledger), "multilang: child closed its stdin before it read processRecords: write |1: broken pipe")
}

// A grandchild that left the group holds stdout: the exit alone ends the wait.
func TestGrandchildOutOfReach(t *testing.T) {
	r := newRig(t, "leaves one far away").start()
	r.fails(r.process(), "multilang: child exited with code 7 before it answered processRecords, and left its stdout to another process")
	r.reapFar()
}

// reapFar ends a grandchild that no group connects with the child.
func (r *rig) reapFar() {
	pid := r.number(r.stderr, "grandchild ")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.Errorf("grandchild %d: %v, want it alive: it is none of our business", pid, err)
	}
}

func TestD29GrandchildrenEndWithTheChild(t *testing.T) {
	t.Parallel()
	for _, child := range []string{"leaves a grandchild", "has a grandchild, hangs", "grandchild at the end"} {
		t.Run(child, func(t *testing.T) {
			r := newRig(t, child)
			r.ReplyTimeout = 3 * time.Second
			r.start()
			if err := r.process(); err == nil {
				r.ok(r.close(stream.LeaseLost))
			}
			r.gone()
			pid := r.number(r.stderr, "grandchild ")
			awaitEnd(t, pid)
		})
	}
}

// awaitEnd waits for a process that is not this one's child: SIGKILL takes effect in its own time.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
	}
}

// alive reports whether a process runs; one that has ended may wait for its adoptive parent as a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func TestD29FarGrandchildDoesNotHoldUpTheEnd(t *testing.T) {
	r := newRig(t, "far grandchild at end")
	r.ExitTimeout = 200 * time.Millisecond
	r.start()
	r.ok(r.close(stream.LeaseLost))
	r.gone()
	r.logged("level=WARN", "something holds its outputs")
	r.reapFar()
}

// D27 to D30: the end of a child that has given its last answer.
func TestD27ToD30LastSteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		child string
		limit time.Duration
		log   []string
	}{
		{"waits for the end of stdin, then prints", 0, []string{"level=INFO", `line="last words"`}},
		{"dies after its answer", 0, []string{"level=WARN", `msg="child exited with an error after its last answer"`, "code=5"}},
		{"stays after its answer", 100 * time.Millisecond, []string{"level=INFO", `outcome="was ended by signal: killed"`}},
		{"prints on SIGTERM", 100 * time.Millisecond, []string{"level=INFO", `outcome="exited with code 0"`}},
	} {
		t.Run(tt.child, func(t *testing.T) {
			r := newRig(t, tt.child)
			r.ExitTimeout = tt.limit
			r.start()
			r.ok(r.process())
			r.ok(r.close(stream.LeaseLost))
			r.gone()
			r.logged(tt.log...)
		})
	}
}

func TestD32LeaseLostFollowsAWrongAnswer(t *testing.T) {
	r := newRig(t, "wrong answer to shutdown").start()
	r.fails(r.close(stream.ShutdownRequested), `multilang: child answered "processRecords" while shutdownRequested was awaited`)
	r.wantStderr("then leaseLost")
}

func TestD32DeadChildAtShutdown(t *testing.T) {
	r := newRig(t, "dies at shutdown").start()
	r.fails(r.close(stream.ShutdownRequested), "multilang: child exited with code 6 before it answered shutdownRequested")
}

func TestUnknownReason(t *testing.T) {
	r := newRig(t, "good").start()
	r.fails(r.close(stream.EndReason(9)), "multilang: Close for an unknown reason, EndReason(9)")
}

// The end of the context unblocks every call and kills the child.
func TestDrainTimeoutKillsTheChild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		child string
		batch *stream.Batch
		want  string
	}{
		{"hangs in a batch", batch(), "multilang: child stopped in the midst of processRecords: stream: drain timed out"},
		{"ignores everything", batch(), "multilang: child stopped in the midst of processRecords: stream: drain timed out"},
		{"does not read", large(), "multilang: child stopped in the midst of processRecords: stream: drain timed out"},
	} {
		t.Run(tt.child, func(t *testing.T) {
			r := newRig(t, tt.child).start()
			time.AfterFunc(100*time.Millisecond, func() { r.cancel(stream.ErrDrainTimeout) })
			err := r.p.Process(r.ctx, tt.batch, r.ledger)
			r.fails(err, tt.want)
			if !errors.Is(err, stream.ErrDrainTimeout) {
				t.Errorf("%v is not ErrDrainTimeout", err)
			}
		})
	}
}

func TestDrainTimeoutAtInitialize(t *testing.T) {
	r := newRig(t, "hangs at initialize")
	time.AfterFunc(100*time.Millisecond, func() { r.cancel(stream.ErrDrainTimeout) })
	_, err := r.NewProcessor(r.ctx, assignment)
	r.fails(err, "multilang: child stopped in the midst of initialize: stream: drain timed out")
}

func TestDrainTimeoutWhileTheChildExits(t *testing.T) {
	r := newRig(t, "stays after its answer")
	r.ExitTimeout = time.Hour
	r.start()
	time.AfterFunc(500*time.Millisecond, func() { r.cancel(stream.ErrDrainTimeout) })
	r.close(stream.LeaseLost)
	r.gone()
}

// After the loss of its lease a child may finish, is refused its checkpoints and is told; only time is short.
func TestLeaseLostLeavesTimeToFinish(t *testing.T) {
	r := newRig(t, "good").start()
	r.cancel(stream.ErrLeaseLost)
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	r.gone()
	r.logged(`msg="child ended"`, `outcome="exited with code 0"`)
}

func TestLeaseLostBoundsTheBatch(t *testing.T) {
	r := newRig(t, "hangs in a batch")
	r.ExitTimeout = 300 * time.Millisecond
	r.start()
	time.AfterFunc(100*time.Millisecond, func() { r.cancel(stream.ErrLeaseLost) })
	err := r.process()
	r.fails(err, "multilang: child did not finish processRecords within 300ms of the loss of its lease: stream: lease lost")
	if !errors.Is(err, stream.ErrLeaseLost) {
		t.Errorf("%v is not ErrLeaseLost", err)
	}
}

// A processor that nobody closes loses its child with its context.
func TestDroppedProcessor(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{nil, stream.ErrDrainTimeout, stream.ErrLeaseLost} {
		t.Run(fmt.Sprint(cause), func(t *testing.T) {
			r := newRig(t, "good")
			r.ExitTimeout = 100 * time.Millisecond
			r.start()
			r.ok(r.process())
			r.cancel(cause)
			r.log.await(t, `msg="child ended"`)
			r.gone()
		})
	}
}

// D38: a signal to the parent's group does not reach the child.
func TestD38OwnProcessGroup(t *testing.T) {
	r := newRig(t, "good").start()
	pgid, err := syscall.Getpgid(r.pid())
	r.ok(err)
	if pgid != r.pid() || pgid == syscall.Getpgrp() {
		t.Errorf("process group %d of child %d, want its own", pgid, r.pid())
	}
	r.ok(r.close(stream.LeaseLost))
}

// D39: SIGKILL of the parent ends a child that heeds neither stdin nor signals. The parent is this binary once more.
func TestD39ChildDiesWithItsParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is a parent-death signal on Linux only")
	}
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = childEnv("parent")
	out := newOutput()
	parent.Stderr = out
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "ready\n")
	r := &rig{T: t}
	pid := r.number(out, "pid=")
	if !alive(pid) {
		t.Fatalf("child %d is not alive:\n%s", pid, out)
	}
	parent.Process.Kill()
	parent.Wait()
	awaitEnd(t, pid)
}

// What a child can repeat as fast as pipes are does not fill the log.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	r := newRig(t, "asks until it works").start()
	for range 1000 {
		r.ledger.errors = append(r.ledger.errors, stream.ErrThrottled)
	}
	r.ok(r.process())
	r.ok(r.close(stream.LeaseLost))
	if n := strings.Count(r.log.String(), "checkpoint of the child is refused"); n != 10 { // 1, 2, 4, … 512
		t.Errorf("1000 refusals are told %d times, want 10", n)
	}
	r.logged("level=INFO", "answer=ThrottlingException", "times=512")
}

func TestChildThatGoesOnToSpeakIsToldOnce(t *testing.T) {
	r := newRig(t, "goes on to speak").start()
	r.ok(r.close(stream.LeaseLost))
	r.logged("level=INFO", `msg="child sent a message after its last answer"`)
	if n := strings.Count(r.log.String(), `level=INFO msg="child sent a message after its last answer"`); n != 1 {
		t.Errorf("1000 messages too many are told %d times, want once", n)
	}
}
