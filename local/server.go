package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
	"github.com/kinesis-go/kcl/local/internal/dynamo"
	"github.com/kinesis-go/kcl/local/internal/kinesis"
)

// Defaults of Config.
const (
	DefaultRegion           = "us-east-1"
	DefaultAccountID        = "000000000000"
	DefaultIteratorLife     = 5 * time.Minute // as in the service
	DefaultSubscriptionLife = 5 * time.Minute // as in the service
	DefaultHeartbeat        = 5 * time.Second
)

// Config are the settings of a Server. The zero value is ready for use.
type Config struct {
	// Region and AccountID are part of every ARN; default DefaultRegion, DefaultAccountID. An ARN of another region or
	// account names nothing here.
	Region, AccountID string

	// EnforceLimits makes shards refuse what exceeds the service's throughput: 1,000 records and 1 MiB in, 5 GetRecords
	// and 2 MiB out, each a second; 5 GetShardIterator a second. Default: no limits.
	EnforceLimits bool

	// IteratorLife is how long a shard iterator can be used; default DefaultIteratorLife.
	IteratorLife time.Duration

	// SubscriptionLife is how long one SubscribeToShard lasts; default DefaultSubscriptionLife.
	SubscriptionLife time.Duration

	// Heartbeat is the time between the events of a subscription without records; default DefaultHeartbeat.
	Heartbeat time.Duration

	// CreateDelay is how long streams, consumers, tables and indexes are CREATING, UPDATING or DELETING; default 0: they
	// never are.
	CreateDelay time.Duration

	// IndexLag is how long a DynamoDB global secondary index lags behind its table; default 0.
	IndexLag time.Duration

	// EmptyPageEvery makes each n-th GetRecords that has records to give answer none, as the service may; default 0:
	// none does.
	EmptyPageEvery int

	// Logger receives one line for each request at level Debug; default slog.Default().
	Logger *slog.Logger
}

func (c *Config) fill() {
	c.Region = cmp.Or(c.Region, DefaultRegion)
	c.AccountID = cmp.Or(c.AccountID, DefaultAccountID)
	c.IteratorLife = cmp.Or(c.IteratorLife, DefaultIteratorLife)
	c.SubscriptionLife = cmp.Or(c.SubscriptionLife, DefaultSubscriptionLife)
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Server is the embedded services. Use New to make one.
type Server struct {
	cfg     Config
	kinesis *kinesis.Engine
	dynamo  *dynamo.Engine
	rules   ruleSet
	bodies  sync.Pool // of *[]byte: request bodies that nobody keeps
}

// New returns a server without streams and tables. It starts nothing and needs no closing.
func New(cfg Config) *Server {
	cfg.fill()
	return &Server{
		cfg: cfg,
		kinesis: kinesis.New(kinesis.Options{
			Region: cfg.Region, AccountID: cfg.AccountID,
			IteratorLife: cfg.IteratorLife, SubscriptionLife: cfg.SubscriptionLife, Heartbeat: cfg.Heartbeat,
			CreateDelay: cfg.CreateDelay, EnforceLimits: cfg.EnforceLimits, EmptyPageEvery: cfg.EmptyPageEvery,
		}),
		dynamo: dynamo.New(dynamo.Options{
			Region: cfg.Region, AccountID: cfg.AccountID, IndexLag: cfg.IndexLag, CreateDelay: cfg.CreateDelay,
		}),
	}
}

// reply is the answer to a request, before it is written.
type reply struct {
	contentType string
	parts       net.Buffers // not to be changed
	free        func()      // see kinesis.Answer
	stream      func(context.Context, kinesis.Emit) error
	err         error
}

// ServeHTTP implements http.Handler for all services.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-RequestId", requestID())
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.serveHealth(w, r)
		return
	}
	body, free, err := s.readBody(w, r)
	if err != nil {
		awswire.WriteError(w, err, "", "", awswire.FormatOf(r.Header.Get("Content-Type")))
		return
	}
	rt := routeOf(r, body)
	if s.rules.empty() {
		rep := s.run(r.Context(), rt, body)
		var c *Call
		if rep.stream != nil { // rules may come while it runs
			c = newCall(r, rt, bytes.Clone(body))
		}
		free()
		s.write(w, r, rt, rep, c)
		return
	}
	c := newCall(r, rt, body) // the body now belongs to the rules
	effects := s.rules.choose(c)
	rep := reply{err: effects.before(r.Context())}
	if rep.err == nil {
		rep = s.run(r.Context(), rt, body)
		effects.after(r.Context())
	}
	s.write(w, r, rt, rep, c)
}

