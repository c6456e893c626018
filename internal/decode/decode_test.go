package decode_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/stream"
)

// same compares answers: no records are the same whether nil or not, data is not.
var same = cmp.Options{cmpopts.EquateComparable(time.Time{}), cmp.Comparer(func(a, b []byte) bool {
	return bytes.Equal(a, b) && (a == nil) == (b == nil)
}), cmp.Transformer("none", func(r []stream.Record) []stream.Record {
	if len(r) == 0 {
		return nil
	}
	return r
})}

// corpus are bodies that the SDK and we read alike, or both refuse.
var corpus = []string{
	// What the service says, and what its documentation shows.
	`{"MillisBehindLatest":2100,"NextShardIterator":"AAAAAAAAAAHsW8zCWf9164uy8Epue6WS3w6wmj4a4USt+CNvMd6uXQ+HL5vAJMznqqC0DLKsIjuoiTi1BpT6nW0LN2M2D56zM5H8anHm30Gbri9ua+qaGgj+3XTyvbhpERfrezgLHbPB/rIcVpykJbaSj5tmcXYRmFnqZBEyHwtZYFmh6hvWVFkIwLuMZLMrpWhG5r5hzkE=","Records":[{"Data":"XzxkYXRhPl8w","PartitionKey":"partitionKey","ApproximateArrivalTimestamp":1.441215410867E9,"SequenceNumber":"21269319989652663814458848515492872193"}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":1700000000.001,"Data":"","EncryptionType":"KMS","PartitionKey":"","SequenceNumber":"0"}],"MillisBehindLatest":0,"NextShardIterator":null,"ChildShards":[{"ShardId":"shardId-000000000001","ParentShards":["shardId-000000000000"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"170141183460469231731687303715884105727"}},{"ShardId":"shardId-000000000002","ParentShards":["a","b",null],"HashKeyRange":null},{"ParentShards":null},null]}`,
	// White space, no members, no values.
	"", " \n", "null", " null ", "{}", " {\t} ", `{"Records":null}`, `{"Records":[]}`, `{"Records":[ ]}`, `{"Records":[null,{},null]}`,
	"\r\n{ \"Records\" :\t[ { \"Data\" : \"QQ==\" } , { \"Data\" : \"QUI=\" } ] }\n",
	`{"Records":[{"Data":null,"PartitionKey":null,"SequenceNumber":null,"ApproximateArrivalTimestamp":null,"EncryptionType":null}],"MillisBehindLatest":null,"ChildShards":null}`,
	// Unknown members.
	`{"X":[1,{"a":[true,false,null,"\ud83d\ude00",-0.5e-7,[],{}]}],"Records":[{"X":{"Data":"x"},"Data":"QUJD","Y":[[[]]],"":1}],"Z":"}"}`,
	`{"X":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`,
	`{"X":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
	`{"X":` + strings.Repeat(`{"a":`, 9_998) + `{}` + strings.Repeat("}", 9_998) + `}`,
	`{"Records":[{"X":` + strings.Repeat("[", 9_997) + strings.Repeat("]", 9_997) + `}]}`,
	`{"Records":[{"X":` + strings.Repeat("[", 9_998) + strings.Repeat("]", 9_998) + `}]}`,
	`{"X":[1,]}`, `{"X":[1 2]}`, `{"X":[}`, `{"X":{]}`, `{"X":{"a":1,}}`, `{"X":{"a" 1}}`, `{"X":nul}`, `{"X":truE}`, `{"X":+1}`, `{"X":01}`, `{"X":1.}`, `{"X":.5}`, `{"X":-}`, `{"X":1e}`, `{"X":1e+}`, `{"X":0x1}`, `{"X":NaN}`, `{"X":'a'}`, `{"X"}`, `{1:2}`,
	// Members that repeat.
	`{"Records":[{"Data":"QQ==","Data":"Qg=="}],"MillisBehindLatest":1,"MillisBehindLatest":2}`,
	`{"Records":[{"Data":"QQ==","PartitionKey":"a","Data":null,"PartitionKey":null,"ApproximateArrivalTimestamp":1,"ApproximateArrivalTimestamp":null}]}`,
	`{"Records":[{"Data":"QQ=="},{"Data":"Qg=="}],"Records":[{"PartitionKey":"k"}]}`, `{"Records":[{}],"Records":null}`, `{"MillisBehindLatest":1,"MillisBehindLatest":null}`,
	`{"ChildShards":[{"ShardId":"a","ParentShards":["p"],"ParentShards":["q"]}],"ChildShards":[{"ShardId":"b","ShardId":null,"ParentShards":["p"],"ParentShards":null,"HashKeyRange":{"StartingHashKey":"1","EndingHashKey":"2"},"HashKeyRange":null}]}`,
	// Names are exact, and may be escaped.
	`{"records":[{}],"RECORDS":[{}]}`, `{"Rec\u006frds":[{"D\u0061ta":"QQ==","\u0050artitionKey":"k"}]}`,
	// Numbers.
	`{"MillisBehindLatest":-0}`, `{"MillisBehindLatest":9223372036854775807}`, `{"MillisBehindLatest":9223372036854775808}`, `{"MillisBehindLatest":1.0}`, `{"MillisBehindLatest":1e3}`, `{"MillisBehindLatest":"1"}`, `{"MillisBehindLatest":true}`, `{"MillisBehindLatest":-5}`,
	// Kinds that are wrong.
	`[]`, `"a"`, `1`, `true`, `{"Records":{}}`, `{"Records":"a"}`, `{"Records":[[]]}`, `{"Records":["a"]}`, `{"Records":[1]}`, `{"Records":[{"Data":1}]}`, `{"Records":[{"Data":[65]}]}`, `{"Records":[{"PartitionKey":1}]}`, `{"Records":[{"SequenceNumber":1}]}`, `{"Records":[{"EncryptionType":1}]}`, `{"NextShardIterator":1}`, `{"NextShardIterator":{}}`, `{"ChildShards":{}}`, `{"ChildShards":[1]}`, `{"ChildShards":[{"ShardId":1}]}`, `{"ChildShards":[{"ParentShards":"a"}]}`, `{"ChildShards":[{"ParentShards":[1]}]}`, `{"ChildShards":[{"HashKeyRange":[]}]}`, `{"ChildShards":[{"HashKeyRange":{"StartingHashKey":1}}]}`,
	// Broken in the middle.
	`{`, `{"`, `{"Records`, `{"Records"`, `{"Records":`, `{"Records":[`, `{"Records":[{"Data":"QUJ`, `{"Records":[{"Data":"QUJD`, `{"Records":[{"Data":"QQ==`, `{"Records":[{"Data":"QQ=="`, `{"Records":[{"PartitionKey":"\`, `{"Records":[{"PartitionKey":"\u00`, `{"Records":[{}]`, `{"Records":[{}`, `{"Records":[{},]}`, `{,}`, `{"X":1,}`, `{"X":1 "Y":2}`, "\x00", "\ufeff{}",
}

// strings that stand in a body as they are, quotes and all.
var oddTexts = []string{
	`"é"`, `"日本語のキー"`, `"😀"`, `"a\"b\\c\/d\b\f\n\r\t"`, `"\u0041\u00e9\u65e5\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\ude00\ud83d"`, `"\ud83d\n"`,
	`"\u0000"`, `"\'"`, `"\x41"`, `"\u12G4"`, `"\u123"`, `"\U0041"`, "\"\x7f\"", "\"\x1f\"", "\"a\nb\"", "\"\x00\"", "\"\xff\"", "\"abcdefgh\xe9ijkl\"", "\"\xe6\x97\"", "\"\xed\xa0\xbd\\u00e9\"", "\"\xc0\x80\"", "\"\xff\xff\xff\xff\\\\\"", "\"12345678\\n12345678é\xff\"",
	`"abcdefg\"hijk"`, `"1234567"`, `"12345678"`, `"123456789"`, `'a'`, `a`, `"a`, `"a\"`, "\"\u2028\"", "\"e\u0301\"",
}

var oddBlobs = []string{
	`"QQ=="`, `"QR=="`, `"QUI="`, `"QUJ="`, `"QUJD"`, `"QUJDRA=="`, `"QUJDREVG"`, `"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w"`, `"+/+/"`, `"-_-_"`, `"QUJ\u0044"`, `"\u0051QJD"`, `"QUJD\u002b\/+/"`, `"QUJDREVGR0hJSktM\u004dTU5P"`, `"QQ\u003d="`, `"QQ=\u003d"`, `"QUI\u003d"`, `"QUJD\nQUJD\r\n"`, `"QQ\n==\n"`, `"QUJDREVGR0hJSktM\nTU5P"`,
	`"QQ"`, `"Q"`, `"QUI"`, `"Q==="`, `"===="`, `"="`, `"QQ==QQ=="`, `"QUI=QUJD"`, `"QQ==="`, `"QUJD="`, `"QQ=A"`, `"QQ="`, `"QUJDREVGR0hJSktM="`, `"QUJDREVGR0hJSktM!A=="`, `"QUJDREVGR0hJSktM\t"`, "\"QUJD\n\"", `"Q U J D"`, `"QUJDé"`, "\"QUJD\xff\"", `"é==="`, `"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVph`, `"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWV=="`, `"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVp="`,
}

var oddTimes = []string{
	"0", "-0", "1", "1700000000", "1700000000.1", "1700000000.12", "1700000000.123", "1700000000.1234", "1700000000.1230", "1700000000.12300000000000000000", "1700000000.123456789", "1.7E9", "1.7e9", "1.441215410867E9", "1.441215410867e+9", "1441215410867E-3", "1441215410.867E0", "14412154108670000e-7", "0.000001700000000123e15", "1700000000.999", "1099511627.775", "1099511627.776", "2199023255.551", "2199023255.552", "2147483648.001", "4102444800.123",
	"-1", "-1.5", "-0.001", "0.001", "0.0015", "1e-7", "999.9995", "9223372036.854", "9223372036.855", "9223372036854775.807", "1e15", "1e16", "1e300", "-1e300", "1e308", "1e309", "-1e309", "1e-400", "123456789012345678901234567890", "1700000000.001", "1700000000.002", "1700000000.003", "1e99999999999999999999", "1e00000000000000000000009", "01", "1.", "\"1700000000\"", "true", "[]", "{}", "170000000000e-2", "17e8", "0.17e10", "1.7e09", "1700000000.123e-0",
}

func bodies() (all []string) {
	all = append(all, corpus...)
	for _, s := range oddTexts {
		all = append(all, fmt.Sprintf(`{"Records":[{"PartitionKey":%[1]s,"SequenceNumber":%[1]s,"EncryptionType":%[1]s,"Data":"QUJD"}]}`, s))
		all = append(all, fmt.Sprintf(`{"X":%[1]s,"NextShardIterator":%[1]s,"ChildShards":[{"ShardId":%[1]s,"ParentShards":[%[1]s]}]}`, s), fmt.Sprintf(`{%s:1}`, s))
	}
	for _, s := range oddBlobs {
		all = append(all, fmt.Sprintf(`{"Records":[{"Data":%s,"PartitionKey":"a"},{"Data":%[1]s}]}`, s))
	}
	for _, s := range oddTimes {
		all = append(all, fmt.Sprintf(`{"Records":[{"ApproximateArrivalTimestamp":%s}]}`, s))
	}
	for _, n := range []int{1, 15, 16, 17, 18, 300} {
		all = append(all, string(bodyOf(decode.JSON, n, n%7)), string(bodyOf(decode.JSON, n, 1000)))
	}
	for n := range 50 {
		all = append(all, string(bodyOf(decode.JSON, 2, n)))
	}
	return all
}

// stricter are the bodies that we refuse on purpose, see the package.
var stricter = map[string]bool{"": true, " \n": true}

func TestSameAsSDK(t *testing.T) {
	for _, body := range bodies() {
		compare(t, []byte(body))
		if testing.Verbose() && len(body) < 40 {
			t.Log(body)
		}
	}
}

// compare fails unless the SDK and we make the same of a body. It returns whether we accept it.
func compare(t *testing.T, body []byte) bool {
	t.Helper()
	want, wantErr := bySDK(body)
	got, err := decode.Records(bytes.Clone(body), decode.JSON)
	show := body[:min(len(body), 300)]
	switch {
	case err != nil && !errors.Is(err, decode.ErrMalformed):
		t.Errorf("%q: error %v is not ErrMalformed", show, err)
	case err == nil && wantErr != nil:
		t.Errorf("%q: accepted, the SDK says %v", show, wantErr)
	case err != nil && wantErr == nil && !stricter[string(body)] && !loose(body):
		t.Errorf("%q: %v, the SDK reads it", show, err)
	case err == nil && !cmp.Equal(got, want, same):
		t.Errorf("%q: (SDK, ours)\n%s", show, cmp.Diff(want, got, same))
	}
	return err == nil
}

func TestStricterThanSDK(t *testing.T) {
	for _, body := range []string{
		"", "  ", "{} x", "{}{}", `{"Records":[{"Data":1,"Data":"QQ=="}]}`, `{"Records":1,"Records":[]}`, `{"MillisBehindLatest":1.5,"MillisBehindLatest":2}`,
	} {
		if _, err := bySDK([]byte(body)); err != nil {
			t.Errorf("%q: the SDK says %v", body, err)
		}
		if _, err := decode.Records([]byte(body), decode.JSON); !errors.Is(err, decode.ErrMalformed) {
			t.Errorf("%q: %v, want an error", body, err)
		}
	}
	_, err := decode.Records([]byte(`{"ChildShards":[{"HashKeyRange":{"StartingHashKey":"x","EndingHashKey":"1"}}]}`), decode.JSON)
	if !errors.Is(err, decode.ErrMalformed) {
		t.Errorf("hash key x: %v", err)
	}
}

// Every beginning of an answer is an error, whatever byte it ends at.
func TestTruncated(t *testing.T) {
	for _, f := range []decode.Format{decode.JSON, decode.CBOR} {
		whole := bodyOf(f, 20, 10)
		for n := range whole {
			if _, err := decode.Records(bytes.Clone(whole[:n]), f); !errors.Is(err, decode.ErrMalformed) {
				t.Fatalf("%v cut at byte %d: %v", f, n, err)
			}
		}
		if _, err := decode.Records(append(whole, ' ', 'x'), f); !errors.Is(err, decode.ErrMalformed) {
			t.Errorf("%v with garbage behind it: %v", f, err)
		}
	}
}

// A number of seconds that is whole milliseconds is read exactly, and as the SDK reads it.
func TestMillisecondsAsSDK(t *testing.T) {
	for milli := int64(1 << 40); milli < 1<<31*1000; milli += (1<<31*1000 - 1<<40) / 501 {
		for _, s := range []string{fmt.Sprintf("%d.%03d", milli/1000, milli%1000), fmt.Sprintf("%d.%012dE9", milli/1e12, milli%1e12)} {
			body := fmt.Sprintf(`{"Records":[{"ApproximateArrivalTimestamp":%s}]}`, s)
			compare(t, []byte(body))
			a, err := decode.Records([]byte(body), decode.JSON)
			if err != nil || a.Records[0].Arrived != time.UnixMilli(milli).UTC() {
				t.Fatalf("%s: %v, %v", s, a.Records, err)
			}
		}
	}
}

func TestRecordsDoNotOverlap(t *testing.T) {
	for _, f := range []decode.Format{decode.JSON, decode.CBOR} {
		body := bodyOf(f, 50, 33)
		want, err := decode.Records(bytes.Clone(body), f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode.Records(body, f)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range got.Records {
			if cap(r.Data) != len(r.Data) {
				t.Fatalf("%v: data with capacity %d and length %d", f, cap(r.Data), len(r.Data))
			}
			if !bytes.Equal(r.Data, want.Records[i].Data) {
				t.Fatalf("%v: writing to the data of record %d changed that of record %d", f, i-1, i)
			}
			clear(r.Data)
			clear(want.Records[i].Data)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("%v: writing to data changed more: %s", f, diff)
		}
	}
}

func TestAllocations(t *testing.T) {
	for _, f := range []decode.Format{decode.JSON, decode.CBOR} {
		for _, n := range []int{1, 16, 17, 5000} {
			body := bodyOf(f, n, 100)
			scratch := make([]byte, len(body))
			got := testing.AllocsPerRun(10, func() {
				copy(scratch, body)
				if a, err := decode.Records(scratch, f); err != nil || len(a.Records) != n {
					t.Fatal(len(a.Records), err)
				}
			})
			if got > 2 {
				t.Errorf("%v, %d records: %v allocations, want those of the records and of the iterator", f, n, got)
			}
		}
	}
}
