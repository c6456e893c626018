package multilang

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// Command says how to start the child of a shard. The zero value of each field that is not required selects the default. A
// Command may be used for any number of shards at the same time.
type Command struct {
	// Path is the program; required. A bare name is looked up in PATH, a name with a slash is relative to the working
	// directory. No shell is involved.
	Path string
	// Args are its arguments, without the program's name; default: none. The shard is told in the protocol alone.
	Args []string
	// Env is its environment in the form key=value; default: that of this process.
	Env []string

	// ReplyTimeout is how long a child may take for its next message once it has read the last one, and to read a message;
	// each request for a checkpoint starts it anew. Default: no limit, as in the Java daemon (timeoutInSeconds).
	ReplyTimeout time.Duration
	// ExitTimeout is how long a child may take to exit once its work is over, and to finish once its lease is lost; default
	// 5 s.
	ExitTimeout time.Duration

	// Logger hears of the start and end of children and of what they print on stdout beside the protocol (Info), and of
	// children that had to be made to end (Warn); default slog.Default().
	Logger *slog.Logger
	// Stderr takes what children write on stderr, one tagged line in each Write, from many goroutines; default os.Stderr.
	// A Write that blocks holds up the child.
	Stderr io.Writer
}

// defaultExitTimeout leaves a child time for what it does at exit, and is well under the 30 s that a worker has for draining.
const defaultExitTimeout = 5 * time.Second

func (c Command) withDefaults() Command {
	if c.ExitTimeout == 0 {
		c.ExitTimeout = defaultExitTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	return c
}

func (c Command) validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("multilang: Path is required"))
	}
	if c.ReplyTimeout < 0 {
		errs = append(errs, fmt.Errorf("multilang: ReplyTimeout %v is negative", c.ReplyTimeout))
	}
	if c.ExitTimeout < 0 {
		errs = append(errs, fmt.Errorf("multilang: ExitTimeout %v is negative", c.ExitTimeout))
	}
	return errors.Join(errs...)
}

// NewProcessor starts a child for one assignment, sends it initialize and waits for its answer. It is a
// [stream.NewProcessor]. After an error no child is left; a context that has ended already starts none.
//
// The child lives until Close, until a call fails, or until ctx ends. Errors say what the child did; when ctx ended they are
// its [context.Cause].
func (c Command) NewProcessor(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("multilang: no child started: %w", context.Cause(ctx))
	}
	log := c.Logger.With("stream", a.Stream, "shard", a.Shard)
	child, err := start(c, a, log)
	if err != nil {
		return nil, fmt.Errorf("multilang: start %q: %w", c.Path, err)
	}
	p := &processor{child: child, command: c, log: child.log, last: a.From}
	defer p.enter()()
	p.unwatch = context.AfterFunc(ctx, func() { p.abandoned(ctx) })
	if err := p.exchange(ctx, wire.Initialize, wire.AppendInitialize(nil, a.Shard, a.From), nil); err != nil {
		p.abort(ctx)
		return nil, err
	}
	return p, nil
}
