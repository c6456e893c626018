//go:build unix

package multilang_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/transcript"
	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// transcriptChild, with the name of a transcript behind it, is the child that says what the recorded one said.
const transcriptChild = "transcript "

// playTranscript is that child. What it is told must be, byte for byte, what Amazon's daemon told the recorded child.
func playTranscript(name string) (code int) {
	const wrong = 90
	script, err := readTranscript(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return wrong
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	heard := func(want string) bool {
		got, err := in.ReadString('\n')
		if err == nil && got == want+"\n" {
			return true
		}
		fmt.Fprintf(os.Stderr, "the daemon said\n%s(%v), recorded is\n%s\n", got, err, want)
		return false
	}
	for _, e := range script.Exchanges {
		if !heard(e.Line) {
			return wrong
		}
		for _, c := range e.Checkpoints {
			if c.Answer == "" {
				return max(script.Exit, 1) // the recorded daemon was gone; this one lives
			}
			fmt.Print("\n" + c.Line + "\n")
			if !heard(c.Answer) {
				return wrong
			}
		}
		if e.Status == "" {
			return max(script.Exit, 1)
		}
		fmt.Print("\n" + e.Status + "\n")
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		fmt.Fprintf(os.Stderr, "at the end the daemon said %q (%v)\n", rest, err)
		return wrong
	}
	return 0
}

func readTranscript(name string) (transcript.Transcript, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return transcript.Transcript{}, err
	}
	script, err := transcript.Parse(string(text))
	if err != nil {
		return script, fmt.Errorf("%s: %w", name, err)
	}
	return script, nil
}

// TestSaysWhatAmazonsDaemonSaid plays the worker to a child that says what one under Amazon's daemon said, recorded by
// interop/childjava: the same assignment, batches and end, and the same outcome of each checkpoint.
func TestSaysWhatAmazonsDaemonSaid(t *testing.T) {
	names, err := filepath.Glob("../testdata/transcripts/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no transcripts (%v)", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			script, err := readTranscript(name)
			if err != nil {
				t.Fatal(err)
			}
			replay(newRig(t, transcriptChild+name), script)
		})
	}
}

// replay makes the calls of a worker that lead to a transcript.
func replay(r *rig, script transcript.Transcript) {
	first := script.Exchanges[0].Message
	p, err := r.NewProcessor(r.ctx, stream.Assignment{Stream: "orders", Shard: first.Shard, From: first.From})
	if err != nil {
		r.Fatalf("%v\nstderr:\n%s", err, r.stderr)
	}
	r.p = p
	var last stream.Position
	for i := 1; i < len(script.Exchanges); i++ {
		e := script.Exchanges[i]
		cp := &recordedCheckpoints{recorded: e.Checkpoints}
		switch e.Message.Action {
		case wire.ProcessRecords:
			b := e.Message.Batch
			last = b.Records[len(b.Records)-1].Position
			err = p.Process(r.ctx, b, cp)
		case wire.ShutdownRequested:
			i++ // leaseLost, without a checkpoint
			err = p.Close(r.ctx, stream.ShutdownRequested, cp)
		case wire.LeaseLost:
			err = p.Close(r.ctx, stream.LeaseLost, cp)
		case wire.ShardEnded:
			err = p.Close(r.ctx, stream.ShardEnded, cp)
		}
		if (err == nil) != (e.Status != "") {
			r.Fatalf("%s: %v, recorded is the status %q\nstderr:\n%s", e.Message.Action, err, e.Status, r.stderr)
		}
		for _, wrong := range cp.wrong(last) {
			r.Error(wrong)
		}
	}
	r.cancel(errors.New("the recorded daemon was gone")) // where the conversation did not end by itself
	r.log.await(r.T, "child ended")
	r.gone()
	if text := r.stderr.String(); text != "" {
		r.Errorf("the child complains:\n%s", text)
	}
}

// recordedCheckpoints answers with the recorded outcomes.
type recordedCheckpoints struct {
	recorded []transcript.Checkpoint
	asked    []stream.Position
}

// Checkpoint implements [stream.Checkpointer].
func (c *recordedCheckpoints) Checkpoint(_ context.Context, at stream.Position) error {
	c.asked = append(c.asked, at)
	n := len(c.asked)
	if n > len(c.recorded) {
		return errors.New("not in the transcript")
	}
	return map[string]error{
		"":                                    nil,
		"ShutdownException":                   stream.ErrLeaseLost,
		"IllegalArgumentException":            stream.ErrPosition,
		"ThrottlingException":                 stream.ErrThrottled,
		"InvalidStateException":               stream.ErrNoCheckpoint,
		"KinesisClientLibDependencyException": stream.ErrUnavailable,
	}[c.recorded[n-1].Error]
}

// wrong compares what was asked for with what the recorded child asked for.
func (c *recordedCheckpoints) wrong(last stream.Position) (all []string) {
	n := 0
	for _, want := range c.recorded {
		if want.Answer == "" {
			continue
		}
		at := stream.Position{}
		if want.Request.Sequence != nil {
			at.Sequence = stream.SequenceNumber(*want.Request.Sequence)
		}
		if want.Request.Sub != nil {
			at.Sub = *want.Request.Sub
		}
		switch {
		case n >= len(c.asked):
			all = append(all, fmt.Sprintf("%s was not asked of the worker", want.Line))
		case c.asked[n] != at && (!at.IsZero() || c.asked[n] != last): // a worker may be asked for the last record by its name
			all = append(all, fmt.Sprintf("the worker was asked for %v, the child wrote %s", c.asked[n], want.Line))
		}
		n++
	}
	return all
}
