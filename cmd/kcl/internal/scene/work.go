package scene

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// Work says what one worker of a scene does. All fields are required.
type Work struct {
	Kinesis       *kinesis.Client
	DynamoDB      *dynamodb.Client
	Stream        string
	ID            string
	LeaseDuration time.Duration
}

const (
	// drainTimeout is how long a worker may take to stop.
	drainTimeout = 10 * time.Second
	// statusInterval is how often a worker tells how it is.
	statusInterval = 200 * time.Millisecond
)

// application is the name of the readers of a stream, and of their table.
func application(streamName string) string { return streamName + "-readers" }

// witness hears what a worker does. It returns when what it heard is in the books, so that no record is checkpointed
// before; with an error it is not.
type witness func(ctx context.Context, m message) error

// message is one thing that a worker tells. Exactly one of its groups is set.
type message struct {
	Number int64 `json:"number,omitempty"` // to be acknowledged by an ack with this number; 0: not at all

	// Run numbers the assignments of one worker, from 1. It is set with Begin, Records and End.
	Run     int64              `json:"run,omitempty"`
	Begin   *stream.Assignment `json:"begin,omitempty"`   // a run begins
	Records []stream.Record    `json:"records,omitempty"` // the processor got them
	End     stream.EndReason   `json:"end,omitempty"`     // the run ends

	Failed stream.ShardID `json:"failed,omitempty"` // the shard is started again, because of Text
	Text   string         `json:"text,omitempty"`   // of a failure, or else a complaint
	Bad    bool           `json:"bad,omitempty"`    // the complaint is an error

	Status *worker.Status `json:"status,omitempty"`
	Ended  bool           `json:"ended,omitempty"` // the worker has ended; this is its last message
}

// ack says that a message was heard.
type ack struct {
	Number int64 `json:"number"`
}

// run works until ctx ends, and tells of it.
func (w Work) run(ctx context.Context, tell witness) error {
	// Complaints and states are of no use to the books: losing one does no harm.
	say := func(m message) { _ = tell(context.WithoutCancel(ctx), m) }
	log := slog.New(complaints{say: say})
	leases, err := dynamolease.New(dynamolease.Config{Client: w.DynamoDB, Application: application(w.Stream), Logger: log})
	if err != nil {
		return err
	}
	var runs atomic.Int64
	one, err := worker.New(worker.Config{
		Application: application(w.Stream),
		Streams:     []string{w.Stream},
		NewProcessor: func(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
			r := &reader{tell: tell, run: runs.Add(1)}
			return r, tell(ctx, message{Run: r.run, Begin: &a})
		},
		Kinesis:       w.Kinesis,
		Leases:        leases,
		ID:            w.ID,
		Start:         stream.TrimHorizon,
		LeaseDuration: w.LeaseDuration,
		DrainTimeout:  drainTimeout,
		Logger:        log,
		Trace: &worker.Trace{
			Failed: func(s worker.Shard, _ int, _ time.Duration, err error) { say(message{Failed: s.ID, Text: err.Error()}) },
		},
	})
	if err != nil {
		return err
	}
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	var states sync.WaitGroup
	states.Go(func() { tellStatus(telling, one, say) })
	defer states.Wait()
	defer stop()
	return one.Run(ctx)
}

func tellStatus(ctx context.Context, w *worker.Worker, say func(message)) {
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			status := w.Status()
			say(message{Status: &status})
		}
	}
}

// reader is the processor: it tells what it gets and checkpoints each batch.
type reader struct {
	tell witness
	run  int64
}

// Process implements [stream.Processor].
func (r *reader) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	if err := r.tell(ctx, message{Run: r.run, Records: b.Records}); err != nil {
		return err
	}
	return cp.Checkpoint(ctx, stream.Position{})
}

// Close implements [stream.Processor].
func (r *reader) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	if why != stream.LeaseLost {
		if err := cp.Checkpoint(ctx, stream.Position{}); err != nil {
			return err
		}
	}
	// The context may have ended with the lease; the scene is to know all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return r.tell(ctx, message{Run: r.run, End: why})
}

// complaints is a [slog.Handler] that tells the worker's warnings and errors.
type complaints struct {
	say   func(message)
	attrs []slog.Attr
}

// Enabled implements [slog.Handler].
func (complaints) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements [slog.Handler].
func (c complaints) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		text.WriteString(" " + a.String())
		return true
	}
	for _, a := range c.attrs {
		add(a)
	}
	r.Attrs(add)
	c.say(message{Text: text.String(), Bad: r.Level >= slog.LevelError})
	return nil
}

// WithAttrs implements [slog.Handler]. The worker's name is left out: the scene knows who complains.
func (c complaints) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := append([]slog.Attr(nil), c.attrs...)
	for _, a := range attrs {
		if a.Key != "worker" {
			all = append(all, a)
		}
	}
	return complaints{say: c.say, attrs: all}
}

// WithGroup implements [slog.Handler]; groups do not matter to a reader.
func (c complaints) WithGroup(string) slog.Handler { return c }
