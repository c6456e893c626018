package local_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/local"
)

// TestServeEndsSubscriptions stops a server while a subscription is open; it must not wait for it.
func TestServeEndsSubscriptions(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := local.New(local.Config{Logger: quiet()})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c := client(s.AWSConfigAt("http://" + l.Addr().String()))
	created(t, c, "orders", 1)
	stream, err := subscribe(t.Context(), c, registered(t, c, "orders", "reader"), first)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for next(stream) != nil {
	}
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
	_ = stream.Close()
	if err := putOne(t.Context(), c); err == nil {
		t.Error("a stopped server took a record")
	}
}

func TestServeReportsItsListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := local.New(local.Config{}).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener = %v", err)
	}
}

// TestConcurrentUse puts, reads, reshards and subscribes at the same time, and finds every record once.
func TestConcurrentUse(t *testing.T) {
	s := local.New(local.Config{Logger: quiet()})
	c := client(s.AWSConfig())
	created(t, c, "orders", 2)
	const writers, batches, perBatch = 4, 10, 50
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for b := range batches {
				var entries []types.PutRecordsRequestEntry
				for i := range perBatch {
					text := fmt.Sprintf("%d-%d-%d", w, b, i)
					entries = append(entries, types.PutRecordsRequestEntry{Data: []byte(text), PartitionKey: &text})
				}
				if _, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("orders"), Records: entries}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Go(func() {
		for _, n := range []int32{4, 3, 2, 1, 2} {
			if _, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: aws.String("orders"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling}); err != nil {
				t.Error(err)
			}
		}
	})
	running.Wait()
	arn := registered(t, c, "orders", "reader")
	seen := map[string]int{}
	for _, shard := range listed(t, c, nil) {
		last := ""
		for _, r := range drain(t, c, "orders", *shard.ShardId) {
			seen[string(r.Data)]++
			if *r.SequenceNumber <= last {
				t.Errorf("%s after %s", *r.SequenceNumber, last)
			}
			last = *r.SequenceNumber
		}
		if shard.SequenceNumberRange.EndingSequenceNumber == nil {
			continue
		}
		stream, err := subscribe(t.Context(), c, arn, *shard.ShardId)
		if err != nil {
			t.Fatal(err)
		}
		for e := next(stream); e != nil; e = next(stream) {
			for _, r := range e.Records {
				seen[string(r.Data)] += 10
			}
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil {
			t.Error(err)
		}
	}
	for record, n := range seen {
		if n%10 != 1 || n > 11 {
			t.Errorf("%s was found %d times by polling and %d times by fan-out", record, n%10, n/10)
		}
	}
	if len(seen) != writers*batches*perBatch {
		t.Errorf("%d records, want %d", len(seen), writers*batches*perBatch)
	}
}

// TestProtocols makes sure that the tests over HTTP/2 are what they say, and that a lost reply is one on a socket too.
func TestProtocols(t *testing.T) {
	want := map[string]int{"direct": 2, "h1": 1, "h2c": 2, "tls": 2, "unasked": 2}
	for name, cfg := range transports(t) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *cfg.BaseEndpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := cfg.HTTPClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != want[name] || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", name, resp.Proto, resp.Status)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	s := local.Start(t, local.Config{Logger: quiet()})
	c := client(s.AWSConfig())
	created(t, c, "orders", 1)
	s.Intercept(local.Rule{Operation: "PutRecord", Effect: local.Effect{LoseReply: true}})
	if err := putOne(t.Context(), c); err == nil || count(t, s.Server) != 1 {
		t.Errorf("a lost reply on a socket: %v, %d records", err, count(t, s.Server))
	}
}
