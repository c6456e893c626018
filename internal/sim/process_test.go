package sim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

var processes = flag.Bool("sim.processes", false, "measure the timings with real processes, signals and clocks: takes five minutes")

// childEnv tells this test binary, when it is started by itself, to be one worker process: its value is a childConfig.
const childEnv = "KCL_SIM_WORKER"

type childConfig struct{ Endpoint, ID string }

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := beWorker(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// said is one line that a worker process writes: what a processor was given, what the engine logs, or what is wrong.
type said struct {
	Shard     stream.ShardID `json:",omitempty"`
	At, Until time.Time
	Last      stream.SequenceNumber `json:",omitempty"` // it was checkpointed, unless Failed
	Failed    bool                  `json:",omitempty"`
	Log       string                `json:",omitempty"`
	Problems  []string              `json:",omitempty"`
}

// child is this process as a worker.
type child struct {
	mu    sync.Mutex
	out   *json.Encoder
	stuck map[stream.ShardID]chan struct{}
}

// beWorker works until SIGTERM. Lines on stdin say which shard's processor is to be stuck, and its end ends the process.
func beWorker(text string) error {
	var cfg childConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := &child{out: json.NewEncoder(os.Stdout), stuck: map[stream.ShardID]chan struct{}{}}
	go c.obey(os.Stdin)
	aws := aws.Config{Region: "us-east-1", BaseEndpoint: &cfg.Endpoint, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}}}
	log := slog.New(slog.NewTextHandler(c, nil))
	leases, err := dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(aws), Application: application, Logger: log})
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{Application: application, Streams: []string{"s0"}, ID: cfg.ID, Kinesis: kinesis.NewFromConfig(aws),
		Leases: leases, Start: stream.TrimHorizon, Logger: log, NewProcessor: c.newProcessor})
	if err != nil {
		return err
	}
	go func() { // ends with the process
		for pause(context.Background(), time.Second) == nil {
			var problems []string
			for _, p := range w.Status().Problems {
				problems = append(problems, fmt.Sprintf("%s: %s", p.Shard, p.What))
			}
			c.say(said{At: time.Now(), Problems: problems})
		}
	}()
	return w.Run(ctx)
}

func (c *child) say(s said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.out.Encode(s) // nobody listens: the end of stdin says so too
}

// Write implements io.Writer for the log.
func (c *child) Write(p []byte) (int, error) {
	c.say(said{At: time.Now(), Log: strings.TrimSpace(string(p))})
	return len(p), nil
}

func (c *child) obey(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		verb, id, _ := strings.Cut(lines.Text(), " ")
		c.mu.Lock()
		switch free := c.stuck[stream.ShardID(id)]; {
		case verb == "stick":
			c.stuck[stream.ShardID(id)] = make(chan struct{})
		case free != nil:
			close(free)
			delete(c.stuck, stream.ShardID(id))
		}
		c.mu.Unlock()
	}
	os.Exit(1)
}

func (c *child) newProcessor(ctx context.Context, a stream.Assignment) (stream.Processor, error) {
	return stream.Func(func(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
		s := said{Shard: a.Shard, At: time.Now(), Last: b.Records[len(b.Records)-1].Position.Sequence}
		c.mu.Lock()
		free := c.stuck[a.Shard]
		c.mu.Unlock()
		if free != nil {
			<-free
		}
		err := cp.Checkpoint(ctx, stream.Position{})
		s.Until, s.Failed = time.Now(), err != nil
		c.say(s)
		return err
	})(ctx, a)
}

// process is one worker process as its parent sees it.
type process struct {
	id    string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{}
}

// processFleet is a fleet of worker processes on services in this process.
type processFleet struct {
	t       *testing.T
	server  *local.Server
	web     *httptest.Server
	kinesis *kinesis.Client
	births  int
	procs   []*process
	putting sync.WaitGroup
	stop    context.CancelFunc

	mu       sync.Mutex
	open     []types.Shard
	given    map[stream.ShardID][]handed
	put      map[stream.ShardID]stream.SequenceNumber // the last
	logs     []string
	problems map[string][]string // by worker
}

// handed is one call to a processor.
type handed struct {
	to string
	said
}

