//go:build interop

// Package clients_test lets the AWS SDKs for Python, JavaScript and Java loose on local.
package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
)

// hang is how long a program may take for its story, at http and at https.
const hang = 120 * time.Second

// record is what a program saw of one.
type record struct {
	Shard string `json:"shard"`
	Seq   string `json:"seq"`
	Key   string `json:"key"`
	Data  []byte `json:"data"`
	At    int64  `json:"at"` // milliseconds since 1970
}

// taken is where a record went.
type taken struct {
	Shard string `json:"shard"`
	Seq   string `json:"seq"`
}

// saw is what each program prints of its story.
type saw struct {
	SDK       string            `json:"sdk"`
	Errors    map[string]string `json:"errors"` // codes
	OverHTTP1 int               `json:"overHTTP1,omitempty"`

	Stream      streamSeen   `json:"stream"`
	Streams     []string     `json:"streams"`
	Put         []taken      `json:"put"`    // 300 by PutRecords, one by PutRecord at the start of the upper half
	Listed      []string     `json:"listed"` // shards with their ranges, paged
	Got         []record     `json:"got"`    // by GetRecords
	SinceAnHour int          `json:"sinceAnHour"`
	Subscribed  subscription `json:"subscribed"`
	ShardEnd    shardEnd     `json:"shardEnd"`
	Open        []string     `json:"open"`

	Table      tableSeen `json:"table"`
	Item       itemSeen  `json:"item"`
	Refused    refusal   `json:"refused"`
	Updated    update    `json:"updated"`
	Queried    []string  `json:"queried"`
	Scanned    int       `json:"scanned"`
	Filtered   []int     `json:"filtered"`   // count and scanned count
	Cancelled  []string  `json:"cancelled"`  // code and reasons
	Transacted []bool    `json:"transacted"` // what the transaction that held put is there, and of the other
	Deleted    string    `json:"deleted"`
}

type streamSeen struct {
	Status  string `json:"status"`
	Shards  int    `json:"shards"`
	ARN     string `json:"arn"`
	Hours   int    `json:"hours"`
	Created int64  `json:"created"` // milliseconds since 1970
}

// subscription is what came by SubscribeToShard, up to the end of the shard.
type subscription struct {
	Status   string   `json:"status"` // of the consumer, before
	Records  []record `json:"records"`
	Children []string `json:"children"` // in the last event
	Ended    bool     `json:"ended"`    // the last event has no number to go on from
	Left     int      `json:"left"`     // consumers, after it was deregistered
}

type shardEnd struct {
	Records  int      `json:"records"`
	Ended    bool     `json:"ended"`
	Children []string `json:"children"`
}

type tableSeen struct {
	Status string `json:"status"`
	Index  string `json:"index"`
}

type itemSeen struct {
	N       string   `json:"n"`
	Payload []byte   `json:"payload"`
	Tags    []string `json:"tags"`
	Deep    []any    `json:"deep"`
}

type refusal struct {
	Code string `json:"code"`
	Old  string `json:"old"`
}

type update struct {
	N       string   `json:"n"`
	Seen    string   `json:"seen"`
	Tags    []string `json:"tags"`
	Payload bool     `json:"payload"`
}

// TestStory runs each program at http and at https, and judges what it saw.
func TestStory(t *testing.T) {
	cache, here := filepath.Join(stagetest.Cache(t), "clients"), filepath.Join(stagetest.Root(t), "interop", "clients")
	for name, command := range map[string][]string{
		"boto3":      {filepath.Join(cache, "python", "bin", "python"), filepath.Join(here, "python", "story.py")},
		"javascript": {"node", filepath.Join(here, "node", "story.mjs")},
		"java": {"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", // it lives for seconds
			"-cp", filepath.Join(cache, "java", "classes") + ":" + filepath.Join(cache, "java", "lib", "*"), "Story"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := local.Start(t)
			secure, pem := serveTLS(t, srv.Server)
			cmd := exec.Command(command[0], append(command[1:], srv.URL, secure)...)
			var out bytes.Buffer
			cmd.Stdout = &out
			cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
				"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
				"AWS_CA_BUNDLE="+pem, "NODE_EXTRA_CA_CERTS="+pem, "STORY_CA="+pem, "STORY_MODULES="+filepath.Join(cache, "node"))
			p := stagetest.Start(t, name, cmd)
			if code := p.Wait(t, hang); code != 0 {
				t.Fatalf("%s ended with code %d", name, code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != 2 {
				t.Fatalf("%d stories, want 2:\n%s", len(lines), out.String())
			}
			for i, scheme := range []string{"http", "https"} {
				judge(t, scheme, lines[i])
			}
		})
	}
}

