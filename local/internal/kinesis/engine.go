package kinesis

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// Options are the settings of an Engine. All are required, except that zero is off for the last three.
type Options struct {
	Region           string
	AccountID        string
	IteratorLife     time.Duration // from when an iterator was issued until it expires
	SubscriptionLife time.Duration // of one SubscribeToShard
	Heartbeat        time.Duration // between the events of an idle subscription
	CreateDelay      time.Duration // how long streams and consumers are CREATING, UPDATING, DELETING
	EnforceLimits    bool          // throughput of shards, as in the service
	EmptyPageEvery   int           // each n-th GetRecords answers no records though some wait
}

// Engine is the service. It is safe for concurrent use.
type Engine struct {
	o          Options
	operations map[string]operation
	pages      atomic.Int64 // GetRecords calls that could have been answered with records
	answers    sync.Pool    // of *[]byte

	mu        sync.RWMutex
	streams   map[string]*stream
	lastBirth int64 // of a stream, so that no two issue the same sequence numbers
}

// Answer is the result of a call: a body, or a stream of events.
type Answer struct {
	// Body is the whole answer in parts that must not be changed.
	Body net.Buffers
	// Free, if not nil, takes the memory of Body back for other answers. It need not be called, but not before Body was read.
	Free func()
	// Stream, if not nil, produces the body instead, frame by frame, until the context ends, emit fails or the stream
	// is complete. An *awserr.Error is for the caller to send as an exception in the stream.
	Stream func(ctx context.Context, emit Emit) error
}

// Emit sends one event-stream message and may block as long as the reader does. The frame is its own.
type Emit func(frame []byte) error

// call is one request.
type call struct {
	body   []byte
	format awswire.Format
}

type operation func(e *Engine, c call) (Answer, error)

// New returns an Engine without streams.
func New(o Options) *Engine {
	return &Engine{o: o, operations: operations(), streams: map[string]*stream{}}
}

// Handle runs one operation; name is the part of X-Amz-Target behind the dot. The body may be used again when Handle
// has returned. The error is an *awserr.Error.
func (e *Engine) Handle(name string, body []byte, format awswire.Format) (Answer, error) {
	run, known := e.operations[name]
	if !known {
		return Answer{}, awserr.New("UnknownOperationException", "the operation %q is not known", name)
	}
	return run(e, call{body, format})
}

// plain makes an operation of a function from request to answer that needs no speed.
func plain[In, Out any](f func(*Engine, *In) (*Out, error)) operation {
	return func(e *Engine, c call) (Answer, error) {
		in := new(In)
		if err := c.format.Decode(c.body, in); err != nil {
			return Answer{}, err
		}
		out, err := f(e, in)
		if err != nil {
			return Answer{}, err
		}
		if out == nil { // operations that answer nothing have an empty body
			return Answer{}, nil
		}
		return Answer{Body: net.Buffers{c.format.Encode(out)}}, nil
	}
}

// none is the answer of operations that answer nothing.
type none struct{}

func operations() map[string]operation {
	return map[string]operation{
		"AddTagsToStream":               plain((*Engine).addTagsToStream),
		"CreateStream":                  plain((*Engine).createStream),
		"DecreaseStreamRetentionPeriod": plain((*Engine).decreaseRetention),
		"DeleteStream":                  plain((*Engine).deleteStream),
		"DeregisterStreamConsumer":      plain((*Engine).deregisterConsumer),
		"DescribeLimits":                plain((*Engine).describeLimits),
		"DescribeStream":                plain((*Engine).describeStream),
		"DescribeStreamConsumer":        plain((*Engine).describeConsumer),
		"DescribeStreamSummary":         plain((*Engine).describeSummary),
		"DisableEnhancedMonitoring":     plain((*Engine).disableMonitoring),
		"EnableEnhancedMonitoring":      plain((*Engine).enableMonitoring),
		"GetRecords":                    (*Engine).getRecords,
		"GetShardIterator":              plain((*Engine).getShardIterator),
		"IncreaseStreamRetentionPeriod": plain((*Engine).increaseRetention),
		"ListShards":                    plain((*Engine).listShards),
		"ListStreamConsumers":           plain((*Engine).listConsumers),
		"ListStreams":                   plain((*Engine).listStreams),
		"ListTagsForResource":           plain((*Engine).listTagsForResource),
		"ListTagsForStream":             plain((*Engine).listTagsForStream),
		"MergeShards":                   plain((*Engine).mergeShards),
		"PutRecord":                     (*Engine).putRecord,
		"PutRecords":                    (*Engine).putRecords,
		"RegisterStreamConsumer":        plain((*Engine).registerConsumer),
		"RemoveTagsFromStream":          plain((*Engine).removeTagsFromStream),
		"SplitShard":                    plain((*Engine).splitShard),
		"StartStreamEncryption":         plain((*Engine).startEncryption),
		"StopStreamEncryption":          plain((*Engine).stopEncryption),
		"SubscribeToShard":              (*Engine).subscribeToShard,
		"TagResource":                   plain((*Engine).tagResource),
		"UntagResource":                 plain((*Engine).untagResource),
		"UpdateMaxRecordSize":           plain((*Engine).updateMaxRecordSize),
		"UpdateShardCount":              plain((*Engine).updateShardCount),
		"UpdateStreamMode":              plain((*Engine).updateStreamMode),
	}
}

// target is how a request names a stream.
type target struct {
	StreamName string
	StreamARN  string
}

