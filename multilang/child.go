package multilang

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

const (
	// killDelay is how long a process has between SIGTERM and SIGKILL, and what it wrote before it exited to arrive.
	killDelay = time.Second
	// reapTimeout bounds the wait for a process that was killed: one that the kernel cannot end must not hold up a worker.
	reapTimeout = 5 * time.Second
)

// child is one process with its pipes and the goroutines that serve them:
//
//	supervise     starts the process and waits for it and for the others
//	readReplies   stdout to replies, the rest to the log
//	copyStderr    stderr to Command.Stderr
//	write         messages to stdin
//
// stop ends them all.
type child struct {
	log         *slog.Logger
	exitTimeout time.Duration
	cmd         *exec.Cmd

	stdin          *os.File
	stdout, stderr *os.File

	messages chan []byte     // to write; at most one under way
	written  chan error      // capacity 1: the outcome of the message under way, so that write never waits
	replies  chan wire.Reply // closed at the end of stdout

	ending chan struct{} // closed when the conversation is over: replies mean nothing any more
	exited chan struct{} // closed when the process has ended and was waited for
	quiet  chan struct{} // closed when, beyond that, the other goroutines have ended: both outputs are read to their end

	once sync.Once
	gone chan struct{} // closed when stop is done
}

// start starts the process and its goroutines.
func start(c Command, a stream.Assignment, log *slog.Logger) (*child, error) {
	k := &child{
		exitTimeout: c.ExitTimeout,
		cmd:         exec.Command(c.Path, c.Args...),
		messages:    make(chan []byte),
		written:     make(chan error, 1),
		replies:     make(chan wire.Reply),
		ending:      make(chan struct{}),
		exited:      make(chan struct{}),
		quiet:       make(chan struct{}),
		gone:        make(chan struct{}),
	}
	k.cmd.Env = c.Env
	k.cmd.SysProcAttr = ownGroup()
	theirs, err := k.pipes()
	defer closeAll(theirs)
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	proceed := make(chan struct{})
	go k.supervise(started, proceed, stderrCopier{to: c.Stderr, tag: tagOf(a)})
	if err := <-started; err != nil {
		closeAll([]*os.File{k.stdin, k.stdout, k.stderr})
		return nil, err
	}
	k.log = log.With("pid", k.cmd.Process.Pid)
	k.log.Info("child started", "program", c.Path)
	close(proceed)
	return k, nil
}

// pipes makes the three pipes and returns the child's ends.
func (k *child) pipes() (theirs []*os.File, err error) {
	var ours [3]*os.File
	for i := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:i])
			return theirs, err
		}
		if i == 0 {
			r, w = w, r // stdin flows the other way
		}
		ours[i], theirs = r, append(theirs, w)
	}
	k.stdin, k.stdout, k.stderr = ours[0], ours[1], ours[2]
	k.cmd.Stdin, k.cmd.Stdout, k.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	return theirs, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// supervise starts the process and waits for it in one thread of its own: Linux sends the parent-death signal when the
// thread that forked ends, not the process (prctl(2), PR_SET_PDEATHSIG), and the runtime ends idle threads as it likes.
// A thread is taken by waiting anyway.
func (k *child) supervise(started chan<- error, proceed <-chan struct{}, stderr stderrCopier) {
	runtime.LockOSThread()
	err := k.cmd.Start()
	started <- err
	if err != nil {
		runtime.UnlockOSThread()
		return
	}
	<-proceed
	var others sync.WaitGroup
	defer close(k.quiet)
	defer others.Wait()
	others.Go(k.write)
	others.Go(k.readReplies)
	others.Go(func() { stderr.copy(k.stderr) })
	// What can go wrong beside a bad end of the child is losing track of the process: to a parent it has ended then, too.
	if err := k.cmd.Wait(); err != nil && k.cmd.ProcessState == nil {
		k.log.Error("child cannot be waited for", "err", err)
	}
	// What it left behind in its group ends with it. Now, because later the group's number may be another's.
	signalGroup(k.cmd.Process, kill)
	runtime.UnlockOSThread()
	close(k.exited)
}

// write writes one message after the other until the conversation is over. A write that blocks ends when stop closes stdin.
func (k *child) write() {
	for {
		select {
		case m := <-k.messages:
			_, err := k.stdin.Write(m)
			k.written <- err
		case <-k.ending:
			return
		}
	}
}

