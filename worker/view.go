package worker

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/internal/lifecycle"
	"github.com/kinesis-go/kcl/stream"
)

// view is what an assignment shows of itself to Status while it runs.
type view struct {
	mu        sync.Mutex
	s         ShardStatus
	phaseAt   time.Time
	readErr   error     // of the last read, if it failed
	calledAt  time.Time // when the last call to the processor returned
	failedAt  time.Time // of the first failure in a row of the processor
	obstacle  string    // what the engine itself cannot get past, and has not since blockedAt; empty: nothing
	blockedAt time.Time
}

func (v *view) begin(sh Shard, checkpoint stream.Position, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s = ShardStatus{Stream: sh.Stream, Shard: sh.ID, Phase: StartingProcessor, Since: now, Checkpoint: checkpoint}
	v.phaseAt = now
}

func phaseOf(s lifecycle.State) ShardPhase {
	switch s {
	case lifecycle.Waiting:
		return WaitingForParents
	case lifecycle.Ready, lifecycle.Calling:
		return Processing
	case lifecycle.Storing, lifecycle.Closing, lifecycle.Done:
		return Ending
	case lifecycle.BackingOff:
		return BackingOff
	case lifecycle.Ended:
		return Ended
	}
	return StartingProcessor
}

func (v *view) phase(p ShardPhase, attempt int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.s.Phase != p {
		v.s.Phase, v.phaseAt = p, time.Now()
	}
	v.s.Attempt = attempt
	if attempt == 0 {
		v.failedAt = time.Time{}
		if v.readErr == nil {
			v.s.Error = ""
		}
	}
}

func (v *view) read(p *fetch.Page) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s.ReadAt, v.readErr = p.Received, nil
	if !p.BehindUnknown {
		v.s.Behind, v.s.BehindKnown = p.Behind, true
	}
}

// unread notes a read that failed.
func (v *view) unread(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readErr = err
}

// blocked notes what the shard waits for although it should not have to; empty: nothing any more.
func (v *view) blocked(by string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.obstacle == "" {
		v.blockedAt = time.Now()
	}
	v.obstacle = by
}

func (v *view) calling(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s.CallSince = at
}

// called notes that a call returned; p is what Process was given, or nil for another call.
func (v *view) called(p *fetch.Page, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s.CallSince, v.calledAt = time.Time{}, time.Now()
	if p == nil || len(p.Records) == 0 {
		return
	}
	v.s.Delivered = p.Records[len(p.Records)-1].Position
	if err == nil {
		v.s.Records += int64(len(p.Records))
		v.s.Bytes += p.Bytes
	}
}

func (v *view) inCall() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.s.CallSince
}

func (v *view) checkpointed(at stream.Position) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s.Checkpoint = at
}

func (v *view) failed(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s.Error = err.Error()
	if v.failedAt.IsZero() {
		v.failedAt = time.Now()
	}
}

// silentAfter is how long a shard may be without an answer to a read, or unable to go on, before it counts as silent.
const silentAfter = 30 * time.Second

// idleSinceLocked returns since when the processor has been ready for records without any read being answered; zero if it is
// not ready.
func (v *view) idleSinceLocked() time.Time {
	if v.s.Phase != Processing || !v.s.CallSince.IsZero() {
		return time.Time{}
	}
	return slices.MaxFunc([]time.Time{v.s.ReadAt, v.phaseAt, v.calledAt}, time.Time.Compare)
}

// status returns what there is to see, and what is wrong, if anything.
func (v *view) status(now time.Time, slowAfter time.Duration) (ShardStatus, []Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var problems []Problem
	wrong := func(since time.Time, what string) {
		problems = append(problems, Problem{Stream: v.s.Stream, Shard: v.s.Shard, What: what, Since: since})
	}
	s := v.s
	if v.readErr != nil && s.Error == "" {
		s.Error = v.readErr.Error()
	}
	switch {
	case s.Attempt > 0:
		wrong(v.failedAt, "the processor failed "+times(s.Attempt)+", records behind "+s.Checkpoint.String()+" wait: "+s.Error)
	case !s.CallSince.IsZero() && now.Sub(s.CallSince) >= slowAfter:
		wrong(s.CallSince, "one call to the processor has run for "+now.Sub(s.CallSince).Round(time.Second).String())
	}
	if v.obstacle != "" && now.Sub(v.blockedAt) >= silentAfter {
		wrong(v.blockedAt, v.obstacle)
	}
	if since := v.idleSinceLocked(); !since.IsZero() && now.Sub(since) >= silentAfter {
		if v.readErr != nil {
			wrong(since, "nothing can be read: "+v.readErr.Error())
		} else {
			wrong(since, "no read has been answered, or there is no room for one in Reading.MaxBytes")
		}
	}
	return s, problems
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times in a row"
}

func sortShards(s []ShardStatus) {
	slices.SortFunc(s, func(a, b ShardStatus) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Shard, b.Shard))
	})
}

func sortProblems(p []Problem) {
	slices.SortFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Shard, b.Shard), a.Since.Compare(b.Since), cmp.Compare(a.What, b.What))
	})
}
