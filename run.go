package kcl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Run makes this process a child of a MultiLang daemon: it reads the daemon's messages from stdin, calls the processor,
// answers on stdout, and returns when stdin ends. When the processor fails, or a message cannot be understood, it prints the
// error to stderr and exits with code 1, without an answer: the daemon delivers the same records again elsewhere.
//
// While it runs, everything else that is written to [os.Stdout] goes to stderr, also through values taken from os.Stdout
// before, such as a logger's. An interrupt (Ctrl-C) is ignored, because it goes to the daemon as well, which then ends the
// conversation. After SIGTERM the daemon has 10 s to do so; then a running call has 10 s to return, or with a second SIGTERM
// at once; then Run exits with code 1.
//
// Call it once, from main.
func Run(processor RecordProcessor) {
	if err := run(processor); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(processor RecordProcessor) (err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := heedSignals(cancel)
	defer func() {
		if err == nil { // else the process exits, and a further signal must not beat the message and the exit code
			stop()
		}
	}()
	defer protocol.redirect()()
	app := newClassic(processor)
	protocol.begin(app.bound)
	defer protocol.begin(nil)
	c := conversation{
		in:    &input{feed: newFeed(os.Stdin), current: func() *os.File { return os.Stdin }},
		write: printMessage,
		app:   frozen{app},
	}
	return c.run(ctx)
}

// frozen is the calls of a processor under [Run]. They do not end with the input: the application cannot see it, and a test
// may go on with another file as stdin.
type frozen struct{ *classic }

func (f frozen) process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	return f.classic.process(context.WithoutCancel(ctx), b, cp)
}

func (f frozen) shutdownRequested(ctx context.Context, cp stream.Checkpointer) error {
	return f.classic.shutdownRequested(context.WithoutCancel(ctx), cp)
}

func (f frozen) shardEnded(ctx context.Context, cp stream.Checkpointer) error {
	return f.classic.shardEnded(context.WithoutCancel(ctx), cp)
}

// unended answers all the same, as it always was, but not in silence: the parent cannot finish the shard.
func (f frozen) unended() error {
	fmt.Fprintln(os.Stderr, "kcl: shardEnded:", errUnended)
	return nil
}

var errTerminated = errors.New("kcl: terminated")

// heedSignals ends ctx some time after SIGTERM. A service manager signals a daemon and its children together, and then the
// daemon ends the conversation in good order. Interrupts are for the daemon alone. SIGPIPE must not end the process while a
// call still runs. They are received rather than ignored, because processes that the application starts would inherit that.
func heedSignals(cancel context.CancelCauseFunc) (stop func()) {
	var watching sync.WaitGroup
	over := make(chan struct{})
	terms := make(chan os.Signal, 2) // two, so that the second is not dropped
	signal.Notify(terms, syscall.SIGTERM)
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, os.Interrupt, syscall.SIGPIPE)
	watching.Go(func() {
		var late <-chan time.Time
		for {
			select {
			case <-terms:
				if late != nil {
					cancel(errTerminated)
					continue
				}
				late = time.After(stopStep)
			case <-late:
				cancel(errTerminated)
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		watching.Wait()
		// A signal may have been sent before the conversation ended and be delivered after: it must not turn a clean end
		// into a kill. The timer holds nothing up; the process usually ends before it fires.
		time.AfterFunc(lateSignals, func() {
			signal.Stop(terms)
			signal.Stop(unread)
		})
	}
}

// lateSignals is how long after the end signals are still taken in.
const lateSignals = 2 * time.Second
