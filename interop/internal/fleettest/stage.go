package fleettest

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// Failover is the lease duration of all workers of a stage.
const Failover = 3 * time.Second

// Newest is the version of the Java KCL that fleets are mixed with.
const Newest = "3.5.1"

// Quick are Java's options for a leader's lock as short as ours, for balancing in each round of assignment instead of each
// third, and for workers that count as gone after 20 s without a report instead of 60 s.
var Quick = []string{
	"lease.dynamoDbLockBasedLeaderLeaseDurationInMillis=10000",
	"lease.dynamoDbLockBasedLeaderHeartbeatPeriodInMillis=2500",
	"lease.workerUtilizationAwareAssignmentConfig.varianceBalancingFrequency=1",
	"lease.workerUtilizationAwareAssignmentConfig.workerMetricsReporterFreqInMillis=10000",
}

// Stage is a server with one stream, and one application of Go and Java workers that read it.
type Stage struct {
	Server  *local.Server
	URL     string
	Kinesis *kinesis.Client
	Stream  string
	App     string
	Books   *ledger.Ledger
	Seen    stagetest.Deliveries

	t     testing.TB
	watch *watch
	goBin string
	phase string
	gaps  map[string]time.Duration // longest silence of a shard, by phase
	twice map[string]int64         // duplicates, by phase
	javas []*stagetest.Process
	flow  *stagetest.Flow
}

// New makes a stage whose stream has so many shards. goBin is the compiled goworker. At most one Config may be given; default:
// an index that lags by 100 ms.
func New(t testing.TB, goBin string, shards int, cfg ...local.Config) *Stage {
	t.Helper()
	server := local.New(append(cfg, local.Config{IndexLag: 100 * time.Millisecond})[0])
	s := &Stage{
		Server: server, Stream: "orders", App: "readers", Books: &ledger.Ledger{},
		t: t, goBin: goBin, phase: "start", gaps: map[string]time.Duration{}, twice: map[string]int64{},
	}
	s.Seen = stagetest.Deliveries{Dir: t.TempDir(), Books: s.Books}
	s.watch = newWatch(s.Server)
	if err := s.Server.CreateStream(s.Stream, shards); err != nil {
		t.Fatal(err)
	}
	s.serve()
	s.Kinesis = kinesis.NewFromConfig(s.Server.AWSConfigAt(s.URL))
	ready := kinesis.NewStreamExistsWaiter(s.Kinesis, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
	if err := ready.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &s.Stream}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return s
}

// HideItems makes failed conditions in the legacy form, which Java uses, be answered without the row from now on.
func (s *Stage) HideItems() { s.watch.hideItems = true }

// serve puts the watch on a port, for HTTP/1.1 and for HTTP/2 by prior knowledge.
func (s *Stage) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.URL = "http://" + l.Addr().String()
	server := &http.Server{Handler: s.watch, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() {
		_ = server.Serve(l) // closed below
		close(done)
	}()
	s.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// Baseline reports whether Java workers stand in for all Go workers, to learn what a pure Java fleet complains of.
func Baseline() bool { return os.Getenv("KCL_INTEROP_BASELINE") != "" }

// Go starts a Go worker. extra are further arguments of goworker.
func (s *Stage) Go(id string, extra ...string) *stagetest.Process {
	s.t.Helper()
	if Baseline() {
		return s.Java(Newest, id, Quick...)
	}
	args := []string{"-endpoint", s.URL, "-app", s.App, "-stream", s.Stream, "-worker", id, "-deliveries", s.Seen.Dir, "-lease", Failover.String()}
	return stagetest.Start(s.t, id, exec.Command(s.goBin, append(args, extra...)...))
}

// Java starts a worker on that version of the Java KCL. extra are further name=value arguments of fleet/java.
func (s *Stage) Java(version, id string, extra ...string) *stagetest.Process {
	s.t.Helper()
	home := filepath.Join(stagetest.Cache(s.t), "java-worker-"+version)
	level := os.Getenv("KCL_INTEROP_JAVA_LOG")
	if level == "" {
		level = "warn"
	}
	args := []string{
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx192m", // two processors are shared with others
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=" + level,
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-Dorg.slf4j.simpleLogger.levelInBrackets=true", "-Dorg.slf4j.simpleLogger.showShortLogName=true",
		"-cp", filepath.Join(home, "classes") + ":" + filepath.Join(home, "lib", "*"), "interop.Main",
		"endpoint=" + s.URL, "app=" + s.App, "stream=" + s.Stream, "worker=" + id, "deliveries=" + s.Seen.Dir,
		fmt.Sprintf("failover=%d", Failover.Milliseconds()),
	}
	p := stagetest.Start(s.t, id, exec.Command("java", append(args, extra...)...))
	s.javas = append(s.javas, p)
	return p
}

// Daemon starts the Java MultiLangDaemon that interop/childjava installed, with a Go child: the binary of interop/childjava/modern.
func (s *Stage) Daemon(id, child string) *stagetest.Process {
	s.t.Helper()
	properties := map[string]string{
		"executableName": child + " -dir " + s.Seen.Dir, "streamName": s.Stream, "applicationName": s.App, "workerIdentifier": id,
		"initialPositionInStream": "TRIM_HORIZON", "regionName": "us-east-1", "kinesisEndpoint": s.URL, "dynamoDBEndpoint": s.URL,
		"AwsCredentialsProvider": "AnonymousCredentialsProvider", "metricsLevel": "NONE", "retrievalMode": "POLLING",
		"failoverTimeMillis": fmt.Sprint(Failover.Milliseconds()), "shardSyncIntervalMillis": "1000", "idleTimeBetweenReadsInMillis": "250",
		"parentShardPollIntervalMillis": "1000",
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&text, "%s = %s\n", key, properties[key])
	}
	name := filepath.Join(s.t.TempDir(), "app.properties")
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx192m",
		"-cp", filepath.Join(stagetest.Cache(s.t), "childjava", "jars", "*"), "software.amazon.kinesis.multilang.MultiLangDaemon",
		"--properties-file", name)
	cmd.Env = append(os.Environ(), "AWS_SDK_UA_APP_ID="+id) // tells its requests apart
	p := stagetest.Start(s.t, id, cmd)
	s.javas = append(s.javas, p)
	return p
}

