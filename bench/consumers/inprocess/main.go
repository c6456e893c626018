package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/bench/internal/counting"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	failover, err := strconv.Atoi(os.Getenv("KCL_BENCH_FAILOVER_MILLIS"))
	if err != nil {
		return err
	}
	application := os.Getenv("KCL_BENCH_APPLICATION")
	leases, err := dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(cfg), Application: application})
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{
		Application:   application,
		Streams:       []string{os.Getenv("KCL_BENCH_STREAM")},
		Kinesis:       kinesis.NewFromConfig(cfg),
		Leases:        leases,
		Start:         stream.TrimHorizon,
		LeaseDuration: time.Duration(failover) * time.Millisecond,
		Reading:       reading(),
		NewProcessor:  counting.New,
		Logger:        slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// reading does not keep to limits that the embedded server does not have. What older revisions lack stands in fanout.go.
func reading() worker.Reading {
	r := worker.Reading{Unpaced: true}
	if os.Getenv("KCL_BENCH_FANOUT") != "" {
		fanOut(&r)
	}
	return r
}
