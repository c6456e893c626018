package hostload

import (
	"context"
	"fmt"
	"net/http"
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

// onEC2 asks the instance metadata service, version 2, for an identity document.
func (h Host) onEC2(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // the service is on the host: it answers in milliseconds
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, h.IMDS+"/latest/api/token", nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "600")
	token, err := h.fetch(req)
	if err != nil {
		return false
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, h.IMDS+"/latest/dynamic/instance-identity/document", nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-aws-ec2-metadata-token", strings.TrimSpace(string(token)))
	_, err = h.fetch(req)
	return err == nil
}
