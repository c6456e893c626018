//go:build interop

// Package languages_test runs record processors of Amazon's client libraries for Python and Node under kcl run.
package languages_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
)

// hang is how long something may take before it is taken to hang.
const hang = 60 * time.Second

// stage is a server with one stream of two shards, and a folder to run kcl in.
type stage struct {
	*local.Running
	stream string
	dir    string
	kcl    string
	env    []string
	client *kinesis.Client
}

func newStage(t *testing.T, stream, kcl string, cfg ...local.Config) *stage {
	t.Helper()
	s := &stage{Running: local.Start(t, cfg...), stream: stream, dir: t.TempDir(), kcl: kcl}
	s.client = kinesis.NewFromConfig(s.AWSConfig())
	s.env = append(os.Environ(), "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
	if err := s.CreateStream(stream, 2); err != nil {
		t.Fatal(err)
	}
	return s
}

// run starts kcl run with a properties file of this text.
func (s *stage) run(t *testing.T, properties string) *stagetest.Process {
	t.Helper()
	file := filepath.Join(s.dir, "app.properties")
	if err := os.WriteFile(file, []byte(properties), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.kcl, "run", file)
	cmd.Dir, cmd.Env = s.dir, s.env
	return stagetest.Start(t, "kcl run", cmd)
}

// terminate asks for a clean stop and holds the process to it.
func terminate(t *testing.T, p *stagetest.Process) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	if code := p.Wait(t, hang); code != 0 {
		t.Fatalf("kcl run ended with code %d after SIGTERM, want 0", code)
	}
}

// split and merge reshard; shards are numbers.
func (s *stage) split(t *testing.T, shard int, at string) {
	t.Helper()
	_, err := s.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: &s.stream, ShardToSplit: shardID(shard), NewStartingHashKey: &at,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stage) merge(t *testing.T, one, other int) {
	t.Helper()
	_, err := s.client.MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: &s.stream, ShardToMerge: shardID(one), AdjacentShardToMerge: shardID(other),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func shardID(n int) *string { return aws.String(fmt.Sprintf("shardId-%012d", n)) }

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, parent *stagetest.Process) map[int]bool {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	children := map[int]bool{}
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		var state string
		if _, err := fmt.Sscan(line, &pid, &ppid, &state); err == nil && ppid == parent.Pid() && state[0] != 'Z' {
			children[pid] = true
		}
	}
	return children
}

// version returns what a program says of itself.
func version(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}
