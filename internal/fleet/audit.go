package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
)

// auditInterval is how often the leader looks for hash keys that no lease covers (the Java KCL's PeriodicShardSyncManager:
// 120 s). Looking costs nothing but time: the rows are at hand. Three audits in a row must agree before shards are listed.
const auditInterval = 20 * time.Second

// auditor sees to it that every shard has a row. It belongs to one term.
type auditor struct {
	l     *Leader
	next  time.Time
	holes map[string]lineage.Detector // by stream ID
	done  map[string]bool             // streams whose shards were listed in this term

	mu     sync.Mutex
	strays map[string]map[string]*stray // by stream ID and lease key
}

// stray is a lease that is not of the shard that is there.
type stray struct {
	lineage.Stray
	looks int // in a row
	since time.Time
}

// compare notes the leases that contradict the shards listed after they were read.
func (a *auditor) compare(s Stream, listed []lineage.Shard, has []lease.Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, now := a.strays[s.ID], map[string]*stray{}
	for _, found := range lineage.Strays(s.ID, listed, has) {
		key := found.Lease.Key
		is := before[key]
		if is == nil {
			is = &stray{since: time.Now()}
		}
		is.Stray, is.looks = found, is.looks+1
		now[key] = is
		if is.looks == lineage.Confidence {
			a.l.cfg.Logger.Error("lease is not of the shard that is there", "stream", s.Name, "shard", found.Lease.Shard, "why", found.Why)
		}
	}
	if a.strays[s.ID] = now; len(now) == 0 {
		delete(a.strays, s.ID)
	}
}

// doubts reports whether leases of a stream contradict its shards.
func (a *auditor) doubts(streamID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.strays[streamID]) > 0
}

// problems names the leases that are not of the shards that are there, once several looks agree. They are not mended: a shard that
// is marked as read may be meant to be left out, and to read one again that was read repeats all of it; whose progress the
// others hold, only a person can tell.
func (a *auditor) problems() []Problem {
	a.mu.Lock()
	defer a.mu.Unlock()
	var problems []Problem
	for id, leases := range a.strays {
		for key, is := range leases {
			if is.looks < lineage.Confidence {
				continue
			}
			what, anew := is.Why, "if the stream was deleted and created anew, stop the workers, and delete the lease table or give the application another name"
			switch again := fmt.Sprintf("kcl rewind -shard %s -to oldest", is.Lease.Shard); {
			case !is.Ended:
				what += ": " + anew
			case id != "": // a stream that was created anew has another ID
				what += ", so nobody reads it: " + again
			default:
				what += ", so nobody reads it: " + anew + "; else " + again
			}
			problems = append(problems, a.l.problem(key, is.since, what))
		}
	}
	return problems
}

// due returns the streams whose shards are to be listed: those new to this term at once, the others whenever a hole was confirmed.
func (a *auditor) due(streams []Stream, snap lease.Snapshot, now time.Time) []Stream {
	look := !now.Before(a.next)
	var rows map[string][]lease.Lease
	if look {
		a.next = now.Add(auditInterval)
		rows = byStream(snap.Leases)
	}
	read := make(map[string]bool, len(streams))
	var due []Stream
	for _, s := range streams {
		read[s.ID] = true
		needs := !a.done[s.ID]
		if look {
			next, confirmed := a.holes[s.ID].See(lineage.Holes(s.ID, rows[s.ID]))
			a.holes[s.ID] = next
			needs = needs || confirmed || a.doubts(s.ID)
		}
		if needs {
			due = append(due, s)
		}
	}
	for id := range a.done { // one that comes back is new
		if !read[id] {
			delete(a.done, id)
			delete(a.holes, id)
			a.compare(Stream{ID: id}, nil, nil)
		}
	}
	return due
}

// audit creates the rows that the streams lack, and reports whether it created any.
func (a *auditor) audit(ctx context.Context, streams []Stream, snap lease.Snapshot) (created bool, err error) {
	if len(streams) == 0 {
		return false, nil
	}
	rows := byStream(snap.Leases)
	var mu sync.Mutex
	err = eachStream(ctx, streams, func(s Stream) error {
		n, err := a.sync(ctx, s, rows[s.ID], len(snap.Leases) == 0)
		mu.Lock()
		defer mu.Unlock()
		created = created || n > 0
		if err != nil && !errors.Is(err, errStreamGone) {
			a.done[s.ID] = false // tried again in each round, so that it stays a problem until it works
			return err
		}
		a.done[s.ID] = true
		return nil
	})
	return created, err
}

// byStream groups leases by the ID of their stream.
func byStream(leases []lease.Lease) map[string][]lease.Lease {
	by := map[string][]lease.Lease{}
	for _, l := range leases {
		by[l.StreamID] = append(by[l.StreamID], l)
	}
	return by
}

// sync lists the shards of a stream and creates the rows that are missing; it returns how many it created. empty says that the table
// has no lease of any stream.
func (a *auditor) sync(ctx context.Context, s Stream, has []lease.Lease, empty bool) (int, error) {
	if empty { // the whole table is new (the Java KCL's EmptyLeaseTableSynchronizer)
		shards, err := a.l.listShards(ctx, s, lineage.FilterFor(s.Start))
		if err != nil {
			return 0, err
		}
		rows, err := lineage.First(s.ID, shards, s.Start)
		if err != nil {
			return 0, fmt.Errorf("stream %s: %w", s.Name, err)
		}
		return a.create(ctx, s, rows)
	}
	shards, err := a.l.listShards(ctx, s, "")
	if err != nil {
		return 0, err
	}
	a.compare(s, shards, has)
	for key, r := range lineage.Ranges(s.ID, shards, has) {
		if err := a.l.cfg.Store.SetHashKeys(ctx, key, r); err != nil && !errors.Is(err, lease.ErrNotFound) {
			return 0, err
		}
	}
	missing := lineage.Missing(s.ID, shards, has, s.Start)
	if len(missing.Skipped) > 0 {
		a.l.cfg.Logger.Warn("shards left out until their parents are listed as closed", "stream", s.Name, "shards", missing.Skipped)
	}
	return a.create(ctx, s, missing.Create)
}

// create stores rows that are in the order in which to create them, several at a time: a row waits until those of its parents are
// there, so that no child can start before a parent whose row was not made.
func (a *auditor) create(ctx context.Context, s Stream, rows []lease.Lease) (int, error) {
	var created atomic.Int64
	for len(rows) > 0 {
		n := generation(rows)
		err := each(ctx, rows[:n], func(row lease.Lease) error {
			ok, err := a.l.cfg.Store.Create(ctx, row)
			if err != nil {
				return fmt.Errorf("create the lease of %s: %w", row.Key, err)
			}
			if ok {
				created.Add(1)
				a.l.cfg.Logger.Info("lease created", "stream", s.Name, "shard", row.Shard, "checkpoint", row.Checkpoint.String())
			}
			return nil
		})
		if err != nil {
			return int(created.Load()), err
		}
		rows = rows[n:]
	}
	return int(created.Load()), nil
}

// generation returns how many of the first rows have no parent among each other.
func generation(rows []lease.Lease) int {
	earlier := make(map[string]bool, len(rows))
	for i, row := range rows {
		for _, parent := range lineage.ParentKeys(row) {
			if earlier[parent] {
				return i
			}
		}
		earlier[row.Key] = true
	}
	return len(rows)
}
