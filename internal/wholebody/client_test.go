package wholebody_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/wholebody"
)

// seen is a client that keeps the body it was given.
type seen struct{ body io.ReadCloser }

func (s *seen) Do(r *http.Request) (*http.Response, error) {
	s.body = r.Body
	return nil, nil
}

func TestBodyCannotWriteItself(t *testing.T) {
	next := &seen{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.invalid", strings.NewReader("all of it"))
	if err != nil {
		t.Fatal(err)
	}
	if _, writes := r.Body.(io.WriterTo); !writes {
		t.Fatal("the body could not write itself before, so this tests nothing")
	}
	if _, err := wholebody.New(next).Do(r); err != nil {
		t.Fatal(err)
	}
	if _, writes := next.body.(io.WriterTo); writes {
		t.Error("the body can write itself")
	}
	if text, err := io.ReadAll(next.body); err != nil || string(text) != "all of it" {
		t.Errorf("the body reads %q, %v", text, err)
	}
}

func TestNoBodyStays(t *testing.T) {
	next := &seen{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.invalid", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wholebody.New(next).Do(r); err != nil {
		t.Fatal(err)
	}
	if next.body != http.NoBody { // net/http knows by it that there is nothing to send
		t.Errorf("the body is %v", next.body)
	}
}
