//go:build interop

package childjava_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/internal/transcript"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

const (
	streamName  = "orders"
	application = "orders-app" // of every scenario, and so the name of its lease table
	patience    = 3 * time.Minute
)

// scene is one scenario: a server, children that write diaries, and the daemons that were started.
type scene struct {
	*testing.T
	srv      *local.Running
	kinesis  *kinesis.Client
	dynamo   *dynamodb.Client
	dir      string // of the diaries
	said     string // folder of the transcripts
	bin      string // folder of the programs
	books    *ledger.Ledger
	received *stagetest.Deliveries
	put      int // records so far
}

func newScene(t *testing.T, shards int) *scene {
	t.Helper()
	s := &scene{T: t, srv: local.Start(t), dir: t.TempDir(), said: t.TempDir(), bin: binaries(t), books: &ledger.Ledger{}}
	s.kinesis = kinesis.NewFromConfig(s.srv.AWSConfig())
	s.dynamo = dynamodb.NewFromConfig(s.srv.AWSConfig())
	s.received = &stagetest.Deliveries{Dir: s.dir, Books: s.books}
	s.must(s.srv.CreateStream(streamName, shards))
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// feed puts count more records.
func (s *scene) feed(count int) {
	s.Helper()
	count = many(count)
	f := stagetest.Feed{Client: s.kinesis, Stream: streamName, Count: count, Size: many(100)}
	s.must(f.Put(s.Context(), s.books, s.put))
	s.put += count
}

// waitAll waits until all that was put is delivered.
func (s *scene) waitAll() {
	s.Helper()
	s.received.WaitAll(s.T, s.put, patience)
}

// properties are those of a worker on the scene's server, with Java's waiting times cut short, and with changes.
func (s *scene) properties(executable string, changes map[string]string) string {
	s.Helper()
	all := map[string]string{
		"executableName":          executable,
		"streamName":              streamName,
		"applicationName":         application,
		"workerIdentifier":        "java",
		"initialPositionInStream": "TRIM_HORIZON",
		"regionName":              "us-east-1",
		"kinesisEndpoint":         s.srv.URL,
		"dynamoDBEndpoint":        s.srv.URL,
		"AwsCredentialsProvider":  "AnonymousCredentialsProvider",
		"metricsLevel":            "NONE",
		"retrievalMode":           "POLLING",

		"failoverTimeMillis":                          "3000",
		"leaseAssignmentIntervalMillis":               "500",
		"shardSyncIntervalMillis":                     "1000",
		"parentShardPollIntervalMillis":               "200",
		"schedulerInitializationBackoffTimeMillis":    "200",
		"idleTimeBetweenReadsInMillis":                "200",
		"taskBackoffTimeMillis":                       "100",
		"inMemoryWorkerMetricsCaptureFrequencyMillis": "200",
		"workerMetricsReporterFreqInMillis":           "1000",
	}
	maps.Copy(all, changes)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s = %s\n", key, all[key])
	}
	name := filepath.Join(s.TempDir(), "app.properties")
	s.must(os.WriteFile(name, []byte(text.String()), 0o600))
	return name
}

// binaries builds the programs, once for all scenarios.
func binaries(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "childjava"); build.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", build.dir, "./classic", "./modern", "./tee", "./probe", "../../cmd/kcl")
		var out []byte
		if out, build.err = cmd.CombinedOutput(); build.err != nil {
			build.err = fmt.Errorf("%w: %s", build.err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

var build struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := stagetest.Main(m, 6)
	if build.dir != "" {
		_ = os.RemoveAll(build.dir)
	}
	os.Exit(code)
}

// taped is the command line of a child with the recorder between it and the daemon.
func (s *scene) taped(child, args string) string {
	return strings.Join([]string{filepath.Join(s.bin, "tee"), s.said, filepath.Join(s.bin, child), "-dir", s.dir, args}, " ")
}

// java starts Amazon's daemon.
func (s *scene) java(executable string, changes map[string]string) *stagetest.Process {
	s.Helper()
	jars := filepath.Join(stagetest.Cache(s.T), "childjava", testJars)
	cmd := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(jars, "*"),
		"software.amazon.kinesis.multilang.MultiLangDaemon", "--properties-file", s.properties(executable, changes))
	return stagetest.Start(s.T, "MultiLangDaemon", cmd)
}

// launched starts Amazon's daemon through kcl java, which must do without Maven and any repository.
func (s *scene) launched(executable string, changes map[string]string) *stagetest.Process {
	s.Helper()
	java, err := exec.LookPath("java")
	s.must(err)
	cmd := exec.Command(filepath.Join(s.bin, "kcl"), "java", "-java", java, "-jar_path", filepath.Join(stagetest.Cache(s.T), "childjava", launcherJars),
		"-jvm-option", "-Xmx256m", "-jvm-option", "-XX:+UseSerialGC", "-jvm-option", "-XX:TieredStopAtLevel=1", s.properties(executable, changes))
	cmd.Env = []string{"PATH=" + s.TempDir(), "HOME=" + s.TempDir()}
	return stagetest.Start(s.T, "kcl java", cmd)
}

const (
	testJars     = "jars"     // folder in the cache: from pom.xml
	launcherJars = "kcl-java" // what kcl java wants
)

