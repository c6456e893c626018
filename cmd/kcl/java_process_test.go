//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// launched is a kcl java in a process, and a process group, of its own.
type launched struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *bytes.Buffer
}

// launch starts kcl java and waits until the JVM and its child say that they run.
func (j jvm) launch(t *testing.T, fake string) *launched {
	t.Helper()
	l := &launched{cmd: exec.Command(j.dir+"/bin/kcl", j.args()...), stderr: &bytes.Buffer{}}
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	t.Cleanup(func() { out.Close() })
	if err := out.SetReadDeadline(time.Now().Add(hang)); err != nil {
		t.Fatal(err)
	}
	l.stdout = bufio.NewReader(out)
	l.cmd.Env = append(os.Environ(), "FAKE_JAVA="+fake)
	l.cmd.Stdout, l.cmd.Stderr = theirs, l.stderr
	l.cmd.WaitDelay = hang
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	seen := map[string]bool{}
	for !seen["ready"] || !seen["child"] {
		line, err := l.stdout.ReadString('\n')
		if err != nil {
			t.Fatalf("kcl java does not start: %v, %s", err, l.stderr)
		}
		seen[strings.TrimSpace(line)] = true
	}
	return l
}

// signal sends one to the whole group, as a terminal does.
func (l *launched) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-l.cmd.Process.Pid, s); err != nil {
		t.Fatal(err)
	}
}

// end returns the exit code, and the rest of stdout, which ends when nobody is left who holds it.
func (l *launched) end(t *testing.T) (code int, rest string) {
	t.Helper()
	text, err := io.ReadAll(l.stdout)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.cmd.Wait() // the code is in ProcessState
	return codeOf(l.cmd.ProcessState), string(text)
}

// TestL10Signals: each is passed on, once, to the JVM and not to its programs, whose group Ctrl-C does not reach; and what the
// JVM leaves behind ends, too.
func TestL10Signals(t *testing.T) {
	j := newJVM(t)
	names := map[syscall.Signal]string{syscall.SIGTERM: "terminated", syscall.SIGINT: "interrupt", syscall.SIGHUP: "hangup"}
	all := map[syscall.Signal]*launched{} // at once, because each waits for its stubborn child
	for s := range names {
		all[s] = j.launch(t, "serve")
		all[s].signal(t, s)
	}
	for s, l := range all {
		code, rest := l.end(t)
		if code != 128+int(s) || rest != names[s]+"\n" || l.stderr.Len() > 0 {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", s, code, rest, l.stderr)
		}
	}
}

// TestSecondSignalEndsJVM: with a JVM that does not end.
func TestSecondSignalEndsJVM(t *testing.T) {
	l := newJVM(t).launch(t, "deaf")
	l.signal(t, syscall.SIGTERM)
	if line, err := l.stdout.ReadString('\n'); line != "terminated\n" {
		t.Fatalf("the JVM says %q, %v", line, err)
	}
	l.signal(t, syscall.SIGTERM)
	code, rest := l.end(t)
	if want := "kcl: a second signal: the JVM and its programs are ended at once\n"; code != 137 || rest != "" || l.stderr.String() != want {
		t.Errorf("exit %d, stdout %q, stderr %q", code, rest, l.stderr)
	}
}

// TestJVMDiesWithKilledLauncher: and its programs do, who hold stdout open.
func TestJVMDiesWithKilledLauncher(t *testing.T) {
	l := newJVM(t).launch(t, "deaf")
	l.signal(t, syscall.SIGKILL)
	if code, rest := l.end(t); code != 137 || rest != "" {
		t.Errorf("exit %d, stdout %q", code, rest)
	}
}

// TestEndGroup: those who end in time may, the others are killed.
func TestEndGroup(t *testing.T) {
	group := func(script string) (pid int, out *bufio.Reader) {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		t.Cleanup(func() { r.Close() })
		cmd.Stdout = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid, bufio.NewReader(r)
	}
	pid, out := group("read x < /dev/null; echo orderly")
	endGroup(pid, hang, nil)
	if text, err := io.ReadAll(out); string(text) != "orderly\n" {
		t.Errorf("one who ends in time says %q, %v", text, err)
	}
	pid, out = group(`trap "" TERM; echo ready; exec sleep 100000`)
	if line, err := out.ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	endGroup(pid, time.Millisecond, nil)
	if text, err := io.ReadAll(out); len(text) > 0 || err != nil {
		t.Errorf("one who stays says %q, %v", text, err)
	}
	hurry := make(chan struct{})
	close(hurry)
	pid, out = group(`echo ready; exec sleep 100000`)
	if line, err := out.ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	endGroup(pid, 100*hang, hurry)
	if text, err := io.ReadAll(out); len(text) > 0 || err != nil {
		t.Errorf("one who stays, in a hurry, says %q, %v", text, err)
	}
}

// TestGuardReleased: the guard of a launcher that ends by itself does nothing.
func TestGuardReleased(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "echo ready; read x && echo $x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release, err := guard(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	release()
	fmt.Fprintln(in, "alive")
	if err := cmd.Wait(); err != nil || out.String() != "ready\nalive\n" {
		t.Errorf("after the release: %v, %q", err, out.String())
	}
}
