package worker_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease/memlease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// sound is a configuration with nothing but what is required.
func sound() worker.Config {
	return worker.Config{
		Application: "app", Streams: []string{"orders"}, NewProcessor: stream.Func(nil), Leases: memlease.New(),
		Kinesis: kinesis.NewFromConfig(local.New(local.Config{}).AWSConfig()),
	}
}

// TestConfigNamesTheField: every field that can be wrong, with the exact message.
func TestConfigNamesTheField(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		set  func(*worker.Config)
		want string // without "worker: "; empty: nothing is wrong
	}{
		{func(*worker.Config) {}, ""},
		{func(c *worker.Config) { c.Application = "" }, "Application is required"},
		{func(c *worker.Config) { c.Streams = nil }, "Streams is required"},
		{func(c *worker.Config) { c.Streams = []string{"orders", ""} }, "Streams[1] is empty"},
		{func(c *worker.Config) { c.Streams = []string{"orders", "returns", "orders"} }, "Streams[2] names orders again"},
		{func(c *worker.Config) { c.NewProcessor = nil }, "NewProcessor is required"},
		{func(c *worker.Config) { c.Kinesis = nil }, "Kinesis is required"},
		{func(c *worker.Config) { c.Kinesis = kinesis.New(kinesis.Options{}) },
			"Kinesis has no region: set AWS_REGION, or the region of its configuration"},
		{func(c *worker.Config) { c.Leases = nil }, "Leases is required"},
		{func(c *worker.Config) { c.Start = stream.TrimHorizon }, ""},
		{func(c *worker.Config) { c.Start, c.StartAt = stream.AtTimestamp, at }, ""},
		{func(c *worker.Config) { c.Start = stream.AtTimestamp }, "StartAt is required with Start AT_TIMESTAMP"},
		{func(c *worker.Config) { c.StartAt = at }, "StartAt is set, but Start is LATEST, not AT_TIMESTAMP"},
		{func(c *worker.Config) { c.Start = stream.ShardEnd }, "Start SHARD_END is none of LATEST, TRIM_HORIZON and AT_TIMESTAMP"},
		{func(c *worker.Config) { c.Start = stream.Position{Sequence: "7", Sub: 1} },
			"Start 7/1 is none of LATEST, TRIM_HORIZON and AT_TIMESTAMP"},
		{func(c *worker.Config) { c.LeaseDuration = 999 * time.Millisecond }, "LeaseDuration 999ms is under 1s"},
		{func(c *worker.Config) { c.DrainTimeout = -time.Second }, "DrainTimeout -1s is negative"},
		{func(c *worker.Config) { c.HandoffTimeout = -time.Second }, "HandoffTimeout -1s is negative"},
		{func(c *worker.Config) { c.SlowAfter = -time.Second }, "SlowAfter -1s is negative"},
		{func(c *worker.Config) { c.Reading.Idle = -time.Second }, "Reading.Idle -1s is negative"},
		{func(c *worker.Config) { c.Reading.MaxRecords = 10_001 }, "Reading.MaxRecords 10001 is not within 1 to 10000"},
		{func(c *worker.Config) { c.Reading.MaxRecords = -1 }, "Reading.MaxRecords -1 is not within 1 to 10000"},
		{func(c *worker.Config) { c.Reading.MaxBytes = 1<<20 - 1 }, "Reading.MaxBytes 1048575 is under 1 MiB"},
		{func(c *worker.Config) { c.Reading.OnTrimmed = 7 }, "Reading.OnTrimmed 7 is neither FailOnTrimmed nor SkipTrimmed"},
		{func(c *worker.Config) { c.Balance.MaxLeases = -1 }, "Balance.MaxLeases -1 is under 1"},
		{func(c *worker.Config) { c.Balance.MaxThroughput = -1 }, "Balance.MaxThroughput -1 is not above 0"},
		{func(c *worker.Config) { c.Balance.MaxThroughput = math.NaN() }, "Balance.MaxThroughput NaN is not above 0"},
		{func(c *worker.Config) { c.Balance.Threshold = 101 }, "Balance.Threshold 101 is not a percentage within 1 to 100"},
		{func(c *worker.Config) { c.Balance.Damping = -5 }, "Balance.Damping -5 is not a percentage within 1 to 100"},
		{func(c *worker.Config) { c.Reading.FanOut = &worker.FanOut{ConsumerName: "a b"} },
			`Reading.FanOut.ConsumerName "a b" is not 1 to 128 of letters, digits, _, . and -`},
		{func(c *worker.Config) { c.Reading.FanOut = &worker.FanOut{IdleTimeout: -1} }, "Reading.FanOut.IdleTimeout -1ns is negative"},
		{func(c *worker.Config) { c.Reading.FanOut = &worker.FanOut{ConsumerARNs: []string{"app"}} },
			`Reading.FanOut.ConsumerARNs has "app", which is no ARN of a consumer`},
		{func(c *worker.Config) {
			c.Reading.FanOut = &worker.FanOut{ConsumerARNs: []string{"arn:aws:kinesis:us-east-1:1:stream/other/consumer/a:1"}}
		}, "Reading.FanOut.ConsumerARNs has arn:aws:kinesis:us-east-1:1:stream/other/consumer/a:1, whose stream is none of Streams"},
		{func(c *worker.Config) {
			c.Reading.FanOut = &worker.FanOut{ConsumerARNs: []string{"arn:aws:kinesis:us-east-1:1:stream/orders/consumer/a:1"}}
		}, ""},
		{func(c *worker.Config) { c.OnFailure = 9 }, "OnFailure 9 is neither RestartShard nor ExitWorker"},
	}
	for _, test := range tests {
		cfg := sound()
		test.set(&cfg)
		_, err := worker.New(cfg)
		want := test.want
		if want != "" {
			want = "worker: " + want
		}
		if got := errText(err); got != want {
			t.Errorf("New = %q, want %q", got, want)
		}
	}
}