// run performs the operation.
func (s *Server) run(ctx context.Context, rt route, body []byte) reply {
	switch rt.service {
	case Kinesis:
		a, err := s.kinesis.Handle(rt.operation, body, rt.format)
		return reply{rt.format.ContentType(), a.Body, a.Free, a.Stream, err}
	case DynamoDB:
		out, err := s.dynamo.Handle(ctx, rt.operation, body)
		return reply{contentType: dynamoContentType, parts: net.Buffers{out}, err: err}
	}
	return s.sink(rt)
}

// write sends the answer. c may be nil unless the answer is a stream.
func (s *Server) write(w http.ResponseWriter, r *http.Request, rt route, rep reply, c *Call) {
	s.cfg.Logger.Debug("request", "service", rt.service, "operation", rt.operation, "err", rep.err)
	switch {
	case rep.err != nil:
		rt.writeError(w, rep.err)
	case rep.stream != nil:
		s.writeStream(w, r, rt, rep, c)
	default:
		writeParts(w, rep)
	}
}

// checksum is what DynamoDB sends of an answer's body; SDKs compare it and complain where it is missing.
func checksum(parts net.Buffers) (sum uint32) {
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.IEEETable, p)
	}
	return sum
}

// sharer is a response writer that can keep the parts of an answer instead of copying them.
type sharer interface{ share(net.Buffers) }

func writeParts(w http.ResponseWriter, rep reply) {
	n := 0
	for _, p := range rep.parts {
		n += len(p)
	}
	w.Header().Set("Content-Type", rep.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(n))
	if rep.contentType == dynamoContentType {
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(checksum(rep.parts)), 10))
	}
	if rep.contentType == rpcContentType {
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	}
	if to, ok := w.(sharer); ok {
		to.share(rep.parts)
		return
	}
	if rep.free != nil {
		defer rep.free()
	}
	for _, p := range rep.parts {
		if _, err := w.Write(p); err != nil {
			return // the client has gone
		}
	}
}

// writeStream sends events until the stream ends. Each passes the rules as a call of its own.
func (s *Server) writeStream(w http.ResponseWriter, r *http.Request, rt route, rep reply, c *Call) {
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	flush := http.NewResponseController(w)
	send := func(frame []byte) error {
		if _, err := w.Write(frame); err != nil {
			return err
		}
		return flush.Flush()
	}
	err := rep.stream(r.Context(), func(frame []byte) error {
		if err := s.interceptEvent(r.Context(), c, frame); err != nil {
			return err
		}
		return send(frame)
	})
	if frame, ok := exceptionFrame(err, rt.format); ok {
		err = errors.Join(err, send(frame))
	}
	s.cfg.Logger.Debug("subscription ended", "shard", c.Shard, "err", err)
}

// maxBody is more than any request needs: 10 MiB of data as base64, with its keys.
const maxBody = 32 << 20

// memoryBody is a request body that is in memory already. Its bytes are not changed by anyone.
type memoryBody interface{ all() []byte }

// readBody returns the request's body and a function that takes it back.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (body []byte, free func(), err error) {
	if m, ok := r.Body.(memoryBody); ok {
		return m.all(), func() {}, nil
	}
	buffer, _ := s.bodies.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	*buffer, err = readInto((*buffer)[:0], http.MaxBytesReader(w, r.Body, maxBody), r.ContentLength)
	if err != nil {
		return nil, nil, &awserr.Error{Code: "RequestEntityTooLargeException", Message: fmt.Sprintf("reading the request: %v", err),
			Status: http.StatusRequestEntityTooLarge}
	}
	return *buffer, func() { s.bodies.Put(buffer) }, nil
}

// requestID is the ID under which an answer can be talked about.
func requestID() string {
	hi, lo := rand.Uint64(), rand.Uint64()
	const hex = "0123456789abcdef"
	b := make([]byte, 0, 36)
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b = append(b, '-')
		}
		word := hi
		if i >= 16 {
			word = lo
		}
		b = append(b, hex[word>>(60-4*(i%16))&0xf])
	}
	return string(b)
}
