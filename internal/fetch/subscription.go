package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/internal/retry"
)

// subscription is one SubscribeToShard: a body that is read frame by frame, by one goroutine and only when it has room for
// the next.
type subscription struct {
	body     io.ReadCloser
	cancel   context.CancelCauseFunc // ends whatever waits for the body
	cause    func() error            // why it was ended; nil if it was not
	release  context.CancelFunc      // of the context it was made in; may be nil
	watchdog *time.Timer             // ends it; running while the body is read
	silence  time.Duration
	openedAt time.Time
	renewAt  time.Time
	metadata middleware.Metadata
	events   int
	strange  bool // the server does not begin with an initial response
	begun    bool // a frame was read
}

var (
	// errSilent: nothing came for too long. The connection may be half open.
	errSilent = errors.New("fetch: the subscription has gone silent")
	// errSlowCall: the call was not answered in time.
	errSlowCall = fmt.Errorf("fetch: subscribing was not answered within %v: %w", callTimeout, context.DeadlineExceeded)
	// errClosed: it was closed by us.
	errClosed = errors.New("fetch: the subscription was closed")
)

// subscribe makes the call. The subscription lasts until it is closed, ctx ends, or the service ends it.
func (c *Consumers) subscribe(ctx context.Context, w *Wire, arn string, s Shard, at place) (sub *subscription, err error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	err = w.inEither(ctx, c.Logger, func(f decode.Format) (got decode.Format, err error) {
		sub, got, err = c.subscribeIn(ctx, f, &kinesis.SubscribeToShardInput{
			ConsumerARN: aws.String(arn), ShardId: aws.String(string(s.ID)), StartingPosition: at.start(),
		})
		return got, err
	})
	return sub, err
}

func (c *Consumers) subscribeIn(ctx context.Context, f decode.Format, in *kinesis.SubscribeToShardInput) (*subscription, decode.Format, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	sub := &subscription{cancel: cancel, silence: c.IdleTimeout, cause: func() error { return context.Cause(ctx) }}
	late := time.AfterFunc(callTimeout, func() { cancel(errSlowCall) })
	x := &exchange{asked: f}
	out, err := c.Client.SubscribeToShard(ctx, in, once, x.bodies, c.bodyTo(&sub.body))
	if err == nil && !late.Stop() {
		err = errSlowCall
	}
	if err != nil {
		late.Stop()
		if why := sub.cause(); why != nil {
			err = why
		}
		sub.close()
		return nil, x.got, err
	}
	sub.metadata, sub.openedAt = out.ResultMetadata, time.Now()
	sub.watchdog = time.AfterFunc(sub.silence, func() { cancel(errSilent) })
	return sub, x.got, nil
}

func (pl place) start() *types.StartingPosition {
	p := &types.StartingPosition{Type: pl.kind, SequenceNumber: nonEmpty(pl.sequence)}
	if !pl.at.IsZero() {
		p.Timestamp = aws.Time(pl.at)
	}
	return p
}

// bodyTo hands the body of the answer over instead of having it decoded. The SDK's own reader takes a goroutine for each
// subscription and decodes one event ahead of what there is room for.
func (c *Consumers) bodyTo(body *io.ReadCloser) func(*kinesis.Options) {
	take := middleware.DeserializeMiddlewareFunc("TakeEventStream", func(ctx context.Context, in middleware.DeserializeInput,
		next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		res, ok := out.RawResponse.(*smithyhttp.Response)
		switch {
		case ok && err == nil:
			*body = res.Body
		case ok && res.Body != nil:
			err = errors.Join(err, res.Body.Close())
		}
		return out, metadata, err
	})
	return func(o *kinesis.Options) {
		o.HTTPClient = c.http
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			_, err := stack.Deserialize.Swap("OperationEventStreamDeserializer", take)
			return err
		})
	}
}

// close ends the subscription. It may be called again, and while another goroutine reads.
func (s *subscription) close() {
	s.cancel(errClosed)
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	if s.body != nil {
		_ = s.body.Close()
	}
	if s.release != nil {
		s.release()
	}
}

// Read reads the body and keeps the watchdog quiet while something comes.
func (s *subscription) Read(b []byte) (int, error) {
	n, err := s.body.Read(b)
	if n > 0 {
		s.watchdog.Reset(s.silence)
	}
	return n, err
}

// next waits for a frame and reads its first bytes. io.EOF says that the subscription ended in good order.
func (s *subscription) next() (*prelude, error) {
	s.watchdog.Reset(s.silence)
	p := new(prelude)
	if _, err := io.ReadFull(s, p[:]); err != nil {
		return nil, s.why(err)
	}
	return p, p.check()
}

// rest reads the frame that begins with p.
func (s *subscription) rest(p *prelude, buf []byte) (frame, error) {
	s.watchdog.Reset(s.silence)
	f, err := readFrame(s, p, buf)
	if err != nil {
		return f, s.why(err)
	}
	if !s.begun {
		s.begun, s.strange = true, f.event != "initial-response"
	}
	return f, nil
}

// pause keeps the watchdog from counting time in which nobody reads.
func (s *subscription) pause() { s.watchdog.Stop() }

// why prefers the reason for which the subscription was ended to the error that this looks like.
func (s *subscription) why(err error) error {
	if cause := s.cause(); cause != nil {
		return cause
	}
	if err != io.EOF && !errors.Is(err, errBroken) {
		err = fmt.Errorf("subscription: %w", err)
	}
	return err
}

// invalidPlace says that the service refused the number to begin at.
func invalidPlace(at place, err error) bool {
	return at.sequence != "" && retry.Classify(err) == retry.Invalid && !unsupported(err)
}
