//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// codeOf is the exit code as shells tell it: 128 and the number of the signal for a process that one ended.
func codeOf(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// killGroup ends a process and all of its group.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) } // the only error is that there is nobody

// endGroup waits until nobody is in a group any more, and kills who is left after the limit or once hurry is closed.
func endGroup(group int, limit time.Duration, hurry <-chan struct{}) {
	late := time.NewTimer(limit)
	defer late.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		// Where this process is the first of a container it inherits the orphans, and must bury them.
		for pid, err := 1, error(nil); pid > 0 && err == nil; {
			pid, err = syscall.Wait4(-group, nil, syscall.WNOHANG, nil)
		}
		if syscall.Kill(-group, 0) == syscall.ESRCH {
			return
		}
		select {
		case <-look.C:
			continue
		case <-late.C:
		case <-hurry:
		}
		_ = syscall.Kill(-group, syscall.SIGKILL) // the only error is that there is nobody
		return
	}
}

// guard has another process kill a group when this one is gone without having called release. It is a shell that waits for the
// end of a pipe, in a group of its own: what is sent to ours does not reach it.
func guard(group int) (release func(), err error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return func() {}, err
	}
	defer theirs.Close()
	cmd := exec.Command("/bin/sh", "-c", `read -r line; kill -s KILL -- "-$1"`, "sh", fmt.Sprint(group))
	cmd.Stdin = theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return func() {}, err
	}
	return func() {
		_ = cmd.Process.Kill() // before the pipe ends: by now the group's number may be another's
		_ = cmd.Wait()
		ours.Close()
	}, nil
}
