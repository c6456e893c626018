package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/fxamacker/cbor/v2"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

const (
	orders = "orders"
	first  = stream.ShardID("shardId-000000000000")
	arn    = "arn:aws:kinesis:" + local.DefaultRegion + ":" + local.DefaultAccountID + ":stream/" + orders
)

// rig is a server with one stream, a client that notes each call, and one shard that is polled.
type rig struct {
	t      *testing.T
	srv    *local.Server
	client *kinesis.Client
	wire   *wire
	budget *fetch.Budget
	log    *journal
	seed   uint64
	logger *slog.Logger // writes to log

	mu       sync.Mutex
	reads    []fetch.Page // as Config.Read heard of them
	attempts []int
	failures []error
}

// journal is a log that is read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newRig(t *testing.T, cfg local.Config) *rig {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	srv := local.New(cfg)
	if err := srv.CreateStream(orders, 1); err != nil {
		t.Fatal(err)
	}
	aws := srv.AWSConfig()
	w := &wire{next: aws.HTTPClient.(*http.Client).Transport}
	aws.HTTPClient = &http.Client{Transport: w}
	log := new(journal)
	return &rig{
		logger: slog.New(slog.NewTextHandler(log, nil)),
		t:      t, srv: srv, wire: w, client: kinesis.NewFromConfig(aws),
		budget: fetch.NewBudget(256 << 20), log: log, seed: 1,
	}
}

// config reads the first shard from its beginning.
func (r *rig) config() fetch.Config {
	return fetch.Config{
		Client: r.client, Shard: fetch.Shard{Stream: orders, ID: first}, From: stream.TrimHorizon,
		MaxRecords: 10_000, Idle: 250 * time.Millisecond, Budget: r.budget,
		Logger: r.logger, Rand: rand.New(rand.NewPCG(r.seed, 0)),
		Read: func(p *fetch.Page, _ time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reads = append(r.reads, *p)
		},
		Failed: func(attempt int, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.attempts, r.failures = append(r.attempts, attempt), append(r.failures, err)
		},
	}
}

func (r *rig) put(data ...string) (sequences []stream.SequenceNumber) {
	r.t.Helper()
	for _, d := range data {
		_, seq, err := r.srv.Put(orders, "key", []byte(d))
		if err != nil {
			r.t.Fatal(err)
		}
		sequences = append(sequences, stream.SequenceNumber(seq))
	}
	return sequences
}

