//go:build interop

package childjava_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
)

const classicChild, modernChild = "frozen API, kcl.Run", "new API, kcl.Serve"

// TestReshardAndGrace: a new application; a child in the frozen interface that checkpoints numbers, also at the end of
// shards, follows a split and a merge, and is asked to shut down.
func TestReshardAndGrace(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	s.feed(1500)
	daemon := s.java(s.taped("classic", "-numbers"), map[string]string{"shutdownGraceMillis": "60000"})
	s.waitAll()
	s.reshard(func(ctx context.Context, open []string) error {
		_, err := s.kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String(streamName),
			ShardToSplit: &open[0], NewStartingHashKey: aws.String("85070591730234615865843651857942052864")}) // 2^126
		return err
	})
	s.feed(1500)
	s.waitAll()
	s.reshard(func(ctx context.Context, open []string) error {
		_, err := s.kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String(streamName),
			ShardToMerge: &open[1], AdjacentShardToMerge: &open[2]})
		return err
	})
	s.feed(1500)
	s.waitAll()
	s.stop(daemon)
	for what, want := range map[string]int{"shardEnded checkpoint <nil>": 3, "shutdownRequested checkpoint <nil>": 2, "leaseLost": 2} {
		if got := strings.Count(s.events(), what); got != want {
			t.Errorf("children noted %q %d times, want %d:\n%s", what, got, want, s.events())
		}
	}
	ended, owned := 0, 0
	for _, l := range s.snapshot() {
		if l.Ended() {
			ended++
		}
		if l.Owner != "" {
			owned++
		}
	}
	if ended != 3 {
		t.Errorf("%d of the shards are ended in the lease table, want 3: %v", ended, s.snapshot())
	}
	s.keep("reshard", testJars, classicChild)
	s.report(testJars, classicChild, "new application; split, merge, SIGTERM with grace; checkpoints by number",
		fmt.Sprintf("leases that still name the daemon as owner after its graceful stop: %d", owned))
}

// TestRefusalsAndNoGrace: a slow child in the new interface asks for checkpoints that are refused: out of range, throttled,
// while DynamoDB is in trouble. Then the daemon is told to stop and gives its children no time.
func TestRefusalsAndNoGrace(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	s.seed()
	s.feed(2000)
	slow := s.taped("modern", "-probe -slow 200ms -retry 100")
	// The SDK's own attempts at a throttled call, 8 for DynamoDB, take half a minute and more. The daemon cannot renew the lease
	// meanwhile (DynamoDBLeaseRenewer.updateLease holds its lock); with a shorter failoverTimeMillis it loses it.
	daemon := s.java(slow, map[string]string{"maxRecords": strconv.Itoa(many(100)), "failoverTimeMillis": "120000"})
	s.noted("end: ")
	const first, second = "shardId-000000000000", "shardId-000000000001"
	healFirst := s.refuseCheckpoints(first, local.Throttled())
	healSecond := s.refuseCheckpoints(second, &local.Error{Code: "AccessDeniedException", Message: "injected"}) // not tried again by the SDK
	s.recovers(second, "KinesisClientLibDependencyException", healSecond)
	// After a minute (LeaseManagementConfig.dynamoDbRequestTimeout) KCL gives the call up, whatever the SDK was told.
	s.recovers(first, "(?:ThrottlingException|KinesisClientLibDependencyException)", healFirst)
	daemon.Signal(t, syscall.SIGTERM)
	if code := daemon.Wait(t, patience); code != 128+15 {
		t.Errorf("daemon exited with %d, want 143", code)
	}
	events := s.events()
	for _, want := range []string{"ahead", "behind", "end"} {
		if !regexp.MustCompile(want + ": checkpoint .*: IllegalArgumentException").MatchString(events) {
			t.Errorf("no child noted that a checkpoint %s was refused:\n%s", want, events)
		}
	}
	if strings.Contains(events, "shutdownRequested") {
		t.Errorf("a child was asked to shut down although there is no grace:\n%s", events)
	}
	s.quiet()

	daemon = s.java(s.taped("modern", ""), map[string]string{"shutdownGraceMillis": "60000"})
	s.waitAll()
	s.stop(daemon)
	s.keep("refusals", testJars, modernChild)
	throttled := regexp.MustCompile(`(?m)^\w+ came after \d\d.*$`).FindString(strings.Join(readAll(t, filepath.Join(s.dir, first+"-*.events")), ""))
	s.report(testJars, modernChild, "out of range, throttled and failing checkpoints; slow; SIGTERM without grace; restart",
		"a throttled checkpoint: "+throttled)
}

