package fetch_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/fxamacker/cbor/v2"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/stream"
)

const (
	typeCBOR = "application/x-amz-cbor-1.1"
	typeJSON = "application/x-amz-json-1.1"
)

// speaker is a server that gives out one iterator and answers GetRecords as it is told.
type speaker struct {
	answer func(r *http.Request, body []byte) *http.Response

	mu    sync.Mutex
	asked []string // content types of GetRecords
}

func (s *speaker) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetShardIterator") {
		return reply(http.StatusOK, typeJSON, []byte(`{"ShardIterator":"it"}`)), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Header.Get("Content-Type"))
	return s.answer(r, body), nil
}

func reply(status int, contentType string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {contentType}, "X-Amzn-Requestid": {"the-request"}, "Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}},
	}
}

func asCBOR(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func oneRecord(f string, iterator string) []byte {
	if f == typeCBOR {
		return asCBOR(map[string]any{"NextShardIterator": iterator, "MillisBehindLatest": 5, "Records": []any{
			map[string]any{"Data": []byte("a"), "PartitionKey": "k", "SequenceNumber": "7", "ApproximateArrivalTimestamp": cbor.Tag{Number: 1, Content: 1_700_000_000_123}},
		}})
	}
	return fmt.Appendf(nil, `{"NextShardIterator":%q,"MillisBehindLatest":5,"Records":[{"Data":"YQ==","PartitionKey":"k","SequenceNumber":"7","ApproximateArrivalTimestamp":1700000000.123}]}`, iterator)
}

func (s *speaker) client() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "eu-west-1", HTTPClient: s, BaseEndpoint: aws.String("https://kinesis.invalid"),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// read polls until two records have come, and returns their data and what failed before.
func (s *speaker) read(t *testing.T, speaks *fetch.Wire) (records []stream.Record, failures []error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, client: s.client(), wire: &wire{}, budget: fetch.NewBudget(64 << 20), log: new(journal), seed: 1}
		cfg := r.config()
		cfg.Wire = speaks
		rd := r.start(cfg)
		records = append(rd.take().Records, rd.take().Records...)
		rd.stop()
		_, failures = r.failed()
		if n := r.budget.InUse(); n != 0 {
			t.Errorf("%d bytes in use at the end", n)
		}
	})
	return records, failures
}

// serve answers a good record, with numbers that go up so that each is new.
func serve(contentType string) func(*http.Request, []byte) *http.Response {
	n := 7
	return func(*http.Request, []byte) *http.Response {
		n++
		old, number := "\"7\"", fmt.Sprintf("\"%d\"", n)
		if contentType == typeCBOR {
			old, number = "\x617", fmt.Sprintf("\x61%c", '0'+n%10)
		}
		return reply(http.StatusOK, contentType, bytes.Replace(oneRecord(contentType, "next"), []byte(old), []byte(number), 1))
	}
}

func TestAsksInCBORFirst(t *testing.T) {
	s := &speaker{}
	good := serve(typeCBOR)
	s.answer = func(r *http.Request, body []byte) *http.Response {
		var in map[string]any
		if err := cbor.Unmarshal(body, &in); err != nil || in["ShardIterator"] == "" || in["Limit"] != uint64(10_000) || in["StreamARN"] != nil {
			t.Errorf("request %v, %v", in, err)
		}
		if r.ContentLength != int64(len(body)) || !strings.Contains(r.Header.Get("Authorization"), "content-type") {
			t.Errorf("length %d of %d, authorization %s", r.ContentLength, len(body), r.Header.Get("Authorization"))
		}
		return good(r, body)
	}
	records, failures := s.read(t, nil)
	want := stream.Record{Data: []byte("a"), PartitionKey: "k", Position: stream.Position{Sequence: "8"}, Arrived: time.UnixMilli(1_700_000_000_123).UTC()}
	if got := records[0]; string(got.Data) != "a" || got.PartitionKey != want.PartitionKey || got.Position != want.Position || got.Arrived != want.Arrived {
		t.Errorf("record %+v, want %+v", got, want)
	}
	if len(failures) > 0 {
		t.Errorf("failures %v", failures)
	}
	for _, f := range s.asked {
		if f != typeCBOR {
			t.Errorf("asked %q", s.asked)
		}
	}
}

