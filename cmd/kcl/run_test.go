//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// properties writes the example's properties file as it is, but for the port, with more lines behind it.
func (b *bench) properties(t *testing.T, more string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "classic", "app.properties"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("= http://127.0.0.1:4567")); n != 2 {
		t.Fatalf("app.properties names the endpoint of kcl local %d times, want 2", n)
	}
	text = bytes.ReplaceAll(text, []byte("http://127.0.0.1:4567"), []byte(b.endpoint))
	if err := os.WriteFile(filepath.Join(b.dir, "app.properties"), append(text, more...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkpoints returns what is stored for each shard.
func (b *bench) checkpoints(t *testing.T, table string) map[string]string {
	t.Helper()
	out, err := dynamodb.NewFromConfig(b.aws).Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, item := range out.Items {
		key, _ := item["leaseKey"].(*types.AttributeValueMemberS)
		at, isLease := item["checkpoint"].(*types.AttributeValueMemberS)
		if isLease {
			all[key.Value] = at.Value
		}
	}
	return all
}

// lastNumbers returns the last sequence number of each shard that has records.
func (b *bench) lastNumbers(t *testing.T) map[string]string {
	t.Helper()
	r := kcl(t, "", "tail", "-endpoint", b.endpoint, "-stream", "orders", "-from", "oldest", "-json", "-count", fmt.Sprint(b.put))
	last := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		var p printedRecord
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		last[string(p.Shard)] = string(p.SequenceNumber)
	}
	return last
}

// TestClassicUnderRun is what issue 2 asks of kcl run: every record, across a clean stop and a hard one.
func TestClassicUnderRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4)
	b.properties(t, "failoverTimeMillis = 2000\n")
	b.putLines(t, 3000)
	p := b.start(t, "kcl", "run", "app.properties")
	b.await(t, 1000, p)
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("kcl run ended with code %d after SIGTERM, want 0", code)
	}

	b.putLines(t, 3000)
	p = b.start(t, "kcl", "run", "--properties-file", "app.properties")
	b.await(t, 6000, p)
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("kcl run ended with code %d after SIGTERM, want 0", code)
	}
	b.checkComplete(t)
	if different, total := b.count(t); different != total {
		t.Errorf("%d deliveries of %d records: a clean stop delivers nothing twice", total, different)
	}
	stored := b.checkpoints(t, "orders-classic")
	for shard, last := range b.lastNumbers(t) {
		if stored[shard] != last {
			t.Errorf("checkpoint of %s is %s, its last record %s", shard, stored[shard], last)
		}
	}

	for range 2 {
		before, _ := b.count(t)
		b.putLines(t, 3000)
		p = b.start(t, "kcl", "run", "app.properties")
		b.await(t, before+500, p)
		if code := p.end(t, syscall.SIGKILL); code != -1 {
			t.Errorf("kcl run ended with code %d by SIGKILL", code)
		}
	}
	p = b.start(t, "kcl", "run", "app.properties")
	b.await(t, b.put, p)
	p.end(t, syscall.SIGTERM)
	b.checkComplete(t)
}

// TestClassicChildKilled: a child that dies takes its daemon down with it by default, as in Java, and loses nothing.
func TestClassicChildKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.properties(t, "failoverTimeMillis = 2000\nonProcessorFailure = restart\n")
	b.putLines(t, 1000)
	p := b.start(t, "kcl", "run", "app.properties")
	b.await(t, 1000, p)
	killChildren(t, p.cmd.Process.Pid)
	b.putLines(t, 1000)
	b.await(t, 2000, p)
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("kcl run ended with code %d after SIGTERM, want 0", code)
	}
	b.checkComplete(t)
}

// TestSecondSignalForces: a child that never answers holds up a clean stop for shutdownGraceMillis, but not a second signal, and
// does not outlive its daemon.
func TestSecondSignalForces(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.properties(t, "executableName = /bin/sleep 1000\nshutdownGraceMillis = 600000\n")
	p := b.start(t, "kcl", "run", "app.properties")
	var children []int
	eventually(t, "the child starts", func() bool {
		children = childrenOf(t, p.cmd.Process.Pid)
		return len(children) > 0
	})
	eventually(t, "two signals end it", func() bool { // two that wait together are one to the kernel, so there may be more
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	if code := p.cmd.ProcessState.ExitCode(); code != exitFailure || !strings.HasSuffix(p.stderr.String(), "kcl: stopped by a second signal\n") {
		t.Errorf("kcl run ended with code %d after two signals, want %d", code, exitFailure)
	}
	if runtime.GOOS != "linux" {
		return // elsewhere there is no parent-death signal
	}
	eventually(t, "the child is gone", func() bool { return errors.Is(syscall.Kill(children[0], 0), syscall.ESRCH) })
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(hang)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v", what, hang)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Skipf("ps does not list processes: %v", err)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		if _, err := fmt.Sscan(line, &pid, &ppid); err == nil && ppid == parent {
			children = append(children, pid)
		}
	}
	return children
}

// killChildren kills the processes that a process has started.
func killChildren(t *testing.T, parent int) {
	t.Helper()
	for _, pid := range childrenOf(t, parent) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("kill %d: %v", pid, err)
		}
	}
}
