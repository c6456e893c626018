package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// exitCode ends kcl with the code of a program that it ran, which has told the rest.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprint("exit code ", int(c)) }

// leftBehind is how long the programs of a JVM that has ended may take to see the end of their stdin and end too.
const leftBehind = 5 * time.Second

// runJVM runs the daemon until it ends, and passes signals on. It returns an [exitCode] unless the code is 0.
//
// It does not become the JVM, as exec(2) would have it: so it can give the JVM and its programs a process group of their own,
// which Ctrl-C on the terminal does not reach (the programs would end before the daemon could tell them to), and end what is
// left of that group behind the JVM, however the JVM ends.
func (a *app) runJVM(ctx context.Context, line []string) error {
	// Linux kills the JVM when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = plainFile(a.stdout), plainFile(a.stderr)
	cmd.SysProcAttr = apart()
	cmd.WaitDelay = leftBehind // for copying the output, where that is no file, while programs are left behind
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the JVM: %w", err)
	}
	release, err := guard(cmd.Process.Pid)
	if err != nil {
		fmt.Fprintf(a.stderr, "kcl: if kcl is killed, programs that do not notice go on: %v\n", err)
	}
	defer release()
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() { // ends with the JVM, which is waited for below
		defer close(passed)
		a.passSignals(ctx, cmd.Process, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-passed
	endGroup(cmd.Process.Pid, leftBehind, a.forced)
	if cmd.ProcessState == nil {
		return fmt.Errorf("wait for the JVM: %w", err)
	}
	if code := codeOf(cmd.ProcessState); code != 0 {
		return exitCode(code)
	}
	return nil
}

// plainFile returns the file behind a writer, which a process can inherit, if there is one.
func plainFile(w io.Writer) io.Writer {
	if l, ok := w.(*lockedWriter); ok {
		if f, ok := l.w.(*os.File); ok {
			return f
		}
	}
	return w
}

// passSignals sends the first signal on to the JVM, and kills its group at the second one.
func (a *app) passSignals(ctx context.Context, jvm *os.Process, ended <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-ended:
		return
	}
	var first os.Signal = syscall.SIGTERM // if the context ended for another reason
	select {
	case first = <-a.first:
	default:
	}
	if jvm.Signal(first) != nil {
		_ = jvm.Kill() // it has ended, or this system cannot ask
	}
	select {
	case <-a.forced:
		fmt.Fprintln(a.stderr, "kcl: a second signal: the JVM and its programs are ended at once")
		killGroup(jvm)
	case <-ended:
	}
}
