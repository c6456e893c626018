package wire_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/wire"
	"github.com/kinesis-go/kcl/stream"
)

func ptr[T any](v T) *T { return &v }

// TestBytes holds every message to the bytes that the Java daemon and the older children write.
func TestBytes(t *testing.T) {
	const number = "49650000000000000000000000000000000000000000000000000017"
	record := stream.Record{
		Data: []byte(`{"t":21}`), PartitionKey: "sensor-9", Position: stream.Position{Sequence: number},
		Arrived: time.UnixMilli(1760000000123),
	}
	for name, test := range map[string]struct {
		got  []byte
		want string
	}{
		"initialize": {
			wire.AppendInitialize(nil, "shardId-000000000003", stream.TrimHorizon),
			`{"action":"initialize","shardId":"shardId-000000000003","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}` + "\n",
		},
		"initialize with sub": {
			wire.AppendInitialize(nil, "s", stream.Position{Sequence: number, Sub: 3}),
			`{"action":"initialize","shardId":"s","sequenceNumber":"` + number + `","subSequenceNumber":3}` + "\n",
		},
		"initialize without position": {
			wire.AppendInitialize(nil, "s", stream.Position{}),
			`{"action":"initialize","shardId":"s","sequenceNumber":null,"subSequenceNumber":null}` + "\n",
		},
		"records": {
			wire.AppendProcessRecords([]byte("before "), &stream.Batch{Records: []stream.Record{record, {Position: stream.Position{Sequence: "8", Sub: 2}}}, Behind: 340 * time.Millisecond}),
			`before {"action":"processRecords","records":[{"data":"eyJ0IjoyMX0=","partitionKey":"sensor-9","sequenceNumber":"` + number +
				`","approximateArrivalTimestamp":1760000000123,"subSequenceNumber":0,"action":"record"},` +
				`{"data":"","partitionKey":"","sequenceNumber":"8","approximateArrivalTimestamp":0,"subSequenceNumber":2,"action":"record"}],"millisBehindLatest":340}` + "\n",
		},
		"no records": {
			wire.AppendProcessRecords(nil, &stream.Batch{BehindUnknown: true}),
			`{"action":"processRecords","records":[],"millisBehindLatest":null}` + "\n",
		},
		"checkpoint done": {
			wire.AppendCheckpointAnswer(nil, ptr(number), nil, ""),
			`{"action":"checkpoint","sequenceNumber":"` + number + `","subSequenceNumber":null,"error":null}` + "\n",
		},
		"checkpoint refused": {
			wire.AppendCheckpointAnswer(nil, nil, ptr(int64(7)), "ThrottlingException"),
			`{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":7,"error":"ThrottlingException"}` + "\n",
		},
		"shutdown requested": {wire.AppendAction(nil, wire.ShutdownRequested), `{"action":"shutdownRequested"}` + "\n"},
		"lease lost":         {wire.AppendAction(nil, wire.LeaseLost), `{"action":"leaseLost"}` + "\n"},
		"shard ended":        {wire.AppendAction(nil, wire.ShardEnded), `{"action":"shardEnded"}` + "\n"},
		"escapes": {
			wire.AppendInitialize(nil, "\"\\/<>&'\b\t\n\f\r\x00\x1F\x7F\u2028ü😀\xFF", stream.Latest),
			`{"action":"initialize","shardId":"\"\\/<>&'\b\t\n\f\r\u0000\u001F` + "\x7F\u2028ü😀\uFFFD" + `","sequenceNumber":"LATEST","subSequenceNumber":0}` + "\n",
		},
		"status": {wire.AppendStatus(nil, wire.ProcessRecords), "\n" + `{"action":"status","responseFor":"processRecords"}` + "\n"},
		"ask":    {wire.AppendCheckpoint(nil, stream.Position{}), "\n" + `{"action":"checkpoint","sequenceNumber":null}` + "\n"},
		"ask at": {wire.AppendCheckpoint(nil, stream.Position{Sequence: "456"}), "\n" + `{"action":"checkpoint","sequenceNumber":"456"}` + "\n"},
		"ask at sub": {
			wire.AppendCheckpoint(nil, stream.Position{Sequence: "456", Sub: 4}),
			"\n" + `{"action":"checkpoint","sequenceNumber":"456","subSequenceNumber":4}` + "\n",
		},
		"ask in ASCII": {
			wire.AppendCheckpoint(nil, stream.Position{Sequence: "\x01ü😀\xFF"}),
			"\n" + `{"action":"checkpoint","sequenceNumber":"\u0001\u00FC\uD83D\uDE00\uFFFD"}` + "\n",
		},
	} {
		if string(test.got) != test.want {
			t.Errorf("%s:\n got %q\nwant %q", name, test.got, test.want)
		}
		if name != "records" && !json.Valid(test.got) {
			t.Errorf("%s is not JSON", name)
		}
	}
}

func TestEncodingGrowsOnce(t *testing.T) {
	b := batchOf(1 << 10)
	if n := testing.AllocsPerRun(3, func() { wire.AppendProcessRecords(nil, b) }); n > 2 { // one, and one more under the race detector
		t.Errorf("%v allocations, want one", n)
	}
}

// TestDecodingAllocations: the slice of records, their data, their strings and the batch, whatever the number of records.
func TestDecodingAllocations(t *testing.T) {
	line := wire.AppendProcessRecords(nil, batchOf(100))
	var m wire.Message
	n := testing.AllocsPerRun(3, func() {
		if err := wire.DecodeForChild(line, &m); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations for a batch, want 4", n)
	}
}
