package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kcl/internal/retry"
)

// FanOut says how a process reads by enhanced fan-out.
type FanOut struct {
	Client *kinesis.Client // required; its own retries are not used
	// Name is that of the consumers that are registered where there are none yet, one for each stream. Required for
	// streams without a consumer in ARNs.
	Name string
	// ARNs are consumers that exist, at most one for each stream, in any order. They are neither looked up nor registered.
	ARNs []string
	// Required never polls. By default a stream is polled, with a warning, when fan-out is not permitted, the stream has
	// as many consumers as it may have, or the server does not know the calls.
	Required bool
	// IdleTimeout is how long a subscription may be silent before it is made anew; default 20 s. The service sends an
	// event each 5 s or so, records or not.
	IdleTimeout time.Duration
	// Patience is how long a subscription is kept while the receiver does not take its page, or there is no room for the
	// next one; default 10 s. Afterwards it is closed, and made anew behind what was delivered.
	Patience time.Duration
	// Renew is the age at which a subscription is made anew, a tenth more or less; default 4 min 30 s. The service ends
	// it after 5 minutes.
	Renew  time.Duration
	Logger *slog.Logger // default slog.Default()
}

// Defaults of FanOut.
const (
	defaultIdleTimeout = 20 * time.Second
	defaultPatience    = 10 * time.Second
	defaultRenew       = 4*time.Minute + 30*time.Second
)

// Consumers are the registered consumers of a process, one for each stream. Whoever first needs one registers it, while
// the others wait. They are never deregistered: other workers read with them, too.
type Consumers struct {
	FanOut
	http    aws.HTTPClient
	opening chan struct{} // capacity: the calls to subscribe that may be under way

	mu      sync.Mutex
	streams map[string]*consumer // by ARN
	next    map[Shard]time.Time  // when a shard that is not being read may be subscribed to
}

// consumer is that of one stream.
type consumer struct {
	stream string // ARN
	fixed  bool   // given, not registered by us

	turn chan struct{} // capacity 1: the right to look up and register, and to change what follows

	arn     string    // empty until it is known to be active
	polled  bool      // fan-out is given up
	failed  error     // of the last attempt
	tryAt   time.Time // when to make the next
	refused int       // attempts in a row that were refused, of which one a second counts
	countAt time.Time // when the next one counts
}

// openAtOnce bounds the calls to subscribe that are under way. net/http dials for each call that finds no connection ready, so
// hundreds of shards that begin together would make a hundred connections, of which a few carry everything.
const openAtOnce = 16

// NewConsumers returns a registry that has registered nothing yet.
func NewConsumers(f FanOut) (*Consumers, error) {
	def(&f.IdleTimeout, defaultIdleTimeout)
	def(&f.Patience, defaultPatience)
	def(&f.Renew, defaultRenew)
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	c := &Consumers{FanOut: f, opening: make(chan struct{}, openAtOnce), streams: map[string]*consumer{}, next: map[Shard]time.Time{}}
	var errs []error
	if f.Client == nil {
		errs = append(errs, errors.New("fetch: Client is required"))
	} else {
		c.http = streamingClient(f.Client.Options().HTTPClient)
	}
	if f.IdleTimeout < 0 || f.Patience < 0 || f.Renew < 0 {
		errs = append(errs, errors.New("fetch: IdleTimeout, Patience and Renew must not be negative"))
	}
	for _, arn := range f.ARNs {
		stream, _, ok := strings.Cut(arn, "/consumer/")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("fetch: consumer ARN %q is not of the form arn:aws:kinesis:<region>:<account>:stream/<stream>/consumer/<name>:<time>", arn))
		case c.streams[stream] != nil:
			errs = append(errs, fmt.Errorf("fetch: two consumers of stream %s: %s and %s", stream, c.streams[stream].arn, arn))
		default:
			c.streams[stream] = &consumer{stream: stream, fixed: true, arn: arn, turn: make(chan struct{}, 1)}
		}
	}
	return c, errors.Join(errs...)
}

func def(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

func (c *Consumers) of(stream string) *consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.streams[stream]
	if known == nil {
		known = &consumer{stream: stream, turn: make(chan struct{}, 1)}
		c.streams[stream] = known
	}
	return known
}

// begin returns when the shard may be subscribed to, as its last reader in this process left it.
func (c *Consumers) begin(s Shard) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.next[s]
	delete(c.next, s)
	return at
}

// end notes when the shard may be subscribed to by the next reader.
func (c *Consumers) end(s Shard, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(c.next, func(_ Shard, at time.Time) bool { return at.Before(now) })
	if at.After(now) {
		c.next[s] = at
	}
}

// errPoll says that a stream cannot be read by fan-out.
var errPoll = errors.New("fetch: fan-out is not to be had")

// take returns when this caller alone may look at and change the consumer. The caller must call free.
func (k *consumer) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *consumer) free() { <-k.turn }

// arn returns the ARN of the stream's consumer once it is active, registering it if there is none. One caller asks the
// service at a time, and one that comes soon after an attempt failed is told its error.
func (c *Consumers) arn(ctx context.Context, k *consumer, r *rand.Rand) (string, error) {
	if err := k.take(ctx); err != nil {
		return "", err
	}
	defer k.free()
	switch {
	case k.polled:
		return "", errPoll
	case k.arn != "":
		return k.arn, nil
	case time.Now().Before(k.tryAt):
		return "", k.failed
	}
	if c.Name == "" {
		return "", fmt.Errorf("stream %s has no consumer: give a consumer's name or ARN", k.stream)
	}
	arn, err := c.register(ctx, k, r)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err == nil {
		k.arn, k.failed, k.refused = arn, nil, 0
		c.Logger.Info("consumer is active", "consumer", arn)
		return arn, nil
	}
	k.failed, k.tryAt = err, time.Now().Add(time.Second)
	return "", c.refuse(k, err)
}