func newProcessFleet(t *testing.T) *processFleet {
	f := &processFleet{t: t, server: local.New(local.Config{Logger: slog.New(slog.DiscardHandler)}), given: map[stream.ShardID][]handed{},
		put: map[stream.ShardID]stream.SequenceNumber{}, problems: map[string][]string{}}
	f.web = httptest.NewServer(f.server)
	f.kinesis = kinesis.NewFromConfig(f.server.AWSConfig())
	f.must(f.server.CreateStream("s0", 4))
	f.refresh()
	ctx, cancel := context.WithCancel(t.Context())
	f.stop = cancel
	f.putting.Go(func() { f.feed(ctx) })
	t.Cleanup(f.end)
	return f
}

func (f *processFleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *processFleet) end() {
	f.stop()
	f.putting.Wait()
	for _, p := range slices.Clone(f.procs) {
		f.kill(p)
	}
	f.web.Close()
}

// feed puts a record into each open shard every 50 ms.
func (f *processFleet) feed(ctx context.Context) {
	for pause(ctx, 50*time.Millisecond) == nil {
		f.mu.Lock()
		for _, s := range f.open {
			out, err := f.kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s0"), Data: []byte("x"), PartitionKey: aws.String("k"),
				ExplicitHashKey: s.HashKeyRange.StartingHashKey})
			if err == nil {
				f.put[stream.ShardID(*out.ShardId)] = stream.SequenceNumber(*out.SequenceNumber)
			}
		}
		f.mu.Unlock()
	}
}

func (f *processFleet) refresh() []types.Shard {
	out, err := f.kinesis.ListShards(f.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("s0"),
		ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
	f.must(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = out.Shards
	return out.Shards
}

func (f *processFleet) start() *process {
	f.births++
	p := &process{id: fmt.Sprintf("w%d", f.births), done: make(chan struct{})}
	exe, err := os.Executable()
	f.must(err)
	cfg, err := json.Marshal(childConfig{f.web.URL, p.id})
	f.must(err)
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(cfg))
	p.cmd.Stderr = os.Stderr
	p.stdin, err = p.cmd.StdinPipe()
	f.must(err)
	out, err := p.cmd.StdoutPipe()
	f.must(err)
	f.must(p.cmd.Start())
	go func() { // ends with the process; kill and leave wait for it
		defer close(p.done)
		f.hear(p, out)
		_ = p.cmd.Wait() // it was told to end
	}()
	f.procs = append(f.procs, p)
	return p
}

func (f *processFleet) hear(p *process, out io.Reader) {
	for d := json.NewDecoder(out); ; {
		var s said
		if d.Decode(&s) != nil {
			return
		}
		f.mu.Lock()
		switch {
		case s.Shard != "":
			f.given[s.Shard] = append(f.given[s.Shard], handed{p.id, s})
		case s.Log != "":
			f.logs = append(f.logs, p.id+" "+s.Log)
		default:
			f.problems[p.id] = s.Problems
		}
		f.mu.Unlock()
	}
}

// leave stops a process by SIGTERM and waits for it, kill by SIGKILL.
func (f *processFleet) leave(p *process) { f.finish(p, syscall.SIGTERM) }
func (f *processFleet) kill(p *process)  { f.finish(p, syscall.SIGKILL) }

func (f *processFleet) finish(p *process, s os.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended
	<-p.done
	f.procs = slices.DeleteFunc(f.procs, func(o *process) bool { return o == p })
}

// await waits until something is so.
func (f *processFleet) await(what string, is func() bool) {
	f.t.Helper()
	for until := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(until) {
			f.t.Fatalf("not within two minutes: %s\n%s", what, strings.Join(f.logs, "\n"))
		}
		f.must(pause(f.t.Context(), 5*time.Millisecond))
	}
}

// owners returns who was last given something of each open shard.
func (f *processFleet) owners() map[stream.ShardID]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	by := map[stream.ShardID]string{}
	for _, s := range f.open {
		id := stream.ShardID(*s.ShardId)
		if given := f.given[id]; len(given) > 0 {
			by[id] = given[len(given)-1].to
		}
	}
	return by
}

