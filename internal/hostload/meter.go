package hostload

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// usage is the CPU time used so far by what is measured, and how much it could have used.
type usage struct {
	busy float64 // any unit that capacity has too
	all  float64 // capacity so far, in the same unit
}

// Meter turns readings into percentages. It may be used by several goroutines.
type Meter struct {
	kind string
	read func(ctx context.Context, now time.Time) (usage, error)

	mu    sync.Mutex
	last  usage
	begun bool
}

// Kind names the source: "ecs", "cgroup2", "cgroup1" or "proc".
func (m *Meter) Kind() string { return m.kind }

// errFirst says that there is nothing to compare with yet.
var errFirst = errors.New("hostload: the first reading gives no percentage")

// Sample returns the utilization since the last call, within 0 to 100. The first call returns an error, as does one for which
// the source cannot be read or did not move.
func (m *Meter) Sample(ctx context.Context, now time.Time) (percent float64, err error) {
	next, err := m.read(ctx, now)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last, begun := m.last, m.begun
	m.last, m.begun = next, true
	if !begun {
		return 0, errFirst
	}
	busy, all := next.busy-last.busy, next.all-last.all
	if all <= 0 || busy < 0 {
		return 0, errors.New("hostload: the source did not move forward")
	}
	return math.Min(100, busy/all*100), nil
}

// Host is what Detect looks at. The zero Host is not useful; [ThisHost] is the real one.
type Host struct {
	OS     string              // runtime.GOOS
	Getenv func(string) string // the environment
	Root   fs.FS               // the file system, without the leading slash
	Client *http.Client        // for the ECS metadata service
	Procs  int                 // GOMAXPROCS
}

// ThisHost returns the host the process runs on. fsys is its root directory; os.DirFS("/") for programs.
func ThisHost(getenv func(string) string, fsys fs.FS) Host {
	return Host{
		OS: runtime.GOOS, Getenv: getenv, Root: fsys, Procs: runtime.GOMAXPROCS(0),
		Client: &http.Client{Timeout: 5 * time.Second},
	}
}

// Detect returns the meter for the host, or nil if nothing fits: not Linux, or none of the platforms that are known.
func Detect(h Host) *Meter {
	if h.OS != "linux" {
		return nil
	}
	switch {
	case h.Getenv("ECS_CONTAINER_METADATA_URI_V4") != "":
		return h.ecs(h.Getenv("ECS_CONTAINER_METADATA_URI_V4"))
	case h.Getenv("ECS_CONTAINER_METADATA_URI") != "":
		return nil // the Java KCL measures only with version 4
	case h.exists("var/run/secrets/kubernetes.io/serviceaccount/token"):
		return h.cgroup()
	case h.onEC2() && h.exists("proc/stat"):
		return &Meter{kind: "proc", read: h.procStat}
	}
	return nil
}

func (h Host) exists(name string) bool {
	_, err := fs.Stat(h.Root, name)
	return err == nil
}
