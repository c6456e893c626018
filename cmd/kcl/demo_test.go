package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
	"github.com/kinesis-go/kcl/internal/ledger"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	r := kcl(t, "", "demo", "-duration", "2s", "-rate", "300", "-shards", "2", "-seed", "7", "-json")
	var report scene.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	total := report.Verdict.Total
	if r.code != 0 || !report.Good || total.Put < 500 || total.Put != total.Delivered || len(report.Verdict.Shards) != 5 || report.Seed != 7 {
		t.Errorf("%v", r)
	}
	for _, want := range []string{"split #", "merged #", "worker-1 reads #0", "on the way 0"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr does not tell %q:\n%s", want, r.stderr)
		}
	}
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
	}}
	bad := good
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
