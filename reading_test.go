package kcl_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/stream"
)

func TestC01_LinesOfAnyLength(t *testing.T) {
	key := strings.Repeat("key!", 16<<20) // 64 MiB; as data they would take seconds under the race detector
	var p processor
	var out bytes.Buffer
	must(t, kcl.Serve(t.Context(), io.MultiReader(strings.NewReader(sayInitialize),
		strings.NewReader(`{"action":"processRecords","records":[{"data":"AA==","partitionKey":"`), strings.NewReader(key),
		strings.NewReader(`","sequenceNumber":"1"}]}`+"\n"), strings.NewReader(sayLeaseLost)), &out, p.start))
	wantOutput(t, out.String(), statusInitialize, statusRecords, statusLeaseLost)
	if p.batches[0].Records[0].PartitionKey != key {
		t.Error("a line of 64 MiB changed")
	}
}

func TestC02_LineFeedAndCarriageReturnEndLines(t *testing.T) {
	var p processor
	out, err := serve(t, p.start, strings.ReplaceAll(sayInitialize+sayRecords, "\n", "\r\n"), sayLeaseLost)
	must(t, err)
	wantOutput(t, out, statusInitialize, statusRecords, statusLeaseLost)
}

func TestC03_LastLineWithoutTerminator(t *testing.T) {
	var p processor
	out, err := serve(t, p.start, sayInitialize, strings.TrimSpace(sayRecords))
	must(t, err)
	wantOutput(t, out, statusInitialize, statusRecords)
	if len(p.batches) != 1 {
		t.Errorf("%d batches, want 1", len(p.batches))
	}
}

func TestC04_BlankLinesAreIgnored(t *testing.T) {
	p := processor{process: checkpointAll}
	out, err := serve(t, p.start, "\n\r\n  \n", sayInitialize, "\n", sayRecords, "\n\n", sayDone, "\n")
	must(t, err)
	wantOutput(t, out, statusInitialize, askAll, statusRecords)
}

func TestC05_KeysInAnyOrderAndUnknownKeys(t *testing.T) {
	var p processor
	out, err := serve(t, p.start,
		`{"x":{"y":[1,{"z":null}]},"sequenceNumber":"7","shardId":"s","subSequenceNumber":2,"v":[],"action":"initialize"}`+"\n",
		`{"millisBehindLatest":5,"n":1.5e3,"records":[{"q":{},"sequenceNumber":"8","action":"record","data":"AA==","t":true}],"action":"processRecords"}`+"\n")
	must(t, err)
	wantOutput(t, out, statusInitialize, statusRecords)
	want := stream.Assignment{Shard: "s", From: stream.Position{Sequence: "7", Sub: 2}}
	if d := cmp.Diff(want, p.from); d != "" {
		t.Error(d)
	}
	wantBatch := &stream.Batch{
		Records: []stream.Record{{Data: []byte{0}, Position: stream.Position{Sequence: "8"}}},
		Behind:  5 * time.Millisecond,
	}
	if d := cmp.Diff(wantBatch, p.batches[0]); d != "" {
		t.Error(d)
	}
}

func TestC06_DataIsBase64(t *testing.T) {
	var p processor
	_, err := serve(t, p.start, sayInitialize,
		`{"action":"processRecords","records":[{"data":"+/8="},{"data":""},{"data":null},{"data":"\u002b\/8="}]}`)
	must(t, err)
	var got [][]byte
	for _, r := range p.batches[0].Records {
		got = append(got, r.Data)
	}
	if d := cmp.Diff([][]byte{{0xFB, 0xFF}, {}, nil, {0xFB, 0xFF}}, got); d != "" {
		t.Error(d)
	}
	_, err = serve(t, p.start, sayInitialize, `{"action":"processRecords","records":[{"data":"AA=="},{"data":"A-_="}]}`)
	want := "kcl: read from parent: malformed message: data of record 1 is not base64"
	if err == nil || err.Error() != want {
		t.Errorf("Serve = %v, want %s", err, want)
	}
}

