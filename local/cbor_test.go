package local_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/fxamacker/cbor/v2"

	"github.com/kinesis-go/kcl/local"
)

// cborCall asks as the AWS SDK for Java does and decodes the answer.
func cborCall(t *testing.T, s *local.Server, operation string, in any) (status int, out map[string]any) {
	t.Helper()
	body, err := cbor.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, post(operation, cborType, body))
	if got := w.Header().Get("Content-Type"); got != cborType {
		t.Errorf("%s was answered in %s", operation, got)
	}
	if w.Body.Len() > 0 {
		modes, err := cbor.DecOptions{TimeTagToAny: cbor.TimeTagToRFC3339, DefaultMapType: nil}.DecMode()
		if err != nil {
			t.Fatal(err)
		}
		var raw map[string]cbor.RawMessage
		if err := modes.Unmarshal(w.Body.Bytes(), &raw); err != nil {
			t.Fatalf("%s: %v in %x", operation, err, w.Body.Bytes())
		}
		out = map[string]any{}
		for k, v := range raw {
			out[k] = v
		}
	}
	return w.Code, out
}

func decode[T any](t *testing.T, raw any) (v T) {
	t.Helper()
	b, ok := raw.(cbor.RawMessage)
	if !ok {
		t.Fatalf("no such member: %v", raw)
	}
	if err := cbor.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// millis is a timestamp as the SDK for Java reads it: tag 1, a whole number of milliseconds.
type millis int64

func (m *millis) UnmarshalCBOR(b []byte) error {
	var tag cbor.RawTag
	if err := cbor.Unmarshal(b, &tag); err != nil {
		return err
	}
	return cbor.Unmarshal(tag.Content, (*int64)(m))
}

func TestCBOR(t *testing.T) {
	s := local.New(local.Config{Logger: quiet()})
	type object = map[string]any
	call := func(operation string, in object) object {
		t.Helper()
		status, out := cborCall(t, s, operation, in)
		if status != 200 {
			t.Fatalf("%s: %d %s", operation, status, decode[string](t, out["message"]))
		}
		return out
	}
	call("CreateStream", object{"StreamName": "orders", "ShardCount": 1})
	put := call("PutRecord", object{"StreamName": "orders", "Data": []byte{0, 255}, "PartitionKey": "é\n"})
	puts := call("PutRecords", object{"StreamName": "orders", "Records": []object{{"Data": []byte("two"), "PartitionKey": "b"}, {"Data": []byte{}, "PartitionKey": "c", "ExplicitHashKey": "7"}}})
	if n := decode[int](t, puts["FailedRecordCount"]); n != 0 || len(decode[[]any](t, puts["Records"])) != 2 {
		t.Errorf("%d failed", n)
	}
	description := decode[struct{ StreamCreationTimestamp millis }](t, call("DescribeStreamSummary", object{"StreamName": "orders"})["StreamDescriptionSummary"])
	if description.StreamCreationTimestamp < 1e12 {
		t.Errorf("created at %d milliseconds", description.StreamCreationTimestamp)
	}
	it := decode[string](t, call("GetShardIterator", object{"StreamName": "orders", "ShardId": first, "ShardIteratorType": "AT_TIMESTAMP",
		"Timestamp": cbor.Tag{Number: 1, Content: int64(description.StreamCreationTimestamp)}})["ShardIterator"])
	out := call("GetRecords", object{"ShardIterator": it, "Limit": 10})
	type record struct {
		Data                         []byte
		PartitionKey, SequenceNumber string
		ApproximateArrivalTimestamp  millis
	}
	records := decode[[]record](t, out["Records"])
	if len(records) != 3 || !bytes.Equal(records[0].Data, []byte{0, 255}) || records[0].PartitionKey != "é\n" ||
		records[0].SequenceNumber != decode[string](t, put["SequenceNumber"]) || records[0].ApproximateArrivalTimestamp < description.StreamCreationTimestamp || len(records[2].Data) != 0 {
		t.Errorf("%+v", records)
	}
	if decode[int](t, out["MillisBehindLatest"]) != 0 || decode[string](t, out["NextShardIterator"]) == "" {
		t.Errorf("%v", out)
	}
	call("SplitShard", object{"StreamName": "orders", "ShardToSplit": first, "NewStartingHashKey": half})
	end := call("GetRecords", object{"ShardIterator": it})
	children := decode[[]struct{ ParentShards []string }](t, end["ChildShards"])
	if _, more := end["NextShardIterator"]; more || len(children) != 2 || children[0].ParentShards[0] != first {
		t.Errorf("%v", end)
	}
	consumer := decode[struct{ ConsumerARN string }](t, call("RegisterStreamConsumer", object{"StreamARN": *arnOf("orders"), "ConsumerName": "reader"})["Consumer"])
	checkCBORSubscription(t, s, consumer.ConsumerARN)
	status, refused := cborCall(t, s, "GetRecords", object{"ShardIterator": "nonsense"})
	if status != 400 || decode[string](t, refused["__type"]) != "InvalidArgumentException" {
		t.Errorf("%d %v", status, refused)
	}
}

// checkCBORSubscription reads a closed shard to its end: one event with CBOR inside, then the end of the body.
func checkCBORSubscription(t *testing.T, s *local.Server, arn string) {
	t.Helper()
	body, err := cbor.Marshal(map[string]any{"ConsumerARN": arn, "ShardId": first, "StartingPosition": map[string]any{"Type": "TRIM_HORIZON"}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, post("SubscribeToShard", cborType, body))
	if got := w.Header().Get("Content-Type"); got != "application/vnd.amazon.eventstream" {
		t.Errorf("Content-Type %s", got)
	}
	d := eventstream.NewDecoder()
	initial, err := d.Decode(w.Body, nil)
	if err != nil || initial.Headers.Get(":event-type").String() != "initial-response" {
		t.Fatalf("%+v, %v", initial, err)
	}
	event, err := d.Decode(w.Body, nil)
	if err != nil || event.Headers.Get(":content-type").String() != cborType || w.Body.Len() != 0 {
		t.Fatalf("%+v, %v, %d bytes left", event, err, w.Body.Len())
	}
	var members map[string]cbor.RawMessage
	if err := cbor.Unmarshal(event.Payload, &members); err != nil {
		t.Fatal(err)
	}
	_, more := members["ContinuationSequenceNumber"]
	if len(decode[[]any](t, members["Records"])) != 3 || len(decode[[]any](t, members["ChildShards"])) != 2 || more {
		t.Errorf("%v", members)
	}
}

// TestAnswersOnTheWire pins the exact bytes of the answers that are written by hand.
func TestAnswersOnTheWire(t *testing.T) {
	s := local.New(local.Config{Logger: quiet()})
	if err := s.CreateStream("orders", 1); err != nil {
		t.Fatal(err)
	}
	var it struct{ ShardIterator string }
	ask(t, s, "GetShardIterator", `{"StreamName":"orders","ShardId":"`+first+`","ShardIteratorType":"TRIM_HORIZON"}`, &it)
	var put struct{ SequenceNumber, ShardId string }
	ask(t, s, "PutRecord", `{"Data":"aGk=","PartitionKey":"a\"\u00e9","StreamName":"orders"}`, &put)
	body, err := json.Marshal(it)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, post("GetRecords", jsonType, body))
	var out struct {
		Records           []struct{ ApproximateArrivalTimestamp json.Number }
		NextShardIterator string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	arrived := out.Records[0].ApproximateArrivalTimestamp.String()
	want := `{"Records":[{"SequenceNumber":"` + put.SequenceNumber + `","ApproximateArrivalTimestamp":` + arrived +
		`,"Data":"aGk=","PartitionKey":"a\"é"}],"NextShardIterator":"` + out.NextShardIterator + `","MillisBehindLatest":0}`
	if got := w.Body.String(); got != want || len(arrived) != len("1700000000.123") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
