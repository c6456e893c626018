package hostload_test

import (
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/kinesis-go/kcl/internal/hostload"
)

const k8sToken = "var/run/secrets/kubernetes.io/serviceaccount/token"

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func host(root fs.FS, env map[string]string) hostload.Host {
	return hostload.Host{OS: "linux", Getenv: func(k string) string { return env[k] }, Root: root,
		Client: http.DefaultClient, Procs: 8}
}

// TestFiles reads each source twice, two seconds apart, and compares the percentage.
func TestFiles(t *testing.T) {
	cgroup2 := func(usec, max, set string) fstest.MapFS {
		return files(k8sToken, "t", "sys/fs/cgroup/cgroup.controllers", "cpu",
			"sys/fs/cgroup/cpu.stat", "usage_usec "+usec+"\nuser_usec 1\n", "sys/fs/cgroup/cpu.max", max+"\n",
			"sys/fs/cgroup/cpuset.cpus.effective", set+"\n")
	}
	cgroup1 := func(nsec, quota, set string) fstest.MapFS {
		return files(k8sToken, "t", "sys/fs/cgroup/cpu/cpuacct.usage", nsec+"\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota,
			"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000", "sys/fs/cgroup/cpuset/cpuset.effective_cpus", set)
	}
	tests := []struct {
		name, kind    string
		before, after fs.FS
		procs         int
		want          float64
	}{
		{"version 2, two processors by quota, one busy", "cgroup2", cgroup2("1000", "200000 100000", "0-7"), cgroup2("2001000", "200000 100000", "0-7"), 8, 50},
		{"version 2, four processors by set", "cgroup2", cgroup2("0", "max 100000", "0-2,7"), cgroup2("2000000", "max 100000", "0-2,7"), 8, 25},
		{"version 2, GOMAXPROCS under the quota", "cgroup2", cgroup2("0", "800000 100000", "0-7"), cgroup2("2000000", "800000 100000", "0-7"), 1, 100},
		{"version 2, never over 100", "cgroup2", cgroup2("0", "100000 100000", "0"), cgroup2("9000000", "100000 100000", "0"), 8, 100},
		{"version 1, half a processor by quota", "cgroup1", cgroup1("0", "50000", "0-7"), cgroup1("500000000", "50000", "0-7"), 8, 50},
		{"version 1, no quota", "cgroup1", cgroup1("0", "-1", "0-1"), cgroup1("1000000000", "-1", "0-1"), 8, 25},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := &swap{test.before}
			h := host(root, nil)
			h.Procs = test.procs
			m := hostload.Detect(h)
			if m == nil || m.Kind() != test.kind {
				t.Fatalf("Detect = %v, want %s", m, test.kind)
			}
			now := time.Unix(1000, 0)
			if v, err := m.Sample(t.Context(), now); err == nil {
				t.Fatalf("the first sample is %v, want an error", v)
			}
			root.FS = test.after
			got, err := m.Sample(t.Context(), now.Add(2*time.Second))
			if err != nil || math.Abs(got-test.want) > 0.001 {
				t.Fatalf("Sample = %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// swap lets a file system change between readings.
type swap struct{ fs.FS }

func TestECSTakesTheShareOfTheTask(t *testing.T) {
	var total, system string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v4":
			w.Write([]byte(`{"DockerId":"me","Limits":{"CPU":256}}`))
		case "/v4/task":
			w.Write([]byte(`{"Limits":{"CPU":2},"Containers":[{"DockerId":"me","Limits":{"CPU":256}},{"DockerId":"it","Limits":{"CPU":768}}]}`))
		case "/v4/stats":
			w.Write([]byte(`{"cpu_stats":{"cpu_usage":{"total_usage":` + total + `},"system_cpu_usage":` + system + `,"online_cpus":4}}`))
		}
	}))
	defer srv.Close()
	h := host(files(), map[string]string{"ECS_CONTAINER_METADATA_URI_V4": srv.URL + "/v4"})
	m := hostload.Detect(h)
	if m == nil || m.Kind() != "ecs" {
		t.Fatalf("Detect = %v, want ecs", m)
	}
	total, system = "0", "0"
	m.Sample(t.Context(), time.Now())
	total, system = "50", "1000" // a twentieth of four processors is 0.2; the limit is a quarter of two
	got, err := m.Sample(t.Context(), time.Now())
	if err != nil || math.Abs(got-40) > 0.001 {
		t.Fatalf("Sample = %v, %v; want 40", got, err)
	}
	if _, err := m.Sample(t.Context(), time.Now()); err == nil {
		t.Fatal("a source that stands still gave a percentage")
	}
}

func TestEC2IsKnownByItsHypervisor(t *testing.T) {
	for name, mark := range map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/hypervisor/uuid": "EC2A1B2C\n"} {
		root := &swap{files(name, mark, "proc/stat", "cpu  100 0 100 800 0 7 7 7\n")}
		m := hostload.Detect(host(root, nil))
		if m == nil || m.Kind() != "proc" {
			t.Fatalf("%s: Detect = %v, want proc", name, m)
		}
		m.Sample(t.Context(), time.Now())
		root.FS = files("proc/stat", "cpu  110 5 110 870 5 9 9 9\n")
		if got, err := m.Sample(t.Context(), time.Now()); err != nil || math.Abs(got-30) > 0.001 {
			t.Fatalf("%s: Sample = %v, %v; want 30", name, got, err)
		}
	}
}

func TestNothingFits(t *testing.T) {
	proc := files("proc/stat", "cpu 1 1 1 1 1")
	for name, h := range map[string]hostload.Host{
		"not on EC2":        host(proc, nil),
		"old ECS endpoint":  host(proc, map[string]string{"ECS_CONTAINER_METADATA_URI": "http://127.0.0.1:1"}),
		"pod without files": host(files(k8sToken, "t"), nil),
		"another system":    {OS: "darwin", Getenv: func(string) string { return "" }, Root: proc},
	} {
		if m := hostload.Detect(h); m != nil {
			t.Errorf("%s: Detect = %s, want none", name, m.Kind())
		}
	}
}

func TestUnreadableFilesAreErrors(t *testing.T) {
	for name, root := range map[string]fs.FS{
		"no quota": files(k8sToken, "t", "sys/fs/cgroup/cgroup.controllers", "", "sys/fs/cgroup/cpu.stat", "usage_usec 1"),
		"garbage":  files(k8sToken, "t", "sys/fs/cgroup/cgroup.controllers", "", "sys/fs/cgroup/cpu.stat", "x", "sys/fs/cgroup/cpu.max", "max 1"),
		"no set": files(k8sToken, "t", "sys/fs/cgroup/cgroup.controllers", "", "sys/fs/cgroup/cpu.stat", "usage_usec 1", "sys/fs/cgroup/cpu.max", "max 1",
			"sys/fs/cgroup/cpuset.cpus.effective", "3-1"),
	} {
		m := hostload.Detect(host(root, nil))
		if m == nil {
			t.Fatalf("%s: no meter", name)
		}
		for range 2 {
			if v, err := m.Sample(t.Context(), time.Now()); err == nil {
				t.Errorf("%s: Sample = %v, want an error", name, v)
			}
		}
	}
}
