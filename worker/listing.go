package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/lineage"
)

// entry is a stream that is to be read, with what the service said of it.
type entry struct {
	Stream
	found   fleet.Stream // as last described; without an ARN: never
	doubted bool         // it may have been deleted, or created anew: ask again
	missing bool         // the service does not know it; err says so
	err     error        // why it is not known, or not known for certain, since since
	since   time.Time
}

// asks reports whether the service is to be asked for the stream.
func (e entry) asks() bool { return !e.Retired && (e.found.ARN == "" || e.doubted || e.err != nil) }

const (
	// describeAgain is how soon the service is asked again for a stream of which it could say nothing, or that comes or goes.
	describeAgain = 5 * time.Second
	// describesAtOnce bounds how many streams are asked for at the same time, and describesInTurn how many that seem well a leader asks
	// for in one interval: the service answers 20 times a second, to all that an account runs.
	describesAtOnce = 4
	describesInTurn = 60
	// listAgain is how soon ListStreams is called again after it failed.
	listAgain = 10 * time.Second
	// relistPause is the least time between two calls of ListStreams.
	relistPause = time.Second
	// leastListTimeout is how long ListStreams may take at least.
	leastListTimeout = 10 * time.Second
)

// firstStreams finds the streams to begin with. Those of a fixed list must all be there.
func (w *Worker) firstStreams(ctx context.Context) error {
	if w.cfg.ListStreams != nil {
		return w.firstListing(ctx)
	}
	var found []fleet.Stream
	err := w.insist(ctx, "find the streams", func(ctx context.Context) (err error) {
		found, err = fleet.FindStreams(ctx, w.cfg.Kinesis, w.cfg.Streams, w.multi())
		return err
	})
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, f := range found {
		e := entry{Stream: Stream{Name: w.cfg.Streams[i]}.withDefaults(w.cfg)}
		f.Start, f.StartAt = e.Start, e.StartAt
		e.found = f
		w.streams = append(w.streams, e)
	}
	w.listed = true
	w.sources = sourcesOf(w.streams)
	return nil
}

// firstListing calls ListStreams until it works: there is nothing to read before.
func (w *Worker) firstListing(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		err := w.relist(ctx)
		if err == nil {
			break
		}
		wait := insistBackoff.Bound(attempt)
		w.log.Warn("cannot list the streams yet, will retry", "attempt", attempt+1, "wait", wait, "err", err)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
	w.describe(ctx)
	w.settleStreams()
	return ctx.Err()
}

// watchStreams keeps up with streams that come and go, until ctx ends. In a table of one stream there is nothing to keep up with.
func (w *Worker) watchStreams(ctx context.Context) {
	if !w.multi() {
		return
	}
	nextList := time.Now().Add(w.cfg.ListInterval)
	for {
		wait := time.Until(nextList)
		if w.uncertain() {
			wait = min(wait, describeAgain)
		}
		asked := w.awaitDoubt(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if due := !time.Now().Before(nextList); due || asked {
			wait := w.cfg.ListInterval
			if w.cfg.ListStreams != nil && w.relist(ctx) != nil { // noted; the last list stays
				wait = min(wait, listAgain)
			}
			if due {
				w.doubtInTurn()
			}
			nextList = time.Now().Add(wait)
		}
		w.describe(ctx)
		if ctx.Err() != nil {
			return
		}
		w.settleStreams()
		if !sleep(ctx, relistPause) {
			return
		}
	}
}

// awaitDoubt waits, and reports whether somebody wants the streams to be looked at before.
func (w *Worker) awaitDoubt(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.doubts:
		return true
	}
	return false
}

// doubt has the streams looked at soon, and the service asked for those that match.
func (w *Worker) doubt(match func(e entry) bool) {
	w.mu.Lock()
	for i := range w.streams {
		if match(w.streams[i]) {
			w.streams[i].doubted = true
		}
	}
	w.mu.Unlock()
	select {
	case w.doubts <- struct{}{}:
	default:
	}
}

