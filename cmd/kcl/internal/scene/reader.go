package scene

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

func (s *Scene) workerConfig(leases lease.Store) worker.Config {
	return worker.Config{
		Application:  s.cfg.application(),
		Streams:      []string{s.cfg.Stream},
		NewProcessor: s.newReader,
		Kinesis:      s.cfg.Kinesis,
		Leases:       leases,
		ID:           workerID,
		Start:        stream.TrimHorizon,
		Logger:       slog.New(complaints{scene: s}),
		Trace: &worker.Trace{
			Fetched: func(shard worker.Shard, _ int, _ int64, behind, _ time.Duration) { s.fetched(shard.ID, behind) },
			Failed:  func(shard worker.Shard, _ int, _ time.Duration, err error) { s.failed(shard.ID, err) },
		},
	}
}

// reader is the processor: it enters what it gets and checkpoints each batch.
type reader struct {
	scene *Scene
	id    stream.ShardID
	run   *ledger.Run
}

func (s *Scene) newReader(_ context.Context, a stream.Assignment) (stream.Processor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shardLocked(a.Shard)
	sh.state, sh.owner = picture.Reading, workerID
	if a.HashKeys.IsKnown() {
		sh.keys = a.HashKeys
	}
	s.tellLocked(false, "%s reads %s", workerID, picture.Short(a.Shard))
	return &reader{scene: s, id: a.Shard, run: s.books.Begin(a.Shard)}, nil
}

// Process implements [stream.Processor].
func (r *reader) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	r.run.Deliver(b.Records, time.Now())
	return cp.Checkpoint(ctx, stream.Position{})
}

// Close implements [stream.Processor].
func (r *reader) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	var err error
	if why != stream.LeaseLost {
		err = cp.Checkpoint(ctx, stream.Position{})
	}
	r.scene.mu.Lock()
	defer r.scene.mu.Unlock()
	sh := r.scene.shardLocked(r.id)
	switch {
	case why == stream.ShardEnded && err == nil:
		sh.state = picture.Done
		r.scene.tellLocked(false, "%s is read to its end", picture.Short(r.id))
	case why == stream.LeaseLost:
		sh.state, sh.owner = picture.Free, ""
		r.scene.tellLocked(false, "%s lost %s", workerID, picture.Short(r.id))
	default:
		sh.state, sh.owner = picture.Free, ""
	}
	return err
}

func (s *Scene) fetched(id stream.ShardID, behind time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shardLocked(id)
	sh.behind, sh.known = behind, true
}

func (s *Scene) failed(id stream.ShardID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shardLocked(id).state = picture.Failing
	s.tellLocked(true, "%s failed and starts again: %v", picture.Short(id), err)
}

// complaints is a [slog.Handler] that shows the worker's warnings and errors as events.
type complaints struct {
	scene *Scene
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
	c.scene.mu.Lock()
	defer c.scene.mu.Unlock()
	c.scene.tellLocked(r.Level >= slog.LevelError, "%s", text.String())
	return nil
}

// WithAttrs implements [slog.Handler]. The worker's name is left out: there is one.
func (c complaints) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := append([]slog.Attr(nil), c.attrs...)
	for _, a := range attrs {
		if a.Key != "worker" {
			all = append(all, a)
		}
	}
	return complaints{scene: c.scene, attrs: all}
}

// WithGroup implements [slog.Handler]; groups do not matter to a reader.
func (c complaints) WithGroup(string) slog.Handler { return c }
