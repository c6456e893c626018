//go:build interop

package languages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
)

// language is a client library with a processor that writes a Delivery line for each record.
type language struct {
	name    string // with versions
	command string // of the processor, to which the folder for deliveries is added
	env     string
}

func languages(t *testing.T) []language {
	t.Helper()
	cache, here := filepath.Join(stagetest.Cache(t), "languages"), filepath.Join(stagetest.Root(t), "interop", "languages")
	python := version(t, "python3", "-c", "import sys; print(sys.executable)") // and no wrapper, which would be the child
	return []language{
		{
			name:    "amazon_kclpy 3.2.0, " + version(t, python, "--version"),
			command: quote(python, filepath.Join(here, "python", "deliveries.py")),
			env:     "PYTHONPATH=" + filepath.Join(cache, "python"),
		},
		{
			name:    "aws-kcl 2.3.2, Node " + version(t, "node", "--version"),
			command: quote("node", filepath.Join(here, "node", "consumer.js")),
			env:     "NODE_PATH=" + filepath.Join(cache, "node", "node_modules"),
		},
	}
}

func quote(words ...string) string { return `"` + strings.Join(words, `" "`) + `"` }

// TestDeliveries: under a constant flow of records every one of them is delivered, in order, whatever happens; and nothing twice as
// long as nothing crashes.
func TestDeliveries(t *testing.T) {
	kcl := stagetest.Build(t, "./cmd/kcl")
	for _, l := range languages(t) {
		t.Run(strings.Fields(l.name)[0], func(t *testing.T) {
			t.Parallel()
			testDeliveries(t, l, kcl)
		})
	}
}

func testDeliveries(t *testing.T, l language, kcl string) {
	s := newStage(t, "orders", kcl)
	s.env = append(s.env, l.env)
	books := &ledger.Ledger{}
	got := &stagetest.Deliveries{Dir: t.TempDir(), Books: books}
	properties := s.properties(l.command + " " + quote(got.Dir))
	flow := stagetest.Feed{Client: s.client, Stream: s.stream, Size: 200}.Flow(t, books)
	var gaps []string
	caughtUp := func(after string) {
		t.Helper()
		gap := got.CatchUp(t, 500, hang)
		gaps = append(gaps, fmt.Sprintf("%s %.1f s", after, gap.Seconds()))
	}

	p := s.run(t, properties+"onProcessorFailure = restart\n")
	caughtUp("start")
	terminate(t, p)
	p = s.run(t, properties+"onProcessorFailure = restart\n")
	caughtUp("SIGTERM and start")
	s.split(t, 0, "85070591730234615865843651857942052864") // 2^126
	caughtUp("split")
	s.merge(t, 2, 3)
	caughtUp("merge")
	if twice := books.Totals().Duplicates; twice != 0 {
		t.Errorf("%d records were delivered twice before anything crashed", twice)
	}

	before := childrenOf(t, p)
	if err := os.WriteFile(filepath.Join(got.Dir, "crash"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.WaitLine(t, "exited with code 9 before it answered processRecords", hang)
	caughtUp("crash in a batch")
	checkOneReplaced(t, p, before)
	if books.Totals().Duplicates == 0 {
		t.Error("a child has crashed in the midst of a batch, and nothing was delivered again")
	}
	terminate(t, p)
	p = s.run(t, properties+"onProcessorFailure = exit\n")
	caughtUp("SIGTERM and start")
	for child := range childrenOf(t, p) {
		_ = syscall.Kill(child, syscall.SIGKILL)
		break
	}
	if code := p.Wait(t, hang); code != 1 {
		t.Errorf("kcl run ended with code %d when a child died under onProcessorFailure = exit, want 1", code)
	}
	p = s.run(t, properties)
	caughtUp("SIGKILL of a child, exit and start")

	put := flow.Stop(t)
	got.WaitAll(t, put, hang)
	terminate(t, p)
	if !strings.Contains(p.Log(), "beside the protocol") {
		t.Error("what the child printed beside the protocol is not in the log")
	}
	s.checkCheckpoints(t, books)
	v := got.Judge(t)
	stagetest.Report(t, stagetest.Result{
		Part: "languages", Pairing: "kcl run + " + l.name,
		Ran:     "flow; SIGTERM, split, merge, crash in a batch, SIGTERM, child killed under onProcessorFailure=exit",
		Records: v.Total.Delivered, Duplicates: v.Total.Duplicates, Gap: strings.Join(gaps, ", "),
	})
}

func (s *stage) properties(command string) string {
	return fmt.Sprintf(`executableName = %s
executableQuoting = true
streamName = %s
applicationName = app
initialPositionInStream = TRIM_HORIZON
regionName = us-east-1
kinesisEndpoint = %s
dynamoDBEndpoint = %[3]s
AwsCredentialsProvider = AnonymousCredentialsProvider
retrievalMode = POLLING
idleTimeBetweenReadsInMillis = 250
metricsLevel = NONE
failoverTimeMillis = 3000
shutdownGraceMillis = 30000
timeoutInSeconds = 60
`, command, s.stream, s.URL)
}

// checkOneReplaced holds the daemon to having started one child in the place of another, and left the rest alone.
func checkOneReplaced(t *testing.T, p *stagetest.Process, before map[int]bool) {
	t.Helper()
	now, kept := childrenOf(t, p), 0
	for child := range before {
		if now[child] {
			kept++
		}
	}
	if len(before) != 2 || len(now) != 2 || kept != 1 {
		t.Errorf("two shards' children were %v and are %v, want one of them replaced", before, now)
	}
}

// checkCheckpoints holds the lease table to what was put: open shards are checkpointed at their last record, others are at
// their end or gone.
func (s *stage) checkCheckpoints(t *testing.T, books *ledger.Ledger) {
	t.Helper()
	stored := stagetest.Checkpoints(t, s.AWSConfig(), "app")
	shards, err := s.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(s.stream)})
	if err != nil {
		t.Fatal(err)
	}
	for _, shard := range shards.Shards {
		id := aws.ToString(shard.ShardId)
		at, held := stored[id]
		switch open := shard.SequenceNumberRange.EndingSequenceNumber == nil; {
		case !open && held && at != "SHARD_END":
			t.Errorf("checkpoint of %s, which has ended, is %s", id, at)
		case open && at != s.lastOf(t, shard):
			t.Errorf("checkpoint of %s is %q, its last record %s", id, at, s.lastOf(t, shard))
		}
	}
}

// lastOf returns the sequence number of a shard's last record.
func (s *stage) lastOf(t *testing.T, shard types.Shard) string {
	t.Helper()
	it, err := s.client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: &s.stream, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for next := it.ShardIterator; ; {
		out, err := s.client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(out.Records); n > 0 {
			last = aws.ToString(out.Records[n-1].SequenceNumber)
		}
		if next = out.NextShardIterator; next == nil || aws.ToInt64(out.MillisBehindLatest) == 0 {
			return last
		}
	}
}
