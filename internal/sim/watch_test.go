package sim_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

func errorsAs[T error](err error, target *T) bool { return errors.As(err, target) }

// watch looks at the table and at the workers all the time.
func (w *world) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(300 * time.Millisecond * time.Duration(1+w.plan.shards/50)):
			w.look()
			w.checkStatus()
			w.checkGaps()
			w.checkHandoffs()
		}
	}
}

func (w *world) checkStatus() {
	for _, n := range w.running() {
		if s := n.worker.Status(); s.BufferedBytes > s.MaxBytes+oneInJSON {
			w.ledger.breach("I7: %s holds %d bytes, the budget is %d", n, s.BufferedBytes, s.MaxBytes)
		}
	}
}

// checkParents holds the engine to the order of a family (I2) when a processor is made: the parents' ends are stored, and all their
// records were accepted.
func (w *world) checkParents(n *node, id shardID) {
	for _, p := range w.ledger.parentsOf(id) {
		if left := w.ledger.unread(p); left > 0 && !n.isDead() {
			w.ledger.breach("I2: %s starts %s although %d records of its parent %s are unread", n, id, left, p)
		}
		if it := w.row(w.key(p)); it != nil && it.text("checkpoint") != "SHARD_END" && !n.isDead() {
			w.ledger.breach("I2: %s starts %s although its parent %s is at %s", n, id, p, it.text("checkpoint"))
		}
	}
}

// trouble is something that keeps shards from being read for a while.
type trouble struct {
	at, until time.Time
	worker    string                    // empty: of all
	shards    map[shardID]time.Duration // that the worker believed to own, and for how long
	led       bool
}

