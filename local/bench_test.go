package local_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/kinesis-go/kcl/local"
)

// sink is a response writer that reads an answer and forgets it, as a socket would.
type sink struct {
	header http.Header
	n      int64
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { s.n += int64(len(b)); return len(b), nil }

// copying is a sink that touches each byte once, as a copy into the kernel does.
type copying struct {
	sink
	into []byte
}

func (c *copying) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		rest = rest[copy(c.into, rest):]
	}
	return c.sink.Write(b)
}

func post(operation string, contentType string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	return r
}

const (
	jsonType = "application/x-amz-json-1.1"
	cborType = "application/x-amz-cbor-1.1"
)

// ask makes one call in JSON and decodes the answer into out.
func ask(tb testing.TB, s http.Handler, operation, body string, out any) {
	tb.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, post(operation, jsonType, []byte(body)))
	if w.Code != http.StatusOK {
		tb.Fatalf("%s: %d %s", operation, w.Code, w.Body)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkGetRecords(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 100 << 10} {
		for name, contentType := range map[string]string{"json": jsonType, "cbor": cborType} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) { benchmarkGet(b, size, contentType) })
		}
	}
}

func benchmarkGet(b *testing.B, size int, contentType string) {
	s := local.New(local.Config{Logger: quiet()})
	if err := s.CreateStream("orders", 1); err != nil {
		b.Fatal(err)
	}
	records := min(10000, (10<<20)/(size+8))
	for i := range records {
		if _, _, err := s.Put("orders", fmt.Sprintf("key%05d", i), bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			b.Fatal(err)
		}
	}
	var it struct{ ShardIterator string }
	ask(b, s, "GetShardIterator", `{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}`, &it)
	body, err := json.Marshal(it)
	if contentType == cborType {
		body, err = cbor.Marshal(it)
	}
	if err != nil {
		b.Fatal(err)
	}
	w := &copying{sink{header: http.Header{}}, make([]byte, 64<<10)}
	b.SetBytes(int64(records * size))
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(w, post("GetRecords", contentType, body))
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	if w.n < int64(b.N)*int64(records*size) {
		b.Fatalf("%d bytes in %d answers", w.n, b.N)
	}
}

func BenchmarkPutRecords(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 10 << 10} {
		for name, contentType := range map[string]string{"json": jsonType, "cbor": cborType} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) { benchmarkPut(b, size, contentType) })
		}
	}
}

func benchmarkPut(b *testing.B, size int, contentType string) {
	const records, heap = 500, 256 << 20
	type entry struct {
		Data         []byte
		PartitionKey string
	}
	in := struct {
		Records    []entry
		StreamName string
	}{StreamName: "orders"}
	for i := range records {
		in.Records = append(in.Records, entry{bytes.Repeat([]byte{byte(i)}, size), fmt.Sprintf("key%05d", i)})
	}
	body, err := json.Marshal(in)
	if contentType == cborType {
		body, err = cbor.Marshal(in)
	}
	if err != nil {
		b.Fatal(err)
	}
	var s *local.Server
	w := &copying{sink{header: http.Header{}}, make([]byte, 64<<10)}
	b.SetBytes(records * int64(size))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%(heap/(records*base64.StdEncoding.EncodedLen(size))) == 0 { // memory stays bounded
			s = local.New(local.Config{Logger: quiet()})
			if err := s.CreateStream("orders", 4); err != nil {
				b.Fatal(err)
			}
		}
		s.ServeHTTP(w, post("PutRecords", contentType, body))
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkGetRecordsSocket is what one loopback connection can carry, client included.
func BenchmarkGetRecordsSocket(b *testing.B) {
	const size, records = 1 << 10, 10000
	s := local.Start(b, local.Config{Logger: quiet()})
	if err := s.CreateStream("orders", 1); err != nil {
		b.Fatal(err)
	}
	for i := range records {
		if _, _, err := s.Put("orders", "key", bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			b.Fatal(err)
		}
	}
	var it struct{ ShardIterator string }
	ask(b, s, "GetShardIterator", `{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}`, &it)
	body, err := json.Marshal(it)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(records * size)
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.GetRecords")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