// manyKeys are enough for each shard to have some after a few splits.
const manyKeys = 500

// Feed puts records until Finish or the test's end.
func (s *Stage) Feed() {
	s.flow = stagetest.Feed{Client: s.Kinesis, Stream: s.Stream, Keys: manyKeys, Batch: 20, Every: 100 * time.Millisecond}.Flow(s.t, s.Books)
}

// Leases returns the rows of shards by shard.
func (s *Stage) Leases() map[string]Row {
	rows, err := s.watch.scan(context.Background(), s.App)
	if err != nil {
		return nil // no table yet
	}
	leases := map[string]Row{}
	for _, r := range rows {
		if r.isLease() {
			leases[r["leaseKey"]] = r
		}
	}
	return leases
}

// Rows returns all items of a table.
func (s *Stage) Rows(table string) ([]Row, error) { return s.watch.scan(context.Background(), table) }

// Writes returns how many writes to DynamoDB a worker made that took effect.
func (s *Stage) Writes(id string) int {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.writes[id]
}

// Leader returns the holder of the lock in the lease table.
func (s *Stage) Leader() string {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	for _, id := range s.watch.leaders {
		return id
	}
	return ""
}

// Shares returns how many open shards each worker owns, with no handoff pending; "" owns what is unassigned or moving.
func (s *Stage) Shares() map[string]int {
	shares := map[string]int{}
	for _, r := range s.Leases() {
		switch {
		case r["checkpoint"] == string(stream.ShardEnd.Sequence):
		case r["checkpointOwner"] != "":
			shares[""]++
		default:
			shares[r["leaseOwner"]]++
		}
	}
	return shares
}

// Phase names what is done from now on, for the report of gaps.
func (s *Stage) Phase(name string) {
	s.t.Helper()
	s.endPhase()
	s.phase = name
	s.t.Logf("%s %s", time.Now().Format("15:04:05.000"), name)
}

func (s *Stage) endPhase() {
	if err := s.Seen.Read(); err != nil {
		s.t.Fatal(err)
	}
	for _, gap := range s.Seen.Gaps {
		s.gaps[s.phase] = max(s.gaps[s.phase], gap)
	}
	clear(s.Seen.Gaps)
	all := s.Books.Totals().Duplicates
	for _, n := range s.twice {
		all -= n
	}
	s.twice[s.phase] += all
}

// Await waits until ok says so, and follows deliveries meanwhile.
func (s *Stage) Await(within time.Duration, what string, ok func() bool) {
	s.t.Helper()
	stagetest.Eventually(s.t, within, what, func() bool {
		if err := s.Seen.Read(); err != nil {
			s.t.Fatal(err)
		}
		return ok()
	})
	s.t.Logf("%s   so: %s", time.Now().Format("15:04:05.000"), what)
}

