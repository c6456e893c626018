package kcl

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// running is one call of the application, watched by the conversation.
type running struct {
	c       *conversation
	gate    *gate
	done    chan error
	waiting *request // asked for and not answered
	limit   <-chan time.Time
	ending  bool // the application's context has ended for the sake of this stop
	broken  error
}

// call runs f in a goroutine and serves its checkpoints until it has returned and none is outstanding. The goroutine is left
// behind only where f outlives its context by stopStep; then an error says so.
func (c *conversation) call(ctx context.Context, g *gate, f func(*gate) error) error {
	r := &running{c: c, gate: g, done: make(chan error, 1)}
	c.in.ahead()
	go func() { r.done <- guarded(g, f) }()
	return r.attend(ctx)
}

// guarded turns a panic of f, or runtime.Goexit in it, into an error that carries the stack: whoever prints it shows where.
func guarded(g *gate, f func(*gate) error) (err error) {
	err = errors.New("the processor ended its goroutine")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f(g)
}

func (r *running) attend(ctx context.Context) (err error) {
	stop, done := ctx.Done(), r.done
	for done != nil || r.waiting != nil {
		requests := r.gate.requests
		if r.waiting != nil {
			requests = nil // one at a time; the others queue
		}
		select {
		case err = <-done:
			done = nil
			close(r.gate.closed)
		case asked := <-requests:
			r.ask(asked)
		case l := <-r.c.in.lines():
			r.c.in.took()
			r.hear(l)
		case <-stop:
			stop = nil
			r.limit = time.After(stopStep)
		case <-r.limit:
			if r.ending {
				return fmt.Errorf("still running %v after its context ended", stopStep)
			}
			r.end(stream.ErrDrainTimeout)
		}
	}
	if r.broken != nil {
		return r.broken
	}
	return err
}

// end ends the application's context and starts the last clock.
func (r *running) end(cause error) {
	r.ending = true
	r.c.cancel(cause)
	r.limit = time.After(stopStep)
}

// ask writes one checkpoint request and goes on to its answer.
func (r *running) ask(asked *request) {
	c := r.c
	switch {
	case r.broken != nil:
		asked.answer <- r.broken
		return
	case c.lost:
		r.answer(asked, errLost)
		return
	}
	if r.gate.atEnd && (asked.at == stream.ShardEnd || asked.at == c.last) {
		// The Java daemon loses the end of a shard that is checkpointed with the number of its last record
		// (amazon-kinesis-client issue 211). Without a number it cannot.
		asked.at = stream.Position{}
	}
	c.out = wire.AppendCheckpoint(c.out[:0], asked.at)
	if err := c.write(c.out); err != nil {
		r.answer(asked, fmt.Errorf("ask parent: %w", err))
		return
	}
	if c.gone && !c.in.changed() {
		r.answer(asked, ErrParentGone)
		return
	}
	r.waiting = asked
	if l, ok := c.in.unhold(); ok {
		r.hear(l)
		return
	}
	c.in.ahead()
}

// hear takes one line that came while the call runs: the answer to a checkpoint, the end of the input, or the next message
// before its time, which waits.
func (r *running) hear(l line) {
	c := r.c
	switch {
	case l.err != nil && c.in.changed():
		c.gone = false
		c.in.ahead()
	case l.err != nil:
		c.gone = true
		r.end(ErrParentGone)
		if r.waiting != nil {
			r.answer(r.waiting, ErrParentGone)
		}
	case l.isBlank():
		c.in.ahead()
	case r.waiting == nil:
		c.in.held = &l
	default:
		if c.gone { // another file, see input.current
			c.gone, r.ending, r.limit = false, false, nil
		}
		r.result(l.text)
		c.in.ahead()
	}
}

// result reads the answer to the outstanding request.
func (r *running) result(text []byte) {
	var answer wire.Message
	err := wire.DecodeForChild(text, &answer)
	switch {
	case err != nil:
		r.broken = fmt.Errorf("answer to a checkpoint: %w", err)
	case answer.Action != wire.Checkpoint:
		r.broken = fmt.Errorf("answer to a checkpoint: the parent said %s", answer.Action)
	case answer.Error != "":
		r.answer(r.waiting, &CheckpointError{Name: answer.Error})
		return
	}
	r.answer(r.waiting, r.broken)
}

// answer tells the asker and remembers what the conversation must know. The asker comes first: it must not see its context
// end for a reason that the answer gives better.
func (r *running) answer(asked *request, err error) {
	r.waiting = nil
	asked.answer <- err
	if errors.Is(err, stream.ErrLeaseLost) {
		r.c.lose()
	}
	if r.gate.atEnd && asked.at.IsZero() {
		r.c.ended, r.c.endErr = err == nil, err
	}
}
