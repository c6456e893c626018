package dynamolease_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kcl/lease/dynamolease"
)

// fake answers requests as told, where a test must see the bytes of a request or choose those of an answer. Everything that
// is about DynamoDB's behaviour is tested on package local.
type fake struct {
	answer func(op string, body []byte) (status int, answer string) // nil: always 200 and {}

	mu       sync.Mutex
	requests []request
}

type request struct {
	op   string
	body []byte
}

func (f *fake) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.requests = append(f.requests, request{op, body})
	f.mu.Unlock()
	status, answer := http.StatusOK, "{}"
	if f.answer != nil {
		status, answer = f.answer(op, body)
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)), Request: r,
	}, nil
}

// take returns the requests so far and forgets them.
func (f *fake) take() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.requests
	f.requests = nil
	return all
}

// refusal is an error as DynamoDB sends it.
func refusal(code, message string) (int, string) {
	status := http.StatusBadRequest
	if code == "InternalServerError" {
		status = http.StatusInternalServerError
	}
	return status, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, code, message)
}

// clientOf returns a client whose requests end in do.
func clientOf(do dynamodb.HTTPClient) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "eu-west-1", HTTPClient: do, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

// onFake returns a store of application "app" on the fake. That there is no legacy table it knows without asking the fake.
func onFake(t *testing.T, f *fake) *dynamolease.Store {
	t.Helper()
	answer := f.answer
	f.answer = func(op string, body []byte) (int, string) {
		if op == "DescribeTable" && bytes.Contains(body, []byte("-CoordinatorState")) {
			return refusal("ResourceNotFoundException", "no such table")
		}
		if answer == nil {
			return http.StatusOK, "{}"
		}
		return answer(op, body)
	}
	s, err := dynamolease.New(dynamolease.Config{Client: clientOf(f), Application: "app", Segments: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var quiet = slog.New(slog.DiscardHandler)

// indented returns JSON with sorted keys, for people to compare.
func indented(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// silent answers {} to everything and remembers nothing.
type silent struct{}

func (silent) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2, Request: r,
	}, nil
}