// serveTLS serves under TLS too and returns the URL, and the file of the certificate.
func serveTLS(t *testing.T, srv *local.Server) (url, pem string) {
	t.Helper()
	cert, text, err := local.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	pem = filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(pem, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1) // the result of ServeTLS
	go func() { done <- srv.ServeTLS(ctx, l, cert) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "https://" + l.Addr().String(), pem
}

func judge(t *testing.T, scheme, line string) {
	t.Helper()
	got := saw{}
	in := json.NewDecoder(strings.NewReader(line))
	in.DisallowUnknownFields()
	if err := in.Decode(&got); err != nil {
		t.Fatalf("%s: %v in %s", scheme, err, line)
	}
	want := expected(t, &got)
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("%s: what it saw is not what happened (- want, + got):\n%s", scheme, diff)
	}
	stagetest.Report(t, stagetest.Result{
		Part: "clients", Pairing: got.SDK + " as a client of local, " + scheme, Ran: "streams, puts, gets, split, merge, SubscribeToShard to the end; tables, conditions, index, transactions",
		Records: int64(len(got.Got) + len(got.Subscribed.Records)),
	})
}

// expected returns what is to be seen, with times and the places of records taken from what was.
func expected(t *testing.T, got *saw) *saw {
	t.Helper()
	now := time.Now().UnixMilli()
	recent := func(ms int64) {
		if ms < now-hang.Milliseconds() || ms > now {
			t.Errorf("a time is %v", time.UnixMilli(ms))
		}
	}
	const half = "170141183460469231731687303715884105728" // 2^127
	want := &saw{
		SDK: got.SDK, OverHTTP1: got.OverHTTP1,
		Errors: map[string]string{
			"describe none": "ResourceNotFoundException", "create again": "ResourceInUseException", "bad iterator": "InvalidArgumentException",
			"no such shard": "ResourceNotFoundException", "update again": "ConditionalCheckFailedException",
			"no such table": "ResourceNotFoundException", "bad expression": "ValidationException",
		},
		Stream: streamSeen{
			Status: "ACTIVE", Shards: 2, ARN: "arn:aws:kinesis:us-east-1:000000000000:stream/orders", Hours: 24, Created: got.Stream.Created,
		},
		Streams: []string{"orders"}, Put: got.Put, SinceAnHour: 10,
		Listed: []string{
			"shardId-000000000000 0-170141183460469231731687303715884105727", "shardId-000000000001 " + half + "-340282366920938463463374607431768211455",
		},
		Open:    []string{"shardId-000000000001", "shardId-000000000004"},
		Table:   tableSeen{Status: "ACTIVE", Index: "ACTIVE"},
		Item:    itemSeen{N: "1", Payload: []byte{0, 255}, Tags: []string{"a", "b"}, Deep: []any{"1.5", "x", true, true}},
		Refused: refusal{Code: "ConditionalCheckFailedException", Old: "0"},
		Updated: update{N: "1", Seen: "1", Tags: []string{"a", "b", "c"}},
		Queried: []string{"item-01", "item-04", "item-07", "item-10", "item-13", "item-16", "item-19"},
		Scanned: 20, Filtered: []int{10, 20}, Deleted: "1",
		Cancelled: []string{"TransactionCanceledException", "None", "ConditionalCheckFailed"}, Transacted: []bool{true, false},
	}
	recent(got.Stream.Created)
	byShard := map[string][]record{}
	for i, at := range got.Put {
		r := record{Shard: at.Shard, Seq: at.Seq, Key: fmt.Sprintf("key-%d", i%7), Data: fmt.Appendf(nil, "record %d\x00\xff", i)}
		if i == 300 {
			r.Key, r.Data = "key-x", []byte("explicit")
		}
		byShard[at.Shard] = append(byShard[at.Shard], r)
	}
	first, second := byShard["shardId-000000000000"], byShard["shardId-000000000001"]
	if len(got.Put) != 301 || len(first)+len(second) != 301 || len(first) < 10 || len(second) < 10 {
		t.Errorf("%d records were put into %d shards", len(got.Put), len(byShard))
	}
	want.Got = append(append(want.Got, first...), second...)
	live := record{Shard: "shardId-000000000000", Key: "live", Data: []byte("live")}
	if n := len(got.Subscribed.Records); n > 0 {
		live.Seq = got.Subscribed.Records[n-1].Seq
	}
	want.Subscribed = subscription{
		Status: "ACTIVE", Records: append(append([]record(nil), first...), live), Children: []string{"shardId-000000000002", "shardId-000000000003"}, Ended: true,
	}
	want.ShardEnd = shardEnd{Records: len(first) + 1, Ended: true, Children: []string{
		"shardId-000000000002 of shardId-000000000000", "shardId-000000000003 of shardId-000000000000",
	}}
	if got.OverHTTP1 != 0 {
		want.OverHTTP1 = len(first)
	}
	for _, pair := range [][2][]record{{want.Got, got.Got}, {want.Subscribed.Records, got.Subscribed.Records}} {
		for i := range min(len(pair[0]), len(pair[1])) {
			recent(pair[1][i].At)
			pair[0][i].At = pair[1][i].At
		}
	}
	return want
}
