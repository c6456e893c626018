package hostload

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// cgroup returns the meter of the control group, version 2 before 1, as its files tell.
func (h Host) cgroup() *Meter {
	switch {
	case h.exists("sys/fs/cgroup/cgroup.controllers"):
		return &Meter{kind: "cgroup2", read: h.cgroup2}
	case h.exists("sys/fs/cgroup/memory"), h.exists("sys/fs/cgroup/cpu"):
		return &Meter{kind: "cgroup1", read: h.cgroup1}
	}
	return nil
}

// cgroup2 reads the microseconds used from cpu.stat.
func (h Host) cgroup2(_ context.Context, now time.Time) (usage, error) {
	text, err := h.text("sys/fs/cgroup/cpu.stat")
	if err != nil {
		return usage{}, err
	}
	var micros float64
	if _, err := fmt.Sscanf(text, "usage_usec %f", &micros); err != nil {
		return usage{}, fmt.Errorf("hostload: cpu.stat begins with %q, want usage_usec", firstLine(text))
	}
	cores, err := h.cores2()
	return usage{busy: micros, all: float64(now.UnixMicro()) * cores}, err
}

// cores2 returns how many processors the group may use: quota by period, or the size of its cpuset where there is no quota.
func (h Host) cores2() (float64, error) {
	text, err := h.text("sys/fs/cgroup/cpu.max")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0, fmt.Errorf("hostload: cpu.max is %q, want a quota and a period", text)
	}
	if fields[0] == "max" {
		return h.cpuset("sys/fs/cgroup/cpuset.cpus.effective")
	}
	return h.share(fields[0], fields[1])
}

// cgroup1 reads the nanoseconds used from cpuacct.usage.
func (h Host) cgroup1(_ context.Context, now time.Time) (usage, error) {
	nanos, err := h.number("sys/fs/cgroup/cpu/cpuacct.usage")
	if err != nil {
		return usage{}, err
	}
	quota, err := h.text("sys/fs/cgroup/cpu/cpu.cfs_quota_us")
	if err != nil {
		return usage{}, err
	}
	var cores float64
	if quota == "-1" {
		cores, err = h.cpuset("sys/fs/cgroup/cpuset/cpuset.effective_cpus")
	} else {
		var period string
		if period, err = h.text("sys/fs/cgroup/cpu/cpu.cfs_period_us"); err == nil {
			cores, err = h.share(quota, period)
		}
	}
	return usage{busy: nanos, all: float64(now.UnixNano()) * cores}, err
}

// share returns quota/period in processors, but no more than Go will run on.
func (h Host) share(quota, period string) (float64, error) {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0, fmt.Errorf("hostload: CPU quota %q in period %q", quota, period)
	}
	return min(q/p, float64(max(h.Procs, 1))), nil
}

// cpuset counts the processors in a list such as "0-3,7".
func (h Host) cpuset(name string) (float64, error) {
	text, err := h.text(name)
	if err != nil {
		return 0, err
	}
	var n int
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err1 := strconv.Atoi(first)
		b := a
		var err2 error
		if isRange {
			b, err2 = strconv.Atoi(last)
		}
		if err1 != nil || err2 != nil || b < a {
			return 0, fmt.Errorf("hostload: %s is %q, want a list of processors", name, text)
		}
		n += b - a + 1
	}
	return float64(min(n, max(h.Procs, 1))), nil
}

func (h Host) text(name string) (string, error) {
	b, err := fs.ReadFile(h.Root, name)
	if err != nil {
		return "", fmt.Errorf("hostload: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (h Host) number(name string) (float64, error) {
	text, err := h.text(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("hostload: %s is %q, want a number", name, text)
	}
	return n, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
