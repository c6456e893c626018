package kcltest

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// CheckpointRequest is what a child asked for: nil for a key that was null or missing.
type CheckpointRequest struct {
	Sequence *string
	Sub      *int64
}

// Daemon is the parent of one child. Each method that names an action sends it, answers the checkpoints that the child asks
// for, and returns when the child has answered the action; it fails if the child ends its output or answers another one. It
// does not time out. A Daemon belongs to one goroutine at a time.
type Daemon struct {
	// Answer decides on each checkpoint: the simple name of a Java exception, or empty to accept it. nil accepts all.
	Answer func(CheckpointRequest) string

	// Checkpoints are all requests so far, in order.
	Checkpoints []CheckpointRequest

	// Skipped are the lines of the child that were no messages, in order, without blank ones.
	Skipped []string

	stdin  io.WriteCloser
	stdout *wire.LineReader
	wait   func() error
}

// NewDaemon returns the parent of a child whose stdin and stdout these are. It owns stdin.
func NewDaemon(stdin io.WriteCloser, stdout io.Reader) *Daemon {
	return &Daemon{stdin: stdin, stdout: wire.NewReplyReader(stdout), wait: func() error { return nil }}
}

// Serve runs kcl.Serve in a goroutine and returns its parent. The test's end hangs up and waits for it.
func Serve(t testing.TB, np stream.NewProcessor) *Daemon {
	t.Helper()
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	d := NewDaemon(stdin, stdout)
	result, done := error(nil), make(chan struct{})
	go func() {
		defer close(done)
		defer in.Close()  // so that a write to a child that has gone fails, as on a real pipe
		defer out.Close() // and a read ends
		result = kcl.Serve(context.WithoutCancel(t.Context()), in, out, np)
	}()
	d.wait = func() error {
		<-done
		return result
	}
	t.Cleanup(func() {
		stdin.Close()
		stdout.Close()
		<-done
	})
	return d
}

// Initialize opens the conversation.
func (d *Daemon) Initialize(shard stream.ShardID, from stream.Position) error {
	return d.do(wire.Initialize, wire.AppendInitialize(nil, shard, from))
}

// Process delivers one batch.
func (d *Daemon) Process(b *stream.Batch) error {
	return d.do(wire.ProcessRecords, wire.AppendProcessRecords(nil, b))
}

// ShutdownRequested asks the child to come to an end.
func (d *Daemon) ShutdownRequested() error {
	return d.do(wire.ShutdownRequested, wire.AppendAction(nil, wire.ShutdownRequested))
}

// LeaseLost tells the child that its lease is gone. Checkpoints fail with InvalidStateException, as under the Java daemon.
func (d *Daemon) LeaseLost() error {
	return d.do(wire.LeaseLost, wire.AppendAction(nil, wire.LeaseLost))
}

// ShardEnded tells the child that its shard has ended.
func (d *Daemon) ShardEnded() error {
	return d.do(wire.ShardEnded, wire.AppendAction(nil, wire.ShardEnded))
}

// HangUp closes the child's stdin. For a child of [Serve] it returns what kcl.Serve returned.
func (d *Daemon) HangUp() error {
	if err := d.stdin.Close(); err != nil {
		return err
	}
	return d.wait()
}

// Send writes bytes as they are; a message needs its line feed.
func (d *Daemon) Send(message []byte) error {
	_, err := d.stdin.Write(message)
	return err
}

// Receive returns the child's next line that is not blank.
func (d *Daemon) Receive() (string, error) {
	for {
		line, err := d.stdout.Next()
		if err != nil || len(line) > 0 {
			return string(line), err
		}
	}
}

func (d *Daemon) do(action wire.Action, message []byte) error {
	if err := d.Send(message); err != nil {
		return fmt.Errorf("send %s: %w", action, err)
	}
	for {
		line, err := d.Receive()
		if err != nil {
			return fmt.Errorf("await status %s: %w", action, err)
		}
		reply, err := wire.DecodeReply([]byte(line))
		switch {
		case err != nil:
			d.Skipped = append(d.Skipped, line)
		case reply.Action == wire.Status && reply.ResponseFor == action:
			return nil
		case reply.Action == wire.Status:
			return fmt.Errorf("await status %s: the child answered %q", action, reply.ResponseFor)
		case reply.Action == wire.Checkpoint:
			if err := d.checkpoint(action, reply); err != nil {
				return err
			}
		}
	}
}

func (d *Daemon) checkpoint(during wire.Action, reply wire.Reply) error {
	request := CheckpointRequest{Sequence: reply.Sequence, Sub: reply.Sub}
	d.Checkpoints = append(d.Checkpoints, request)
	refusal := ""
	switch {
	case during == wire.Initialize || during == wire.LeaseLost:
		refusal = "InvalidStateException"
	case d.Answer != nil:
		refusal = d.Answer(request)
	}
	if err := d.Send(wire.AppendCheckpointAnswer(nil, reply.Sequence, reply.Sub, refusal)); err != nil {
		return fmt.Errorf("answer checkpoint: %w", err)
	}
	return nil
}
