package cost_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/operate/cost"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// TestMeasured runs a fleet for some minutes of virtual time and compares its requests to DynamoDB with the formula, and the units of
// its scans, of which none may be consistent.
func TestMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shards, workers, minutes = 8, 3, 5
		server := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
		if err := server.CreateStream("orders", shards); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		counts := map[string]int{}
		server.Intercept(local.Rule{Service: local.DynamoDB, Choose: func(c *local.Call) local.Effect {
			mu.Lock()
			defer mu.Unlock()
			counts[c.Operation]++
			if c.Operation == "Scan" && bytes.Contains(c.Body, []byte(`"ConsistentRead":true`)) {
				counts["consistent Scan"]++
			}
			return local.Effect{}
		}})
		stop := fleet(t, server, workers)
		time.Sleep(time.Minute) // until all is assigned
		mu.Lock()
		before := maps.Clone(counts)
		mu.Unlock()
		time.Sleep(minutes * time.Minute)
		mu.Lock()
		after := maps.Clone(counts)
		mu.Unlock()
		stop()

		operation := map[string]string{"renew leases": "UpdateItem", "report": "UpdateItem", "keep the leader's lock": "UpdateItem",
			"find own leases": "Query", "ask for the state": "GetItem", "watch the leader's lock": "GetItem", "look at the table": "Scan", "watch the leader's work": "Scan"}
		if n := after["consistent Scan"] - before["consistent Scan"]; n > 0 {
			t.Errorf("%d scans were consistent in a fleet where all is well", n)
		}
		want := map[string]float64{}
		for _, i := range cost.Estimate(cost.Fleet{Shards: shards, Workers: workers}, cost.Ours(10*time.Second)) {
			want[operation[i.What]] += float64(i.Count) * i.Requests * minutes / 60
		}
		for _, op := range slices.Sorted(maps.Keys(want)) {
			got := float64(after[op] - before[op])
			t.Logf("%-14s %6.0f, by the formula %6.0f", op, got, want[op])
			if math.Abs(got-want[op]) > 0.05*want[op]+1 {
				t.Errorf("%s: %.0f requests, the formula says %.0f", op, got, want[op])
			}
		}
	})
}

func fleet(t *testing.T, server *local.Server, workers int) (stop func()) {
	t.Helper()
	cfg := server.AWSConfig()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	client := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.DisableValidateResponseChecksum = true })
	for i := range workers {
		store, err := dynamolease.New(dynamolease.Config{Client: client, Application: "app", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w, err := worker.New(worker.Config{Application: "app", Streams: []string{"orders"}, ID: fmt.Sprint("w", i), Kinesis: kinesis.NewFromConfig(cfg),
			Leases: store, Logger: slog.New(slog.DiscardHandler), Reading: worker.Reading{Idle: 5 * time.Second},
			NewProcessor: stream.Func(func(context.Context, *stream.Batch, stream.Checkpointer) error { return nil })})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}