// calm waits until every process owns shards and nothing has moved for a lease duration and a half.
func (f *processFleet) calm() {
	f.t.Helper()
	since, last := time.Now(), f.owners()
	f.await("each worker has shards, and nothing moves", func() bool {
		now := f.owners()
		all := !slices.ContainsFunc(f.procs, func(p *process) bool { return len(f.of(p)) == 0 })
		if !all || len(now) != len(last) || slices.ContainsFunc(f.refresh(), func(s types.Shard) bool {
			id := stream.ShardID(*s.ShardId)
			return now[id] == "" || now[id] != last[id]
		}) {
			since, last = time.Now(), now
		}
		return time.Since(since) > leaseDuration*3/2
	})
}

// of returns the shards that a process has.
func (f *processFleet) of(p *process) (ids []stream.ShardID) {
	for id, to := range f.owners() {
		if to == p.id {
			ids = append(ids, id)
		}
	}
	return ids
}

// readAgain waits until each of the shards was given to another worker after since, and returns how long the last took.
func (f *processFleet) readAgain(but string, ids []stream.ShardID, since time.Time) (worst time.Duration) {
	f.t.Helper()
	for _, id := range ids {
		f.await(string(id)+" is read", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			i := slices.IndexFunc(f.given[id], func(h handed) bool { return h.to != but && h.At.After(since) })
			if i >= 0 {
				worst = max(worst, f.given[id][i].At.Sub(since))
			}
			return i >= 0
		})
	}
	return worst
}

func (f *processFleet) leader() (leads, follows *process) {
	w := &world{t: f.t, server: f.server, ledger: newLedger()}
	name := w.row("Leader").text("ownerName")
	for _, p := range f.procs {
		switch {
		case p.id == name:
			leads = p
		case len(f.of(p)) > 0:
			follows = p
		}
	}
	if leads == nil || follows == nil {
		f.t.Fatalf("%q leads", name)
	}
	return leads, follows
}

// TestProcesses measures each row of design section 6 once, with processes of the operating system and a lease duration of 10 s.
func TestProcesses(t *testing.T) {
	if !*processes {
		t.Skip("takes five minutes: run it with -sim.processes")
	}
	f := newProcessFleet(t)
	row := func(what string, bound time.Duration, took time.Duration) {
		t.Helper()
		t.Logf("%-52s %8.3f s, bound %4.1f s", what, took.Seconds(), bound.Seconds())
		if took > bound {
			t.Errorf("%s: %v, the bound is %v", what, took, bound)
		}
	}
	row("cold start of 3 workers, 4 shards, to the last's first", 2*time.Second, f.coldStart(3))
	f.calm()
	row("split: parent's end to the children's first records", 2*time.Second, f.reshard(true))
	f.calm()
	row("merge", 2*time.Second, f.reshard(false))
	f.calm()
	_, follower := f.leader()
	row("SIGTERM of a worker", 1500*time.Millisecond, f.replace(follower, syscall.SIGTERM))
	leader, _ := f.leader()
	row("SIGTERM of the leader", 1500*time.Millisecond, f.replace(leader, syscall.SIGTERM))
	row("rolling restart: longest gap of any shard", 1500*time.Millisecond, f.rollingRestart())
	_, follower = f.leader()
	row("SIGKILL of a worker", leaseDuration+3*time.Second, f.replace(follower, syscall.SIGKILL))
	leader, _ = f.leader()
	row("SIGKILL of the leader", leaderDies, f.replace(leader, syscall.SIGKILL))
	f.stuckProcessor()
}

func (f *processFleet) coldStart(n int) time.Duration {
	began := time.Now()
	for range n {
		f.start()
	}
	var ids []stream.ShardID
	for _, s := range f.refresh() {
		ids = append(ids, stream.ShardID(*s.ShardId))
	}
	return f.readAgain("", ids, began)
}

// replace ends a process, waits until its shards are read, then starts another.
func (f *processFleet) replace(p *process, s os.Signal) time.Duration {
	f.t.Helper()
	ids, at := f.of(p), time.Now()
	f.finish(p, s)
	took := f.readAgain(p.id, ids, at)
	f.start()
	f.calm()
	return took
}

