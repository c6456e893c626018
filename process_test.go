package kcl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

// TestMain turns this binary into a child of the tests that need a process of its own.
func TestMain(m *testing.M) {
	kind := os.Getenv("KCL_TEST_CHILD")
	if kind == "" {
		os.Exit(m.Run())
	}
	if kind == "serve" {
		p := processor{process: func(context.Context, *stream.Batch, stream.Checkpointer) error {
			fmt.Println("printed")
			return nil
		}}
		if err := kcl.Serve(context.Background(), os.Stdin, os.Stdout, p.start); err != nil {
			log.Fatal(err)
		}
		return
	}
	if name, ok := strings.CutPrefix(kind, transcriptChild); ok {
		runTranscriptChild(name)
		return
	}
	kcl.Run(&child{kind: kind, logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	fmt.Println("Run returned") // on stdout again
}

// child is the processor of the child process; what it does depends on its kind.
type child struct {
	classic
	kind   string
	logger *slog.Logger // on stdout, made before Run
}

func (c *child) ProcessRecords(_ []*kcl.Record, cp *kcl.Checkpointer) error {
	switch c.kind {
	case "fails":
		return errors.New("broken")
	case "panics":
		panic("boom")
	case "prints":
		fmt.Print("no line feed")
		fmt.Fprintln(os.Stdout, "to os.Stdout")
		log.New(os.Stdout, "log ", 0).Print("by a logger")
		c.logger.Info("by slog")
	case "lingers":
		go func() { select {} }()
	}
	return cp.Checkpoint(nil)
}

// process is a child process with its parent.
type process struct {
	*kcltest.Daemon
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.Reader
	stderr bytes.Buffer
}

func startProcess(t *testing.T, kind string) *process {
	t.Helper()
	p := launchProcess(t, kind)
	p.Daemon = kcltest.NewDaemon(p.stdin, p.stdout)
	must(t, p.Initialize("s", stream.TrimHorizon))
	return p
}

// launchProcess starts a child process, to which nobody has spoken yet.
func launchProcess(t *testing.T, kind string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "KCL_TEST_CHILD="+kind, "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.stderr
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	must(t, err)
	p.stdout, err = p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

func (p *process) process() error {
	return p.Process(&stream.Batch{Records: kcltest.Records(1, "a")})
}

// ends waits for the end of stdout and of the process, and returns its exit code and what was left on stdout.
func (p *process) ends() (code int, rest []string) {
	p.t.Helper()
	if p.Daemon == nil {
		p.Daemon = kcltest.NewDaemon(p.stdin, p.stdout)
	}
	for {
		line, err := p.Receive()
		if err != nil {
			break
		}
		rest = append(rest, line)
	}
	if err := p.cmd.Wait(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			p.t.Fatal(err)
		}
	}
	return p.cmd.ProcessState.ExitCode(), rest
}

func TestC29_RunExitsWithCodeOne(t *testing.T) {
	p := startProcess(t, "fails")
	if err := p.process(); err == nil {
		t.Error("the failure was answered")
	}
	if code, rest := p.ends(); code != 1 || len(rest) != 0 {
		t.Errorf("exit code %d, stdout %q", code, rest)
	}
	if got := p.stderr.String(); got != "kcl: processRecords: broken\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestC30_RunPrintsThePanic(t *testing.T) {
	p := startProcess(t, "panics")
	if err := p.process(); err == nil {
		t.Error("the panic was answered")
	}
	if code, _ := p.ends(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := p.stderr.String(); !strings.HasPrefix(got, "kcl: processRecords: panic: boom\n") || !strings.Contains(got, "process_test.go") {
		t.Errorf("stderr %q", got)
	}
}

// TestC33 hangs if the child keeps its stdout or itself alive.
func TestC33_RunReturnsAtTheEndOfInput(t *testing.T) {
	p := startProcess(t, "lingers")
	must(t, p.process())
	must(t, p.LeaseLost())
	must(t, p.HangUp())
	if code, rest := p.ends(); code != 0 || !slices.Equal(rest, []string{"Run returned"}) {
		t.Errorf("exit code %d, stdout %q", code, rest)
	}
}

func TestC34_PrintsGoToStderr(t *testing.T) {
	p := startProcess(t, "prints")
	must(t, p.process())
	must(t, p.HangUp())
	if code, rest := p.ends(); code != 0 || !slices.Equal(rest, []string{"Run returned"}) || len(p.Skipped) != 0 {
		t.Errorf("exit code %d, stdout %q %q", code, p.Skipped, rest)
	}
	got := p.stderr.String()
	for _, want := range []string{"no line feedto os.Stdout\n", "log by a logger\n", `msg="by slog"`} {
		if !strings.Contains(got, want) {
			t.Errorf("stderr %q lacks %q", got, want)
		}
	}
	p = startProcess(t, "serve")
	must(t, p.process())
	must(t, p.HangUp())
	if code, rest := p.ends(); code != 0 || len(rest) != 0 || p.stderr.String() != "printed\n" {
		t.Errorf("Serve: exit code %d, stdout %q, stderr %q", code, rest, p.stderr.String())
	}
}

func TestC35_NothingOnStderrUnlessItFails(t *testing.T) {
	p := startProcess(t, "plain")
	for range 100 {
		must(t, p.process())
	}
	must(t, p.ShardEnded())
	must(t, p.HangUp())
	if code, _ := p.ends(); code != 0 || p.stderr.Len() != 0 {
		t.Errorf("exit code %d, stderr %q", code, p.stderr.String())
	}
}

func TestC36_Signals(t *testing.T) {
	p := startProcess(t, "plain")
	must(t, p.cmd.Process.Signal(os.Interrupt))
	must(t, p.process())
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	must(t, p.process()) // the parent has time to end the conversation
	must(t, p.ShutdownRequested())
	must(t, p.LeaseLost())
	must(t, p.HangUp())
	if code, _ := p.ends(); code != 0 {
		t.Errorf("exit code %d after a conversation that ended in good order", code)
	}
}

func TestC36_TermWithoutParent(t *testing.T) {
	p := startProcess(t, "plain")
	// Of two signals that come together the system may deliver one: send again until the child has closed its stdout.
	over := make(chan struct{})
	go func() {
		defer close(over)
		if line, err := p.Receive(); err == nil {
			t.Errorf("stdout %q", line)
		}
	}()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for waiting := true; waiting; {
		select {
		case <-over:
			waiting = false
		case <-again.C:
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only once the child is gone
		}
	}
	if code, _ := p.ends(); code != 1 || p.stderr.String() != "kcl: terminated\n" {
		t.Errorf("exit code %d, stderr %q", code, p.stderr.String())
	}
}
