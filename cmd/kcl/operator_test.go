package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/stream"
)

const (
	shard0 = "shardId-000000000000"
	shard1 = "shardId-000000000001"
	shard2 = "shardId-000000000002"
)

// application is one on a server of kcl local: shard 0 is split in 1 and 2, and read to its end.
type application struct {
	t        *testing.T
	endpoint string
	store    *dynamolease.Store
	kinesis  *kinesis.Client
	first    stream.Position // of a record in shard 0
}

func newApplication(t *testing.T) *application {
	t.Helper()
	app := &application{t: t, endpoint: serve(t, 1)}
	cfg, err := (&awsFlags{endpoint: app.endpoint}).config(t.Context())
	app.must(err)
	app.kinesis = kinesis.NewFromConfig(cfg)
	app.store, err = dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(cfg, quiet), Application: "app", Logger: slog.New(slog.DiscardHandler)})
	app.must(err)
	app.must(app.store.Setup(t.Context(), "host-a"))
	app.first = stream.Position{Sequence: app.put("1")}
	app.put("2")
	_, err = app.kinesis.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("orders"),
		ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String("170141183460469231731687303715884105728")})
	app.must(err)
	app.row(shard0, stream.ShardEnd, "host-a", "0", "340282366920938463463374607431768211455")
	app.row(shard1, stream.TrimHorizon, "host-a", "0", "170141183460469231731687303715884105727")
	app.row(shard2, stream.Latest, "host-b", "170141183460469231731687303715884105728", "340282366920938463463374607431768211455")
	app.must(app.store.Report(t.Context(), lease.Worker{ID: "host-a", ReportedAt: time.Now(), Stats: map[string][]float64{"C": {12.5}}, Limits: map[string]float64{"C": 100}}))
	app.must(app.store.TakeLock(t.Context(), nil, lease.LockItem{Owner: "host-a", Version: "v", Duration: 10 * time.Second}))
	return app
}

func (app *application) must(err error) {
	app.t.Helper()
	if err != nil {
		app.t.Fatal(err)
	}
}

func (app *application) put(data string) stream.SequenceNumber {
	app.t.Helper()
	out, err := app.kinesis.PutRecord(app.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), PartitionKey: aws.String(data), Data: []byte(data)})
	app.must(err)
	return stream.SequenceNumber(*out.SequenceNumber)
}

func (app *application) row(shard string, at stream.Position, owner, from, to string) {
	app.t.Helper()
	keys, err := stream.ParseHashKeyRange(from, to)
	app.must(err)
	l := lease.Lease{Key: shard, Shard: stream.ShardID(shard), Checkpoint: at, HashKeys: keys}
	if shard != shard0 {
		l.Parents = []stream.ShardID{shard0}
	}
	_, err = app.store.Create(app.t.Context(), l)
	app.must(err)
	if owner != "" {
		_, err = app.store.Assign(app.t.Context(), app.lease(shard), owner)
		app.must(err)
	}
}

func (app *application) lease(shard string) lease.Lease {
	app.t.Helper()
	l, err := app.store.Get(app.t.Context(), shard)
	app.must(err)
	return l
}

// kcl calls a command on the application.
func (app *application) kcl(args ...string) result {
	app.t.Helper()
	return kcl(app.t, "", append(args, "-application", "app", "-endpoint", app.endpoint)...)
}