// readReplies hands on what the child says, one message at a time: what is not taken stays in the pipe. It ends at the end of
// stdout.
func (k *child) readReplies() {
	defer close(k.replies)
	lines := wire.NewReplyReader(k.stdout)
	late := k.log.Info // told once: a child that goes on to speak may do so as fast as it is read
	for {
		line, err := lines.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				k.log.Warn("stdout of the child cannot be read any more", "err", err)
			}
			return
		}
		reply, err := wire.DecodeReply(line)
		switch {
		case errors.Is(err, wire.ErrBlank):
		case err != nil:
			k.log.Info("child printed a line that is no message", "line", shorten(line), "bytes", len(line), "err", err)
		case reply.Action != wire.Status && reply.Action != wire.Checkpoint:
			k.log.Debug("child sent a message that means nothing to a parent", "action", reply.Action)
		default:
			select {
			case k.replies <- reply:
			case <-k.ending:
				late("child sent a message after its last answer", "action", reply.Action)
				late = k.log.Debug
			}
		}
	}
}

// shorten returns what a log line shows of a line of the child.
func shorten(line []byte) string {
	const most = 200
	if len(line) <= most {
		return string(line)
	}
	return string(line[:most]) + "…"
}

// urgency says how a child is made to end.
type urgency int

const (
	politely urgency = iota // end of stdin, ExitTimeout, then as firmly
	firmly                  // SIGTERM, then as atOnce
	atOnce                  // SIGKILL
)

// stop ends the child and returns when it and all that serves it are gone. The end of ctx makes it urgent, unless the lease
// was lost: that leaves the child its time. Only the first call counts; others wait for it.
func (k *child) stop(ctx context.Context, how urgency) {
	k.once.Do(func() {
		defer close(k.gone)
		k.end(ctx, how)
	})
	<-k.gone
}

func (k *child) end(ctx context.Context, how urgency) {
	close(k.ending)
	k.stdin.Close()
	k.escalate(ctx, how)
	k.stdout.Close()
	k.stderr.Close()
	select {
	case <-k.quiet:
		k.log.Info("child ended", "outcome", outcome(k.state()))
	case <-time.After(reapTimeout):
		k.log.Error("child does not end although it was killed")
	}
}

// escalate waits for the quiet end of the child, with ever more force.
func (k *child) escalate(ctx context.Context, how urgency) {
	if how == politely {
		if k.within(ctx, k.exitTimeout) {
			return
		}
		k.log.Warn("child is made to end: it did not exit, or something holds its outputs", "limit", k.exitTimeout)
	}
	if how != atOnce && !cutOff(ctx) && k.signal(terminate) && k.within(ctx, killDelay) {
		return
	}
	k.signal(kill)
	k.within(context.Background(), killDelay)
}

// signal signals the child's process group, unless the child has ended, and its group with it.
func (k *child) signal(s syscall.Signal) bool {
	select {
	case <-k.exited:
		return false
	default:
		signalGroup(k.cmd.Process, s)
		return true
	}
}

// within reports whether the child became quiet in time.
func (k *child) within(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := ctx.Done()
	for {
		select {
		case <-k.quiet:
			return true
		case <-timer.C:
			return false
		case <-done:
			if cutOff(ctx) {
				return false
			}
			done = nil
		}
	}
}

// cutOff reports whether ctx has ended in a way that leaves no time.
func cutOff(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), stream.ErrLeaseLost)
}

// fate says how the child came to its end, for an error. It waits a moment for a process whose pipe has just closed, and
// returns false if that lives on.
func (k *child) fate() (string, bool) {
	timer := time.NewTimer(killDelay)
	defer timer.Stop()
	select {
	case <-k.exited:
		return outcome(k.state()), true
	case <-timer.C:
		return "", false
	}
}

// state returns how the process ended; nil while it has not.
func (k *child) state() *os.ProcessState {
	select {
	case <-k.exited:
		return k.cmd.ProcessState
	default:
		return nil
	}
}

// exitCode returns what the process exited with; -1 if it has not, or was killed.
func (k *child) exitCode() int {
	if s := k.state(); s != nil {
		return s.ExitCode()
	}
	return -1
}

func outcome(s *os.ProcessState) string {
	switch {
	case s == nil:
		return "ended"
	case s.Exited():
		return fmt.Sprintf("exited with code %d", s.ExitCode())
	}
	return "was ended by " + s.String() // "signal: killed"
}
