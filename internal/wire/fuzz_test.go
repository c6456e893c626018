package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

// seeds are lines of every kind; testdata/fuzz holds those that fuzzing found.
var seeds = []string{
	`{"action":"initialize","shardId":"shardId-000000000003","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}`,
	`{"action":"processRecords","records":[{"data":"eyJ0IjoyMX0=","partitionKey":"sensor-9","sequenceNumber":"4965","approximateArrivalTimestamp":1760000000123,"subSequenceNumber":0,"action":"record"},{"data":null}],"millisBehindLatest":340}`,
	`{"action":"processRecords","records":null,"millisBehindLatest":null}`,
	`{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":7,"error":"ThrottlingException"}`,
	`{"action":"shutdown","reason":"ZOMBIE"}`,
	`{"action":"status","responseFor":"leaseLost"}`,
	`["status",{"responseFor":"a"}]`,
	`{"action":"processRecords","records":[{"partitionKey":"\ud83d\ude00\ud83d\u0041\"\\\/\b\f\n\r\t\u00fc` + "ü\xff\xc0" + `"}]}`,
	`{"a":[{},[],[1,-0.5e+3,true,false,null,"x"]],"b":{"c":{"d":[]}},"action":"leaseLost"}`,
	`{"action":"processRecords","records":[{"data":"AA==A","subSequenceNumber":1e2}]}`,
	"{\"action\":\"processRecords\",\"records\":[{\"data\":\"AAA\r=\"}]}",
	` { "action" : "leaseLost" } `,
	`null`, ``, `{`, `[`, `"`, `{"`, `{"\u12`,
}

// reference is what encoding/json makes of a message.
type reference struct {
	Action  string            `json:"action"`
	Shard   string            `json:"shardId"`
	Seq     *string           `json:"sequenceNumber"`
	Sub     *int64            `json:"subSequenceNumber"`
	Records []referenceRecord `json:"records"`
	Behind  *int64            `json:"millisBehindLatest"`
	Error   *string           `json:"error"`
	Reason  *string           `json:"reason"`
}

type referenceRecord struct {
	Data    *string `json:"data"`
	Key     string  `json:"partitionKey"`
	Seq     string  `json:"sequenceNumber"`
	Arrived int64   `json:"approximateArrivalTimestamp"`
	Sub     int64   `json:"subSequenceNumber"`
}

// FuzzDecodeForChild: no line makes it panic; a line that it takes is JSON; and what encoding/json takes, with keys spelt
// once and exactly, it takes too, with the same values.
func FuzzDecodeForChild(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		kept := bytes.Clone(line)
		var m wire.Message
		err := wire.DecodeForChild(line, &m)
		if !bytes.Equal(line, kept) {
			t.Fatal("the line was changed")
		}
		if err == nil && !json.Valid(line) {
			t.Fatalf("took %q, which is not JSON", line)
		}
		var want reference
		if json.Unmarshal(line, &want) != nil || !comparable(line) || !known(want) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		compare(t, line, want, m)
	})
}

// comparable reports whether encoding/json means the same by its keys: it takes them in any case, and merges what a repeated
// key holds.
func comparable(line []byte) bool {
	d := json.NewDecoder(bytes.NewReader(line))
	type level struct {
		seen map[string]bool // nil in an array
		key  bool
	}
	var open []level
	for {
		token, err := d.Token()
		if err != nil {
			return true
		}
		top := len(open) - 1
		if s, ok := token.(string); ok && top >= 0 && open[top].seen != nil && open[top].key {
			folded := strings.ToLower(strings.NewReplacer("ſ", "s", "K", "k").Replace(s))
			if open[top].seen[folded] || folded != s && !exact[s] {
				return false
			}
			open[top].seen[folded] = true
			open[top].key = false
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{seen: map[string]bool{}, key: true})
			continue
		case json.Delim('['):
			open = append(open, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if len(open) > 900 {
			return false // beyond maxDepth
		}
		if n := len(open); n > 0 {
			open[n-1].key = true
		}
	}
}

var exact = map[string]bool{
	"shardId": true, "sequenceNumber": true, "subSequenceNumber": true, "millisBehindLatest": true, "partitionKey": true,
	"approximateArrivalTimestamp": true,
}

// known reports whether a message is one that a parent sends, with data that is base64.
func known(m reference) bool {
	switch wire.Action(m.Action) {
	case wire.ProcessRecords:
		for _, r := range m.Records {
			if r.Data == nil {
				continue
			}
			if _, err := base64.StdEncoding.DecodeString(*r.Data); err != nil || strings.ContainsAny(*r.Data, "\r\n") {
				return false
			}
		}
		return true
	case wire.Initialize, wire.Checkpoint, wire.ShutdownRequested, wire.LeaseLost, wire.ShardEnded, wire.Shutdown:
		return true
	}
	return false
}

func compare(t *testing.T, line []byte, want reference, m wire.Message) {
	t.Helper()
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	wanted := wire.Message{Action: wire.Action(want.Action)}
	switch wanted.Action {
	case wire.Initialize:
		wanted.Shard, wanted.From.Sequence = stream.ShardID(want.Shard), stream.SequenceNumber(text(want.Seq))
		if want.Sub != nil {
			wanted.From.Sub = *want.Sub
		}
	case wire.Checkpoint:
		wanted.Sequence, wanted.Sub, wanted.Error = want.Seq, want.Sub, text(want.Error)
	case wire.Shutdown:
		wanted.Reason = text(want.Reason)
	case wire.ProcessRecords:
		wanted.Batch = referenceBatch(want)
	}
	got := wire.Message{
		Action: m.Action, Shard: m.Shard, From: m.From, Batch: m.Batch, Sequence: m.Sequence, Sub: m.Sub, Error: m.Error, Reason: m.Reason,
	}
	if d := cmp.Diff(wanted, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".raw" }, cmp.Ignore())); d != "" {
		t.Fatalf("%q: %s", line, d)
	}
}

