//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestRunOutlivesTerminalAndLog: kcl run under nohup goes on when the terminal is closed, and any kcl run when the reader of its
// log is gone. It still drains at SIGTERM.
func TestRunOutlivesTerminalAndLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.properties(t, "failoverTimeMillis = 2000\n")
	b.putLines(t, 500)
	log, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{cmd: exec.Command("/bin/sh", "-c", `trap "" HUP; exec ./kcl run app.properties`), stderr: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stderr = b.dir, theirs
	err = p.cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	reading := make(chan struct{})
	go func() { // ends when the log is closed
		defer close(reading)
		_, _ = io.Copy(p.stderr, log)
	}()
	b.await(t, 500, p)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := log.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	<-reading
	log.Close()
	split(t, b.endpoint, "shardId-000000000000", "85070591730234615865843651857942052864") // much to be logged
	b.putLines(t, 500)
	b.await(t, 1000, p)
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("kcl run ended with code %d after SIGTERM, want 0\n%s", code, p.stderr)
	}
	b.checkComplete(t)
}
