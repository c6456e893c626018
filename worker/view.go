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
	readErr   error // of the reads in a row that failed since readErrAt; nil while reads succeed
	readErrAt time.Time
	failedAt  time.Time // of the first failure in a row of the processor
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

// unread notes a read that failed; nil notes one that succeeded.
func (v *view) unread(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil && v.readErr == nil {
		v.readErrAt = time.Now()
	}
	v.readErr = err
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
	v.s.CallSince = time.Time{}
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

// silentAfter is how long reads of a shard may fail before it counts as silent.
const silentAfter = 30 * time.Second

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
	if v.readErr != nil && now.Sub(v.readErrAt) >= silentAfter {
		wrong(v.readErrAt, "nothing can be read: "+v.readErr.Error())
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