func TestJSONOnly(t *testing.T) {
	s := &speaker{answer: serve(typeJSON)}
	if _, failures := s.read(t, fetch.NewWire(true)); len(failures) > 0 {
		t.Errorf("failures %v", failures)
	}
	for _, f := range s.asked {
		if f != typeJSON {
			t.Errorf("asked %q", s.asked)
		}
	}
}

// However a server shows that it does not speak CBOR, nobody hears of it, and it is asked in CBOR once.
func TestServersWithoutCBOR(t *testing.T) {
	exception := func(code string) func() *http.Response {
		return func() *http.Response {
			return reply(http.StatusBadRequest, typeJSON, fmt.Appendf(nil, `{"__type":%q,"message":"no"}`, code))
		}
	}
	for name, refuse := range map[string]func() *http.Response{
		"answers in JSON":   func() *http.Response { return nil },
		"serialization":     exception("SerializationException"),
		"unknown operation": exception("com.amazon.coral.service#UnknownOperationException"),
		"validation":        exception("ValidationException"),
		"invalid argument":  exception("InvalidArgumentException"),
		"serialization in CBOR": func() *http.Response {
			return reply(400, typeCBOR, asCBOR(map[string]any{"__type": "SerializationException"}))
		},
		"no body": func() *http.Response { return reply(http.StatusInternalServerError, "", nil) },
		"media type": func() *http.Response {
			return reply(http.StatusUnsupportedMediaType, "text/html", []byte("<h1>no</h1>"))
		},
		"broken CBOR": func() *http.Response { return reply(http.StatusOK, typeCBOR, oneRecord(typeCBOR, "n")[:20]) },
	} {
		t.Run(name, func(t *testing.T) {
			good := serve(typeJSON)
			s := &speaker{answer: func(r *http.Request, body []byte) *http.Response {
				if res := refuse(); res != nil && r.Header.Get("Content-Type") == typeCBOR {
					return res
				}
				return good(r, body)
			}}
			records, failures := s.read(t, nil)
			if len(records) != 2 || len(failures) > 0 {
				t.Errorf("%d records, failures %v", len(records), failures)
			}
			for i, f := range s.asked {
				if want := map[bool]string{true: typeCBOR, false: typeJSON}[i == 0]; f != want {
					t.Errorf("asked %q", s.asked)
				}
			}
		})
	}
}

// A refusal that has to do with the call, not with its format, is told as it is, after one request; and a server that
// speaks CBOR is not suspected for what it refuses.
func TestRefusalsAreToldOnce(t *testing.T) {
	for _, in := range []string{typeCBOR, typeJSON} {
		for _, code := range []string{"ProvisionedThroughputExceededException", "AccessDeniedException", "KMSThrottlingException"} {
			good, refused := serve(typeCBOR), false
			s := &speaker{answer: func(r *http.Request, body []byte) *http.Response {
				if !refused {
					refused = true
					return refusal(in, code, "why")
				}
				return good(r, body)
			}}
			_, failures := s.read(t, nil)
			if len(failures) != 1 || !strings.Contains(failures[0].Error(), code) {
				t.Errorf("%s in %s: failures %v, asked %q", code, in, failures, s.asked)
			}
			for _, f := range s.asked {
				if f != typeCBOR {
					t.Errorf("%s in %s: asked %q", code, in, s.asked)
				}
			}
		}
	}
}

func refusal(contentType, code, message string) *http.Response {
	fields := map[string]string{"__type": code, "message": message}
	body, _ := json.Marshal(fields)
	if contentType == typeCBOR {
		body = asCBOR(fields)
	}
	return reply(http.StatusBadRequest, contentType, body)
}