func TestC07_AllFieldsReachTheProcessor(t *testing.T) {
	var p processor
	number := strings.Repeat("4965", 14) // no float could hold it
	_, err := serve(t, p.start,
		`{"action":"initialize","shardId":"shardId-000000000003","sequenceNumber":"`+number+`","subSequenceNumber":9}`+"\n",
		`{"action":"processRecords","records":[{"data":"bWVvdw==","partitionKey":"ключ \"1\"","sequenceNumber":"`+number+
			`","approximateArrivalTimestamp":1760000000123,"subSequenceNumber":9007199254740993,"action":"record"}],"millisBehindLatest":340}`+"\n",
		`{"action":"processRecords","records":[],"millisBehindLatest":null}`+"\n")
	must(t, err)
	want := stream.Assignment{
		Shard: "shardId-000000000003",
		From:  stream.Position{Sequence: stream.SequenceNumber(number), Sub: 9},
	}
	if d := cmp.Diff(want, p.from); d != "" {
		t.Error(d)
	}
	batches := []*stream.Batch{
		{
			Records: []stream.Record{{
				Data:         []byte("meow"),
				PartitionKey: `ключ "1"`,
				Position:     stream.Position{Sequence: stream.SequenceNumber(number), Sub: 9007199254740993},
				Arrived:      time.Date(2025, 10, 9, 8, 53, 20, 123e6, time.UTC),
			}},
			Behind: 340 * time.Millisecond,
		},
		{Records: []stream.Record{}, BehindUnknown: true},
	}
	if d := cmp.Diff(batches, p.batches); d != "" {
		t.Error(d)
	}
}

func TestC08_InitialPositionMayBeASentinel(t *testing.T) {
	for _, from := range []stream.Position{stream.TrimHorizon, stream.Latest, stream.AtTimestamp, {Sequence: "what is this?"}} {
		var p processor
		_, err := serve(t, p.start, `{"action":"initialize","shardId":"s","sequenceNumber":"`+string(from.Sequence)+`","subSequenceNumber":0}`)
		must(t, err)
		if p.from.From != from {
			t.Errorf("From = %v, want %v", p.from.From, from)
		}
	}
}

func TestC40_NoRecords(t *testing.T) {
	for _, records := range []string{`,"records":[]`, `,"records":null`, ``, `,"records": [ ] `} {
		var p processor
		out, err := serve(t, p.start, sayInitialize, `{"action":"processRecords"`+records+"}\n")
		must(t, err)
		wantOutput(t, out, statusInitialize, statusRecords)
		if len(p.batches) != 1 || len(p.batches[0].Records) != 0 {
			t.Errorf("%s: batches %v, want one that is empty", records, p.batches)
		}
	}
}

func TestC43_InitializeWithoutItsFields(t *testing.T) {
	var p processor
	out, err := serve(t, p.start, `{"action":"initialize"}`)
	must(t, err)
	wantOutput(t, out, statusInitialize)
	if d := cmp.Diff(stream.Assignment{}, p.from); d != "" {
		t.Error(d)
	}
}

func TestC37_ShutdownOfOldDaemons(t *testing.T) {
	answered := "\n" + `{"action":"status","responseFor":"shutdown"}` + "\n"
	for reason, want := range map[string]stream.EndReason{
		"ZOMBIE": stream.LeaseLost, "LEASE_LOST": stream.LeaseLost,
		"TERMINATE": stream.ShardEnded, "SHARD_END": stream.ShardEnded,
		"REQUESTED": stream.ShutdownRequested,
	} {
		var p processor
		messages := []string{statusInitialize, answered}
		if want == stream.ShardEnded {
			messages = []string{statusInitialize, askAll, answered}
		}
		out, err := serve(t, p.start, sayInitialize, `{"action":"shutdown","reason":"`+reason+`"}`+"\n", sayDone)
		if want != stream.ShardEnded {
			// Nobody asked for the answer that follows.
			if err == nil {
				t.Errorf("%s: the answer to nothing was accepted", reason)
			}
		} else {
			must(t, err)
		}
		wantOutput(t, out, messages...)
		if d := cmp.Diff([]stream.EndReason{want}, p.reasons); d != "" {
			t.Errorf("%s: %s", reason, d)
		}
	}
	var p processor
	_, err := serve(t, p.start, sayInitialize, `{"action":"shutdown","reason":"BOREDOM"}`)
	wantError(t, err, `kcl: shutdown with the unknown reason "BOREDOM"`)
}