// disturbed notes a trouble of one worker, or, with nil, of all.
func (w *world) disturbed(n *node, what string, d time.Duration) {
	t := trouble{at: time.Now(), until: time.Now().Add(d), led: true}
	if n == nil {
		w.ledger.note("%s", what)
	} else {
		w.ledger.note("%s %s", n, what)
		t.worker, t.shards = n.id, w.ledger.believed(n)
		t.led = n.leads.Load() || !slices.ContainsFunc(w.running(), func(o *node) bool { return o.leads.Load() })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.troubles = append(w.troubles, t)
}

// Bounds of design section 6 for a lease duration of 10 s, and what adds to them.
const (
	ownerDies  = leaseDuration + 3*time.Second
	neverTakes = 2*leaseDuration + 3*time.Second // a lease that was given to a worker which is not there any more
	seemsAlive = leaseDuration + 3*time.Second   // without a sign of life
	leaderDies = 30 * time.Second
	readsAgain = 10 * time.Second // the longest pause of internal/fetch after a failure
	calm       = 5 * time.Second
	// A subscription that follows another too soon is refused, and a dead connection is noticed after FanOut.IdleTimeout.
	resubscribes, deadConnection = 15 * time.Second, 20 * time.Second
)

// checkGaps looks for shards that are silent for longer than the bounds allow (I6).
func (w *world) checkGaps() {
	if len(w.running()) == 0 {
		w.ledger.excuseAll()
		return
	}
	w.mu.Lock()
	hidden := slices.Clone(w.hidden)
	w.mu.Unlock()
	slack := 1 + 10*w.plan.mood.faults
	for _, s := range w.ledger.silences(calm) {
		if slices.Contains(hidden, s.id.stream) {
			w.ledger.excuse(s.id)
			continue
		}
		deadline := w.deadline(s, slack)
		if time.Now().Before(deadline) {
			continue
		}
		if why := w.red(s.id); why == "" {
			w.ledger.breach("I6: %s has been silent for %v, since %.3fs; it should have been read by %.3fs\n%s", s.id,
				time.Since(s.since), s.since.Sub(w.ledger.began).Seconds(), deadline.Sub(w.ledger.began).Seconds(), w.state())
		}
		w.ledger.excuse(s.id) // say it once
	}
}

// letsGo is how long an owner may take to let go of a lease that is handed off, once its processor is idle: it hears of it with
// its next renewal.
const letsGo = leaseDuration

// checkHandoffs looks for owners that do not let go of what is handed off. The shard is still read then, but the leader will take it
// from an owner that trusts it, and the records of the last checkpoints come twice (I6: handed over within bounds).
func (w *world) checkHandoffs() {
	slack := 1 + 10*w.plan.mood.faults
	for _, n := range w.running() {
		for _, p := range w.ledger.handoffs(n) {
			since := laterOf(p.since, w.troubledUntil(n))
			if took := time.Since(since); took > time.Duration(slack*float64(letsGo))+time.Duration((slack-1)*float64(latest)) {
				w.ledger.breach("I6: %s has not let go of %s in %v, which is handed off to %s\n%s", n, p.id, took, p.to, w.state())
			}
		}
	}
}

// troubledUntil returns the end of the last trouble of a worker.
func (w *world) troubledUntil(n *node) (until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.troubles {
		if t.worker == "" || t.worker == n.id {
			until = laterOf(until, t.until)
		}
	}
	return until
}

// deadline returns when a silence has to end: each trouble that concerns the shard puts it off.
func (w *world) deadline(s silent, slack float64) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	more := func(d time.Duration) time.Duration {
		if d = time.Duration(float64(d)*slack) + w.plan.lag; slack > 1 {
			d += latest
		}
		return d
	}
	quiet := calm
	if w.plan.subscribes() {
		quiet += resubscribes
		if w.plan.mood.faults > 0 {
			quiet += deadConnection
		}
	}
	deadline := s.since.Add(more(quiet))
	later := func(t time.Time, d time.Duration) {
		if t = t.Add(more(d)); t.After(deadline) {
			deadline = t
		}
	}
	if able := w.ableLocked(); able.After(s.since) { // until then there was nobody to lead
		later(able, leaderDies)
	}
	for _, t := range w.troubles {
		if t.at.After(deadline) {
			continue
		}
		cost := leaderDies
		if t.worker == "" {
			cost += 15 * time.Second // a leader that could not assign for a while stays away for longer
		}
		if w.plan.skewed {
			cost += 20 * time.Second // until the others have reported twice
		}
		switch owned, believed := t.shards[s.id]; {
		case t.led:
			later(t.until, cost)
		case believed && owned > leaseDuration/2: // or the leader may not have seen a renewal yet
			later(t.until, ownerDies)
		case believed:
			later(t.until, neverTakes)
		}
		// Leases may be given to a worker for as long as it seems to be alive.
		named, known := s.named[t.worker]
		if known && !named.last.Before(t.at) && named.from.Before(t.until.Add(seemsAlive)) {
			later(laterOf(named.from, s.since), neverTakes)
		}
		if known && !named.last.Before(t.at) && named.from.Before(t.until) { // it may have kept the lease, and could not read
			later(t.until, readsAgain)
		}
	}
	return deadline
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ableLocked returns since when there has been a worker with which nothing was wrong.
func (w *world) ableLocked() time.Time {
	var able time.Time
	for i, n := range w.nodes {
		since := n.bornAt
		for _, t := range w.troubles {
			if t.worker == n.id && t.until.After(since) {
				since = t.until
			}
		}
		if i == 0 || since.Before(able) {
			able = since
		}
	}
	return able
}

// red returns what the workers say is wrong with a shard, or with all.
func (w *world) red(id shardID) string {
	for _, n := range w.running() {
		for _, p := range n.worker.Status().Problems {
			if p.Shard == "" || strings.HasSuffix(string(p.Shard), string(id.shard)) {
				return fmt.Sprintf("%s: %s", n, p.What)
			}
		}
	}
	return ""
}

// checkReleased holds a worker that stopped in peace to having let go of what it had (I8).
func (w *world) checkReleased(n *node) {
	if again := slices.ContainsFunc(w.running(), func(o *node) bool { return o.id == n.id }); again {
		return
	}
	for id := range n.had {
		it := w.row(w.key(id))
		if it.text("leaseOwner") == n.id && it.text("checkpointOwner") == "" || it.text("checkpointOwner") == n.id {
			w.ledger.breach("I8: %s has returned without letting go of %s", n, id)
		}
	}
}

func (w *world) state() string {
	var b strings.Builder
	items, _ := w.rows()
	for _, it := range items {
		if it.text("entityType") == "LEASE" {
			fmt.Fprintf(&b, "  %s owner=%q old=%q counter=%d at %s parents=%v\n", it.text("leaseKey"), it.text("leaseOwner"), it.text("checkpointOwner"),
				it.number("leaseCounter"), it.text("checkpoint"), it["parentShardId"].SS)
		}
	}
	for _, n := range w.running() {
		s := n.worker.Status()
		fmt.Fprintf(&b, "  %s %s leader=%s %+v\n", n, s.Phase, s.Leader, s.Problems)
		for _, sh := range s.Shards {
			fmt.Fprintf(&b, "    %+v\n", sh)
		}
	}
	return b.String()
}