// doubtStream has the service asked whether a stream is still there.
func (w *Worker) doubtStream(s fleet.Stream) {
	w.doubt(func(e entry) bool { return e.found.ID == s.ID })
}

// doubtID has the streams looked at because there is a lease of one that is not known.
func (w *Worker) doubtID(streamID string) {
	id, err := lineage.ParseStreamID(streamID)
	w.doubt(func(e entry) bool { return err == nil && e.id().Name == id.Name })
}

// doubtInTurn makes the leader ask for every stream now and then: nothing else tells that one was deleted whose shards others read.
func (w *Worker) doubtInTurn() {
	if w.leader.Leader() != w.cfg.ID {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for range min(describesInTurn, len(w.streams)) {
		w.turn = (w.turn + 1) % len(w.streams)
		w.streams[w.turn].doubted = true
	}
}

// uncertain reports whether the service is to be asked again soon.
func (w *Worker) uncertain() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.streams, func(e entry) bool { return e.asks() && (!e.missing || e.doubted) })
}

// listCall is one call of ListStreams. It is left alone if it does not return.
type listCall struct {
	done    chan struct{}
	began   time.Time
	streams []Stream
	err     error
}

// relist calls ListStreams and takes its list over.
func (w *Worker) relist(ctx context.Context) error {
	streams, err := w.list(ctx)
	if err == nil {
		streams, err = w.cfg.checkList(streams)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.note("list the streams", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = err == nil
	if err != nil {
		return err
	}
	before := make(map[string]entry, len(w.streams))
	for _, e := range w.streams {
		before[e.Name] = e
	}
	w.streams = make([]entry, 0, len(streams))
	for _, s := range streams {
		e := before[s.Name]
		e.Stream = s
		e.found.Start, e.found.StartAt = s.Start, s.StartAt
		w.streams = append(w.streams, e)
	}
	return nil
}

func (w *Worker) list(ctx context.Context) ([]Stream, error) {
	timeout := max(w.cfg.ListInterval, leastListTimeout)
	if w.listing == nil {
		call := &listCall{done: make(chan struct{}), began: time.Now()}
		w.listing = call
		bounded, cancel := context.WithTimeout(ctx, timeout)
		go func() { // awaited here; a call that ignores the end of its context is left behind
			defer cancel()
			defer close(call.done)
			defer func() {
				if r := recover(); r != nil {
					call.err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
				}
			}()
			call.streams, call.err = w.cfg.ListStreams(bounded)
		}()
	}
	call := w.listing
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-call.done:
		w.listing = nil
		if call.err != nil {
			return nil, fmt.Errorf("ListStreams: %v", call.err) // not wrapped: context.Canceled would be one of the application's own
		}
		return slices.Clone(call.streams), nil
	case <-timer.C:
		return nil, fmt.Errorf("ListStreams has not returned for %v", time.Since(call.began).Round(time.Second))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// describe asks the service for the streams of which something is not certain.
func (w *Worker) describe(ctx context.Context) {
	w.mu.Lock()
	var ask []entry
	for _, e := range w.streams {
		if e.asks() {
			ask = append(ask, e)
		}
	}
	w.mu.Unlock()
	room := make(chan struct{}, describesAtOnce)
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, e := range ask {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		asking.Go(func() {
			defer func() { <-room }()
			found, err := fleet.Describe(ctx, w.cfg.Kinesis, e.Name, true)
			if err == nil && found.ID != e.found.ID {
				err = fleet.MayList(ctx, w.cfg.Kinesis, found)
			}
			if ctx.Err() == nil {
				w.described(e.Name, found, err)
			}
		})
	}
}

// described notes what the service said of a stream. What it could not say changes nothing.
func (w *Worker) described(name string, found fleet.Stream, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.streams, func(e entry) bool { return e.Name == name })
	if i < 0 {
		return
	}
	e := &w.streams[i]
	unknown := errors.Is(err, fleet.ErrNoStream)
	if e.missing && err != nil && !unknown { // perhaps it is being created anew; what was found before is gone all the same
		e.doubted = true
		return
	}
	e.doubted, e.missing = false, unknown
	if err != nil {
		if e.err == nil {
			e.since = time.Now()
		}
		e.err = err
		return
	}
	found.Start, found.StartAt = e.Start, e.StartAt
	e.found, e.err = found, nil
	for j, other := range w.streams {
		if j != i && other.found.ARN == found.ARN && !other.Retired {
			e.found, e.err, e.since = fleet.Stream{}, fmt.Errorf("stream %s is given twice, as %s too", name, other.Name), time.Now()
		}
	}
}

// sourcesOf returns the streams that are read.
func sourcesOf(streams []entry) []fleet.Stream {
	var sources []fleet.Stream
	for _, e := range streams {
		if e.found.ARN != "" && !e.missing && !e.Retired {
			sources = append(sources, e.found)
		}
	}
	return sources
}

// listingLocked is what the leader needs to know of the streams.
func (w *Worker) listingLocked() fleet.Listing {
	l := fleet.Listing{Streams: w.sources, Sure: w.listed}
	for _, e := range w.streams {
		id := e.id()
		if e.found.ID != "" {
			id, _ = lineage.ParseStreamID(e.found.ID)
		}
		switch {
		case e.Retired:
			l.Retired = append(l.Retired, id)
		case e.missing:
			l.Missing = append(l.Missing, id)
		case e.found.ARN == "":
			l.Pending = append(l.Pending, id)
		}
	}
	return l
}

// settleStreams puts what is known of the streams into force: the leader first, so that it gives nobody what others let go of.
func (w *Worker) settleStreams() {
	w.mu.Lock()
	before := w.sources
	w.sources = sourcesOf(w.streams)
	for _, s := range w.sources {
		if !slices.ContainsFunc(before, func(b fleet.Stream) bool { return b.ID == s.ID }) {
			w.log.Info("stream is read", "stream", s.Name, "id", s.ID, "start", s.Start.String())
		}
	}
	for _, b := range before {
		if !slices.ContainsFunc(w.sources, func(s fleet.Stream) bool { return b.ID == s.ID }) {
			w.log.Info("stream is not read any more", "stream", b.Name, "id", b.ID)
		}
	}
	if w.leader != nil {
		w.leader.SetStreams(w.listingLocked())
	}
	defer w.mu.Unlock()
	reads := make(map[string]bool, len(w.sources))
	for _, s := range w.sources {
		reads[s.ID] = true
	}
	for _, a := range w.shards {
		if !reads[a.source.ID] && !a.isDropped {
			a.isDropped = true
			close(a.dropped)
		}
	}
}

// reads reports whether a stream is read.
func (w *Worker) reads(streamID string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.readsLocked(streamID)
}

func (w *Worker) readsLocked(streamID string) bool {
	return slices.ContainsFunc(w.sources, func(s fleet.Stream) bool { return s.ID == streamID })
}

// isDropped reports whether an assignment that is over has ended because its stream is not read any more.
func (w *Worker) isDropped(a *assignment, failure error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return a.isDropped || errors.Is(failure, fetch.ErrStreamGone) && w.multi()
}

// linger keeps the lease of a stream that is not read any more for a while: the leader may not have noticed yet, and would give it to
// another worker, which may have. It ends when the leader must have noticed, or the stream is read again.
func (w *Worker) linger(a *assignment) {
	until := time.Now().Add(2 * w.cfg.ListInterval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.stop:
			return
		case <-a.held.handedOff:
			return
		case <-a.held.gone:
			return
		}
		if !time.Now().Before(until) || w.leader.Leader() == w.cfg.ID || w.reads(a.source.ID) {
			return
		}
		timer.Reset(time.Second)
	}
}
