package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/stream"
)

const (
	// searchPage is how many records one read of a search asks for.
	searchPage = 1000
	// searchPages bounds a search forward, for shards in which a great many records came at once. The place is then earlier than it might be.
	searchPages = 40
	// firstStep is how far before the time the search for the record before it begins; each further step is searchGrowth times as far.
	firstStep    = time.Second
	searchGrowth = 4
)

// locateAll finds the places of a time in the chosen shards.
func (a App) locateAll(ctx context.Context, in *Rewind, to Target) error {
	s, err := a.sourceOf(in.StreamID)
	if err != nil {
		return err
	}
	var shards []lineage.Shard
	for _, sh := range in.Shards {
		if len(in.Chosen) == 0 || slices.Contains(in.Chosen, sh.ID) {
			shards = append(shards, sh)
		}
	}
	places, errs := make([]Place, len(shards)), make([]error, len(shards))
	eachShard(len(shards), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			places[i], errs[i] = a.locate(ctx, s, shards[i].ID, to.At)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("find %s: %w", to, err)
	}
	for i, sh := range shards {
		in.Places[sh.ID] = places[i]
	}
	return nil
}

// locate returns the checkpoint with which a shard is read on from the first record that arrived at a time or later: that of the
// record before it, because a checkpoint is the last record that is done, and sequence numbers cannot be computed. Where there is
// none before it, the place is the trim horizon.
func (a App) locate(ctx context.Context, s source, shard stream.ShardID, at time.Time) (Place, error) {
	after, err := a.firstFrom(ctx, s, shard, atTime(at))
	if err != nil {
		return Place{}, err
	}
	oldest, err := a.firstFrom(ctx, s, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return Place{}, err
	}
	past := after == nil
	if oldest == nil {
		return Place{To: stream.TrimHorizon, Why: "the shard holds no record", Past: past}, nil
	}
	limit := bound{at: at}
	if after != nil {
		limit.before = numberOf(*after)
	}
	if !limit.admits(*oldest) {
		return Place{To: stream.TrimHorizon, Why: "that is its oldest record", Past: past}, nil
	}
	r, err := a.openBefore(ctx, s, shard, limit, aws.ToTime(oldest.ApproximateArrivalTimestamp))
	if err != nil {
		return Place{}, err
	}
	place, err := r.lastWithin(ctx, limit)
	place.Past = past
	return place, err
}

// bound is the end of a search: the first record that is not to be passed over.
type bound struct {
	before stream.SequenceNumber // empty: there was no record at that time or later yet
	at     time.Time
}

// admits reports whether a record lies before the bound. Times of arrival are approximate and do not always rise, so a
// sequence number decides where there is one.
func (b bound) admits(r types.Record) bool {
	if b.before != "" {
		return numberOf(r).Compare(b.before) < 0
	}
	return aws.ToTime(r.ApproximateArrivalTimestamp).Before(b.at)
}

func numberOf(r types.Record) stream.SequenceNumber {
	return stream.SequenceNumber(aws.ToString(r.SequenceNumber))
}

func atTime(t time.Time) kinesis.GetShardIteratorInput {
	return kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(t)}
}

// firstFrom returns the first record from a place on; nil if there is none.
func (a App) firstFrom(ctx context.Context, s source, shard stream.ShardID, in kinesis.GetShardIteratorInput) (*types.Record, error) {
	r, err := a.openAt(ctx, s, shard, in)
	if err != nil {
		return nil, err
	}
	for range searchPages {
		p, err := r.first(ctx)
		switch {
		case err != nil:
			return nil, err
		case len(p.records) > 0:
			return &p.records[0], nil
		case p.ended || p.fromTip == 0:
			return nil, nil
		}
	}
	return nil, fmt.Errorf("shard %s: the service sends no records although there are some; try again", shard)
}

// openBefore returns a reader whose next record lies before the bound, as near to it as a few tries find. There is such a record: the
// oldest, which arrived then.
func (a App) openBefore(ctx context.Context, s source, shard stream.ShardID, limit bound, oldest time.Time) (*reader, error) {
	for step := firstStep; ; step *= searchGrowth {
		from := limit.at.Add(-step)
		in := atTime(from)
		last := !from.After(oldest)
		if last {
			in = kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
		}
		if !last {
			first, err := a.firstFrom(ctx, s, shard, in)
			if err != nil {
				return nil, err
			}
			if first == nil || !limit.admits(*first) {
				continue
			}
		}
		return a.openAt(ctx, s, shard, in)
	}
}

// lastWithin reads on to the bound and returns the place of the last record before it.
func (r *reader) lastWithin(ctx context.Context, limit bound) (Place, error) {
	place := Place{To: stream.TrimHorizon}
	var arrived time.Time
	for range searchPages {
		p, err := r.next(ctx, searchPage)
		if err != nil {
			return Place{}, err
		}
		for _, rec := range p.records {
			if !limit.admits(rec) {
				return place, nil
			}
			place.To = stream.Position{Sequence: numberOf(rec)}
			arrived = aws.ToTime(rec.ApproximateArrivalTimestamp)
		}
		if p.ended || len(p.records) == 0 && p.fromTip == 0 {
			return place, nil
		}
	}
	place.Why = "earlier than asked for, because too many records came around that time"
	if !arrived.IsZero() {
		place.Why = fmt.Sprintf("%s earlier than asked for, because too many records came then", rough(limit.at.Sub(arrived)))
	}
	return place, nil
}