func referenceBatch(want reference) *stream.Batch {
	b := &stream.Batch{Records: []stream.Record{}, BehindUnknown: want.Behind == nil}
	if want.Behind != nil {
		const most = int64(1<<63-1) / 1e6
		b.Behind = time.Duration(min(max(*want.Behind, 0), most)) * time.Millisecond
	}
	for _, r := range want.Records {
		record := stream.Record{PartitionKey: r.Key, Position: stream.Position{Sequence: stream.SequenceNumber(r.Seq), Sub: r.Sub}}
		if r.Data != nil {
			record.Data, _ = base64.StdEncoding.DecodeString(*r.Data)
		}
		if r.Arrived != 0 {
			record.Arrived = time.UnixMilli(r.Arrived).UTC()
		}
		b.Records = append(b.Records, record)
	}
	return b
}

// FuzzDecodeReply: no line makes it panic, and a reply that was read and written again reads the same.
func FuzzDecodeReply(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := wire.DecodeReply(line)
		if err != nil {
			return
		}
		var again []byte
		switch {
		case r.Action == wire.Status:
			again = wire.AppendStatus(nil, r.ResponseFor)
		case r.Action == wire.Checkpoint && r.Sequence != nil:
			at := stream.Position{Sequence: stream.SequenceNumber(*r.Sequence)}
			if r.Sub != nil {
				at.Sub = *r.Sub
			}
			if at.IsZero() || at.Sub == 0 {
				r.Sub = nil
			}
			if at.IsZero() {
				r.Sequence = nil
			}
			again = wire.AppendCheckpoint(nil, at)
		default:
			return
		}
		got, err := wire.DecodeReply(bytes.TrimSpace(again))
		if err != nil {
			t.Fatalf("%q from %q: %v", again, line, err)
		}
		if d := cmp.Diff(r, got); d != "" {
			t.Fatalf("%q from %q: %s", again, line, d)
		}
	})
}

// FuzzRecords: what a parent writes, a child reads back, and encoding/json agrees.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("meow"), "cat", "456", int64(0), int64(1760000000123), int64(340), false)
	f.Add([]byte{}, "\"\\\x00\x1fü😀\xff", "", int64(-1), int64(0), int64(0), true)
	f.Add([]byte{0xFB, 0xFF}, strings.Repeat("k", 9), "SHARD_END", int64(1<<62), int64(-5), int64(1<<43), false)
	f.Fuzz(func(t *testing.T, data []byte, key, sequence string, sub, arrived, behind int64, unknown bool) {
		if behind < 0 || behind > 1<<43 || unknown {
			behind = 0
		}
		r := stream.Record{
			Data: append([]byte{}, data...), PartitionKey: strings.ToValidUTF8(key, "?"),
			Position: stream.Position{Sequence: stream.SequenceNumber(strings.ToValidUTF8(sequence, "?")), Sub: sub},
		}
		if arrived != 0 {
			r.Arrived = time.UnixMilli(arrived).UTC()
		}
		want := &stream.Batch{Records: []stream.Record{r, r}, Behind: time.Duration(behind) * time.Millisecond, BehindUnknown: unknown}
		line := wire.AppendProcessRecords(nil, want)
		var m wire.Message
		if err := wire.DecodeForChild(line, &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if d := cmp.Diff(want, m.Batch); d != "" {
			t.Fatalf("%q: %s", line, d)
		}
		var ref reference
		if err := json.Unmarshal(line, &ref); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		compare(t, line, ref, m)
	})
}

// FuzzLineReader: lines are those of strings.Split, however the input is cut into reads.
func FuzzLineReader(f *testing.F) {
	f.Add("a\nb\r\n\nc", 1)
	f.Add("a\rb\r", 2)
	f.Add("", 3)
	f.Fuzz(func(t *testing.T, input string, step int) {
		var want []string
		for line := range strings.Lines(input) {
			line, _ = strings.CutSuffix(line, "\n")
			want = append(want, strings.TrimSuffix(line, "\r"))
		}
		got := allLines(t, wire.NewLineReader(&stepReader{input, max(step, 1)}))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q by %d: %s", input, step, d)
		}
		want = nil
		for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(input, "\r\n", "\n"), "\r", "\n")) {
			want = append(want, strings.TrimSuffix(line, "\n"))
		}
		if d := cmp.Diff(want, allLines(t, wire.NewReplyReader(&stepReader{input, max(step, 1)}))); d != "" {
			t.Errorf("replies in %q by %d: %s", input, step, d)
		}
	})
}

// stepReader gives at most step bytes at a time.
type stepReader struct {
	rest string
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	n, err := strings.NewReader(r.rest).Read(p[:min(len(p), r.step)])
	r.rest = r.rest[n:]
	return n, err
}
