//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
	"github.com/kinesis-go/kcl/internal/ledger"
)

// init lets the test binary be kcl demo and its workers: a demo starts the program that it is part of once more.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "demo" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
}

// TestDemo: one worker, in this process.
func TestDemo(t *testing.T) {
	t.Parallel()
	r := kcl(t, "", "demo", "-workers", "1", "-duration", "2s", "-rate", "300", "-shards", "2", "-seed", "7", "-json")
	var report scene.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	total := report.Verdict.Total
	if r.code != 0 || !report.Good || total.Put < 100 || total.Put != total.Delivered || len(report.Verdict.Shards) != 5 || report.Seed != 7 {
		t.Errorf("%v", r)
	}
	for _, want := range []string{"split #", "merged #", "worker-1 reads #0", "on the way 0"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr does not tell %q:\n%s", want, r.stderr)
		}
	}
}

// TestDemoFleet: three processes of which one is killed and one restarted.
func TestDemoFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for seconds")
	}
	t.Parallel()
	r := kcl(t, "", "demo", "-duration", "9s", "-lease", "1s", "-rate", "200", "-seed", "7", "-json")
	var report scene.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	total := report.Verdict.Total
	if r.code != 0 || !report.Good || total.Put < 300 || total.Put != total.Delivered || len(report.Verdict.Shards) != 7 {
		t.Errorf("%v", r)
	}
	if len(report.Gaps) != 7 || len(report.Causes) == 0 {
		t.Errorf("gaps %v, causes %v, want a gap of each of 7 shards", report.Gaps, report.Causes)
	}
	for _, want := range []string{
		"worker-3 starts, process ", "split #", "merged #", "worker-2 was killed", "worker-2.2 starts", "worker-1 is restarted", "worker-1.2 starts", " leads\n",
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr does not tell %q:\n%s", want, r.stderr)
		}
	}
	for _, child := range started(t, r.stderr) {
		if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left over: %v", child, err)
		}
	}
}

// started returns the processes that a demo says it started.
func started(t *testing.T, said string) []int {
	t.Helper()
	var pids []int
	for _, m := range regexp.MustCompile(`starts, process (\d+)`).FindAllStringSubmatch(said, -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// TestDemoIsKilled: worker processes do not outlive the demo, whatever ends it.
func TestDemoIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	t.Parallel()
	demo := exec.Command(os.Args[0], "demo", "-duration", "10m")
	stderr, err := demo.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = demo.Wait() }()
	defer func() { _ = demo.Process.Kill() }()
	lines := bufio.NewScanner(stderr)
	var said strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		if strings.Contains(lines.Text(), "worker-3 starts") {
			break
		}
	}
	if err := demo.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	children := started(t, said.String())
	if len(children) != 3 {
		t.Errorf("%d workers were started:\n%s", len(children), &said)
	}
	for _, child := range children {
		eventually(t, "the worker is gone", func() bool { return gone(child) })
	}
}

// gone reports whether a process has ended. One that has, but whose new parent has not asked how, is still there to kill(2).
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	state, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}

// TestDemoStops: the end of the context is Ctrl-C, and there is a verdict all the same.
func TestDemoStops(t *testing.T) {
	t.Parallel()
	b := start(t, "demo", "-duration", "10m", "-json")
	b.stop() // whether records flow already or not
	c := start(t, "demo", "-duration", "10m")
	go c.stop()
	for {
		line := c.line(t)
		if strings.HasPrefix(line, "good: ") || strings.HasPrefix(line, "BAD: ") {
			break
		}
	}
}

func TestDemoUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"demo -workers 0":                   "kcl: -workers 0 is not within 1 to 16\n",
		"demo -lease 1ms":                   "kcl: -lease 1ms is under 1s\n",
		"demo -shards 0":                    "kcl: -shards 0 is not within 1 to 64\n",
		"demo -rate 0":                      "kcl: -rate 0 is not over 0\n",
		"demo -size -1":                     "kcl: -size -1 is not within 0 to 1048576\n",
		"demo -keys 0":                      "kcl: -keys 0 is under 1\n",
		"demo -duration 1s":                 "kcl: -duration 1s is under 2s: a split and a merge have to fit in\n",
		"demo -rate 1000000 -duration 100s": "kcl: -rate 1e+06 for 1m40s is over 10,000,000 records, more than are remembered; kcl local and kcl put have no such bound\n",
	} {
		if r := kcl(t, "", strings.Fields(args)...); r != (result{code: exitUsage, stderr: want}) {
			t.Errorf("kcl %s: %v, want exit 2 and %q", args, r, want)
		}
	}
}

func TestVerdictGolden(t *testing.T) {
	good := scene.Report{Good: true, Seconds: 18, Seed: 1, Verdict: ledger.Verdict{
		Good: true, Total: ledger.Counts{Put: 3000, Delivered: 3000, Duplicates: 5, Bytes: 768000}, Keys: 500,
		Delay: ledger.Delay{Median: 103.4e6, P99: 201e6, Max: 249e6},
		Shards: []ledger.ShardVerdict{
			{Shard: "shardId-000000000000", Counts: ledger.Counts{Put: 2000, Delivered: 2000, Duplicates: 5}},
			{Shard: "shardId-000000000012", Counts: ledger.Counts{Put: 1000, Delivered: 1000}},
		},
	}, Gaps: []scene.Gap{
		{Shard: "shardId-000000000000", At: 8.6, Seconds: 4.172, Why: "worker-2 was killed"},
		{Shard: "shardId-000000000012", At: 15, Seconds: 0.254, Why: "the pause between two reads"},
	}, Causes: []scene.Gap{
		{Shard: "shardId-000000000000", At: 0, Seconds: 0.85, Why: "cold start"},
		{Shard: "shardId-000000000000", At: 8.6, Seconds: 4.172, Why: "worker-2 was killed"},
	}}
	bad := good
	bad.Gaps, bad.Causes = nil, nil
	bad.Good, bad.Faults = false, []string{"12 records were not delivered within 20s"}
	bad.Verdict.Total = ledger.Counts{Put: 3000, Delivered: 2989, Missing: 12, OutOfOrder: 2, Altered: 1, Unknown: 1, Bytes: 767000}
	bad.Verdict.KeyOutOfOrder = 3
	for name, r := range map[string]scene.Report{"verdict-good": good, "verdict-bad": bad} {
		for suffix, colors := range map[string]picture.Colors{"": picture.NoColor, "-color": picture.Color256} {
			var b strings.Builder
			if err := writeVerdict(&b, r, colors); err != nil {
				t.Fatal(err)
			}
			golden(t, name+suffix, b.String())
		}
	}
}

// TestShowPicture draws at least one frame, whatever is going on, and gives the cursor back.
func TestShowPicture(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "terminal")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	done := make(chan struct{})
	close(done)
	showPicture(scene.New(scene.Config{Duration: time.Second}), f, done)
	text, err := os.ReadFile(f.Name())
	if err != nil || !strings.Contains(string(text), "kcl demo") || !strings.HasSuffix(string(text), "\x1b[?25h") {
		t.Errorf("drawn: %q, %v", text, err)
	}
}
