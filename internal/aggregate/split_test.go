package aggregate_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/stream"
)

// The vectors of the retrieval specification, section 6.4.
const (
	v1 = "f3899ac20a01611a0508001a01311a0508001a013213c5117e086130131a54e6dc69e47414"
	v2 = "f3899ac20a04706b2d300a04706b2d3112013012273334303238323336363932303933383436333436333337343630373433313736383231313435351a0a080010001a046c6566741a0b080110011a057269676874ad1f9a8e92694c12bcb0042a41dc1c9b"
	v3 = "f3899ac2d41d8cd98f00b204e9800998ecf8427e"
	v4 = "f3899ac20a01610da6f998a7e312b8f5235eeeb285497b"
)

const maxHashKey = "340282366920938463463374607431768211455"

var arrived = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func outer(data []byte) stream.Record {
	return stream.Record{Data: data, PartitionKey: "outer", Position: stream.Position{Sequence: "77"}, Arrived: arrived}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealed puts magic and digest around a message.
func sealed(message string) []byte {
	sum := md5.Sum([]byte(message))
	return []byte("\xf3\x89\x9a\xc2" + message + string(sum[:]))
}

func sub(i int64, key, hash, data string) stream.Record {
	return stream.Record{Data: []byte(data), PartitionKey: key, ExplicitHashKey: hash,
		Position: stream.Position{Sequence: "77", Sub: i}, Arrived: arrived}
}

func hashRange(t testing.TB, first, last string) stream.HashKeyRange {
	t.Helper()
	r, err := stream.ParseHashKeyRange(first, last)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSplit101to110Vectors(t *testing.T) {
	lower := hashRange(t, "0", "170141183460469231731687303715884105727")
	upper := hashRange(t, "170141183460469231731687303715884105728", maxHashKey)
	all := hashRange(t, "0", maxHashKey)
	damagedDigest := unhex(t, v1)
	damagedDigest[len(damagedDigest)-1] ^= 1
	const a1 = "\x0a\x01a\x1a\x05\x08\x00\x1a\x011"
	plain := func(b []byte) []stream.Record { return []stream.Record{outer(b)} }
	for _, tt := range []struct {
		name string
		data []byte
		keys stream.HashKeyRange
		want []stream.Record
		out  aggregate.Outcome
	}{
		{"plain", []byte("hello"), all, plain([]byte("hello")), aggregate.Outcome{}},
		{"empty", []byte{}, all, plain([]byte{}), aggregate.Outcome{}},
		{"short", []byte("\xf3\x89\x9a"), all, plain([]byte("\xf3\x89\x9a")), aggregate.Outcome{}},
		{"101 V1", unhex(t, v1), all, []stream.Record{sub(0, "a", "", "1"), sub(1, "a", "", "2")}, aggregate.Outcome{Aggregated: true}},
		{"102 V2", unhex(t, v2), all,
			[]stream.Record{sub(0, "pk-0", "0", "left"), sub(1, "pk-1", maxHashKey, "right")}, aggregate.Outcome{Aggregated: true}},
		{"103 V2 lower half", unhex(t, v2), lower,
			[]stream.Record{sub(0, "pk-0", "0", "left")}, aggregate.Outcome{Aggregated: true, Strays: 1}},
		{"103 V2 upper half", unhex(t, v2), upper,
			[]stream.Record{sub(1, "pk-1", maxHashKey, "right")}, aggregate.Outcome{Aggregated: true, Strays: 1}},
		{"103 V2 filter off", unhex(t, v2), stream.HashKeyRange{},
			[]stream.Record{sub(0, "pk-0", "0", "left"), sub(1, "pk-1", maxHashKey, "right")}, aggregate.Outcome{Aggregated: true}},
		{"104 V3", unhex(t, v3), all, plain(unhex(t, v3)), aggregate.Outcome{Damaged: true}},
		{"104 V4", unhex(t, v4), all, nil, aggregate.Outcome{Aggregated: true}},
		{"105 digest", damagedDigest, all, plain(damagedDigest), aggregate.Outcome{Damaged: true}},
		{"106 length past the end", sealed("\x0a\x05a"), all, plain(sealed("\x0a\x05a")), aggregate.Outcome{Damaged: true}},
		{"106 no data", sealed("\x0a\x01a\x1a\x02\x08\x00"), all, plain(sealed("\x0a\x01a\x1a\x02\x08\x00")), aggregate.Outcome{Damaged: true}},
		{"106 no key index", sealed("\x0a\x01a\x1a\x03\x1a\x011"), all, plain(sealed("\x0a\x01a\x1a\x03\x1a\x011")), aggregate.Outcome{Damaged: true}},
		{"106 tag without key", sealed("\x0a\x01a\x1a\x07\x08\x00\x1a\x011\x22\x00"), all,
			plain(sealed("\x0a\x01a\x1a\x07\x08\x00\x1a\x011\x22\x00")), aggregate.Outcome{Damaged: true}},
		{"106 stray end of group", sealed(a1 + "\x0c"), all, plain(sealed(a1 + "\x0c")), aggregate.Outcome{Damaged: true}},
		{"106 open group", sealed(a1 + "\x2b"), all, plain(sealed(a1 + "\x2b")), aggregate.Outcome{Damaged: true}},
		{"106 groups crossed", sealed(a1 + "\x2b\x33\x2c\x34"), all, plain(sealed(a1 + "\x2b\x33\x2c\x34")), aggregate.Outcome{Damaged: true}},
		{"106 groups too deep", sealed(a1 + strings.Repeat("\x2b", 101) + strings.Repeat("\x2c", 101)), all,
			plain(sealed(a1 + strings.Repeat("\x2b", 101) + strings.Repeat("\x2c", 101))), aggregate.Outcome{Damaged: true}},
		{"106 field 0", sealed(a1 + "\x00\x00"), all, plain(sealed(a1 + "\x00\x00")), aggregate.Outcome{Damaged: true}},
		{"106 wire type 7", sealed(a1 + "\x2f"), all, plain(sealed(a1 + "\x2f")), aggregate.Outcome{Damaged: true}},
		{"106 endless number", sealed(a1 + "\x28" + strings.Repeat("\xff", 11)), all,
			plain(sealed(a1 + "\x28" + strings.Repeat("\xff", 11))), aggregate.Outcome{Damaged: true}},
		{"107 key index", sealed(a1 + "\x1a\x05\x08\x01\x1a\x012"), all, plain(sealed(a1 + "\x1a\x05\x08\x01\x1a\x012")), aggregate.Outcome{Damaged: true}},
		{"107 hash index", sealed(a1 + "\x1a\x07\x08\x00\x10\x00\x1a\x012"), all,
			plain(sealed(a1 + "\x1a\x07\x08\x00\x10\x00\x1a\x012")), aggregate.Outcome{Damaged: true}},
		{"hash key no number is kept", sealed("\x0a\x01a\x12\x01x\x1a\x07\x08\x00\x10\x00\x1a\x011"), lower,
			[]stream.Record{sub(0, "a", "x", "1")}, aggregate.Outcome{Aggregated: true}},
		{"109 unknown fields", sealed("\x28\x07" + "\x29eightbyt" + "\x2dfour" + "\x2b\x33\x08\x01\x34\x2c" + a1 + "\x32\x02hi"), all,
			[]stream.Record{sub(0, "a", "", "1")}, aggregate.Outcome{Aggregated: true}},
		{"109 known number, other wire type", sealed("\x08\x01" + a1), all,
			[]stream.Record{sub(0, "a", "", "1")}, aggregate.Outcome{Aggregated: true}},
		{"109 tags", sealed("\x0a\x01a\x1a\x0d\x08\x00\x1a\x011\x22\x06\x0a\x01k\x12\x01v"), all,
			[]stream.Record{sub(0, "a", "", "1")}, aggregate.Outcome{Aggregated: true}},
		{"tables behind records", sealed("\x1a\x05\x08\x00\x1a\x011\x0a\x01a"), all,
			[]stream.Record{sub(0, "a", "", "1")}, aggregate.Outcome{Aggregated: true}},
		{"last of a repeated field", sealed("\x0a\x01a\x0a\x01b\x1a\x0a\x08\x00\x1a\x011\x08\x01\x1a\x012"), all,
			[]stream.Record{sub(0, "b", "", "2")}, aggregate.Outcome{Aggregated: true}},
		{"stray before damage", sealed("\x0a\x04pk-1\x1a\x05\x08\x00\x1a\x011\x1a\x05\x08\x09\x1a\x012"), lower,
			plain(sealed("\x0a\x04pk-1\x1a\x05\x08\x00\x1a\x011\x1a\x05\x08\x09\x1a\x012")), aggregate.Outcome{Damaged: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := []stream.Record{{PartitionKey: "before"}}
			got, out := aggregate.Split(before, outer(tt.data), tt.keys)
			if d := cmp.Diff(append(before, tt.want...), got); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			if out != tt.out {
				t.Errorf("outcome = %+v, want %+v", out, tt.out)
			}
		})
	}
}

// Each key of section 1.6 belongs to a range of exactly its own hash key, and not to its neighbours.
func TestSplit108HashOfKeys(t *testing.T) {
	for key, hash := range map[string]string{
		"a":    "16955237001963240173058271559858726497",
		"b":    "195289424170611159128911017612795795343",
		"pk-0": "318996840767547934070577442296912359277",
		"pk-1": "273922656776327812788301823748127981641",
		"é":    "136732923097551493579404309126273812335",
	} {
		data := aggregate.Append(nil, []stream.Record{{PartitionKey: key, Data: []byte("x")}})
		exact := hashRange(t, hash, hash)
		if got, _ := aggregate.Split(nil, outer(data), exact); len(got) != 1 {
			t.Errorf("%q in %v: %d records, want 1", key, exact, len(got))
		}
		next := stream.HashKeyRange{First: exact.First.Next(), Last: stream.MaxHashKey}
		if got, out := aggregate.Split(nil, outer(data), next); len(got) != 0 || out.Strays != 1 {
			t.Errorf("%q in %v: %d records, %d strays, want 0 and 1", key, next, len(got), out.Strays)
		}
	}
}

// What another implementation packed is split into what it says, and packed by us into the same bytes.
func TestSplitCorpus(t *testing.T) {
	cases := corpus(t)
	if len(cases) < 8 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, out := aggregate.Split(nil, outer(c.data), stream.HashKeyRange{})
			if d := cmp.Diff(c.records, got); d != "" || !out.Aggregated {
				t.Errorf("outcome %+v, records (-want +got):\n%s", out, d)
			}
			if again := aggregate.Append(nil, c.records); string(again) != string(c.data) && c.canonical() {
				t.Errorf("packed again:\n%x, want\n%x", again, c.data)
			}
		})
	}
}

