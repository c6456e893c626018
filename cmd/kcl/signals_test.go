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

// TestSecondSignalEndsWhatHangs: the second signal ends kcl run at once also where it has not begun yet, and where nobody reads its log.
func TestSecondSignalEndsWhatHangs(t *testing.T) {
	for name, properties := range map[string]string{
		"reading its properties": "",
		"writing its log":        "applicationName = orders\nshutdownGraceMillis = nonsense\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			file := b.dir + "/app.properties"
			if err := syscall.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
			p := &process{cmd: exec.Command("./kcl", "run", "app.properties"), done: make(chan struct{})}
			p.cmd.Dir, p.cmd.Stderr = b.dir, full(t)
			if err := p.cmd.Start(); err != nil {
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
			text, err := os.OpenFile(file, os.O_WRONLY, 0) // waits until it is opened for reading, by when signals are watched for
			if err != nil {
				t.Fatal(err)
			}
			defer text.Close()
			if _, err := text.WriteString(properties); err != nil {
				t.Fatal(err)
			}
			if properties != "" {
				text.Close()
			}
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := p.end(t, syscall.SIGINT); code != 1 {
				t.Errorf("kcl run ended with code %d, want 1", code)
			}
		})
	}
}

// full returns the end of a pipe to which not one byte more can be written, and that nobody reads.
func full(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{4096, 1} {
		for {
			if _, err := w.Write(make([]byte, n)); err != nil {
				break
			}
		}
		if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