// reshard splits a shard or merges two, and measures from the parents' last checkpoint before their ends.
func (f *processFleet) reshard(split bool) (worst time.Duration) {
	f.t.Helper()
	open := f.refresh()
	parents := open[1:2]
	var err error
	if split {
		_, err = f.kinesis.SplitShard(f.t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s0"), ShardToSplit: open[1].ShardId,
			NewStartingHashKey: aws.String(middle(*open[1].HashKeyRange.StartingHashKey, *open[1].HashKeyRange.EndingHashKey))})
	} else {
		parents = open[2:4]
		if next(*parents[0].HashKeyRange.EndingHashKey) != *parents[1].HashKeyRange.StartingHashKey {
			parents = slices.Clone(open[len(open)-2:]) // the last split's children
		}
		_, err = f.kinesis.MergeShards(f.t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("s0"), ShardToMerge: parents[0].ShardId,
			AdjacentShardToMerge: parents[1].ShardId})
	}
	f.must(err)
	at := time.Now()
	old := map[string]bool{}
	for _, s := range open {
		old[*s.ShardId] = true
	}
	var kids []stream.ShardID
	for _, s := range f.refresh() {
		if !old[*s.ShardId] {
			kids = append(kids, stream.ShardID(*s.ShardId))
		}
	}
	f.readAgain("", kids, at)
	f.mu.Lock()
	defer f.mu.Unlock()
	var ended time.Time
	for _, p := range parents {
		given := f.given[stream.ShardID(*p.ShardId)]
		ended = laterOf(ended, given[len(given)-1].Until)
	}
	for _, id := range kids {
		worst = max(worst, f.given[id][0].At.Sub(ended))
	}
	return worst
}

func (f *processFleet) rollingRestart() time.Duration {
	f.t.Helper()
	began := time.Now()
	for _, p := range slices.Clone(f.procs) {
		f.leave(p)
		f.start()
		f.must(pause(f.t.Context(), 3*time.Second))
	}
	f.calm()
	f.mu.Lock()
	defer f.mu.Unlock()
	worst := time.Duration(0)
	for _, s := range f.open {
		last := began
		for _, h := range f.given[stream.ShardID(*s.ShardId)] {
			if h.At.After(began) {
				worst, last = max(worst, h.At.Sub(last)), h.Until
			}
		}
		worst = max(worst, time.Since(last))
	}
	return worst
}

// stuckProcessor holds one call for 130 s: its lease stays with its owner and is renewed, there is a warning, and health is red. It is
// the only lease of its worker, so that it is not handed off for balance.
func (f *processFleet) stuckProcessor() {
	f.t.Helper()
	p := f.procs[slices.IndexFunc(f.procs, func(p *process) bool { return len(f.of(p)) == 1 })]
	id, others := f.of(p)[0], f.owners()
	delete(others, id)
	fmt.Fprintln(p.stdin, "stick", id)
	w := &world{t: f.t, server: f.server, ledger: newLedger()}
	counter, at := w.row(string(id)).number("leaseCounter"), time.Now()
	f.must(pause(f.t.Context(), 130*time.Second))
	it := w.row(string(id))
	if moved := it.number("leaseCounter") - counter; it.text("leaseOwner") != p.id || moved < 30 {
		f.t.Errorf("the lease of a stuck processor is %q's, renewed %d times", it.text("leaseOwner"), moved)
	}
	f.mu.Lock()
	red, warned := strings.Join(f.problems[p.id], "; "), 0
	for _, line := range f.logs {
		if strings.Contains(line, "processor is still busy with one call") {
			warned++
		}
	}
	f.mu.Unlock()
	if warned < 1 || warned > 2 || !strings.Contains(red, string(id)) {
		f.t.Errorf("%d warnings, health says %q", warned, red)
	}
	for other := range others {
		f.readAgain("", []stream.ShardID{other}, time.Now())
	}
	f.t.Logf("a call of %v: lease kept and renewed, %d warnings, health: %s", time.Since(at).Round(time.Second), warned, red)
	fmt.Fprintln(p.stdin, "free", id)
	f.readAgain("", []stream.ShardID{id}, time.Now())
}