// refusals is how often in a row fan-out must be refused to be given up: permissions spread slowly, and the code for a
// full stream is also that for too many calls a second.
const refusals = 3

// refuse counts a refusal, and gives fan-out up for the stream when there were enough of them. The caller has k's turn.
func (c *Consumers) refuse(k *consumer, err error) error {
	final := unsupported(err)
	switch now := time.Now(); {
	case !final && !notPermitted(err) && !errors.Is(err, errFull):
		k.refused = 0
	case now.After(k.countAt):
		k.refused++
		k.countAt = now.Add(time.Second)
	}
	if k.refused == 0 || c.Required || !final && k.refused < refusals {
		return err
	}
	k.polled = true
	c.Logger.Warn("no enhanced fan-out, the stream is polled instead", "stream", k.stream, "err", err)
	return errPoll
}

// notAllowed is refuse for who does not have k's turn.
func (c *Consumers) notAllowed(ctx context.Context, k *consumer, err error) error {
	if taken := k.take(ctx); taken != nil {
		return taken
	}
	defer k.free()
	if k.polled {
		return errPoll
	}
	return c.refuse(k, err)
}

// allowed forgets refusals: a subscription was made.
func (c *Consumers) allowed(ctx context.Context, k *consumer) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.free()
	k.refused = 0
	return nil
}

// gone notes that the service does not know the consumer any more, so that it is registered again. One that was given is
// never replaced.
func (c *Consumers) gone(ctx context.Context, k *consumer, arn string) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.free()
	if k.arn == arn && !k.fixed {
		k.arn = ""
	}
	return nil
}

// errFull says that no further consumer can be registered.
var errFull = errors.New("the stream has as many consumers as it may have, or too many are being registered")

// statusPolls is how often a consumer's state is asked for, a second apart, before the attempt counts as failed (the Java
// KCL's maxDescribeStreamConsumerRetries).
const statusPolls = 10

// register finds the consumer or makes it, and waits until it is active.
func (c *Consumers) register(ctx context.Context, k *consumer, r *rand.Rand) (string, error) {
	status := types.ConsumerStatus("unknown")
	for try := range statusPolls {
		if try > 0 {
			if err := sleepUntil(ctx, time.Now().Add(time.Second+time.Duration(r.Int64N(int64(time.Second/10))))); err != nil {
				return "", err
			}
		}
		arn, s, err := c.describe(ctx, k)
		if err != nil && retry.Classify(err) == retry.Gone {
			arn, s, err = c.create(ctx, k)
		}
		switch {
		case err != nil && retry.Classify(err) != retry.Conflict:
			return "", err
		case err == nil && s == types.ConsumerStatusActive:
			return arn, nil
		case err == nil:
			status = s
		}
	}
	return "", fmt.Errorf("consumer %s of stream %s is %s", c.Name, k.stream, status)
}

func (c *Consumers) describe(ctx context.Context, k *consumer) (string, types.ConsumerStatus, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := c.Client.DescribeStreamConsumer(call, &kinesis.DescribeStreamConsumerInput{
		StreamARN: aws.String(k.stream), ConsumerName: aws.String(c.Name),
	}, once)
	if err != nil {
		return "", "", fmt.Errorf("describe consumer %s: %w", c.Name, err)
	}
	if out.ConsumerDescription == nil || aws.ToString(out.ConsumerDescription.ConsumerARN) == "" {
		return "", "", fmt.Errorf("describe consumer %s: %w: no ARN", c.Name, errBroken)
	}
	return *out.ConsumerDescription.ConsumerARN, out.ConsumerDescription.ConsumerStatus, nil
}

// create registers the consumer. That another worker was first is a conflict.
func (c *Consumers) create(ctx context.Context, k *consumer) (string, types.ConsumerStatus, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := c.Client.RegisterStreamConsumer(call, &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String(k.stream), ConsumerName: aws.String(c.Name),
	}, once)
	switch {
	case err != nil && codeOf(err) == "LimitExceededException":
		return "", "", fmt.Errorf("register consumer %s: %w: %w", c.Name, errFull, err)
	case err != nil:
		return "", "", fmt.Errorf("register consumer %s: %w", c.Name, err)
	case out.Consumer == nil || aws.ToString(out.Consumer.ConsumerARN) == "":
		return "", "", fmt.Errorf("register consumer %s: %w: no ARN", c.Name, errBroken)
	}
	c.Logger.Info("consumer is registered", "consumer", *out.Consumer.ConsumerARN)
	return *out.Consumer.ConsumerARN, out.Consumer.ConsumerStatus, nil
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// notPermitted says that the caller lacks a permission, not that its credentials are bad.
func notPermitted(err error) bool {
	code := codeOf(err)
	return code == "AccessDeniedException" || code == "AccessDenied"
}

// unsupported says that the server does not know the call.
func unsupported(err error) bool {
	switch codeOf(err) {
	case "UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplemented", "NotImplementedException":
		return true
	}
	return false
}
