package hostload

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// procStat reads the first line of /proc/stat. Time spent waiting for a disk counts as busy, as in the Java KCL; what the
// kernel lists after it does not count at all.
func (h Host) procStat(context.Context, time.Time) (usage, error) {
	text, err := h.text("proc/stat")
	if err != nil {
		return usage{}, err
	}
	var user, nice, system, idle, iowait float64
	if _, err := fmt.Sscanf(text, "cpu %f %f %f %f %f", &user, &nice, &system, &idle, &iowait); err != nil {
		return usage{}, fmt.Errorf("hostload: /proc/stat begins with %q", firstLine(text))
	}
	busy := user + nice + system + iowait
	return usage{busy: busy, all: busy + idle}, nil
}

// onEC2 reports whether this is an EC2 instance, by what the hypervisor shows (EC2 user guide, "Detect whether a host is an
// EC2 instance"). The Java KCL asks the instance metadata service instead; files need no network and cannot hang.
func (h Host) onEC2() bool {
	if vendor, err := h.text("sys/class/dmi/id/sys_vendor"); err == nil && vendor == "Amazon EC2" {
		return true
	}
	uuid, err := h.text("sys/hypervisor/uuid")
	return err == nil && strings.HasPrefix(strings.ToLower(uuid), "ec2")
}
