package decode_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/stream"
)

type m = map[string]any

func mustCBOR(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// generic decodes CBOR by a library, into values without meaning. Times stay tags.
var generic = func() cbor.DecMode {
	tags := cbor.NewTagSet()
	mode, err := cbor.DecOptions{
		TimeTag: cbor.DecTagIgnored, MaxNestedLevels: 65535, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32,
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IntDec: cbor.IntDecConvertNone, UTF8: cbor.UTF8RejectInvalid,
		DefaultMapType: nil, BignumTag: cbor.BignumTagForbidden,
	}.DecModeWithTags(tags)
	if err != nil {
		panic(err)
	}
	return mode
}()

// byLibrary is what an answer in CBOR says by the meaning of its generic values. ok is false where it is not ours to read.
func byLibrary(body []byte) (a decode.Answer, ok bool) {
	var top any
	if err := generic.Unmarshal(body, &top); err != nil {
		return a, false
	}
	defer func() {
		if recover() != nil { // a value of another kind than it should be
			ok = false
		}
	}()
	answer := object(top)
	a.Next = words(answer["NextShardIterator"])
	if milli := bare(answer["MillisBehindLatest"]); milli != nil {
		const most = math.MaxInt64 / int64(time.Millisecond)
		a.Behind, a.BehindKnown = time.Duration(min(max(whole(milli), -most), most))*time.Millisecond, true
	}
	for _, r := range list(answer["Records"]) {
		r := object(r)
		a.Records = append(a.Records, stream.Record{
			Data: blob(r["Data"]), PartitionKey: words(r["PartitionKey"]), Arrived: moment(r["ApproximateArrivalTimestamp"]),
			Position: stream.Position{Sequence: stream.SequenceNumber(words(r["SequenceNumber"]))},
		})
		words(r["EncryptionType"])
	}
	for _, c := range list(answer["ChildShards"]) {
		c := object(c)
		child := decode.Child{ID: stream.ShardID(words(c["ShardId"]))}
		for _, p := range list(c["ParentShards"]) {
			child.Parents = append(child.Parents, stream.ShardID(words(p)))
		}
		keys := object(c["HashKeyRange"])
		var err error
		if child.HashKeys, err = stream.ParseHashKeyRange(words(keys["StartingHashKey"]), words(keys["EndingHashKey"])); err != nil {
			return a, false
		}
		a.Children = append(a.Children, child)
	}
	return a, true
}

func bare(v any) any {
	for {
		tag, ok := v.(cbor.Tag)
		if !ok {
			return v
		}
		v = tag.Content
	}
}

func object(v any) map[any]any {
	if bare(v) == nil {
		return nil
	}
	return bare(v).(map[any]any)
}

func list(v any) []any {
	if bare(v) == nil {
		return nil
	}
	return bare(v).([]any)
}

func words(v any) string {
	if bare(v) == nil {
		return ""
	}
	return bare(v).(string)
}

func whole(v any) int64 {
	if n, ok := v.(uint64); ok && n <= math.MaxInt64 {
		return int64(n)
	}
	return v.(int64)
}

func blob(v any) []byte {
	if bare(v) == nil {
		return nil
	}
	return bare(v).([]byte) // text is compared elsewhere
}

func moment(v any) time.Time {
	switch v := bare(v).(type) {
	case nil:
		return time.Time{}
	case time.Time: // of tag 1, whose content the library takes for seconds
		return time.UnixMilli(v.Unix()).UTC()
	case float64:
		if math.Abs(v) < 1e11 {
			v *= 1000
		}
		return time.UnixMilli(int64(math.Round(v))).UTC()
	default:
		return time.UnixMilli(whole(v)).UTC()
	}
}

func cborBodies() (all [][]byte) {
	record := m{"Data": []byte("abc"), "PartitionKey": "k", "SequenceNumber": "12", "ApproximateArrivalTimestamp": cbor.Tag{Number: 1, Content: 1_700_000_000_123}, "EncryptionType": "KMS"}
	for _, v := range []any{
		nil, m{}, m{"Records": nil}, m{"Records": []any{}}, m{"Records": []any{nil, m{}, record}}, m{"Records": []any{record, record}, "NextShardIterator": "n", "MillisBehindLatest": 7},
		m{"X": []any{1, -1, 1.5, "a", []byte("b"), m{"c": nil}, true, cbor.Tag{Number: 99, Content: []any{}}, cbor.SimpleValue(99)}, "Records": []any{m{"Y": m{"Data": "no"}, "Data": []byte{}}}},
		m{"MillisBehindLatest": -5}, m{"MillisBehindLatest": uint64(math.MaxUint64)}, m{"MillisBehindLatest": int64(math.MaxInt64)}, m{"MillisBehindLatest": int64(math.MinInt64)}, m{"MillisBehindLatest": 1.0}, m{"MillisBehindLatest": "1"},
		m{"NextShardIterator": 1}, m{"Records": "a"}, m{"Records": m{}}, m{"Records": []any{1}}, m{"Records": []any{m{"Data": 1}}}, m{"Records": []any{m{"PartitionKey": []byte("k")}}}, m{"Records": []any{m{"EncryptionType": 1}}},
		m{"ChildShards": []any{m{"ShardId": "s", "ParentShards": []any{"p", "q"}, "HashKeyRange": m{"StartingHashKey": "0", "EndingHashKey": "5", "X": 1}}, m{"ShardId": nil, "ParentShards": nil, "HashKeyRange": nil}, nil, m{}}},
		m{"ChildShards": []any{m{"HashKeyRange": m{"StartingHashKey": "x"}}}}, m{"ChildShards": []any{m{"ParentShards": []any{1}}}}, m{"ChildShards": 1},
		map[any]any{1: 2, "MillisBehindLatest": 3, "x": map[any]any{2: 1}}, "a", 1, []any{},
	} {
		all = append(all, mustCBOR(v))
	}
	for _, at := range []any{0, -1, 1_700_000_000_123, cbor.Tag{Number: 1, Content: 1.5}, 1_700_000_000.123, float32(2), 1_700_000_000_123.0, 1e300, math.Inf(1), math.NaN(), int64(math.MaxInt64), cbor.Tag{Number: 1, Content: cbor.Tag{Number: 1, Content: 5}}, "x", []byte("x"), true} {
		all = append(all, mustCBOR(m{"Records": []any{m{"ApproximateArrivalTimestamp": at}}}))
	}
	for _, raw := range []string{
		"\xbf\x67Records\x9f\xbf\x64Data\x5f\x41a\x40\x42bc\xff\x6cPartitionKey\x7f\x61x\x61y\xff\xff\xff\xff", // pieces
		"\xa1\x67Records\x81\xa1\x7f\x62Da\x62ta\xff\x41a", "\xa1\x67Records\x81\xa1\x64Data\xf7", "\xa1\x67Records\x98\x01\xb8\x01\x78\x04Data\x58\x01a",
		"\xa1\x67Records\x81\xa1\x64Data\x5f\x61a\xff", "\xa1\x67Records\x81\xa1\x64Data\x5f\x5f\x41a\xff\xff", "\xa1\x67Records\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x67Records\x81\xa1\x64Data\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xa1\x61a\x1c", "\xa1\x61a\x1f", "\xa1\x61a\x3f", "\xa1\x61a\xdf\x01", "\xa1\x61a\xf8\x10", "\xa1\x61a\xff", "\xbf\x61a\xff", "\xff", "\xa1\x61a\xf9\x7e\x00", "\xa1\x61a\xc1", "\xc1\xa0", "\xd9\xd9\xf7\xa1\x61a\x01", "\xa1\xf6\x01", "\xa1\xc1\x67Records\x80", "\xa0\x00", "", "\xa1\x67Records\x81\xa1\x6cPartitionKey\xf5",
		"\xa1\x67Records\x81\xa1\x78\x1bApproximateArrivalTimestamp\xf9\x3c\x00", "\xa1\x67Records\x81\xa1\x78\x1bApproximateArrivalTimestamp\xf9\x00\x01", "\xa1\x67Records\x81\xa1\x78\x1bApproximateArrivalTimestamp\xf9\xfc\x00", "\xa1\x67Records\x81\xa1\x78\x1bApproximateArrivalTimestamp\xfa\x44\x7a\x00\x00",
		"\xa1\x61a" + strings.Repeat("\x81", 9_000) + "\x01", "\xa1\x61a" + strings.Repeat("\xa1\x00", 100) + "\x01", "\xa1\x61a" + strings.Repeat("\x9f", 50) + strings.Repeat("\xff", 50),
	} {
		all = append(all, []byte(raw))
	}
	return append(all, bodyOf(decode.CBOR, 1, 0), bodyOf(decode.CBOR, 20, 300), bodyOf(decode.CBOR, 17, 23))
}

func TestCBORAsTheLibraryReadsIt(t *testing.T) {
	read := 0
	for _, body := range cborBodies() {
		if compareCBOR(t, body) {
			read++
		}
	}
	if read < 30 {
		t.Errorf("only %d bodies were read by both", read)
	}
}

// compareCBOR fails unless the library and we make the same of a body that both read, and both refuse what is no CBOR.
func compareCBOR(t *testing.T, body []byte) (both bool) {
	t.Helper()
	got, err := decode.Records(bytes.Clone(body), decode.CBOR)
	if err != nil && !errors.Is(err, decode.ErrMalformed) {
		t.Fatalf("%x: error %v is not ErrMalformed", body, err)
	}
	show := body[:min(len(body), 200)]
	want, ok := byLibrary(body)
	if ok && err != nil && !outside(want) && !strings.Contains(err.Error(), "ApproximateArrivalTimestamp is no time") {
		t.Errorf("%x: %v, want %v", show, err, want)
	}
	if !ok && err == nil && cbor.Wellformed(body) != nil && !tooMuch(body) {
		t.Errorf("%x: read, though it is no CBOR: %v", show, cbor.Wellformed(body))
	}
	if ok && err == nil && !fractions(body) && !cmp.Equal(got, want, same) {
		t.Errorf("%x: (library, ours)\n%s", show, cmp.Diff(want, got, same))
	}
	return ok && err == nil
}

// fractions reports that there may be a floating-point number under the tag of a time, which generic values do not show.
func fractions(body []byte) bool {
	return bytes.Contains(body, []byte("\xc1\xf9")) || bytes.Contains(body, []byte("\xc1\xfa")) || bytes.Contains(body, []byte("\xc1\xfb"))
}

func TestCBORTimes(t *testing.T) {
	for _, tt := range []struct {
		at   any
		want int64 // milliseconds
	}{
		{1_700_000_000_123, 1_700_000_000_123}, {0, 0}, {-7, -7}, {1.5, 1500}, {float32(-2), -2000}, {1_700_000_000.123, 1_700_000_000_123}, {1_700_000_000_123.0, 1_700_000_000_123},
	} {
		for _, at := range []any{tt.at, cbor.Tag{Number: 1, Content: tt.at}} {
			a, err := decode.Records(mustCBOR(m{"Records": []any{m{"ApproximateArrivalTimestamp": at}}}), decode.CBOR)
			if err != nil || a.Records[0].Arrived != time.UnixMilli(tt.want).UTC() {
				t.Errorf("%v: %v, %v, want %d ms", at, a.Records, err, tt.want)
			}
		}
	}
}

// outside reports times that we refuse.
func outside(a decode.Answer) bool {
	for _, r := range a.Records {
		if !r.Arrived.IsZero() && (r.Arrived.Year() > 9999 || r.Arrived.Year() < -9999) {
			return true
		}
	}
	return false
}

// tooMuch reports nesting that the library refuses.
func tooMuch(body []byte) bool {
	_, depth := cbor.Wellformed(body).(*cbor.MaxNestedLevelError)
	return depth
}

func TestCBORPieces(t *testing.T) {
	a, err := decode.Records([]byte("\xbf\x67Records\x9f\xbf\x64Data\x5f\x41a\x40\x42bc\xff\x6cPartitionKey\x7f\x61x\x61y\xff\xff\xff\xff"), decode.CBOR)
	if err != nil || len(a.Records) != 1 || string(a.Records[0].Data) != "abc" || a.Records[0].PartitionKey != "xy" {
		t.Errorf("%v, %v", a, err)
	}
}

// Jackson, which the service and the SDK for Java use, takes base64 for bytes.
func TestCBORBase64(t *testing.T) {
	for text, want := range map[string]string{"QUJD": "ABC", "": "", "QQ==": "A", "Q": "error", "QUJD!": "error"} {
		a, err := decode.Records(mustCBOR(m{"Records": []any{m{"Data": text}}}), decode.CBOR)
		got := "error"
		if err == nil {
			got = string(a.Records[0].Data)
		}
		if got != want {
			t.Errorf("%q: %q, want %q (%v)", text, got, want, err)
		}
	}
}

func TestCBORInvalidUTF8(t *testing.T) {
	a, err := decode.Records([]byte("\xa1\x67Records\x81\xa1\x6cPartitionKey\x63a\xff\xc3"), decode.CBOR)
	if err != nil || a.Records[0].PartitionKey != "a\ufffd\ufffd" {
		t.Errorf("%v, %v", a, err)
	}
}

func TestEvents(t *testing.T) {
	want := decode.Answer{
		Records: []stream.Record{{Data: []byte("A"), PartitionKey: "k", Position: stream.Position{Sequence: "5"}, Arrived: time.UnixMilli(1_700_000_000_123).UTC()}},
		Next:    "6", Behind: 9 * time.Millisecond, BehindKnown: true,
	}
	in := map[decode.Format]string{
		decode.JSON: `{"ContinuationSequenceNumber":"6","NextShardIterator":1,"MillisBehindLatest":9,"Records":[{"Data":"QQ==","PartitionKey":"k","SequenceNumber":"5","ApproximateArrivalTimestamp":1700000000.123}]}`,
		decode.CBOR: string(mustCBOR(m{"ContinuationSequenceNumber": "6", "NextShardIterator": 1, "MillisBehindLatest": 9, "Records": []any{
			m{"Data": []byte("A"), "PartitionKey": "k", "SequenceNumber": "5", "ApproximateArrivalTimestamp": cbor.Tag{Number: 1, Content: 1_700_000_000_123}},
		}})),
	}
	for f, payload := range in {
		if decode.FormatOf([]byte(payload)) != f {
			t.Errorf("%v is taken for another format", f)
		}
		got, err := decode.Event([]byte(payload), f)
		if diff := cmp.Diff(want, got, same); err != nil || diff != "" {
			t.Errorf("%v: %v %s", f, err, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, body := range []any{m{"__type": "ns#Gone", "message": "why", "x": []any{1}}, m{"code": "ns#Gone", "Message": "why"}} {
		if r, err := decode.Refused(mustCBOR(body)); err != nil || r != (decode.Refusal{Code: "ns#Gone", Message: "why"}) {
			t.Errorf("%v: %+v, %v", body, r, err)
		}
	}
	for _, body := range []string{"", "{}", "\xa1\x67message\x01", "\xa0\xa0", "\xa1\x67message"} {
		if _, err := decode.Refused([]byte(body)); !errors.Is(err, decode.ErrMalformed) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestRequest(t *testing.T) {
	var at, r decode.Request
	at.Text("Type", "AT_TIMESTAMP")
	at.Time("Timestamp", time.UnixMilli(1_700_000_000_123))
	at.Time("Before", time.UnixMilli(-5))
	at.Time("Never", time.Time{})
	r.Text("ShardIterator", strings.Repeat("x", 300))
	r.Text("None", "")
	r.Int("Limit", 10_000)
	r.Int("Zero", 0)
	r.Map("StartingPosition", at)
	var got any
	if err := generic.Unmarshal(r.Body(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[any]any{"ShardIterator": strings.Repeat("x", 300), "Limit": uint64(10_000), "StartingPosition": map[any]any{
		"Type": "AT_TIMESTAMP", "Timestamp": time.Unix(1_700_000_000_123, 0).UTC(), "Before": time.Unix(-5, 0).UTC(), // as if seconds
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !bytes.Contains(r.Body(), []byte("Timestamp\xc1\x1b")) {
		t.Error("times are not tagged")
	}
	if fmt.Sprint(decode.JSON, decode.CBOR) != "JSON CBOR" {
		t.Error("formats without names")
	}
}
