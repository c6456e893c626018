package cost

import (
	"errors"
	"fmt"
	"time"
)

// Fleet is an application. The zero value of each field that is not required selects the default.
type Fleet struct {
	Shards  int // with a lease, the ended ones that are still renewed included; required
	Workers int // required
	// LeaseDuration is the workers' (Java: failoverTimeMillis); default 10 s.
	LeaseDuration time.Duration
	// Checkpoint is how often each shard is checkpointed; 0: never, as where nothing is put.
	Checkpoint time.Duration

	RowBytes    int // of a lease; default 400
	ReportBytes int // of a worker's report; default 200
	KeyBytes    int // of a lease in the index; default 75
}

// Sizes of the items there is one of, in bytes.
const (
	lockBytes  = 150
	stateBytes = 200
)

// Limits of DynamoDB (developer guide, "Read and write operations", "Scan").
const (
	writeUnit = 1 << 10 // bytes
	readUnit  = 4 << 10
	pageBytes = 1 << 20
)

func (f Fleet) withDefaults() Fleet {
	for _, d := range []struct {
		field *int
		value int
	}{{&f.RowBytes, 400}, {&f.ReportBytes, 200}, {&f.KeyBytes, 75}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if f.LeaseDuration == 0 {
		f.LeaseDuration = 10 * time.Second
	}
	return f
}

// Validate names every field that cannot be.
func (f Fleet) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("cost: "+format, args...)) }
	f = f.withDefaults()
	if f.Shards < 1 {
		bad("Shards %d is under 1", f.Shards)
	}
	if f.Workers < 1 {
		bad("Workers %d is under 1", f.Workers)
	}
	if f.LeaseDuration < time.Second {
		bad("LeaseDuration %v is under 1s", f.LeaseDuration)
	}
	if f.Checkpoint < 0 {
		bad("Checkpoint %v is negative", f.Checkpoint)
	}
	if min(f.RowBytes, f.ReportBytes, f.KeyBytes) < 1 {
		bad("RowBytes %d, ReportBytes %d and KeyBytes %d must be positive", f.RowBytes, f.ReportBytes, f.KeyBytes)
	}
	return errors.Join(errs...)
}

// Rhythm is how often workers do what they do. 0: never.
type Rhythm struct {
	Renew, Discover, Report, Check, WatchLock, KeepLock, Look, Audit time.Duration
	// Follow is how often a worker that does not lead looks whether the leader does its work.
	Follow time.Duration
}

// Ours is the rhythm of this library's workers. The constants are those of internal/fleet and worker: keep them equal.
func Ours(leaseDuration time.Duration) Rhythm {
	return Rhythm{
		Renew:     leaseDuration / 3,
		Discover:  875 * time.Millisecond,    // worker.discoveryInterval, jittered between 3/4 of it and the whole
		Report:    15 * time.Second,          // fleet.reportInterval
		Check:     time.Minute,               // worker.storeCheckInterval
		WatchLock: 2 * time.Second,           // fleet.lock.poll, for lease durations from 10 s
		KeepLock:  2500 * time.Millisecond,   // fleet.lock.pulse, likewise
		Look:      time.Second,               // fleet.lookInterval; a glance, except where something is decided
		Follow:    262500 * time.Millisecond, // fleet.followInterval, jittered between 3/4 of it and the whole
	}
}

// Java is the rhythm of Java KCL 3.5.1 workers with its defaults (LeaseManagementConfig, LeaseAssignmentManager,
// DynamoDBLockBasedLeaderDecider, WorkerMetricStatsReporter, PeriodicShardSyncManager).
func Java(leaseDuration time.Duration) Rhythm {
	const epsilon = 25 * time.Millisecond
	return Rhythm{
		Renew:     leaseDuration/3 - epsilon,
		Discover:  leaseDuration - epsilon, // half of leaseAssignmentIntervalMillis, which is twice failoverTimeMillis
		Report:    30 * time.Second,
		WatchLock: 30 * time.Second,
		KeepLock:  30 * time.Second,
		Look:      2 * leaseDuration,
		Audit:     2 * time.Minute,
	}
}

