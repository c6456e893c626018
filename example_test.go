package kcl_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/kcltest"
	"github.com/kinesis-go/kcl/stream"
)

// printer is a whole processor in the frozen interface.
type printer struct{ shard string }

func (p *printer) Initialize(shard string) error {
	p.shard = shard
	return nil
}

func (p *printer) ProcessRecords(records []*kcl.Record, checkpointer *kcl.Checkpointer) error {
	for _, r := range records {
		data, err := base64.StdEncoding.DecodeString(r.Data)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.shard, data) // stdout belongs to the protocol
	}
	return checkpointer.Checkpoint(nil)
}

func (p *printer) ShutdownRequested(checkpointer *kcl.Checkpointer) error {
	return checkpointer.Checkpoint(nil)
}
func (p *printer) LeaseLost() error { return nil }
func (p *printer) ShardEnded(checkpointer *kcl.Checkpointer) error {
	return checkpointer.Checkpoint(nil)
}

// A whole program; name it in the daemon's property executableName. Here it has no parent: its stdin is empty.
func ExampleRun() {
	stdin := os.Stdin
	defer func() { os.Stdin = stdin }()
	os.Stdin, _ = os.Open(os.DevNull)

	kcl.Run(&printer{})

	fmt.Println("the parent has ended the conversation")
	// Output: the parent has ended the conversation
}

// A child of the new interface. A real one gives Serve os.Stdin and os.Stdout; here the parent's messages are text.
func ExampleServe() {
	count := stream.Func(func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		fmt.Fprintln(os.Stderr, len(b.Records), "records,", b.Behind, "behind")
		return cp.Checkpoint(ctx, stream.Position{})
	})
	parent := strings.NewReader(`{"action":"initialize","shardId":"shardId-000000000000","sequenceNumber":"TRIM_HORIZON"}
{"action":"processRecords","records":[{"data":"bWVvdw==","partitionKey":"cat","sequenceNumber":"456"}],"millisBehindLatest":340}
{"action":"checkpoint","sequenceNumber":null,"error":null}
{"action":"leaseLost"}
`)
	if err := kcl.Serve(context.Background(), parent, os.Stdout, count); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"action":"status","responseFor":"initialize"}
	//
	// {"action":"checkpoint","sequenceNumber":null}
	//
	// {"action":"status","responseFor":"processRecords"}
	//
	// {"action":"status","responseFor":"leaseLost"}
}

// An old processor in any host; here it is a test's.
func ExampleAdapt() {
	newProcessor := kcl.Adapt(func() kcl.RecordProcessor { return &printer{} })

	d, err := kcltest.Assign(context.Background(), newProcessor, stream.Assignment{Shard: "shardId-000000000000", From: stream.TrimHorizon})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = d.Deliver(kcltest.Records(1, "meow", "woof")...)
	fmt.Println(err, d.Checkpointed() == kcltest.Position(2))
	err = d.EndShard()
	fmt.Println(err, d.Checkpointed())
	// Output:
	// <nil> true
	// <nil> SHARD_END
}

// A checkpoint that is worth trying again is; one that is not fails at once.
func ExampleRetryCheckpoint() {
	tries := 0
	err := kcl.RetryCheckpoint(context.Background(), func() error {
		if tries++; tries < 3 {
			return &kcl.CheckpointError{Name: "ThrottlingException"}
		}
		return &kcl.CheckpointError{Name: "ShutdownException"}
	})
	fmt.Println(tries, errors.Is(err, stream.ErrLeaseLost))
	// Output: 3 true
}