func (r *rig) split() {
	r.t.Helper()
	_, err := r.client.SplitShard(context.Background(), &kinesis.SplitShardInput{
		StreamName: aws.String(orders), ShardToSplit: aws.String(string(first)), NewStartingHashKey: aws.String("12345"),
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// reader is one run of Poll or Subscribe.
type reader struct {
	rig    *rig
	t      *testing.T
	wire   *wire
	pages  chan fetch.Page
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed
}

var errStopped = errors.New("stopped by the test")

func (r *rig) start(cfg fetch.Config) *reader {
	return r.run(func(ctx context.Context, pages chan<- fetch.Page) error { return fetch.Poll(ctx, cfg, pages) })
}

func (r *rig) run(read func(context.Context, chan<- fetch.Page) error) *reader {
	ctx, cancel := context.WithCancelCause(r.t.Context())
	rd := &reader{rig: r, t: r.t, wire: r.wire, pages: make(chan fetch.Page), cancel: func() { cancel(errStopped) }, done: make(chan struct{})}
	go func() {
		defer close(rd.done)
		rd.err = read(ctx, rd.pages)
	}()
	return rd
}

// fanOutConfig is config with what fan-out needs.
func (r *rig) fanOutConfig() fetch.Config {
	cfg := r.config()
	cfg.Shard.StreamARN = arn
	return cfg
}

// subscribe starts Subscribe with the rig's client and the consumer "app".
func (r *rig) subscribe(cfg fetch.Config, f fetch.FanOut) *reader {
	r.t.Helper()
	return r.subscribeWith(cfg, r.consumers(f))
}

func (r *rig) consumers(f fetch.FanOut) *fetch.Consumers {
	r.t.Helper()
	f.Client, f.Name, f.Logger = r.client, "app", r.logger
	consumers, err := fetch.NewConsumers(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return consumers
}

func (r *rig) subscribeWith(cfg fetch.Config, consumers *fetch.Consumers) *reader {
	return r.run(func(ctx context.Context, pages chan<- fetch.Page) error {
		return fetch.Subscribe(ctx, cfg, consumers, pages)
	})
}

// take receives a page within an hour of fake time and gives its bytes back.
func (rd *reader) take() fetch.Page {
	rd.t.Helper()
	p := rd.hold()
	p.Release()
	return p
}

func (rd *reader) hold() fetch.Page {
	rd.t.Helper()
	select {
	case p := <-rd.pages:
		return p
	case <-rd.done:
		rd.t.Fatalf("Poll returned %v, want a page", rd.err)
	case <-time.After(time.Hour):
		_, f := rd.rig.failed()
		rd.t.Fatal("no page within an hour", f[:min(3, len(f))])
	}
	panic("unreachable")
}

// want takes pages until they hold as many records, and compares their data.
func (rd *reader) want(data ...string) (last stream.Record) {
	rd.t.Helper()
	var got []string
	for len(got) < len(data) {
		for _, rec := range rd.take().Records {
			got, last = append(got, string(rec.Data)), rec
		}
	}
	if !slices.Equal(got, data) {
		rd.t.Fatalf("records %q, want %q", got, data)
	}
	return last
}

// none says that nothing comes for so long.
func (rd *reader) none(d time.Duration) {
	rd.t.Helper()
	select {
	case p := <-rd.pages:
		rd.t.Fatalf("a page of %d records, end %v, want none", len(p.Records), p.End)
	case <-rd.done:
		rd.t.Fatalf("Poll returned %v", rd.err)
	case <-time.After(d):
	}
}

func (rd *reader) stop() {
	rd.t.Helper()
	rd.cancel()
	<-rd.done
	if n := rd.wire.open(); n != 0 {
		rd.t.Errorf("%d subscriptions are open after the end", n)
	}
	if !errors.Is(rd.err, errStopped) {
		rd.t.Fatalf("Poll = %v, want the cause of the end", rd.err)
	}
}

func (rd *reader) ended() {
	rd.t.Helper()
	<-rd.done
	if rd.err != nil {
		rd.t.Fatalf("Poll = %v, want nil after the end of the shard", rd.err)
	}
}

// request is one call as it went over the wire.
type request struct {
	op     string
	at     time.Time
	status int // 0 if there was no answer
	body   struct {
		ShardIterator, ShardIteratorType, StartingSequenceNumber, StreamARN, StreamName string

		Limit     int
		Timestamp float64

		ConsumerARN      string
		StartingPosition struct {
			Type, SequenceNumber string
			Timestamp            float64
		}
	}
}

// wire is a RoundTripper that notes calls and edits answers.
type wire struct {
	next http.RoundTripper

	mu    sync.Mutex
	calls []request
	edit  func(op string, answer map[string]any) // answers with status 200, if not nil
	date  func(header http.Header)
	// editEvent is called on each event of a subscription, if not nil; noInitial takes initial responses out.
	editEvent func(event map[string]any)
	noInitial bool

	opened int // subscriptions whose body is not closed

	cut func() int // after how many bytes the body of a subscription breaks off; negative: never
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	req := request{op: op, at: time.Now()}
	if err := json.Unmarshal(asJSON(body), &req.body); err != nil {
		return nil, err
	}
	res, err := w.next.RoundTrip(r)
	if err == nil {
		req.status = res.StatusCode
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, req)
	if err == nil && res.StatusCode == http.StatusOK && op == "SubscribeToShard" {
		w.opened++
		res.Body = &countedBody{ReadCloser: res.Body, closed: sync.OnceFunc(w.closed)}
	}
	if err == nil && res.StatusCode == http.StatusOK && op == "SubscribeToShard" && (w.editEvent != nil || w.noInitial) {
		res.Body = &editedBody{ReadCloser: res.Body, w: w}
	}
	if err == nil && w.cut != nil && op == "SubscribeToShard" {
		if n := w.cut(); n >= 0 {
			res.Body = &brokenBody{res.Body, n}
		}
	}
	if err == nil && w.date != nil {
		w.date(res.Header)
	}
	if err != nil || w.edit == nil || res.StatusCode != http.StatusOK || op == "SubscribeToShard" {
		return res, err
	}
	return w.editLocked(op, res)
}

// asJSON is a body in JSON, whatever it came in.
func asJSON(body []byte) []byte {
	var v map[string]any
	if decode.FormatOf(body) != decode.CBOR || cbor.Unmarshal(body, &v) != nil {
		return body
	}
	out, err := json.Marshal(plainKeys(v))
	if err != nil {
		panic(err)
	}
	return out
}

// plainKeys makes maps what encoding/json takes.
func plainKeys(v any) any {
	switch v := v.(type) {
	case time.Time: // the service's are milliseconds, which CBOR takes for seconds
		return float64(v.Unix()) / 1000
	case map[string]any:
		for k := range v {
			v[k] = plainKeys(v[k])
		}
	case map[any]any:
		out := map[string]any{}
		for k := range v {
			out[k.(string)] = plainKeys(v[k])
		}
		return out
	case []any:
		for i := range v {
			v[i] = plainKeys(v[i])
		}
	}
	return v
}

func (w *wire) editLocked(op string, res *http.Response) (*http.Response, error) {
	answer := map[string]any{}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(asJSON(body)))
	d.UseNumber()
	if err := d.Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	w.edit(op, answer)
	out, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(out)), int64(len(out))
	return res, nil
}

func (w *wire) editing(edit func(op string, answer map[string]any)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.edit = edit
}

// countedBody is a subscription's, of which the wire knows whether it is open.
type countedBody struct {
	io.ReadCloser
	closed func()
}

func (b *countedBody) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}

func (w *wire) closed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened--
}

// open tells how many subscriptions are open.
func (w *wire) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

func (w *wire) cutting(cut func() int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

// brokenBody is one that breaks off.
type brokenBody struct {
	io.ReadCloser
	left int
}

var errReset = errors.New("stream error: stream ID 3; INTERNAL_ERROR; received from peer")

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errReset
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (w *wire) all(op string) (out []request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.op == op {
			out = append(out, c)
		}
	}
	return out
}

// iterators lists how iterators were asked for.
func (w *wire) iterators() (out []string) {
	for _, c := range w.all("GetShardIterator") {
		s := c.body.ShardIteratorType
		if c.body.StartingSequenceNumber != "" {
			s += " " + c.body.StartingSequenceNumber
		}
		out = append(out, s)
	}
	return out
}

func (r *rig) wantIterators(want ...string) {
	r.t.Helper()
	if got := r.wire.iterators(); !slices.Equal(got, want) {
		r.t.Errorf("iterators %q, want %q", got, want)
	}
}

func (r *rig) failed() ([]int, []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts), slices.Clone(r.failures)
}

func expired() *local.Error {
	return &local.Error{Code: "ExpiredIteratorException", Message: "Iterator expired."}
}

func inUse() *local.Error {
	return &local.Error{Code: "ResourceInUseException", Message: "Another active subscription exists (injected)."}
}

func words(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s%d", prefix, i))
	}
	return out
}
