package stagetest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program of whatever language that runs beside the test, in a process group of its own. All of the group is
// killed when the test ends.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  *log
	done chan struct{}
	err  error // once done is closed
}

// Start runs cmd with its stdout and stderr in one log, which is shown if the test fails. cmd.Stdout may be set beforehand.
func Start(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: name, cmd: cmd, log: newLog(t, name), done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	cmd.Stderr = p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // gone already, if all went well
		<-p.done
		if t.Failed() {
			t.Logf("the end of %s's log (%s):\n%s", name, p.log.name, p.log.tail(60))
		}
	})
	return p
}

// Pid is the process's own id, which is its group's too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends sig to the process alone.
func (p *Process) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Errorf("%v to %s: %v", sig, p.Name, err)
	}
}

// KillGroup kills the process and all that it started, as a machine that loses power does.
func (p *Process) KillGroup() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// Wait waits for the process's end and returns its exit code, -1 if a signal ended it. The test ends if it takes longer
// than within.
func (p *Process) Wait(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s still runs after %v", p.Name, within)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return exit.ExitCode()
	}
	if p.err != nil {
		t.Fatalf("%s: %v", p.Name, p.err)
	}
	return 0
}

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Usage is what the process and the children that it waited for used in all; valid once it has ended.
func (p *Process) Usage() *syscall.Rusage {
	usage, _ := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return usage
}

// Log is all that the process has printed so far.
func (p *Process) Log() string { return p.log.String() }

// WaitLine waits until the log has a match and returns its submatches. The test ends if that takes longer than within, or
// the process ends without.
func (p *Process) WaitLine(t testing.TB, re string, within time.Duration) []string {
	t.Helper()
	want := regexp.MustCompile(re)
	var found []string
	Eventually(t, within, p.Name+" prints "+re, func() bool {
		ended := !p.Running() // before looking, so that the last words count
		found = want.FindStringSubmatch(p.log.String())
		if found == nil && ended {
			t.Fatalf("%s ended without printing %s", p.Name, re)
		}
		return found != nil
	})
	return found
}

// Eventually waits until ok says so, asking every 20 ms. The test ends if it never does.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	again, deadline := time.NewTicker(20*time.Millisecond), time.After(within)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited %v in vain until %s", within, what)
		}
	}
}

// log keeps what a process prints, in memory for the test and in a file for who looks on.
type log struct {
	name string
	mu   sync.Mutex
	buf  bytes.Buffer
	file io.Writer
}

func newLog(t testing.TB, process string) *log {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), strings.ReplaceAll(process, "/", "_")+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &log{name: f.Name(), file: f}
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	return l.file.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) tail(lines int) string {
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