// Scope is what an [Item] is counted for.
type Scope string

// The scopes.
const (
	PerShard       Scope = "shard"
	PerWorker      Scope = "worker"
	PerFollower    Scope = "worker that does not lead"
	PerApplication Scope = "application"
)

// Item is one kind of request, for one shard, worker or application and one hour.
type Item struct {
	What     string  `json:"what"`
	Per      Scope   `json:"per"`
	Count    int     `json:"count"` // how many shards, workers or applications there are
	Requests float64 `json:"requests"`
	Reads    float64 `json:"readUnits"`
	Writes   float64 `json:"writeUnits"`
}

// Sum is an hour of the whole fleet.
type Sum struct {
	Requests float64 `json:"requests"`
	Reads    float64 `json:"readUnits"`
	Writes   float64 `json:"writeUnits"`
}

// Estimate returns what the fleet does in an hour, item by item. The fleet must be valid.
func Estimate(f Fleet, r Rhythm) []Item {
	f = f.withDefaults()
	table := f.Shards*f.RowBytes + f.Workers*f.ReportBytes + lockBytes + stateBytes
	pages := float64(ceil(table, pageBytes))
	scan := float64(ceil(table, readUnit)) / 2 // eventually consistent
	own := float64(ceil(ceil(f.Shards, f.Workers)*f.KeyBytes, readUnit)) / 2
	row := float64(ceil(f.RowBytes, writeUnit))
	var items []Item
	add := func(what string, per Scope, every time.Duration, each Item) {
		n := hourly(every)
		if count := f.count(per); n > 0 && count > 0 {
			items = append(items, Item{What: what, Per: per, Count: count, Requests: n * max(1, each.Requests), Reads: n * each.Reads, Writes: n * each.Writes})
		}
	}
	add("renew leases", PerShard, r.Renew, Item{Writes: row})
	add("checkpoint", PerShard, f.Checkpoint, Item{Writes: row})
	add("find own leases", PerWorker, r.Discover, Item{Reads: own})
	add("report", PerWorker, r.Report, Item{Writes: float64(ceil(f.ReportBytes, writeUnit))})
	add("ask for the state", PerWorker, r.Check, Item{Reads: 1})
	add("watch the leader's lock", PerFollower, r.WatchLock, Item{Reads: 1})
	add("watch the leader's work", PerFollower, r.Follow, Item{Requests: pages, Reads: scan})
	add("keep the leader's lock", PerApplication, r.KeepLock, Item{Writes: 1})
	add("look at the table", PerApplication, r.Look, Item{Requests: pages, Reads: scan})
	add("audit the table", PerApplication, r.Audit, Item{Requests: pages, Reads: scan})
	return items
}

func (f Fleet) count(per Scope) int {
	switch per {
	case PerShard:
		return f.Shards
	case PerWorker:
		return f.Workers
	case PerFollower:
		return f.Workers - 1
	}
	return 1
}

func hourly(every time.Duration) float64 {
	if every <= 0 {
		return 0
	}
	return float64(time.Hour) / float64(every)
}

func ceil(n, by int) int { return (n + by - 1) / by }

// Total adds the items up.
func Total(items []Item) Sum {
	var s Sum
	for _, i := range items {
		n := float64(i.Count)
		s.Requests += n * i.Requests
		s.Reads += n * i.Reads
		s.Writes += n * i.Writes
	}
	return s
}

// Prices are what a million request units cost on demand, in a currency of the user's. They differ by region and change.
type Prices struct{ Reads, Writes float64 }

// Of returns what the sum costs.
func (p Prices) Of(s Sum) float64 { return (s.Reads*p.Reads + s.Writes*p.Writes) / 1e6 }
