package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/stream"
)

// ErrTrimmed says that the service refuses the sequence number to go on from: its record has left the retention period, so
// records may be lost that were never read, or it is not of this shard.
var ErrTrimmed = errors.New("fetch: the checkpoint is not in the shard: its record has left the retention period, or is another " +
	"shard's; rewind the shard, or let reading go on with the oldest record there is (SkipTrimmed)")

// place is where an iterator is opened.
type place struct {
	kind     types.ShardIteratorType
	sequence string
	at       time.Time

	// asked is when LATEST was first asked for, if the place came of that; told, whether at is by the service's clock.
	asked time.Time
	told  bool
}

// startOf is the place of the checkpoint itself, not the one behind it: the record there may be an aggregate half done.
func startOf(c Config) place {
	switch c.From {
	case stream.TrimHorizon:
		return place{kind: types.ShardIteratorTypeTrimHorizon}
	case stream.Latest:
		if b := c.Beginning; b != nil && !b.place.asked.IsZero() {
			return b.place
		}
		return place{kind: types.ShardIteratorTypeLatest}
	case stream.AtTimestamp:
		return place{kind: types.ShardIteratorTypeAtTimestamp, at: c.StartAt}
	}
	return place{kind: types.ShardIteratorTypeAtSequenceNumber, sequence: string(c.From.Sequence)}
}

// Beginning is where a shard was begun that is read from LATEST. Readings that follow each other and share one all begin there, so
// that what was put between them, or was delivered in vain, is not passed. The zero value is a shard that was not begun.
type Beginning struct{ place place }

// begin asks for LATEST once only: by the next time more may have been put, whether or not this request gets through.
func (p *poller) begin() {
	now := time.Now()
	p.place = place{kind: types.ShardIteratorTypeAtTimestamp, at: now, asked: now}
	p.noteBeginning()
}

func (p *poller) noteBeginning() {
	if p.Beginning != nil && !p.place.asked.IsZero() {
		p.Beginning.place = p.place
	}
}

func (pl place) request(s Shard) *kinesis.GetShardIteratorInput {
	in := &kinesis.GetShardIteratorInput{
		ShardId: aws.String(string(s.ID)), ShardIteratorType: pl.kind,
		StartingSequenceNumber: nonEmpty(pl.sequence),
		// Both, as the Java KCL sends them: some servers that are not AWS know this by the name only (ferrokinesis 0.7).
		StreamARN: nonEmpty(s.StreamARN), StreamName: nonEmpty(s.Stream),
	}
	if !pl.at.IsZero() {
		in.Timestamp = aws.Time(pl.at)
	}
	return in
}

// open gets an iterator for the place where reading stands.
func (p *poller) open(ctx context.Context) error {
	if err := p.opens.wait(ctx); err != nil {
		return err
	}
	in := p.place.request(p.Shard)
	if p.place.kind == types.ShardIteratorTypeLatest {
		p.begin()
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := p.Client.GetShardIterator(call, in, once, p.Wire.via)
	p.opens.called(time.Now(), 0)
	var metadata middleware.Metadata
	if err == nil {
		metadata = out.ResultMetadata
	}
	p.place.learn(metadata, err)
	p.noteBeginning()
	switch {
	case err == nil && aws.ToString(out.ShardIterator) == "":
		return fmt.Errorf("%w: no iterator", errBroken)
	case err == nil:
		p.iterator = *out.ShardIterator
		return nil
	case retry.Classify(err) == retry.Invalid && in.StartingSequenceNumber != nil:
		return fmt.Errorf("%w: %w", ErrTrimmed, err)
	}
	return err
}

// learn turns the time at which LATEST was first asked for into the service's, because the service compares it with the
// times at which it took records. Our clock may be wrong by minutes; how long ago it was, it knows.
func (pl *place) learn(m middleware.Metadata, err error) {
	if pl.asked.IsZero() || pl.told {
		return
	}
	server, ok := serverTime(m, err)
	if !ok {
		return
	}
	// The header has whole seconds, cut off; the second more is for arrival times, which are approximate. What was put
	// in these two seconds may be delivered though it is not new. Nothing is passed.
	pl.at, pl.told = server.Add(-time.Since(pl.asked)-time.Second), true
}

// serverTime is the service's clock, as a successful or a failed answer tells it.
func serverTime(m middleware.Metadata, err error) (time.Time, bool) {
	if err == nil {
		return awsmiddleware.GetServerTime(m)
	}
	res, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || res.Response == nil {
		return time.Time{}, false
	}
	t, err := http.ParseTime(res.Response.Header.Get("Date"))
	return t, err == nil
}