var (
	nameForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	arnForm  = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:([^:]*):(\d{12}):stream/([^/]+)(?:/consumer/([^:]+):(\d+))?$`)
)

// name returns the stream's name, checked.
func (e *Engine) nameOf(t target) (string, error) {
	var bad problems
	bad.name("streamName", t.StreamName)
	if err := bad.err(); err != nil {
		return "", err
	}
	if t.StreamARN == "" {
		if t.StreamName == "" {
			return "", invalid("Either StreamARN or StreamName must be provided.")
		}
		return t.StreamName, nil
	}
	name, consumer, err := e.parseARN(t.StreamARN)
	if err != nil {
		return "", err
	}
	if consumer != "" {
		return "", invalid("StreamARN %s is the ARN of a consumer.", t.StreamARN)
	}
	if t.StreamName != "" && t.StreamName != name {
		return "", invalid("StreamARN %s and StreamName %s do not name the same stream.", t.StreamARN, t.StreamName)
	}
	return name, nil
}

// parseARN returns the stream's name and, for the ARN of a consumer, that ARN's last part, "name:creation".
func (e *Engine) parseARN(arn string) (name, consumer string, err error) {
	part := arnForm.FindStringSubmatch(arn)
	if part == nil {
		var bad problems
		bad.add(arn, "streamARN", "Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+")
		return "", "", bad.err()
	}
	if part[1] != e.o.Region || part[2] != e.o.AccountID {
		return "", "", notFound("Stream %s in region %s under account %s not found. This server is region %s, account %s.",
			part[3], part[1], part[2], e.o.Region, e.o.AccountID)
	}
	if part[4] != "" {
		consumer = part[4] + ":" + part[5]
	}
	return part[3], consumer, nil
}

func (e *Engine) arn(name string) string {
	return fmt.Sprintf("arn:aws:kinesis:%s:%s:stream/%s", e.o.Region, e.o.AccountID, name)
}

// find returns the stream that t names, whatever its state.
func (e *Engine) find(t target) (*stream, error) {
	name, err := e.nameOf(t)
	if err != nil {
		return nil, err
	}
	return e.named(name)
}

func (e *Engine) named(name string) (*stream, error) {
	e.mu.RLock()
	s := e.streams[name]
	e.mu.RUnlock()
	if s == nil || s.state(time.Now()) == "" {
		return nil, e.noStream(name)
	}
	return s, nil
}

// readable returns the stream that t names if it is past CREATING and not being deleted.
func (e *Engine) readable(t target) (*stream, error) {
	s, err := e.find(t)
	if err != nil {
		return nil, err
	}
	return s, e.requireReadable(s)
}

func (e *Engine) requireReadable(s *stream) error {
	if state := s.state(time.Now()); state != stateActive && state != stateUpdating {
		return e.noStream(s.name)
	}
	return nil
}

// active returns the stream that t names if it is ACTIVE, as changes to a stream demand.
func (e *Engine) active(t target) (*stream, error) {
	s, err := e.find(t)
	if err != nil {
		return nil, err
	}
	if state := s.state(time.Now()); state != stateActive {
		return nil, awserr.New("ResourceInUseException", "Stream %s under account %s not ACTIVE, instead in state %s",
			s.name, e.o.AccountID, state)
	}
	return s, nil
}

func (e *Engine) noStream(name string) error {
	return notFound("Stream %s under account %s not found.", name, e.o.AccountID)
}

func (e *Engine) noShard(id string, s *stream) error {
	return notFound("Could not find shard %s in stream %s under account %s.", id, s.name, e.o.AccountID)
}

func notFound(format string, args ...any) error {
	return awserr.New("ResourceNotFoundException", format, args...)
}

func invalid(format string, args ...any) error {
	return awserr.New("InvalidArgumentException", format, args...)
}

// problems collects what is wrong with the form of a request, as the service does before it looks at anything else.
type problems []string

func (p *problems) add(value any, member, constraint string) {
	*p = append(*p, fmt.Sprintf("Value '%v' at '%s' failed to satisfy constraint: %s", value, member, constraint))
}

// missing notes that a required member is absent.
func (p *problems) missing(member string) {
	*p = append(*p, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", member))
}

// name checks the name of a stream, shard or consumer, if there is one.
func (p *problems) name(member, value string) {
	if value != "" && !nameForm.MatchString(value) {
		p.add(value, member, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have length between 1 and 128")
	}
}

// requiredName is name for a member that must be there.
func (p *problems) requiredName(member, value string) {
	if value == "" {
		p.missing(member)
	}
	p.name(member, value)
}

// within checks a number, if there is one.
func (p *problems) within(member string, value *int, low, high int) {
	switch {
	case value == nil:
	case *value < low:
		p.add(*value, member, fmt.Sprintf("Member must have value greater than or equal to %d", low))
	case *value > high:
		p.add(*value, member, fmt.Sprintf("Member must have value less than or equal to %d", high))
	}
}

// oneOf checks an enumeration, if there is a value.
func (p *problems) oneOf(member, value string, allowed ...string) {
	for _, a := range allowed {
		if value == "" || value == a {
			return
		}
	}
	p.add(value, member, "Member must satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
}

// err is the error that names all problems, or nil.
func (p problems) err() error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return awserr.New("ValidationException", "1 validation error detected: %s", p[0])
	}
	return awserr.New("ValidationException", "%d validation errors detected: %s", len(p), strings.Join(p, "; "))
}