func TestC38_UnknownActions(t *testing.T) {
	for line, want := range map[string]string{
		`{"action":"dance"}`:                         `kcl: read from parent: unknown action "dance"`,
		`{"action":"Initialize"}`:                    `kcl: read from parent: unknown action "Initialize"`,
		`{"action":"status"}`:                        `kcl: read from parent: unknown action "status"`,
		`{"action":null}`:                            `kcl: read from parent: no action in the message`,
		`{"shardId":"s"}`:                            `kcl: read from parent: no action in the message`,
		`{"action":"checkpoint"}`:                    `kcl: the parent answered a checkpoint that was not asked for`,
		sayRecords:                                   `kcl: processRecords: said before initialize`,
		sayShardEnded:                                `kcl: shardEnded: said before initialize`,
		sayInitialize + sayInitialize:                `kcl: initialize: said twice`,
		sayInitialize + sayLeaseLost + sayShardEnded: `kcl: shardEnded: the processor is closed`,
	} {
		var p processor
		_, err := serve(t, p.start, line)
		wantError(t, err, want)
	}
}

func TestC39_MalformedLines(t *testing.T) {
	for line, want := range map[string]string{
		`hello`:                      `byte 0: want an object`,
		`null`:                       `byte 0: want an object`,
		"\ufeff{}":                   `byte 0: want an object`,
		`{'action':'initialize'}`:    `byte 1: want a key in double quotes`,
		`{"action":"initialize",}`:   `byte 23: want a key in double quotes`,
		`{"action":"initialize"`:     `byte 22: want , or } in an object`,
		`{"action":"init`:            `byte 15: string without end`,
		`{"action":"initialize"} {}`: `byte 24: text behind the message`,
		`{"action":"processRecords","records":{}}`:                          `byte 37: want an array of records`,
		`{"action":"processRecords","records":[null]}`:                      `byte 38: want an object`,
		`{"action":"processRecords","records":[{"subSequenceNumber":"x"}]}`: `byte 59: want an integer`,
	} {
		var p processor
		_, err := serve(t, p.start, line)
		wantError(t, err, "kcl: read from parent: malformed message: "+want)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

func TestServeKeepsNothingBetweenBatches(t *testing.T) {
	var p processor
	_, err := serve(t, p.start, sayInitialize, sayRecords, strings.Replace(sayRecords, "bWVvdw==", "d29vZg==", 1))
	must(t, err)
	if got := string(p.batches[0].Records[0].Data); got != "meow" {
		t.Errorf("first batch holds %q after the second", got)
	}
	if d := cmp.Diff(p.batches[0], p.batches[1], cmpopts.IgnoreFields(stream.Record{}, "Data")); d != "" {
		t.Error(d)
	}
}

func TestServeWithoutProcessor(t *testing.T) {
	wantError(t, kcl.Serve(t.Context(), strings.NewReader(""), &bytes.Buffer{}, nil), "kcl: Serve: no NewProcessor")
	nothing := func(context.Context, stream.Assignment) (stream.Processor, error) { return nil, nil }
	_, err := serve(t, nothing, sayInitialize)
	wantError(t, err, "kcl: initialize: NewProcessor returned nil")
}