// pairing says which versions met.
func pairing(t *testing.T, jars, child string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(stagetest.Cache(t), "childjava", jars, "amazon-kinesis-client*.jar"))
	if err != nil || len(names) != 2 {
		t.Fatalf("no jars of the daemon (%v): %q", err, names)
	}
	var versions [2]string
	for i, prefix := range []string{"amazon-kinesis-client-multilang-", "amazon-kinesis-client-"} {
		for _, name := range names {
			version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), prefix), ".jar")
			if !strings.HasPrefix(version, "amazon") && version[0] >= '0' && version[0] <= '9' {
				versions[i] = version
			}
		}
	}
	return fmt.Sprintf("Java MultiLangDaemon %s (KCL %s) + Go child (%s)", versions[0], versions[1], child)
}

// report judges the scene and adds its line to the table.
func (s *scene) report(jars, child, ran, findings string) {
	s.Helper()
	s.must(s.received.Read())
	s.received.Judge(s.T)
	if s.Failed() {
		return
	}
	totals := s.books.Totals()
	longest, of := time.Duration(0), ""
	for shard, gap := range s.received.Gaps {
		if gap > longest {
			longest, of = gap, shard
		}
	}
	stagetest.Report(s.T, stagetest.Result{
		Part: "childjava", Pairing: pairing(s.T, jars, child), Ran: ran, Records: totals.Delivered, Duplicates: totals.Duplicates,
		Gap: fmt.Sprintf("%v (%s)", longest.Round(time.Millisecond), of), Findings: findings,
	})
}

// stop tells the daemon to stop, which it must in good order.
func (s *scene) stop(daemon *stagetest.Process) {
	s.Helper()
	daemon.Signal(s.T, syscall.SIGTERM)
	if code := daemon.Wait(s.T, patience); code != 128+15 {
		s.Errorf("daemon exited with %d after SIGTERM, want 143", code)
	}
	s.quiet()
}

// quiet waits until all children have ended: the recorder has written down each exit.
func (s *scene) quiet() {
	s.Helper()
	stagetest.Eventually(s.T, patience, "the children exit", func() bool {
		for _, text := range readAll(s.T, filepath.Join(s.said, "*.txt")) {
			if !endOfTranscript.MatchString(text) {
				return false
			}
		}
		return true
	})
}

var endOfTranscript = regexp.MustCompile(`(?m)^exit -?\d+\n\z`)

// store is the lease table through our own eyes.
func (s *scene) store() *dynamolease.Store {
	s.Helper()
	store, err := dynamolease.New(dynamolease.Config{Client: s.dynamo, Application: application})
	s.must(err)
	return store
}

func (s *scene) snapshot() []lease.Lease {
	s.Helper()
	snapshot, err := s.store().Snapshot(s.Context())
	s.must(err)
	return snapshot.Leases
}

// seed makes the lease table with a lease for each shard. A Java worker that finds an empty table waits up to 30 s for another
// one to fill it (Scheduler.shouldInitiateLeaseSync).
func (s *scene) seed() {
	s.Helper()
	store := s.store()
	s.must(store.Setup(s.Context(), "go"))
	out, err := s.kinesis.ListShards(s.Context(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	s.must(err)
	for _, shard := range out.Shards {
		id := stream.ShardID(aws.ToString(shard.ShardId))
		keys, err := stream.ParseHashKeyRange(aws.ToString(shard.HashKeyRange.StartingHashKey), aws.ToString(shard.HashKeyRange.EndingHashKey))
		s.must(err)
		_, err = store.Create(s.Context(), lease.Lease{Key: string(id), Shard: id, Checkpoint: stream.TrimHorizon, HashKeys: keys})
		s.must(err)
	}
}

// events are what the children noted.
func (s *scene) events() string {
	s.Helper()
	return strings.Join(readAll(s.T, filepath.Join(s.dir, "*.events")), "")
}

// readAll returns the texts of all files, in the order of their names.
func readAll(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// noted waits until a child noted text.
func (s *scene) noted(text string) {
	s.Helper()
	stagetest.Eventually(s.T, patience, "a child notes "+text, func() bool { return strings.Contains(s.events(), text) })
}

// split splits the open shard with the lowest hash keys in two, merge joins the first two.
func (s *scene) reshard(change func(context.Context, []string) error) {
	s.Helper()
	out, err := s.kinesis.ListShards(s.Context(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	s.must(err)
	var open []string
	for _, shard := range out.Shards {
		if shard.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, aws.ToString(shard.ShardId))
		}
	}
	s.must(change(s.Context(), open))
}

// recording is the folder that the transcripts are kept in, if they are.
var recording = os.Getenv("KCL_INTEROP_TRANSCRIPTS")

// many is n, or little of it where transcripts are recorded that people should be able to read.
func many(n int) int {
	if recording != "" {
		return max(1, n/50)
	}
	return n
}

// keep writes the transcripts, normalised, into the folder that KCL_INTEROP_TRANSCRIPTS names, if it does.
func (s *scene) keep(name, jars, child string) {
	s.Helper()
	if recording == "" {
		return
	}
	for i, text := range readAll(s.T, filepath.Join(s.said, "*.txt")) {
		text = fmt.Sprintf("# %s, conversation %d: %s\n%s", name, i+1, pairing(s.T, jars, child), transcript.Normalise(text))
		_, err := transcript.Parse(text)
		s.must(err)
		s.must(os.WriteFile(filepath.Join(recording, fmt.Sprintf("%s-%d.txt", name, i+1)), []byte(text), 0o644))
	}
}