func TestAppendVectors(t *testing.T) {
	for name, tt := range map[string]struct {
		records []stream.Record
		want    string
	}{
		"V1": {[]stream.Record{sub(0, "a", "", "1"), sub(0, "a", "", "2")}, v1},
		"V2": {[]stream.Record{sub(0, "pk-0", "0", "left"), sub(0, "pk-1", maxHashKey, "right")}, v2},
		"V3": {nil, v3},
	} {
		if got := hex.EncodeToString(aggregate.Append(nil, tt.records)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestSplitSharesMemory(t *testing.T) {
	data := unhex(t, v1)
	got, _ := aggregate.Split(nil, outer(data), stream.HashKeyRange{})
	data[strings.Index(string(data), "\x1a\x012")+2] = '9'
	if string(got[1].Data) != "9" {
		t.Errorf("data %q is a copy", got[1].Data)
	}
	_ = append(got[0].Data, "overwrite"...)
	if string(got[1].Data) != "9" {
		t.Error("appending to one record reached into another")
	}
}

func TestSplitPlainAllocatesNothing(t *testing.T) {
	dst := make([]stream.Record, 0, 1)
	r := outer([]byte("a plain record"))
	if n := testing.AllocsPerRun(100, func() { aggregate.Split(dst, r, stream.HashKeyRange{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type sample struct {
	name    string
	data    []byte
	records []stream.Record
}

// canonical: no tags, and keys stored in the order of their first use, which is how we pack.
func (s sample) canonical() bool { return s.name != "protobuf-tags" }

func corpus(t testing.TB) []sample {
	t.Helper()
	text, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "aggregate "); ok {
			name, data, _ := strings.Cut(rest, " ")
			all = append(all, sample{name: name, data: unhex(t, data)})
			continue
		}
		f := strings.Split(line, ",")
		last := &all[len(all)-1]
		last.records = append(last.records, sub(int64(len(last.records)), f[0], f[1], string(unhex(t, f[2]))))
	}
	return all
}

func BenchmarkSplit(b *testing.B) {
	for _, size := range []int{100, 1000} {
		for _, filter := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dB/filter=%v", size, filter), func(b *testing.B) { benchmarkSplit(b, size, filter) })
		}
	}
}

func benchmarkSplit(b *testing.B, size int, filter bool) {
	var records []stream.Record
	for i := range 50_000 / size { // a KPL aggregate is about 50 KB
		records = append(records, sub(0, fmt.Sprintf("key-%d", i), "", strings.Repeat("x", size)))
	}
	r := outer(aggregate.Append(nil, records))
	var keys stream.HashKeyRange
	if filter {
		keys.Last = stream.MaxHashKey
	}
	var dst []stream.Record
	b.SetBytes(int64(len(r.Data)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = aggregate.Split(dst[:0], r, keys)
	}
	b.ReportMetric(float64(b.N*len(records))/b.Elapsed().Seconds(), "records/s")
}
