package local

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
	"github.com/kinesis-go/kcl/local/internal/kinesis"
)

// CallerHeader is the request header that names the caller to Rule.Caller. Clients that cannot set headers are known by
// the application ID in their User-Agent, which aws.Config.AppID sets.
const CallerHeader = "X-Local-Caller"

// SubscriptionEvent is the Operation under which each event of a SubscribeToShard stream passes the rules.
const SubscriptionEvent = "SubscribeToShard/event"

// Call is one request as rules see it. It must not be changed.
type Call struct {
	Service   string // Kinesis, DynamoDB, CloudWatch or STS
	Operation string // such as GetRecords, or SubscriptionEvent
	Caller    string // the CallerHeader, or the application ID; empty if there is neither
	Stream    string // name of the Kinesis stream; empty if the request names none
	Shard     string // ID of the shard; empty if the request names none, as puts do
	Consumer  string // ARN of the consumer of a SubscribeToShard
	Table     string // name of the DynamoDB table; empty in requests that name several
	Header    http.Header
	Body      []byte // of the request; of an event, the encoded message
}

// Error is an AWS error to answer with.
type Error struct {
	Code    string // such as ProvisionedThroughputExceededException
	Message string
	Status  int // HTTP status; default 400
}

// Throttled returns the error with which Kinesis and DynamoDB refuse a call for its throughput.
func Throttled() *Error {
	return &Error{Code: "ProvisionedThroughputExceededException", Message: "Rate exceeded (injected)"}
}

// Unavailable returns the error of a service that is in trouble (HTTP 500).
func Unavailable() *Error {
	return &Error{Code: "InternalFailure", Message: "the service is in trouble (injected)", Status: http.StatusInternalServerError}
}

// Effect is what happens to a call. The zero value is nothing. Waits end early when the caller gives up.
type Effect struct {
	Delay       time.Duration   // wait before the operation runs
	Until       <-chan struct{} // wait, before the operation runs, until this is closed; inside a bubble it must be of that bubble
	LoseRequest bool            // break the connection; the operation does not run
	Error       *Error          // answer this; the operation does not run
	DelayReply  time.Duration   // wait after the operation ran
	LoseReply   bool            // break the connection after the operation ran
}

// Rule says which calls an effect befalls. Empty fields match everything.
type Rule struct {
	Service, Operation, Stream, Shard, Table, Caller string

	Skip  int // let so many matching calls pass first
	Times int // and then befall so many; 0 means all

	Effect Effect
	// Choose, if set, decides in place of Effect, for each matching call. It must not block or call the Server.
	Choose func(*Call) Effect
}

// Intercept puts a rule into force until remove is called. Rules apply in the order in which they came, and all that
// match apply. Events of a subscription pass as calls of their own: a delay or wait stalls the stream, an Error ends it
// with an exception, a lost request or reply breaks the connection.
func (s *Server) Intercept(r Rule) (remove func()) {
	return s.rules.add(&r)
}

// ruleSet holds the rules in force.
type ruleSet struct {
	mu    sync.Mutex // guards rules and the counters inside
	rules []*Rule
}

func (set *ruleSet) add(r *Rule) (remove func()) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.rules = append(slices.Clone(set.rules), r)
	return func() {
		set.mu.Lock()
		defer set.mu.Unlock()
		set.rules = slices.DeleteFunc(slices.Clone(set.rules), func(other *Rule) bool { return other == r })
	}
}

func (set *ruleSet) empty() bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.rules) == 0
}

// choose returns what befalls c.
func (set *ruleSet) choose(c *Call) effects {
	set.mu.Lock()
	defer set.mu.Unlock()
	var out effects
	for _, r := range set.rules {
		if !r.matches(c) || !r.count() {
			continue
		}
		if r.Choose != nil {
			out = append(out, r.Choose(c))
		} else {
			out = append(out, r.Effect)
		}
	}
	return out
}