// TestConfigNamesAllAtOnce: nobody mends one field after the other.
func TestConfigNamesAllAtOnce(t *testing.T) {
	_, err := worker.New(worker.Config{
		Start: stream.AtTimestamp, LeaseDuration: 1, DrainTimeout: -1, HandoffTimeout: -1, SlowAfter: -1, OnFailure: 5,
		Reading: worker.Reading{Idle: -1, MaxRecords: -1, MaxBytes: 1, OnTrimmed: 5},
		Balance: worker.Balance{MaxLeases: -1, MaxThroughput: -1, Threshold: -1, Damping: -1},
	})
	const want = `worker: Application is required
worker: Streams is required
worker: NewProcessor is required
worker: Kinesis is required
worker: Leases is required
worker: StartAt is required with Start AT_TIMESTAMP
worker: LeaseDuration 1ns is under 1s
worker: DrainTimeout -1ns is negative
worker: HandoffTimeout -1ns is negative
worker: SlowAfter -1ns is negative
worker: Reading.Idle -1ns is negative
worker: Reading.MaxRecords -1 is not within 1 to 10000
worker: Reading.MaxBytes 1 is under 1 MiB
worker: Reading.OnTrimmed 5 is neither FailOnTrimmed nor SkipTrimmed
worker: Balance.MaxLeases -1 is under 1
worker: Balance.MaxThroughput -1 is not above 0
worker: Balance.Threshold -1 is not a percentage within 1 to 100
worker: Balance.Damping -1 is not a percentage within 1 to 100
worker: OnFailure 5 is neither RestartShard nor ExitWorker`
	if got := errText(err); got != want {
		t.Errorf("New:\n%s\nwant:\n%s", got, want)
	}
}

// TestConfigIsCopied: a worker does not see what its maker does to the slice afterwards, and Run is for once.
func TestConfigIsCopied(t *testing.T) {
	cfg := sound()
	w, err := worker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Streams[0] = "other"
	if s := w.Status(); s.Phase != worker.Idle || s.Worker == "" || len(s.Shards)+len(s.Problems) != 0 {
		t.Errorf("before Run: %+v", s)
	}
	err = w.Run(t.Context())
	if got := errText(err); !strings.HasPrefix(got, "worker: stream orders does not exist in region us-east-1: ") {
		t.Errorf("Run = %q", got)
	}
	if s := w.Status(); s.Phase != worker.Stopped {
		t.Errorf("after Run: %+v", s)
	}
	if got := errText(w.Run(t.Context())); got != "worker: Run was called before" {
		t.Errorf("Run again = %q", got)
	}
}