// timeless replaces durations, and makes all gaps between columns equal, since durations decide how wide a column is.
func timeless(r result) string {
	text := regexp.MustCompile(`\b\d+(\.\d+)?(ms|s)\b( ago)? *`).ReplaceAllString(r.String(), "DURATION ")
	text = regexp.MustCompile(`"(reportAge|watched|since|lockAge|age|lock|for)Seconds":[0-9.-]+`).ReplaceAllString(text, `"${1}Seconds":N`)
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:]+[+-]\d\d:\d\d`).ReplaceAllString(text, "TIME")
	text = regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
	return regexp.MustCompile(` +\n`).ReplaceAllString(text, "\n")
}

func TestOperatorViewsGolden(t *testing.T) {
	app := newApplication(t)
	for name, args := range map[string][]string{
		"leases":        {"leases"},
		"leases-json":   {"leases", "-json"},
		"workers":       {"workers", "-for", "0"},
		"lag":           {"lag", "-stream", "orders"},
		"lag-no-stream": {"lag"},
		"doctor":        {"doctor", "-stream", "orders"},
		"doctor-wrong":  {"doctor", "-stream", "ordres"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, timeless(app.kcl(args...))) })
	}
}

func TestCostGolden(t *testing.T) {
	golden(t, "cost", kcl(t, "", "cost", "-shards", "100", "-workers", "5", "-read-price", "0.125", "-write-price", "0.625").String())
}

// TestLeasesCheck: whatever is wrong makes the exit code 1, and is told.
func TestLeasesCheck(t *testing.T) {
	app := newApplication(t)
	if r := app.kcl("leases", "-check", "-for", "0"); r.code != 0 {
		t.Errorf("nothing is wrong at one look: %v", r)
	}
	_, err := app.store.Release(t.Context(), app.lease(shard2))
	app.must(err)
	r := app.kcl("leases", "-check", "-for", "0")
	if want := "problem: " + shard2 + ": nobody owns the lease: the shard is not read"; r.code != exitFailure || !strings.Contains(r.stdout, want) {
		t.Errorf("%v, want exit 1 and %q", r, want)
	}
	app.put("6") // its hash key is of shard 1
	if r := app.kcl("lag", "-check", "-for", "0", "-stream", "orders", "-max-age", "1ns"); r.code != exitFailure || !strings.Contains(r.stdout, "over 1ns") {
		t.Errorf("lag with a record that is too old: %v", r)
	}
}

func TestReleaseGolden(t *testing.T) {
	app := newApplication(t)
	golden(t, "release-dry", app.kcl("release", "-worker", "host-a").String())
	if l := app.lease(shard1); l.Owner != "host-a" {
		t.Errorf("a dry run released %s", shard1)
	}
	golden(t, "release-yes", app.kcl("release", "-worker", "host-a", "-yes").String())
	golden(t, "release-json", app.kcl("release", "-shard", shard2, "-yes", "-json").String())
	for _, shard := range []string{shard0, shard1, shard2} {
		if l := app.lease(shard); l.Owner != "" {
			t.Errorf("%s is still of %s", shard, l.Owner)
		}
	}
	golden(t, "release-again", app.kcl("release", "-worker", "host-a", "-yes").String())
}

// TestRewindGolden: what the dry run shows is done with -yes, and the command that it prints undoes it.
func TestRewindGolden(t *testing.T) {
	app := newApplication(t)
	before := app.checkpoints()
	golden(t, "rewind-dry", app.kcl("rewind", "-stream", "orders", "-to", "oldest").String())
	if got := app.checkpoints(); got != before {
		t.Errorf("a dry run changed %s to %s", before, got)
	}
	done := app.kcl("rewind", "-stream", "orders", "-to", "oldest", "-yes")
	golden(t, "rewind-yes", done.String())
	if got, want := app.checkpoints(), "TRIM_HORIZON TRIM_HORIZON TRIM_HORIZON"; got != want {
		t.Errorf("rewound to %s, want %s", got, want)
	}
	_, undo, _ := strings.Cut(done.stdout, "undo: kcl ")
	if r := kcl(t, "", strings.Fields(undo)...); r.code != 0 {
		t.Errorf("undo: %v", r)
	}
	if got := app.checkpoints(); got != before {
		t.Errorf("undone to %s, want %s", got, before)
	}
	golden(t, "rewind-number", app.kcl("rewind", "-stream", "orders", "-to", string(app.first.Sequence), "-shard", shard0, "-json").String())
	golden(t, "rewind-latest", app.kcl("rewind", "-stream", "orders", "-to", "latest").String())
	golden(t, "rewind-no-shard", app.kcl("rewind", "-stream", "orders", "-to", "latest", "-shard", "shardId-9").String())
}

func (app *application) checkpoints() string {
	return strings.Join([]string{app.lease(shard0).Checkpoint.String(), app.lease(shard1).Checkpoint.String(), app.lease(shard2).Checkpoint.String()}, " ")
}

// TestWatchLines: elsewhere than on a terminal changes are told line by line, until the end.
func TestWatchLines(t *testing.T) {
	app := newApplication(t)
	b := start(t, "leases", "-watch", "-application", "app", "-endpoint", app.endpoint)
	for !strings.HasPrefix(b.line(t), "app: 3 leases, 1 ended; host-a leads") {
	}
	_, err := app.store.Handoff(t.Context(), app.lease(shard1), "host-b")
	app.must(err)
	if got, want := b.line(t), shard1+": on its way from host-a to host-b, was owned by host-a\n"; !strings.HasSuffix(got, want) {
		t.Errorf("line %q, want %q", got, want)
	}
	if code, stderr := b.stop(); code != 0 || stderr != "" {
		t.Errorf("ended with %d: %s", code, stderr)
	}
}

func TestWatchJSON(t *testing.T) {
	app := newApplication(t)
	b := start(t, "workers", "-watch", "-json", "-application", "app", "-endpoint", app.endpoint)
	for range 2 {
		var v struct{ Workers []struct{ Worker string } }
		if err := json.Unmarshal([]byte(b.line(t)), &v); err != nil || len(v.Workers) != 2 || v.Workers[1].Worker != "host-b" {
			t.Errorf("view %+v, %v", v, err)
		}
	}
	b.stop()
}

func TestOperatorUsage(t *testing.T) {
	tests := []struct{ args, want string }{
		{"leases", "which application? Give -application"},
		{"leases -application app -watch -check", "-watch and -check exclude each other"},
		{"leases -application app -watch -for 3s", "-watch and -for exclude each other"},
		{"leases -application app -for -1s", "-for and -max-age cannot be negative"},
		{"lag -application app -lease-duration 1ms", "-lease-duration 1ms is under 1s"},
		{"leases -application a -endpoint http://127.0.0.1:1", `dynamolease: Table "a" is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'`},
		{"release -application app", "give either -shard or -worker"},
		{"release -application app -shard s -worker w", "give either -shard or -worker"},
		{"rewind -application app", "give either -to or -set"},
		{"rewind -application app -to oldest -set a=b", "give either -to or -set"},
		{"rewind -application app -to 4959", "a sequence number belongs to one shard: give that -shard, and no other"},
		{"rewind -application app -to tomorrow", `-to "tomorrow": want oldest, latest, a time such as 2026-01-31T08:30:00Z, how long ago, such as 15m, or a checkpoint's sequence number`},
		{"rewind -application app -set a", `-set "a": want shard=checkpoint`},
		{"rewind -application app -set a=b", `-set a: checkpoint "b": want a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END`},
		{"rewind -application app -set a=LATEST -set a=5", "-set names a twice"},
		{"rewind -application app -set a=LATEST -shard b", "-shard is for -to; -set names its shards itself"},
		{"doctor -application app", "which stream? Give -stream"},
		{"cost -shards 0", "cost: Shards 0 is under 1"},
		{"cost -read-price -1", "-read-price and -write-price cannot be negative"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			r := kcl(t, "", strings.Fields(tt.args)...)
			got, _, _ := strings.Cut(r.stderr, "\n")
			if r.code != exitUsage || r.stdout != "" || got != "kcl: "+tt.want {
				t.Errorf("%v, want exit 2 and %q", r, tt.want)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"orders": "orders", "1:orders:5:shardId-0=49/3": "1:orders:5:shardId-0=49/3", "a b": "'a b'", "it's": `'it'\''s'`, "": "''",
	} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	got := strings.Join(fit([]string{"größer", "two", "three", "four"}, 4, 3), "|")
	if want := "größ|two|… an"; got != want {
		t.Errorf("fit = %q, want %q", got, want)
	}
}

