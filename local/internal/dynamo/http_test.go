package dynamo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/dynamo"
)

// serve makes e an http.Handler, as little of one as clients need.
func serve(e *dynamo.Engine) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		out, err := e.Handle(r.Context(), op, in)
		if a, ok := errors.AsType[*awserr.Error](err); ok {
			body := map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + a.Code, "message": a.Message}
			maps.Copy(body, a.Fields)
			w.WriteHeader(a.Status)
			out, _ = json.Marshal(body)
		}
		w.Write(out)
	})
}

// roundTripper calls a handler directly, which works in a synctest bubble where sockets do not.
type roundTripper struct{ h http.Handler }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	t.h.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// TestServe is the server that the conformance suite runs against; see CONFORMANCE.md.
func TestServe(t *testing.T) {
	addr := os.Getenv("DYNAMO_SERVE")
	if addr == "" {
		t.Skip("DYNAMO_SERVE is not set: no address to serve on")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("serving on", l.Addr())
	srv := &http.Server{Handler: serve(dynamo.New(dynamo.Options{}))}
	if err := srv.Serve(l); err != nil {
		t.Fatal(err)
	}
}
