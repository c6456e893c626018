package scene_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
	"github.com/kinesis-go/kcl/local"
)

// config is a scene over a server of its own, whose answers pass through tamper.
func config(shards int, tamper func(answer map[string]any)) scene.Config {
	cfg := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)}).AWSConfig()
	dynamo := dynamodb.NewFromConfig(cfg)
	if tamper != nil {
		cfg.HTTPClient = &http.Client{Transport: tampering{cfg.HTTPClient.(*http.Client).Transport, tamper}}
	}
	return scene.Config{
		Kinesis: kinesis.NewFromConfig(cfg), DynamoDB: dynamo, Where: "here", Stream: "demo", Shards: shards,
		Rate: 200, Size: 100, Keys: 20, Duration: 10 * time.Second, Seed: 1, LeaseDuration: 3 * time.Second,
	}
}

// tampering changes the answers of Kinesis, which it gives in JSON only: consumers then ask for that.
type tampering struct {
	next   http.RoundTripper
	tamper func(answer map[string]any)
}

func (c tampering) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if strings.Contains(r.Header.Get("Content-Type"), "cbor") {
		return &http.Response{
			StatusCode: http.StatusUnsupportedMediaType, Request: r, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
			Body: io.NopCloser(strings.NewReader(`{"__type":"SerializationException"}`)),
		}, r.Body.Close()
	}
	res, err := c.next.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK || operation != "GetRecords" {
		return res, err
	}
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	c.tamper(answer)
	text, err := json.Marshal(answer)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return res, err
}

// play runs a scene in a bubble.
func play(t *testing.T, cfg func() scene.Config, check func(s *scene.Scene, r scene.Report)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := scene.New(cfg())
		r, err := s.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		check(s, r)
	})
}

func TestGoodScene(t *testing.T) {
	for _, shards := range []int{1, 2, 4} {
		play(t, func() scene.Config { return config(shards, nil) }, func(s *scene.Scene, r scene.Report) {
			v := r.Verdict
			if !r.Good || v.Total.Put < 1900 || v.Total.Delivered != v.Total.Put || v.Total.Missing != 0 || r.Stopped {
				t.Errorf("%d shards: %+v", shards, r)
			}
			if len(v.Shards) != shards+3 || len(s.Frame().Shards) != shards+3 {
				t.Errorf("%d shards at first, %d in the verdict, %d in the picture, want three more", shards, len(v.Shards), len(s.Frame().Shards))
			}
			ended := 0
			for _, sh := range s.Frame().Shards {
				if sh.State == picture.Done {
					ended++
				}
			}
			if ended != 3 {
				t.Errorf("%d shards at first: %d were read to their ends, want 3", shards, ended)
			}
			for _, what := range []string{"split #", "merged #"} {
				if !hasEvent(r, what) {
					t.Errorf("%d shards: no event %q in %v", shards, what, r.Events)
				}
			}
		})
	}
}

func hasEvent(r scene.Report, what string) bool {
	for _, e := range r.Events {
		if strings.HasPrefix(e.What, what) {
			return true
		}
	}
	return false
}

// records returns the records of an answer.
func records(answer map[string]any) []any {
	list, _ := answer["Records"].([]any)
	return list
}

// TestVerdictFindsWhatTheServiceDidWrong: the verdict comes from what was delivered, not from what ought to have been.
func TestVerdictFindsWhatTheServiceDidWrong(t *testing.T) {
	tests := []struct {
		name   string
		tamper func(n int, list []any) []any // of the n-th answer with more than two records
		found  func(r scene.Report) bool
	}{
		{
			name: "a record is lost",
			tamper: func(n int, list []any) []any {
				if n == 3 {
					return append(list[:1:1], list[2:]...)
				}
				return list
			},
			found: func(r scene.Report) bool { return r.Verdict.Total.Missing == 1 && len(r.Faults) == 1 },
		},
		{
			name: "a record is altered",
			tamper: func(n int, list []any) []any {
				if n == 3 {
					list[1].(map[string]any)["Data"] = "aGVsbG8="
				}
				return list
			},
			found: func(r scene.Report) bool { return r.Verdict.Total.Altered == 1 },
		},
		{
			name: "two records change places",
			tamper: func(n int, list []any) []any {
				if n == 3 {
					list[0], list[1] = list[1], list[0]
				}
				return list
			},
			found: func(r scene.Report) bool { return r.Verdict.Total.OutOfOrder == 1 },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			n := 0
			tamper := func(answer map[string]any) {
				mu.Lock()
				defer mu.Unlock()
				if list := records(answer); len(list) > 2 {
					n++
					answer["Records"] = tt.tamper(n, list)
				}
			}
			play(t, func() scene.Config { return config(1, tamper) }, func(_ *scene.Scene, r scene.Report) {
				if r.Good || !tt.found(r) {
					t.Errorf("good %v, total %+v, key %d, faults %v", r.Good, r.Verdict.Total, r.Verdict.KeyOutOfOrder, r.Faults)
				}
			})
		})
	}
}

func TestStoppedScene(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		time.AfterFunc(4*time.Second, func() { close(enough) })
		r, err := scene.New(config(4, nil)).Run(t.Context(), enough)
		if err != nil || !r.Good || !r.Stopped || r.Seconds > 5 || r.Verdict.Total.Put == 0 {
			t.Errorf("Run = %+v, %v", r, err)
		}
	})
}

func TestSceneWithoutServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
		srv.Intercept(local.Rule{Operation: "CreateStream", Effect: local.Effect{Error: &local.Error{Code: "AccessDeniedException", Message: "no"}}})
		cfg := config(1, nil)
		cfg.Kinesis = kinesis.NewFromConfig(srv.AWSConfig())
		_, err := scene.New(cfg).Run(t.Context(), nil)
		if err == nil || !strings.HasPrefix(err.Error(), "create stream demo: ") || !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("Run = %v", err)
		}
	})
}