func (r *Rule) matches(c *Call) bool {
	for _, pair := range [][2]string{
		{r.Operation, c.Operation}, {r.Service, c.Service}, {r.Caller, c.Caller},
		{r.Stream, c.Stream}, {r.Shard, c.Shard}, {r.Table, c.Table},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}

// count reports whether the rule's counters let it act now. A used-up rule has a Skip that never ends.
func (r *Rule) count() bool {
	const never = -1
	switch {
	case r.Skip == never:
		return false
	case r.Skip > 0:
		r.Skip--
		return false
	case r.Times == 1:
		r.Skip = never
	case r.Times > 1:
		r.Times--
	}
	return true
}

// effects are what befalls one call, in order.
type effects []Effect

// before lets the effects act that come before the operation. It breaks the connection by panicking with
// http.ErrAbortHandler.
func (es effects) before(ctx context.Context) error {
	for _, e := range es {
		wait(ctx, e.Delay, e.Until)
		if e.LoseRequest {
			panic(http.ErrAbortHandler)
		}
		if e.Error != nil {
			return e.Error.wire()
		}
	}
	return nil
}

// after lets the effects act that come behind the operation.
func (es effects) after(ctx context.Context) {
	for _, e := range es {
		wait(ctx, e.DelayReply, nil)
		if e.LoseReply {
			panic(http.ErrAbortHandler)
		}
	}
}

// wait breaks the connection of a caller who gave up meanwhile.
func wait(ctx context.Context, d time.Duration, until <-chan struct{}) {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		}
	}
	if until != nil {
		select {
		case <-until:
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		}
	}
}

func (e *Error) wire() *awserr.Error {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &awserr.Error{Code: e.Code, Message: e.Message, Status: status}
}

// interceptEvent lets one event of the stream that c opened pass the rules.
func (s *Server) interceptEvent(ctx context.Context, c *Call, frame []byte) error {
	if s.rules.empty() {
		return nil
	}
	event := *c
	event.Operation, event.Body = SubscriptionEvent, frame
	es := s.rules.choose(&event)
	if err := es.before(ctx); err != nil {
		return err
	}
	es.after(ctx)
	return nil
}

// newCall finds out whom a request concerns.
func newCall(r *http.Request, rt route, body []byte) *Call {
	c := &Call{Service: rt.service, Operation: rt.operation, Caller: callerOf(r.Header), Header: r.Header, Body: body}
	if rt.service != Kinesis && rt.service != DynamoDB {
		return c
	}
	var named struct {
		StreamName, StreamARN, ShardId, ShardIterator, ConsumerARN, TableName string
	}
	if err := rt.format.Decode(body, &named); err != nil {
		return c // the operation will say what is wrong
	}
	c.Stream, c.Shard, c.Consumer, c.Table = named.StreamName, named.ShardId, named.ConsumerARN, named.TableName
	for _, arn := range []string{named.StreamARN, named.ConsumerARN} {
		if _, rest, ok := strings.Cut(arn, ":stream/"); ok {
			c.Stream, _, _ = strings.Cut(rest, "/")
		}
	}
	if _, rest, ok := strings.Cut(named.TableName, ":table/"); ok {
		c.Table = rest
	}
	if stream, shard, ok := kinesis.IteratorTarget(named.ShardIterator); ok {
		c.Stream, c.Shard = stream, shard
	}
	return c
}

// callerOf is the name that a request's sender gives itself.
func callerOf(h http.Header) string {
	if name := h.Get(CallerHeader); name != "" {
		return name
	}
	for _, agent := range []string{h.Get("User-Agent"), h.Get("X-Amz-User-Agent")} {
		for word := range strings.FieldsSeq(agent) {
			if id, ok := strings.CutPrefix(word, "app/"); ok {
				return id
			}
		}
	}
	return ""
}

// exceptionFrame is the message with which a stream says err, if it is an AWS error.
func exceptionFrame(err error, f awswire.Format) ([]byte, bool) {
	var e *awserr.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	return awswire.AppendFrame(nil, awswire.ExceptionHeaders(e.Code, f), awswire.ErrorBody(e, "", f)), true
}