// What a refusal is to errors.As, and what it says, is what the SDK alone makes of it in JSON.
func TestRefusalsAsTheSDKTellsThem(t *testing.T) {
	for _, code := range []string{
		"ExpiredIteratorException", "ProvisionedThroughputExceededException", "ResourceNotFoundException", "AccessDeniedException",
		"InvalidArgumentException", "KMSOptInRequired", "InternalFailureException", "SomethingNew", "ns#ExpiredIteratorException",
	} {
		s := &speaker{answer: func(*http.Request, []byte) *http.Response { return refusal(typeJSON, code, "why") }}
		_, want := s.client().GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("it")}, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
		for _, in := range []string{typeCBOR, typeJSON} {
			good, refused := serve(in), 0
			s := &speaker{answer: func(r *http.Request, body []byte) *http.Response {
				if refused++; refused < 3 {
					return refusal(in, code, "why")
				}
				return good(r, body)
			}}
			_, failures := s.read(t, fetch.NewWire(in == typeJSON))
			if len(failures) == 0 || !strings.Contains(failures[0].Error(), want.Error()) {
				t.Errorf("%s in %s: %v, the SDK says %v", code, in, failures, want)
				continue
			}
			sameError(t, code+" in "+in, failures[0], want)
		}
	}
}

func sameError(t *testing.T, name string, got, want error) {
	t.Helper()
	gotAPI, ok := errors.AsType[smithy.APIError](got)
	wantAPI, _ := errors.AsType[smithy.APIError](want)
	if !ok || gotAPI.ErrorCode() != wantAPI.ErrorCode() || gotAPI.ErrorMessage() != wantAPI.ErrorMessage() || fmt.Sprintf("%T", gotAPI) != fmt.Sprintf("%T", wantAPI) {
		t.Errorf("%s: API error %v, want %v", name, gotAPI, wantAPI)
	}
	_, gotExpired := errors.AsType[*types.ExpiredIteratorException](got)
	_, wantExpired := errors.AsType[*types.ExpiredIteratorException](want)
	if gotExpired != wantExpired {
		t.Errorf("%s: is an ExpiredIteratorException: %v, want %v", name, gotExpired, wantExpired)
	}
	res, ok := errors.AsType[*awshttp.ResponseError](got)
	if !ok || res.RequestID != "the-request" || res.HTTPStatusCode() != http.StatusBadRequest {
		t.Errorf("%s: response error %v", name, res)
	}
	if _, ok := errors.AsType[*smithy.OperationError](got); !ok {
		t.Errorf("%s: no operation error", name)
	}
	if res, ok := errors.AsType[*smithyhttp.ResponseError](got); !ok || res.Response.Header.Get("Date") == "" {
		t.Errorf("%s: no date to tell the server's time from", name)
	}
}

// Bodies come in any number of pieces, with or without a length, and one that is cut short is an error.
func TestBodies(t *testing.T) {
	long := fmt.Appendf(nil, `{"NextShardIterator":"n","Records":[{"SequenceNumber":"8","Data":%q},{"SequenceNumber":"9"}]}`,
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 200_000)))
	for name, edit := range map[string]func(r *http.Response){
		"length unknown":   func(r *http.Response) { r.ContentLength = -1 },
		"length too small": func(r *http.Response) { r.ContentLength = 100 },
		"length too large": func(r *http.Response) { r.ContentLength++ },
		"length absurd":    func(r *http.Response) { r.ContentLength = 1 << 40 },
		"cut":              func(r *http.Response) { r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(long[:1000]), broken{})) },
	} {
		t.Run(name, func(t *testing.T) {
			edited := false
			s := &speaker{answer: func(*http.Request, []byte) *http.Response {
				res := reply(http.StatusOK, typeJSON, long)
				if !edited {
					edit(res)
				}
				edited = true
				return res
			}}
			synctest.Test(t, func(t *testing.T) {
				r := &rig{t: t, client: s.client(), wire: &wire{}, budget: fetch.NewBudget(64 << 20), log: new(journal), seed: 1}
				rd := r.start(r.config())
				if p := rd.take(); len(p.Records) != 2 || len(p.Records[0].Data) != 200_000 {
					t.Errorf("%d records", len(p.Records))
				}
				rd.stop()
				_, failures := r.failed()
				wantFailure := strings.HasPrefix(name, "cut") || strings.HasSuffix(name, "large") || strings.HasSuffix(name, "absurd")
				if (len(failures) > 0) != wantFailure {
					t.Errorf("failures %v", failures)
				}
			})
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }
