package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kinesis-go/kcl/bench/internal/tally"
)

// consumer is one running process of a contestant, with its children.
type consumer struct {
	cmd   *exec.Cmd
	dir   string // of its tallies
	log   string // file with what it printed
	began time.Time
	ended chan struct{}
}

func (f *field) start(c contestant, s *server, application, worker string, o options) (*consumer, error) {
	dir := filepath.Join(f.dir, application+"-"+worker)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	args := append([]string{}, c.args...)
	if c.child != "" {
		name, err := f.properties(c, s, application, o)
		if err != nil {
			return nil, err
		}
		for i := range args {
			if args[i] == propertiesFile {
				args[i] = name
			}
		}
	}
	out, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p := &consumer{cmd: exec.Command(c.binary, args...), dir: dir, log: out.Name(), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = append(os.Environ(), "KCL_BENCH_DIR="+dir, "KCL_BENCH_STREAM="+s.stream, "KCL_BENCH_APPLICATION="+application,
		fmt.Sprintf("KCL_BENCH_FAILOVER_MILLIS=%d", o.failover.Milliseconds()), "AWS_ENDPOINT_URL="+s.endpoint,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "PYTHONPATH="+o.python)
	if c.fanOut {
		p.cmd.Env = append(p.cmd.Env, "KCL_BENCH_FANOUT=true")
	}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	return p, nil
}

// kill ends the consumer, its children and theirs at once.
func (p *consumer) kill() {
	for pid := range tree(p.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.ended
}

// until waits until the counts fulfil ok.
func (p *consumer) until(ctx context.Context, within time.Duration, ok func(map[string]map[string]tally.Counts) bool) error {
	again, deadline := time.NewTicker(5*time.Millisecond), time.After(within)
	defer again.Stop()
	for {
		counts, err := tally.Read(p.dir)
		if err != nil {
			return err
		}
		if ok(counts) {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("it ended early: %s", p.lastWords())
		case <-deadline:
			return fmt.Errorf("not done within %v: %s", within, p.lastWords())
		}
	}
}

func (p *consumer) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// usage is what a consumer used.
type usage struct {
	cpu      time.Duration // of all its processes, and of children they waited for
	resident int64         // bytes, the sum of each process's peak
}

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// usage reads /proc: Linux only.
func (p *consumer) usage() (u usage) {
	for pid := range tree(p.cmd.Process.Pid) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has just ended
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
		for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime of proc_pid_stat(5)
			ticks, _ := strconv.ParseInt(f[i], 10, 64)
			u.cpu += time.Duration(ticks) * time.Second / ticksPerSecond
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				u.resident += kib << 10
			}
		}
	}
	return u
}

// tree is a process and all that descend from it.
func tree(root int) map[int]bool {
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return map[int]bool{root: true}
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
		parents[pid], _ = strconv.Atoi(f[1])
	}
	all := map[int]bool{root: true}
	for grew := true; grew; {
		grew = false
		for pid, parent := range parents {
			if all[parent] && !all[pid] {
				all[pid], grew = true, true
			}
		}
	}
	return all
}
