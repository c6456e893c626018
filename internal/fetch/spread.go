package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/stream"
)

// spreads knows which streams spread their records over the shards themselves (record distribution strategy AUTO). There a
// record's keys do not say to which shard it belongs, and leaving out those that seem to be another shard's loses them.
type spreads struct {
	mu      sync.Mutex
	streams map[string]*spread
}

type spread struct {
	turn    chan struct{} // capacity 1: held by whoever uses the rest, also while the service is asked
	keyless bool          // records without a partition key were seen, which other streams do not take
	auto    bool
	askedAt time.Time
}

// A strategy can be changed at any time, and takes effect at once (UpdateStreamRecordDistributionStrategy API reference).
const spreadKnown = time.Minute

func (s *spreads) of(name string) *spread {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = map[string]*spread{}
	}
	if s.streams[name] == nil {
		s.streams[name] = &spread{turn: make(chan struct{}, 1)}
	}
	return s.streams[name]
}

// page makes a page of an answer. Before it leaves anything out, it makes sure that this is right: that the stream does not
// spread its records, by asking the service if it did not do so in the last minute. In doubt everything is delivered, and some
// records may come twice.
func (p *poller) page(ctx context.Context, a *answer, received time.Time) (Page, int64) {
	page, cost := a.page(p.Shard.HashKeys, p.floor, received)
	if page.Strays == 0 && !page.keyless {
		return page, cost
	}
	s := p.Wire.spreads.of(p.streamName())
	s.turn <- struct{}{} // within callTimeout
	defer func() { <-s.turn }()
	s.keyless = s.keyless || page.keyless
	if page.Strays == 0 {
		return page, cost
	}
	if !s.keyless && time.Since(s.askedAt) > spreadKnown {
		auto, err := p.spreading(ctx)
		if err != nil {
			p.Logger.Warn("not known whether the stream spreads its records, sub-records of other shards delivered", "err", err)
			return a.page(stream.HashKeyRange{}, p.floor, received)
		}
		s.auto, s.askedAt = auto, time.Now()
	}
	if s.keyless || s.auto {
		return a.page(stream.HashKeyRange{}, p.floor, received)
	}
	return page, cost
}

// spreading asks the service whether the stream spreads its records. The SDK's types do not have the answer yet, so it is read
// from the body.
func (p *poller) spreading(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body []byte
	peek := middleware.DeserializeMiddlewareFunc("KeepBody", func(ctx context.Context, in middleware.DeserializeInput,
		next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		res, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok {
			return out, metadata, err
		}
		if body, err = io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil {
			return out, metadata, &smithy.DeserializationError{Err: err}
		}
		res.Body = &readAlready{bytes.NewReader(body), res.Body}
		return out, metadata, nil
	})
	in := &kinesis.DescribeStreamSummaryInput{StreamARN: nonEmpty(p.Shard.StreamARN), StreamName: nonEmpty(p.Shard.Stream)}
	_, err := p.Client.DescribeStreamSummary(ctx, in, func(o *kinesis.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Deserialize.Insert(peek, deserializer, middleware.After)
		})
	})
	if err != nil {
		return false, fmt.Errorf("describe stream %s: %w", p.streamName(), err)
	}
	var answer struct {
		StreamDescriptionSummary struct{ RecordDistributionStrategy string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("describe stream %s: %w", p.streamName(), err)
	}
	return answer.StreamDescriptionSummary.RecordDistributionStrategy == "AUTO", nil
}
