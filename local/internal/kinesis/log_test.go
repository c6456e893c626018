package kinesis

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/local/internal/awswire"
)

type wireRecord struct {
	SequenceNumber, PartitionKey, EncryptionType string
	Data                                         []byte
}

func add(l *log, data []byte, key string, arrived int64) wireRecord {
	seq := sequence{created: 1e9, shard: 3, index: l.next(), at: arrived / 1000}
	r := record{data: data, key: []byte(key)}
	kms := l.next()%3 == 0
	l.append(r, seq, arrived, kms)
	w := wireRecord{SequenceNumber: seq.String(), PartitionKey: strings.ToValidUTF8(key, "\uFFFD"), Data: data}
	if kms {
		w.EncryptionType = "KMS"
	}
	return w
}

// TestLogAnswers reads the same records in both formats, over many chunks.
func TestLogAnswers(t *testing.T) {
	l := &log{base: 1}
	var want []wireRecord
	keys := []string{"a", "é", `with "quotes" and \`, "line\nbreak\x00", strings.Repeat("k", 256), "<&>\u2028"}
	for i := range 300 {
		want = append(want, add(l, bytes.Repeat([]byte{byte(i)}, i*i/4+i%5), keys[i%len(keys)], int64(1e12+i)))
	}
	want = append(want, add(l, make([]byte, 2*largestChunk), "large", 2e12))
	entries, from := l.from(0)
	if from != 1 || len(entries) != len(want) {
		t.Fatalf("%d entries from %d", len(entries), from)
	}
	var got []wireRecord
	joined := appendJSON(nil, entries)
	if len(joined) > jsonSize(entries) {
		t.Errorf("%d bytes of JSON, want at most %d", len(joined), jsonSize(entries))
	}
	if err := json.Unmarshal(fmt.Appendf(nil, "[%s]", joined), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	got = nil
	array := cborOf(entries, net.Buffers{awswire.AppendCBORArray(nil, len(entries))})
	if err := cbor.Unmarshal(bytes.Join(array, nil), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("CBOR (-want +got):\n%s", diff)
	}
}

// TestTrimLeavesReadersAlone holds a page while the log forgets its records and takes new ones.
func TestTrimLeavesReadersAlone(t *testing.T) {
	l := &log{base: 1}
	for i := range 100 {
		add(l, []byte{byte(i)}, "k", int64(i))
	}
	held, _ := l.from(10)
	before := string(bytes.Join(cborOf(held, nil), nil))
	for _, horizon := range []int64{20, 95, 99, 200} { // the second forgets more than it keeps
		l.trim(horizon)
		add(l, []byte{255}, "new", 300)
		if after := string(bytes.Join(cborOf(held, nil), nil)); after != before {
			t.Fatalf("a page changed when the log was trimmed to %d", horizon)
		}
	}
	if entries, from := l.from(1); from != 101 || len(entries) != 4 {
		t.Errorf("after trimming: %d entries from %d", len(entries), from)
	}
}

func TestCut(t *testing.T) {
	entries := []entry{{size: 10}, {size: 20}, {size: 30}}
	for _, c := range []struct {
		records int
		bytes   int64
		want    int
	}{{10, 100, 3}, {2, 100, 2}, {10, 30, 2}, {10, 29, 1}, {10, 5, 1}, {10, 60, 3}} {
		if got, _ := cut(entries, c.records, c.bytes); len(got) != c.want {
			t.Errorf("cut to %d records, %d bytes: %d, want %d", c.records, c.bytes, len(got), c.want)
		}
	}
}

// FuzzParsePut compares the hand-written reading of PutRecords with encoding/json.
func FuzzParsePut(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"Records":[]}`,
		`{"Records":[{"Data":"aGk=","PartitionKey":"a"},{"Data":"aGk=","PartitionKey":"b","ExplicitHashKey":"0"}],"StreamName":"s"}`,
		`{"StreamName":"\u0073","Records":[{"PartitionKey":"é\n","Data":"aGk\u003d","Other":{"a":[1,2.5e3,true,null]}}],"StreamARN":null}`,
		`{"Records":[{"Data":"aGl=","PartitionKey":"a"}]} `, `{"Records":[{"Data":"a\nGk=","PartitionKey":1}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parsePut(call{body: body}, false)
		var twin struct {
			StreamName, StreamARN *string
			Records               []*struct {
				Data, PartitionKey, ExplicitHashKey *string
			}
		}
		twinErr := json.Unmarshal(body, &twin)
		if err == nil && twinErr != nil && json.Valid(body) {
			return // of another type than ours; skipped members are not checked
		}
		if err != nil || twinErr != nil || len(twin.Records) != len(r.entries) {
			return // repeated or differently cased names, invalid UTF-8
		}
		records, err := r.check("records", defaultRecordKiB)
		if err != nil {
			return
		}
		for i, p := range records {
			sent := twin.Records[i]
			if sent != nil && sent.Data != nil {
				if data, err := base64.StdEncoding.DecodeString(*sent.Data); err == nil && !bytes.Equal(data, p.data) &&
					!bytes.Contains(bytes.ToLower(body), []byte(`"data":`)) {
					t.Errorf("record %d: data %q, want %q", i, p.data, data)
				}
			}
			if tw := sent; tw != nil && tw.PartitionKey != nil && *tw.PartitionKey != string(p.key) &&
				!strings.ContainsRune(*tw.PartitionKey, '\uFFFD') && !bytes.Contains(bytes.ToLower(body), []byte(`"partitionkey":`)) {
				t.Errorf("record %d: key %q, want %q", i, p.key, *tw.PartitionKey)
			}
		}
	})
}

func TestPutTakesBase64LikeTheStandardLibrary(t *testing.T) {
	r := putRequest{entries: []putEntry{
		{data: []byte("aGl="), hasData: true, key: []byte("k"), hasKey: true},   // stray bits in the last character
		{data: []byte("aG\nk="), hasData: true, key: []byte("k"), hasKey: true}, // a line break
		{data: []byte{}, hasData: true, key: []byte("k"), hasKey: true},
	}}
	records, err := r.check("records", defaultRecordKiB)
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c := string(records[0].data), string(records[1].data), len(records[2].data); a != "hi" || b != "hi" || c != 0 {
		t.Errorf("%q %q %d", a, b, c)
	}
	r.entries[0].data = []byte("a*")
	if _, err := r.check("records", defaultRecordKiB); err == nil {
		t.Error("text that is no base64 was accepted")
	}
}

func TestAppendBase64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		want := base64.StdEncoding.AppendEncode([]byte("before"), data)
		for _, room := range []int{0, n, 2 * n} {
			if got := appendBase64(append(make([]byte, 0, 6+room), "before"...), data); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %s, want %s", n, got, want)
			}
		}
	}
}
