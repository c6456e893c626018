package kcl_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

// processor is a stream.Processor of functions; those that are nil succeed, and the end of a shard is checkpointed.
type processor struct {
	process func(context.Context, *stream.Batch, stream.Checkpointer) error
	close   func(context.Context, stream.EndReason, stream.Checkpointer) error

	mu      sync.Mutex
	reasons []stream.EndReason
	batches []*stream.Batch
	from    stream.Assignment
}

func (p *processor) start(_ context.Context, a stream.Assignment) (stream.Processor, error) {
	p.from = a
	return p, nil
}

func (p *processor) Process(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	p.mu.Lock()
	p.batches = append(p.batches, b)
	p.mu.Unlock()
	if p.process == nil {
		return nil
	}
	return p.process(ctx, b, cp)
}

func (p *processor) Close(ctx context.Context, why stream.EndReason, cp stream.Checkpointer) error {
	p.mu.Lock()
	p.reasons = append(p.reasons, why)
	p.mu.Unlock()
	switch {
	case p.close != nil:
		return p.close(ctx, why, cp)
	case why == stream.ShardEnded:
		return cp.Checkpoint(ctx, stream.Position{})
	}
	return nil
}

// Lines that parents write.
const (
	sayInitialize = `{"action":"initialize","shardId":"shardId-000000000001","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}` + "\n"
	sayRecords    = `{"action":"processRecords","records":[{"data":"bWVvdw==","partitionKey":"cat","sequenceNumber":"456","approximateArrivalTimestamp":1760000000123,"subSequenceNumber":0,"action":"record"}],"millisBehindLatest":340}` + "\n"
	sayShutdown   = `{"action":"shutdownRequested"}` + "\n"
	sayLeaseLost  = `{"action":"leaseLost"}` + "\n"
	sayShardEnded = `{"action":"shardEnded"}` + "\n"
	sayDone       = `{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"error":null}` + "\n"
)

// Messages that the child writes.
const (
	statusInitialize = "\n" + `{"action":"status","responseFor":"initialize"}` + "\n"
	statusRecords    = "\n" + `{"action":"status","responseFor":"processRecords"}` + "\n"
	statusShutdown   = "\n" + `{"action":"status","responseFor":"shutdownRequested"}` + "\n"
	statusLeaseLost  = "\n" + `{"action":"status","responseFor":"leaseLost"}` + "\n"
	statusShardEnded = "\n" + `{"action":"status","responseFor":"shardEnded"}` + "\n"
	askAll           = "\n" + `{"action":"checkpoint","sequenceNumber":null}` + "\n"
)

func checkpointAll(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
	return cp.Checkpoint(ctx, stream.Position{})
}

// serve gives Serve the whole input at once and returns its output.
func serve(t *testing.T, np stream.NewProcessor, input ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := kcl.Serve(t.Context(), strings.NewReader(strings.Join(input, "")), &out, np)
	return out.String(), err
}

func wantOutput(t *testing.T, got string, want ...string) {
	t.Helper()
	if w := strings.Join(want, ""); got != w {
		t.Errorf("child wrote\n%q\nwant\n%q", got, w)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parent is a Daemon whose child's lines are collected as they come, for tests of what is not written yet.
type parent struct {
	*kcltest.Daemon
	t     *testing.T
	mu    sync.Mutex
	lines []string
}

// listen starts a child and a goroutine that reads all it writes, inside a bubble.
func listen(t *testing.T, np stream.NewProcessor) *parent {
	p := &parent{Daemon: kcltest.Serve(t, np), t: t}
	go func() {
		for {
			line, err := p.Receive()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.lines = append(p.lines, line)
			p.mu.Unlock()
		}
	}()
	return p
}

// says writes to the child and waits until nothing moves any more.
func (p *parent) says(lines ...string) {
	p.t.Helper()
	must(p.t, p.Send([]byte(strings.Join(lines, ""))))
	synctest.Wait()
}

// wants checks all the child wrote since the last time.
func (p *parent) wants(messages ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var got strings.Builder
	for _, l := range p.lines {
		got.WriteString("\n" + l + "\n")
	}
	p.lines = nil
	wantOutput(p.t, got.String(), messages...)
}