// refuseCheckpoints makes the checkpoints of a shard fail, but not the renewals of its lease, until heal is called.
func (s *scene) refuseCheckpoints(shard string, err *local.Error) (heal func()) {
	return s.srv.Intercept(local.Rule{Operation: "UpdateItem", Table: application, Choose: func(c *local.Call) local.Effect {
		if bytes.Contains(c.Body, []byte(`"checkpoint"`)) && bytes.Contains(c.Body, []byte(`"`+shard+`"`)) {
			return local.Effect{Error: err}
		}
		return local.Effect{}
	}})
}

// recovers waits until the child of a shard was refused a checkpoint by a name, heals, and waits until it succeeds.
func (s *scene) recovers(shard, name string, heal func()) {
	s.Helper()
	noted := func(text string) func() bool {
		re := regexp.MustCompile(text)
		return func() bool {
			return slices.ContainsFunc(readAll(s.T, filepath.Join(s.dir, shard+"-*.events")), re.MatchString)
		}
	}
	stagetest.Eventually(s.T, patience, "a checkpoint of "+shard+" is refused", noted(name+" came after"))
	heal()
	stagetest.Eventually(s.T, patience, "the next one succeeds", noted(name+` came after .*\n(?:.*\n)*?processRecords checkpoint <nil>\n`))
}

// TestStolenLease: another worker takes the lease while the child works, and gives it back. Then the daemon is killed behind
// a checkpoint in the midst of an aggregated record, and its successor goes on exactly there.
func TestStolenLease(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.seed()
	const each = 10
	records := many(300)
	s.feedAggregated(records, each)
	goOn := filepath.Join(t.TempDir(), "go-on")
	child := s.taped("modern", "-checkpoint middle -retry 5 -hold "+goOn)
	daemon := s.java(child, map[string]string{"maxRecords": strconv.Itoa(many(50))})
	s.noted("holding")
	store := s.store()
	stolen, err := store.Assign(t.Context(), s.snapshot()[0], "thief")
	s.must(err)
	s.must(os.WriteFile(goOn, nil, 0o600))
	s.noted("leaseLost")
	if !strings.Contains(s.events(), "ShutdownException") {
		t.Errorf("the checkpoint without a lease was not refused:\n%s", s.events())
	}
	_, err = store.Release(t.Context(), stolen)
	s.must(err)
	s.waitNumber(records*each - 1)
	daemon.Signal(t, syscall.SIGKILL) // alone: the children see the end of their input
	daemon.Wait(t, patience)
	s.quiet()
	at := s.snapshot()[0].Checkpoint
	if at.Sub == 0 {
		t.Errorf("the checkpoint %v is not inside an aggregated record", at)
	}

	daemon = s.java(child, nil)
	s.noted(fmt.Sprintf("initialize from %s/%d", at.Sequence, at.Sub))
	s.waitNumber(records*each - 1)
	s.stop(daemon)
	s.keep("stolen", testJars, modernChild)
	duplicates := s.judgeAggregated(records*each, each, at)
	if !t.Failed() {
		stagetest.Report(t, stagetest.Result{Part: "childjava", Pairing: pairing(t, testJars, modernChild),
			Ran:     "aggregated records; lease stolen and given back; SIGKILL of the daemon; checkpoints with sub-sequence numbers",
			Records: int64(records * each), Duplicates: duplicates, Gap: "not measured"})
	}
}

// TestCrash: through kcl java, a child exits in the midst of a batch. The daemon exits with 1, and once it is started again goes on.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	s.seed()
	s.feed(2000)
	child := s.taped("classic", "-exit-once "+filepath.Join(t.TempDir(), "crashed"))
	began := time.Now()
	if code := s.launched(child, map[string]string{"maxRecords": strconv.Itoa(many(200))}).Wait(t, patience); code != 1 {
		t.Errorf("daemon exited with %d after a crash of its child, want 1", code)
	}
	t.Logf("the daemon ended %v after its start", time.Since(began))
	s.quiet()
	daemon := s.launched(child, map[string]string{"shutdownGraceMillis": "60000"})
	s.waitAll()
	s.stop(daemon)
	if v := s.books.Totals(); v.Duplicates == 0 {
		t.Error("the batch of the crash was not delivered again")
	}
	s.keep("crash", launcherJars, classicChild)
	s.report(launcherJars, classicChild, "through kcl java, offline: a child exits in the midst of a batch: the daemon exits with 1; restart", "")
}

// TestFanOut: the daemon subscribes over HTTP/2.
func TestFanOut(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	s.seed()
	s.feed(1000)
	daemon := s.java(s.taped("modern", "-checkpoint sequence"), map[string]string{"retrievalMode": "FANOUT", "shutdownGraceMillis": "60000"})
	s.waitAll()
	s.feed(2000)
	s.waitAll()
	s.stop(daemon)
	s.keep("fanout", testJars, modernChild)
	s.report(testJars, modernChild, "fan-out over cleartext HTTP/2; checkpoints by number", "")
}
