package multilang

import (
	"context"
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// answerError says that a child gave a wrong answer. It may still be able to hear.
type answerError struct{ what string }

func (e *answerError) Error() string { return e.what }

// exchange is one action on its way: it is written while replies are read, until the status has come and all is written.
type exchange struct {
	*processor
	action wire.Action
	cp     stream.Checkpointer // nil where no checkpoint is possible

	writing  bool // a message is under way to stdin
	started  bool // the action itself has been written
	answered bool // its status has come
	clock    *time.Timer
	limit    time.Duration // that the clock was set to; 0 while it stands
}

// exchange sends an action and returns when the child has answered it. After an error other than an [answerError] the child
// is of no use.
func (p *processor) exchange(ctx context.Context, a wire.Action, message []byte, cp stream.Checkpointer) error {
	x := &exchange{processor: p, action: a, cp: cp, clock: time.NewTimer(time.Hour)}
	defer x.clock.Stop()
	x.send(message)
	err := x.converse(ctx)
	if err != nil && cutOff(ctx) {
		return fmt.Errorf("multilang: child stopped in the midst of %s: %w", a, context.Cause(ctx))
	}
	return err
}

func (x *exchange) converse(ctx context.Context) error {
	k := x.child
	exited, done := k.exited, ctx.Done()
	var settle, grace <-chan time.Time
	for x.writing || !x.answered {
		replies := k.replies
		if x.answered || len(x.answers) > maxAnswers {
			replies = nil
		}
		select {
		case err := <-k.written:
			if err != nil {
				return x.unwritten(err)
			}
			x.wrote()
		case r, open := <-replies:
			if !open {
				return x.unanswered()
			}
			if err := x.hear(ctx, r); err != nil {
				return err
			}
		case <-x.clock.C:
			return x.overdue()
		case <-exited:
			exited, settle = nil, time.After(killDelay) // its last words may still be in the pipe
		case <-settle:
			return fmt.Errorf("multilang: child %s before it answered %s, and left its stdout to another process", outcome(k.state()), x.action)
		case <-done:
			if cutOff(ctx) {
				return context.Cause(ctx)
			}
			done, grace = nil, time.After(x.command.ExitTimeout)
		case <-grace:
			return fmt.Errorf("multilang: child did not finish %s within %v of the loss of its lease: %w", x.action, x.command.ExitTimeout, context.Cause(ctx))
		}
	}
	return nil
}

// send starts the writing of a message.
func (x *exchange) send(message []byte) {
	x.writing = true
	x.setClock(x.command.ReplyTimeout)
	select {
	case x.child.messages <- message:
	case <-x.child.ending: // the context has ended; what is awaited next tells
	}
}

// wrote goes on to the answers that wait, or to waiting for the child.
func (x *exchange) wrote() {
	x.writing, x.started = false, true
	if len(x.answers) > 0 {
		x.answers, x.sent = x.sent[:0], x.answers
		x.send(x.sent)
		return
	}
	x.setClock(x.command.ReplyTimeout)
}

// hear takes one reply.
func (x *exchange) hear(ctx context.Context, r wire.Reply) error {
	if r.Action == wire.Status {
		if r.ResponseFor != x.action {
			return wrongAnswer(r.ResponseFor, x.action)
		}
		x.answered = true
		if x.writing { // a child that has not read what it answers gets a moment to do so
			x.setClock(x.command.ExitTimeout)
		}
		return nil
	}
	x.setClock(0)
	x.request(ctx, x.action, r, x.cp)
	if x.writing {
		x.setClock(x.command.ReplyTimeout)
		return nil
	}
	x.answers, x.sent = x.sent[:0], x.answers
	x.send(x.sent)
	return nil
}

func wrongAnswer(got, awaited wire.Action) error {
	if got == "" {
		return &answerError{fmt.Sprintf("multilang: child sent a status without responseFor while %s was awaited", awaited)}
	}
	return &answerError{fmt.Sprintf("multilang: child answered %.40q while %s was awaited", string(got), awaited)}
}

// unwritten says why a message could not be written.
func (x *exchange) unwritten(err error) error {
	if fate, ended := x.child.fate(); ended {
		return fmt.Errorf("multilang: child %s before it answered %s", fate, x.action)
	}
	return fmt.Errorf("multilang: child closed its stdin before it read %s: %w", x.underWay(), err)
}

// unanswered says why stdout is at its end.
func (x *exchange) unanswered() error {
	if fate, ended := x.child.fate(); ended {
		return fmt.Errorf("multilang: child %s before it answered %s", fate, x.action)
	}
	return fmt.Errorf("multilang: child closed its stdout before it answered %s", x.action)
}

// underWay names the message that is being written.
func (x *exchange) underWay() string {
	if x.started {
		return "the answer to its checkpoint in " + string(x.action)
	}
	return string(x.action)
}

// overdue says what did not happen in time.
func (x *exchange) overdue() error {
	switch {
	case x.answered:
		return fmt.Errorf("multilang: child answered %s without reading it", x.action)
	case x.writing:
		return fmt.Errorf("multilang: child did not read %s within %v", x.underWay(), x.limit)
	}
	return fmt.Errorf("multilang: child did not answer %s within %v", x.action, x.limit)
}

// setClock starts the clock anew, or stops it for 0.
func (x *exchange) setClock(limit time.Duration) {
	x.limit = limit
	if limit == 0 {
		x.clock.Stop()
		return
	}
	x.clock.Reset(limit)
}
