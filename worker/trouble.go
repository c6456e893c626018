package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fleet"
)

// troubleAfter is how long something may not work before it is a problem: shorter outages mend themselves.
const troubleAfter = 15 * time.Second

// trouble is something that does not work at present.
type trouble struct {
	since time.Time
	err   error
}

// note remembers that something does not work, or, with nil, that it works again. A context's end is neither.
func (w *Worker) note(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch t, known := w.troubles[what]; {
	case err == nil:
		delete(w.troubles, what)
	case known:
		w.troubles[what] = trouble{since: t.since, err: err}
	default:
		w.troubles[what] = trouble{since: time.Now(), err: err}
	}
}

// troublesLocked returns the troubles that have lasted; while the worker starts, all, because nothing else happens then.
func (w *Worker) troublesLocked(now time.Time) []Problem {
	var problems []Problem
	for what, t := range w.troubles {
		if now.Sub(t.since) >= troubleAfter || w.phase == Starting {
			problems = append(problems, Problem{What: "cannot " + what + ": " + t.err.Error(), Since: t.since})
		}
	}
	return problems
}

// untaken are the leases that the table assigns to this worker although it does not work on them. The zero value is empty.
type untaken struct {
	mu    sync.Mutex
	byKey map[string]refusal
}

// refusal is why a lease is not worked on; what is empty for a lease of a stream that this worker does not read.
type refusal struct {
	since time.Time
	grace time.Duration // how long this may be so before it is a problem
	what  string
}

// note remembers why a lease is not worked on, and reports whether this is new.
func (u *untaken) note(key string, grace time.Duration, what string) (isNew bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byKey == nil {
		u.byKey = map[string]refusal{}
	}
	r, known := u.byKey[key]
	if !known {
		r.since = time.Now()
	}
	r.grace, r.what = grace, what
	u.byKey[key] = r
	return !known
}

func (u *untaken) forget(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byKey, key)
}

// keepOnly forgets the leases that are not this worker's any more.
func (u *untaken) keepOnly(keys []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key := range u.byKey {
		if !slices.Contains(keys, key) {
			delete(u.byKey, key)
		}
	}
}

func (u *untaken) problems(now time.Time, sources []fleet.Stream) []Problem {
	u.mu.Lock()
	defer u.mu.Unlock()
	var problems []Problem
	for key, r := range u.byKey {
		if now.Sub(r.since) < r.grace {
			continue
		}
		p := Problem{Since: r.since, What: "the lease is assigned to this worker, but " + r.what}
		p.Stream, p.Shard = fleet.SplitKey(key)
		if i := slices.IndexFunc(sources, func(s fleet.Stream) bool { return s.ID == p.Stream }); i >= 0 {
			p.Stream = sources[i].Name
		}
		if r.what == "" {
			p.What = "the lease is assigned to this worker, which is not configured to read its stream"
		}
		problems = append(problems, p)
	}
	return problems
}

// twins counts the leases that this worker lost to writes under its own id. A few are no problem: a process that is replaced by one
// with the same id may meet it for a moment, and an operator may have written.
type twins struct {
	n           int
	first, last time.Time
}

const (
	twinsMet    = 3               // from so many on it is a problem
	twinsForget = 2 * time.Minute // after so long without another they are forgotten
)

// metTwin notes that a lease was lost to a writer with this worker's own id.
func (w *Worker) metTwin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.twins.last) > twinsForget {
		w.twins = twins{first: now}
	}
	w.twins.n++
	w.twins.last = now
}

func (t twins) problems(now time.Time, id string) []Problem {
	if t.n < twinsMet || now.Sub(t.last) > twinsForget {
		return nil
	}
	return []Problem{{Since: t.first,
		What: fmt.Sprintf("another worker writes leases under this worker's id %q: give each worker an id of its own", id)}}
}
