package awswire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/fxamacker/cbor/v2"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

func TestFormatOf(t *testing.T) {
	for header, want := range map[string]awswire.Format{
		"application/x-amz-cbor-1.1": awswire.CBOR, "application/cbor; charset=x": awswire.CBOR,
		"application/x-amz-json-1.1": awswire.JSON, "": awswire.JSON, "nonsense;;": awswire.JSON,
	} {
		if got := awswire.FormatOf(header); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	want := time.UnixMilli(1506440188749)
	for name, c := range map[string]struct {
		format awswire.Format
		body   string
	}{
		"JSON seconds":           {awswire.JSON, "1506440188.749"},
		"JSON exponent":          {awswire.JSON, "1.506440188749E9"},
		"JSON text":              {awswire.JSON, `"2017-09-26T15:36:28.749Z"`},
		"CBOR tagged, as Java":   {awswire.CBOR, "\xc1\x1b\x00\x00\x01\x5e\xbe\xd5\x13\x4d"},
		"CBOR bare milliseconds": {awswire.CBOR, "\x1b\x00\x00\x01\x5e\xbe\xd5\x13\x4d"},
	} {
		var got awswire.Time
		if err := c.format.Decode([]byte(c.body), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v (%d), %v", name, got, got.UnixMilli(), err)
		}
	}
	seconds, err := cbor.Marshal(1506440188.749)
	if err != nil {
		t.Fatal(err)
	}
	var got awswire.Time
	if err := awswire.CBOR.Decode(seconds, &got); err != nil || !got.Equal(want) {
		t.Errorf("CBOR seconds: %v, %v", got, err)
	}
	if text := string(awswire.JSON.Encode(awswire.Time{Time: want})); text != "1506440188.749" {
		t.Errorf("encoded as %s", text)
	}
	if b := hex.EncodeToString(awswire.CBOR.Encode(awswire.Time{Time: want})); b != "c11b0000015ebed5134d" {
		t.Errorf("encoded as %s", b)
	}
	for _, bad := range []string{`"yesterday"`, `1e300`, `true`, `{}`} {
		if err := awswire.JSON.Decode([]byte(bad), new(awswire.Time)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	for _, bad := range []string{"\x60", "\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", "\xf5"} {
		if err := awswire.CBOR.Decode([]byte(bad), new(awswire.Time)); err == nil {
			t.Errorf("%x was accepted", bad)
		}
	}
}

func TestBlobs(t *testing.T) {
	for _, body := range []string{"\x42hi", "\x64aGk="} {
		var b awswire.Blob
		if err := awswire.CBOR.Decode([]byte(body), &b); err != nil || string(b) != "hi" {
			t.Errorf("%q: %q, %v", body, b, err)
		}
	}
	if err := awswire.CBOR.Decode([]byte("\x61*"), new(awswire.Blob)); err == nil {
		t.Error("text that is no base64 was accepted")
	}
}

func TestCBORHeads(t *testing.T) {
	for _, n := range []int64{0, 23, 24, 255, 256, 65535, 65536, 1 << 32, 1<<62 + 1, -1, -24, -25, -1 << 40} {
		var got int64
		if err := cbor.Unmarshal(awswire.AppendCBORInt(nil, n), &got); err != nil || got != n {
			t.Errorf("%d became %d, %v", n, got, err)
		}
	}
	b := awswire.AppendCBORMap(nil, 1)
	b = awswire.AppendCBORArray(awswire.AppendCBORText(b, "a"), 2)
	b = append(awswire.AppendCBORBytes(b, 300), make([]byte, 300)...)
	b = awswire.AppendCBORText(b, strings.Repeat("x", 70000))
	var got map[string][]any
	if err := cbor.Unmarshal(b, &got); err != nil || len(got["a"]) != 2 || len(got["a"][0].([]byte)) != 300 || len(got["a"][1].(string)) != 70000 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestFramesAreThoseOfTheSDK(t *testing.T) {
	b := awswire.AppendFrame([]byte("before"), awswire.EventHeaders("SomeEvent", awswire.CBOR), []byte("pay"), nil, []byte("load"))
	b = awswire.AppendFrame(b, awswire.ExceptionHeaders("ResourceInUseException", awswire.JSON))
	in := bytes.NewReader(b[len("before"):])
	d := eventstream.NewDecoder()
	event, err := d.Decode(in, nil)
	if err != nil || string(event.Payload) != "payload" || event.Headers.Get(":event-type").String() != "SomeEvent" ||
		event.Headers.Get(":content-type").String() != "application/x-amz-cbor-1.1" {
		t.Errorf("event %+v, %v", event, err)
	}
	exception, err := d.Decode(in, nil)
	if err != nil || len(exception.Payload) != 0 || exception.Headers.Get(":exception-type").String() != "ResourceInUseException" || in.Len() != 0 {
		t.Errorf("exception %+v, %v, %d bytes left", exception, err, in.Len())
	}
}

func TestErrors(t *testing.T) {
	w := httptest.NewRecorder()
	awswire.WriteError(w, &awserr.Error{Code: "Some", Message: "<text>", Status: 413, Fields: map[string]any{"Item": 1}}, "space#", "", awswire.JSON)
	if got := w.Body.String(); w.Code != 413 || got != `{"Item":1,"__type":"space#Some","message":"<text>"}` || w.Header().Get("X-Amzn-ErrorType") != "Some" {
		t.Errorf("%d %s %v", w.Code, got, w.Header())
	}
	w = httptest.NewRecorder()
	awswire.WriteError(w, errors.New("broken"), "", "", awswire.CBOR)
	var body map[string]string
	if err := cbor.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 500 || body["__type"] != "InternalFailure" || body["message"] != "broken" {
		t.Errorf("%d %v %v", w.Code, body, err)
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	var in struct{ Limit int }
	for body, want := range map[string]string{
		`{"Limit":"x"}`: `SerializationException: string value can not be converted to int at "Limit"`,
		`{`:             `SerializationException: the request body is not valid JSON: unexpected end of JSON input`,
	} {
		if err := awswire.JSON.Decode([]byte(body), &in); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
	if err := awswire.JSON.Decode(nil, &in); err != nil {
		t.Errorf("an empty body: %v", err)
	}
}

func TestScannerDepth(t *testing.T) {
	s := awswire.Scan([]byte(strings.Repeat("[", 1<<20)))
	s.Skip()
	if s.Err() == nil {
		t.Error("endless nesting was accepted")
	}
}

// FuzzScanner compares what the Scanner accepts with what encoding/json does.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{``, `{}`, `[]`, `null`, `"a\"b"`, `{"a":[1,-2.5e+3,{"b":null}],"c":true}`, `[1,]`, `{"a"}`, `tru`, `"\x"`, `01`, `{"a":1}x`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := awswire.Scan(text)
		s.Skip()
		s.End()
		if valid := json.Valid(text); valid && s.Err() != nil && bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) < 200 {
			t.Errorf("%q was refused: %v", text, s.Err())
		}
		s = awswire.Scan(text)
		got := s.String()
		var want string
		if err := json.Unmarshal(text, &want); s.Err() == nil && err == nil && string(bytes.ToValidUTF8(got, []byte("\uFFFD"))) != want && !strings.ContainsRune(want, '\uFFFD') {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	})
}
