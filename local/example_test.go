package local_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/local"
)

// A server in the same process, without sockets.
func ExampleNew() {
	srv := local.New(local.Config{})
	client := kinesis.NewFromConfig(srv.AWSConfig())
	ctx := context.Background()
	if err := srv.CreateStream("orders", 2); err != nil {
		log.Fatal(err)
	}
	out, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: aws.String("orders"), PartitionKey: aws.String("a"), Data: []byte("hello"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(*out.ShardId, len(*out.SequenceNumber))
	// Output: shardId-000000000000 56
}

// A real port, closed when the test ends.
func ExampleStart() {
	test := func(t *testing.T) {
		srv := local.Start(t)
		client := kinesis.NewFromConfig(srv.AWSConfig())
		if err := srv.CreateStream("orders", 4); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("orders")}); err != nil {
			t.Fatal(err)
		}
	}
	_ = test
}

// A worker of two is cut off, and later reached again.
func ExampleServer_Intercept() {
	srv := local.New(local.Config{})
	if err := srv.CreateStream("orders", 1); err != nil {
		log.Fatal(err)
	}
	try := func(worker string) error {
		cfg := srv.AWSConfig()
		cfg.AppID = worker
		cfg.RetryMaxAttempts = 1
		_, err := kinesis.NewFromConfig(cfg).ListStreams(context.Background(), nil)
		return err
	}
	heal := srv.Intercept(local.Rule{Caller: "worker-2", Effect: local.Effect{LoseRequest: true}})
	fmt.Println(try("worker-1") == nil, try("worker-2") == nil)
	heal()
	fmt.Println(try("worker-2") == nil)
	// Output:
	// true false
	// true
}

// Five minutes pass at once inside a bubble.
func ExampleServer_HTTPClient() {
	test := func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := local.New(local.Config{})
			cfg := srv.AWSConfig() // its HTTP client is srv.HTTPClient()
			client := kinesis.NewFromConfig(cfg)
			_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("nonsense")})
			if notAnIterator := new(types.InvalidArgumentException); err == nil || notAnIterator.ErrorCode() == "" {
				t.Fatal(err)
			}
		})
	}
	_ = test
}

// A server that stays until it is told to stop.
func ExampleServer_Serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := local.New(local.Config{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- srv.Serve(ctx, listener) }()
	client := kinesis.NewFromConfig(srv.AWSConfigAt("http://" + listener.Addr().String()))
	out, err := client.ListStreams(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(out.StreamNames))
	stop()
	fmt.Println(<-done)
	// Output:
	// 0
	// <nil>
}
