//go:build interop

package languages_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
)

// TestSampleApplication runs what amazon_kclpy ships as it is: sample_kclpy_app.py with sample.properties, to which only the
// endpoints are added. It writes records to stderr without ends of lines, and checkpoints its first batch and what it must.
func TestSampleApplication(t *testing.T) {
	sample := filepath.Join(stagetest.Cache(t), "languages", "python", "samples")
	shipped, err := os.ReadFile(filepath.Join(sample, "sample.properties"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, "kclpysample", stagetest.Build(t, "./cmd/kcl"), local.Config{Region: "us-east-5"}) // as in its streamArn
	python := version(t, "python3", "-c", "import sys; print(sys.executable)")
	if err := os.Symlink(python, filepath.Join(s.dir, "python")); err != nil { // its first line asks for python
		t.Fatal(err)
	}
	s.env = append(s.env, "PYTHONPATH="+filepath.Dir(sample), "PATH="+s.dir+":"+sample+":"+os.Getenv("PATH"))
	properties := string(shipped) + fmt.Sprintf("\nkinesisEndpoint = %s\ndynamoDBEndpoint = %[1]s\nfailoverTimeMillis = 3000\n", s.URL)
	checkpoints := func() map[string]string { return stagetest.Checkpoints(t, s.AWSConfig(), "PythonKCLSample") }

	put := putNumbered(t, s, 0, 2000)
	p := s.run(t, properties)
	stagetest.Eventually(t, hang, "the first batch of each shard is checkpointed", func() bool {
		all := checkpoints()
		return len(all) == 2 && isNumber(all[*shardID(0)]) && isNumber(all[*shardID(1)])
	})
	terminate(t, p)
	first := p.Log()

	p = s.run(t, properties)
	s.split(t, 0, "85070591730234615865843651857942052864") // 2^126
	maps.Copy(put, putNumbered(t, s, 2000, 1000))
	s.merge(t, 2, 3)
	maps.Copy(put, putNumbered(t, s, 3000, 1000))
	s.merge(t, 1, 4)
	// All records are in shards that have ended now; the sample tells of a shard's end when it has had all of its records.
	stagetest.Eventually(t, hang, "all shards but the last have ended", func() bool {
		all := checkpoints()
		_, begun := all[*shardID(5)]
		delete(all, *shardID(5))
		return begun && !slices.ContainsFunc(slices.Collect(maps.Values(all)), func(at string) bool { return at != "SHARD_END" })
	})
	terminate(t, p)

	if n := strings.Count(p.Log(), "Shard has ended checkpointing"); n != 5 {
		t.Errorf("the sample was told %d times that its shard has ended, want 5", n)
	}
	if n := strings.Count(first, "Shutdown has been requested, checkpointing.Lease has been lost"); n != 2 {
		t.Errorf("the sample was told %d times to shut down, want twice", n)
	}
	twice := checkLog(t, first+p.Log(), put)
	stagetest.Report(t, stagetest.Result{
		Part: "languages", Pairing: "kcl run + sample_kclpy_app.py and sample.properties of amazon_kclpy 3.2.0",
		Ran:     "SIGTERM in the midst, start again, split, two merges",
		Records: int64(len(put)), Duplicates: int64(twice),
	})
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// putNumbered puts records and returns their keys by sequence number.
func putNumbered(t *testing.T, s *stage, first, count int) map[string]string {
	t.Helper()
	put := map[string]string{}
	for n := first; n < first+count; n += 500 {
		in := &kinesis.PutRecordsInput{StreamName: &s.stream}
		for i := n; i < n+500; i++ {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: sized(i), PartitionKey: aws.String(fmt.Sprintf("key %d", i))})
		}
		out, err := s.client.PutRecords(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range out.Records {
			put[aws.ToString(r.SequenceNumber)] = *in.Records[i].PartitionKey
		}
	}
	return put
}

// sized returns data whose length tells the number of a record.
func sized(n int) []byte { return bytes.Repeat([]byte{'x'}, 1+n%997) }

var said = regexp.MustCompile(`Record \(Partition Key: (key (\d+)), Sequence Number: (\d+), Subsequence Number: (\d+), Data Size: (\d+)`)

// checkLog holds what the sample said against what was put, and returns how often it said something twice. What a child writes on
// stderr is tagged with its shard; a line longer than 64 KiB comes in pieces.
func checkLog(t *testing.T, log string, put map[string]string) (twice int) {
	t.Helper()
	byShard := map[string]*strings.Builder{}
	for line := range strings.Lines(log) {
		if tag, text, ok := strings.Cut(line, "] "); ok && strings.HasPrefix(tag, "[kclpysample ") {
			if byShard[tag] == nil {
				byShard[tag] = &strings.Builder{}
			}
			byShard[tag].WriteString(strings.TrimSuffix(text, "\n"))
		}
	}
	seen := map[string]bool{}
	for tag, text := range byShard {
		last := ""
		for _, m := range said.FindAllStringSubmatch(text.String(), -1) {
			key, sequence := m[1], m[3]
			n, _ := strconv.Atoi(m[2])
			if put[sequence] != key || m[4] != "0" || m[5] != strconv.Itoa(len(sized(n))) {
				t.Errorf("%s: not what was put: %v", tag, m)
			}
			if sequence < last && !seen[sequence] { // all have as many digits
				t.Errorf("%s: %s came after %s", tag, sequence, last)
			}
			if seen[sequence] {
				twice++
			}
			seen[sequence], last = true, sequence
		}
	}
	if len(seen) != len(put) {
		t.Errorf("the sample has seen %d of %d records", len(seen), len(put))
	}
	if twice > 0 {
		t.Errorf("%d records came twice, though nothing crashed", twice)
	}
	return twice
}
