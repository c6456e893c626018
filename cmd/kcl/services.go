package main

import (
	"context"
	"io"
	"log/slog"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/local"
)

// services are the embedded services on a port of their own.
type services struct {
	endpoint string
	config   aws.Config
	cancel   context.CancelFunc
	served   chan error
}

// startServices serves on a free loopback port until stop.
func startServices() (*services, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := local.New(local.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	s := &services{endpoint: "http://" + l.Addr().String(), cancel: cancel, served: make(chan error, 1)}
	s.config = server.AWSConfigAt(s.endpoint)
	go func() { s.served <- server.Serve(ctx, l) }() // ends with stop
	return s, nil
}

func (s *services) clients() (*kinesis.Client, *dynamodb.Client) {
	return kinesis.NewFromConfig(s.config), dynamodb.NewFromConfig(s.config)
}

// stop ends the services and waits for that.
func (s *services) stop() {
	s.cancel()
	<-s.served
}
