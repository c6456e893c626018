package produce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/produce"
	"github.com/kinesis-go/kcl/stream"
)

// service answers PutRecords. refuse says, for each call from 1 on and each key, whether a record is refused.
type service struct {
	calls  int
	refuse func(call int, key string) bool
	fail   func(call int) (status int, code string)
	taken  []string
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.calls++
	if s.fail != nil {
		if status, code := s.fail(s.calls); status != 0 {
			return answer(status, map[string]string{"__type": code, "message": "told to fail"}), nil
		}
	}
	var in struct {
		Records []struct{ PartitionKey string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	type result map[string]string
	var results []result
	for _, rec := range in.Records {
		if s.refuse != nil && s.refuse(s.calls, rec.PartitionKey) {
			results = append(results, result{"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"})
			continue
		}
		s.taken = append(s.taken, rec.PartitionKey)
		results = append(results, result{"ShardId": "shardId-000000000000", "SequenceNumber": fmt.Sprint(len(s.taken))})
	}
	return answer(http.StatusOK, map[string]any{"Records": results}), nil
}

func answer(status int, body any) *http.Response {
	text, _ := json.Marshal(body)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(bytes.NewReader(text))}
}

func sender(s *service) *produce.Sender {
	return &produce.Sender{Stream: "orders", Client: kinesis.New(kinesis.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		BaseEndpoint: aws.String("http://service"), HTTPClient: s, Retryer: aws.NopRetryer{},
	})}
}

func batch(keys string) []produce.Record {
	var records []produce.Record
	for _, k := range keys {
		records = append(records, produce.Record{Key: string(k), Data: []byte("12345")})
	}
	return records
}

func TestPutRepeatsOnlyWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := &service{refuse: func(call int, key string) bool { return call <= 2 && key == "b" || call == 1 && key == "d" }}
		s := sender(svc)
		var took []string
		s.Took = func(r produce.Record, shard stream.ShardID, at stream.SequenceNumber) {
			took = append(took, fmt.Sprintf("%s@%s", r.Key, at))
		}
		if err := s.Put(t.Context(), batch("abcd")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a@1", "c@2", "d@3", "b@4"}, took); diff != "" {
			t.Errorf("Took (-want +got):\n%s", diff)
		}
		want := produce.Stats{Records: 4, Bytes: 20, Calls: 3, Retries: 3}
		if got := s.Stats(); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
	})
}

func TestPutOutlivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := &service{fail: func(call int) (int, string) {
			if call < 5 {
				return http.StatusInternalServerError, "InternalFailure"
			}
			return 0, ""
		}}
		s := sender(svc)
		if err := s.Put(t.Context(), batch("ab")); err != nil || svc.calls != 5 {
			t.Errorf("Put = %v after %d calls, want nil after 5", err, svc.calls)
		}
	})
}

func TestPutGivesUp(t *testing.T) {
	tests := []struct {
		name, code string
		status     int
		patience   time.Duration
		calls      int // at most
		want       string
	}{
		{"no such stream", "ResourceNotFoundException", 400, time.Minute, 1, "put to stream orders: "},
		{"no permission", "AccessDeniedException", 400, time.Minute, 1, "put to stream orders: "},
		{"nothing taken for long", "ProvisionedThroughputExceededException", 400, 5 * time.Second, 50, "put to stream orders: nothing taken for 5s: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				svc := &service{fail: func(int) (int, string) { return tt.status, tt.code }}
				s := sender(svc)
				s.Patience = tt.patience
				err := s.Put(t.Context(), batch("a"))
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.code) || svc.calls > tt.calls {
					t.Errorf("Put = %v after %d calls, want %q… %s after at most %d", err, svc.calls, tt.want, tt.code, tt.calls)
				}
			})
		})
	}
}

func TestPutEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := &service{refuse: func(int, string) bool { return true }}
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(3*time.Second, func() { cancel(enough) })
		if err := sender(svc).Put(ctx, batch("a")); !errors.Is(err, enough) {
			t.Errorf("Put = %v, want the context's cause", err)
		}
	})
}