// TestDoctorOfAPropertiesFile: what kcl run would work with is checked, the consumer included.
func TestDoctorOfAPropertiesFile(t *testing.T) {
	app := newApplication(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	file := filepath.Join(t.TempDir(), "app.properties")
	text := "executableName = cat\nstreamName = orders\napplicationName = app\nAWSCredentialsProvider = DefaultCredentialsProvider\n" +
		"regionName = us-east-1\nkinesisEndpoint = " + app.endpoint + "\ndynamoDBEndpoint = " + app.endpoint + "\n"
	for mode, want := range map[string]string{
		"":                            "note     stream orders: consumer app is not registered yet, a worker does that; ",
		"retrievalMode = POLLING\n":   "",
		"fanoutConfig.consumerName=c": "note     stream orders: consumer c is not registered yet, a worker does that; ",
	} {
		if err := os.WriteFile(file, []byte(text+mode), 0o600); err != nil {
			t.Fatal(err)
		}
		r := kcl(t, "", "doctor", "-properties", file)
		if r.code != 0 || !strings.Contains(r.stdout, want) || want == "" && strings.Contains(r.stdout, "consumer") ||
			!strings.Contains(r.stdout, "ok       table app: leases can be read and written") {
			t.Errorf("%s: %v", mode, r)
		}
	}
	if r := app.kcl("doctor", "-properties", file); r.code != exitUsage || !strings.Contains(r.stderr, "-properties says all") {
		t.Errorf("with another flag: %v", r)
	}
}
