package hostload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// defaultContainerShare is what a container without a CPU limit counts in its task (the Java KCL's default: 2 CPU units).
const defaultContainerShare = 2

// ecsStats is what the task metadata endpoint says of a container's CPU, in nanoseconds of all processors.
type ecsStats struct {
	CPU struct {
		Usage struct {
			Total float64 `json:"total_usage"`
		} `json:"cpu_usage"`
		System float64 `json:"system_cpu_usage"`
		Online float64 `json:"online_cpus"`
	} `json:"cpu_stats"`
}

type ecsContainer struct {
	DockerID string `json:"DockerId"`
	Limits   struct {
		CPU float64 `json:"CPU"`
	} `json:"Limits"`
}

type ecsTask struct {
	Limits struct {
		CPU float64 `json:"CPU"`
	} `json:"Limits"`
	Containers []ecsContainer `json:"Containers"`
}

// ecs returns the meter of a container in an ECS task: the part of the task's CPU that falls to it by its share.
func (h Host) ecs(uri string) *Meter {
	return &Meter{kind: "ecs", read: func(ctx context.Context, _ time.Time) (usage, error) {
		var stats ecsStats
		var self ecsContainer
		var task ecsTask
		for path, into := range map[string]any{"": &self, "/task": &task, "/stats": &stats} {
			if err := h.getJSON(ctx, uri+path, into); err != nil {
				return usage{}, err
			}
		}
		limit := ecsLimit(self.DockerID, task, stats.CPU.Online)
		if limit <= 0 || stats.CPU.Online <= 0 {
			return usage{}, fmt.Errorf("hostload: ECS says %v processors, limit %v", stats.CPU.Online, limit)
		}
		// total ÷ system × online ÷ limit, kept as two counters so that their differences can be taken
		return usage{busy: stats.CPU.Usage.Total * stats.CPU.Online, all: stats.CPU.System * limit}, nil
	}}
}

// ecsLimit returns how many processors fall to the container: its share of the containers' limits, of the task's limit, or of
// all processors where the task has none.
func ecsLimit(id string, task ecsTask, online float64) float64 {
	own, sum := float64(defaultContainerShare), 0.0
	for _, c := range task.Containers {
		share := c.Limits.CPU
		if share <= 0 {
			share = defaultContainerShare
		}
		if c.DockerID == id {
			own = share
		}
		sum += share
	}
	total := task.Limits.CPU
	if total <= 0 {
		total = online
	}
	if sum <= 0 {
		return total
	}
	return own / sum * total
}

func (h Host) getJSON(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	body, err := h.fetch(req)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("hostload: %s: %w", url, err)
	}
	return nil
}

// fetch returns the body of a 200 answer, at most 1 MiB of it.
func (h Host) fetch(req *http.Request) ([]byte, error) {
	resp, err := h.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("hostload: %s answered %s", req.URL, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}
