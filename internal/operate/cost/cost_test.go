package cost_test

import (
	"math"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/operate/cost"
)

// TestByHand holds the formula to sums made by hand: 4 shards, 2 workers, 10 s, a checkpoint each second.
func TestByHand(t *testing.T) {
	f := cost.Fleet{Shards: 4, Workers: 2, Checkpoint: time.Second}
	ours := cost.Total(cost.Estimate(f, cost.Ours(10*time.Second)))
	// writes: 4·1080 + 4·3600 + 2·240 + 1440; reads: 2·4114.29·0.5 + 2·60 + 1800 + 3600·0.5 + 13.71·0.5
	// requests: the writes, and 2·4114.29 + 2·60 + 1800 + 3600 + 13.71
	near(t, "writes", ours.Writes, 4*1080+4*3600+2*240+1440)
	near(t, "reads", ours.Reads, 3600/0.875+120+1800+1800+3600/262.5/2)
	near(t, "requests", ours.Requests, 4*1080+4*3600+2*240+1440+2*3600/0.875+120+1800+3600+3600/262.5)
	java := cost.Total(cost.Estimate(f, cost.Java(10*time.Second)))
	renew := 3600 / (10.0/3 - 0.025)
	near(t, "Java's writes", java.Writes, 4*renew+4*3600+2*120+120)
	near(t, "Java's reads", java.Reads, 3600/9.975+120+180*0.5+30*0.5)
}

// TestLarge: 10,000 shards on 100 workers; the table is 4 MB and takes several pages and many units.
func TestLarge(t *testing.T) {
	items := map[string]cost.Item{}
	for _, i := range cost.Estimate(cost.Fleet{Shards: 10_000, Workers: 100}, cost.Ours(10*time.Second)) {
		items[i.What] = i
	}
	table := 10_000*400 + 100*200 + 150 + 200.0
	near(t, "look units", items["look at the table"].Reads, 3600*math.Ceil(table/4096)/2)
	near(t, "look requests", items["look at the table"].Requests, 3600*math.Ceil(table/(1<<20)))
	near(t, "find own leases", items["find own leases"].Reads, 3600/0.875*math.Ceil(100*75/4096.0)/2)
	if i, ok := items["checkpoint"]; ok {
		t.Errorf("without checkpoints there is %+v", i)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestOneWorkerWatchesNoLock(t *testing.T) {
	for _, i := range cost.Estimate(cost.Fleet{Shards: 1, Workers: 1}, cost.Ours(10*time.Second)) {
		if i.Per == cost.PerFollower {
			t.Errorf("a single worker does %+v", i)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		f    cost.Fleet
		want string
	}{
		{"nothing", cost.Fleet{}, "cost: Shards 0 is under 1\ncost: Workers 0 is under 1"},
		{"short", cost.Fleet{Shards: 1, Workers: 1, LeaseDuration: time.Millisecond}, "cost: LeaseDuration 1ms is under 1s"},
		{"negative", cost.Fleet{Shards: 1, Workers: 1, Checkpoint: -1, RowBytes: -1},
			"cost: Checkpoint -1ns is negative\ncost: RowBytes -1, ReportBytes 200 and KeyBytes 75 must be positive"},
	}
	for _, tt := range tests {
		if err := tt.f.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if err := (cost.Fleet{Shards: 1, Workers: 1}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestPrices(t *testing.T) {
	near(t, "price", cost.Prices{Reads: 0.125, Writes: 0.625}.Of(cost.Sum{Reads: 8e6, Writes: 2e6}), 2.25)
}