// AwaitShares waits until the open shards are owned as said, all of them by those named.
func (s *Stage) AwaitShares(within time.Duration, least map[string]int) {
	s.t.Helper()
	s.Await(within, fmt.Sprintf("shares are at least %v", least), func() bool {
		shares := s.Shares()
		for id, n := range shares {
			if _, named := least[id]; !named && n > 0 {
				return false
			}
		}
		for id, n := range least {
			if shares[id] < n {
				return false
			}
		}
		return len(shares) > 0
	})
}

// AwaitReading waits until a record put from now on was delivered from each open shard.
func (s *Stage) AwaitReading(within time.Duration) {
	s.t.Helper()
	had := map[stream.ShardID]int64{}
	for _, r := range s.open() {
		shard := stream.ShardID(r["leaseKey"])
		had[shard] = s.Books.Shard(shard).Put // at most so many of those put before
	}
	s.Await(within, fmt.Sprintf("%d shards are read", len(had)), func() bool {
		for shard, n := range had {
			if s.Books.Shard(shard).Delivered <= n {
				return false
			}
		}
		return true
	})
}

// Moves returns the changes of ownership so far.
func (s *Stage) Moves() []Move {
	moves, _ := s.watch.snapshot()
	return moves
}

// AwaitMove waits for a change of ownership since a time, of a kind, between workers whose names begin so.
func (s *Stage) AwaitMove(within time.Duration, since time.Time, kind, from, to string) Move {
	s.t.Helper()
	var found Move
	s.Await(within, fmt.Sprintf("%s: %s -> %s", kind, from, to), func() bool {
		for _, m := range s.Moves() {
			if m.At.After(since) && m.Kind == kind && strings.HasPrefix(m.From, from) && strings.HasPrefix(m.To, to) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// complaint is a line of a Java worker's log that a person would read: of its loggers, or of java.util.logging.
var complaint = regexp.MustCompile(`(?m)^.*(\[WARN\]|\[ERROR\]|\] (WARN|ERROR) |^WARNING:|^SEVERE:|Exception in thread).*$`)

// allowed is what Java workers complain of in the scenarios of interop/fleet and interop/tables without a Go worker; how it
// was found is told in interop/fleet/README.md.
var allowed = regexp.MustCompile(`Did not find an operating range metadata provider` +
	`|Cannot get the shard for this ProcessTask` + // a child is not in Java's cache of shards yet
	`|Not able to assign all expiredOrUnAssignedLeases` + // the first run, before its own first report
	`|Http2PingHandler .* (PING timer scheduled after|Flushing PING frame took)`) // a busy machine

// complaints returns what Java workers complain of beyond that, each with its worker.
func (s *Stage) complaints() []string {
	var all []string
	for _, p := range s.javas {
		for _, line := range complaint.FindAllString(p.Log(), -1) {
			if !allowed.MatchString(line) {
				all = append(all, p.Name+": "+line)
			}
		}
	}
	return all
}

// Finish ends what Feed began, waits for all records, fails the test for what was wrong, and reports.
func (s *Stage) Finish(r stagetest.Result) {
	s.t.Helper()
	s.flow.Stop(s.t)
	s.Await(time.Minute, "all records are delivered", func() bool { return s.Books.Totals().Missing == 0 })
	s.endPhase()
	verdict := s.Seen.Judge(s.t)
	moves, faults := s.watch.snapshot()
	for _, f := range faults {
		s.t.Errorf("written by one who may not: %s", f)
	}
	for _, c := range s.complaints() {
		s.t.Errorf("complaint that a pure Java fleet does not make: %s", c)
	}
	for _, m := range moves {
		s.t.Log(m)
	}
	for _, phase := range slices.Sorted(maps.Keys(s.gaps)) {
		s.t.Logf("longest silence of a shard, %s: %v; %d duplicates", phase, s.gaps[phase], s.twice[phase])
	}
	var longest time.Duration
	for phase, gap := range s.gaps {
		if gap > longest {
			longest, r.Gap = gap, fmt.Sprintf("%.1f s, %s", gap.Seconds(), phase)
		}
	}
	r.Records, r.Duplicates = verdict.Total.Delivered, verdict.Total.Duplicates
	if r.Findings == "" {
		r.Findings = s.tally(moves)
	}
	stagetest.Report(s.t, r)
}

// tally counts the moves by kind and by the languages of both sides.
func (s *Stage) tally(moves []Move) string {
	kinds := map[string]int{}
	for _, m := range moves {
		from, _, _ := strings.Cut(m.From, "-")
		to, _, _ := strings.Cut(m.To, "-")
		if m.Kind == "handed over" || m.Kind == "leads" {
			kinds[strings.TrimSpace(m.Kind+" "+from+">"+to)]++
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, fmt.Sprintf("%d %s", kinds[k], k))
	}
	return strings.Join(out, ", ")
}
