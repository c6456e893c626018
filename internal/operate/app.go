package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// lookInterval is how often an application is looked at while it is watched. A look reads the whole table.
const lookInterval = time.Second

// App is an application as it is reached from outside. Its methods may be called from several goroutines.
type App struct {
	Name    string
	Store   lease.Store
	Kinesis *kinesis.Client
	// Stream is the name or ARN of the stream that the application reads. A table of one stream does not name it, and what asks
	// Kinesis then fails with an error without it. In a table of several it chooses one; empty: all.
	Stream string
}

// Look looks once.
func (a App) Look(ctx context.Context) (Look, error) {
	l := Look{Began: time.Now()}
	var err error
	if l.Snapshot, err = a.Store.Snapshot(ctx); err != nil {
		return Look{}, fmt.Errorf("read the leases of %s: %w", a.Name, err)
	}
	if l.Lock, err = a.Store.ReadLock(ctx); err != nil {
		return Look{}, fmt.Errorf("read the leader's lock of %s: %w", a.Name, err)
	}
	l.Ended = time.Now()
	l.Snapshot.Leases = a.chosen(l.Snapshot.Leases)
	return l, nil
}

// chosen returns the leases of the stream that was asked for.
func (a App) chosen(leases []lease.Lease) []lease.Lease {
	if a.Stream == "" {
		return leases
	}
	var chosen []lease.Lease
	for _, l := range leases {
		if l.StreamID == "" || isStream(l.StreamID, a.Stream) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

// isStream reports whether id, "<account>:<name>:<epoch>", is of the stream given by name or ARN.
func isStream(id, stream string) bool {
	parsed, err := lineage.ParseStreamID(id)
	if err != nil {
		return false
	}
	if name, isARN := nameInARN(stream); isARN {
		return parsed.Name == name && strings.Contains(stream, ":"+parsed.Account+":")
	}
	return parsed.Name == stream || id == stream
}

// nameInARN returns the name in a stream's ARN: arn:aws:kinesis:region:account:stream/name.
func nameInARN(arn string) (name string, ok bool) {
	if !strings.HasPrefix(arn, "arn:") {
		return "", false
	}
	_, name, ok = strings.Cut(arn, ":stream/")
	return name, ok
}

// Observe looks each second, until d is over or [Watch.Settled], and at least once. With d 0 it looks once. An error after
// the first look ends it, too.
func (a App) Observe(ctx context.Context, d time.Duration) (Watch, error) {
	var w Watch
	until := time.Now().Add(d)
	for {
		l, err := a.Look(ctx)
		if err != nil {
			return w, err
		}
		w = w.See(l)
		if !l.Ended.Before(until) || w.Settled() {
			return w, nil
		}
		if !pause(ctx, min(lookInterval, until.Sub(l.Ended))) {
			return w, ctx.Err()
		}
	}
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// errNoStream says that only the user can know the stream.
var errNoStream = errors.New("the table does not say which stream it is for; name the stream")

// source names a stream in requests: by name, or by ARN.
type source struct{ name, arn *string }

// sourceOf returns the stream of rows that carry this id, empty in a table of one stream.
func (a App) sourceOf(streamID string) (source, error) {
	switch {
	case strings.HasPrefix(a.Stream, "arn:"):
		return source{arn: &a.Stream}, nil
	case streamID != "":
		name := streamName(streamID)
		return source{name: &name}, nil
	case a.Stream == "":
		return source{}, errNoStream
	}
	return source{name: &a.Stream}, nil
}

// String returns the name or ARN.
func (s source) String() string { return aws.ToString(s.name) + aws.ToString(s.arn) }

// listShards returns all pages of a stream's shards.
func (a App) listShards(ctx context.Context, s source) ([]lineage.Shard, error) {
	in := &kinesis.ListShardsInput{StreamName: s.name, StreamARN: s.arn}
	var shards []lineage.Shard
	for {
		out, err := a.Kinesis.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the shards of %s: %w", s, err)
		}
		for _, sh := range out.Shards {
			shard, err := shardOf(sh)
			if err != nil {
				return nil, fmt.Errorf("list the shards of %s: %w", s, err)
			}
			shards = append(shards, shard)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // stands alone (Kinesis API reference)
	}
}

func shardOf(sh types.Shard) (lineage.Shard, error) {
	s := lineage.Shard{ID: stream.ShardID(aws.ToString(sh.ShardId))}
	for _, p := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
		if id := aws.ToString(p); id != "" {
			s.Parents = append(s.Parents, stream.ShardID(id))
		}
	}
	if r := sh.HashKeyRange; r != nil {
		keys, err := stream.ParseHashKeyRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey))
		if err != nil {
			return s, fmt.Errorf("shard %s: %w", s.ID, err)
		}
		s.HashKeys = keys
	}
	if r := sh.SequenceNumberRange; r != nil {
		s.Starting = stream.SequenceNumber(aws.ToString(r.StartingSequenceNumber))
		s.Closed = aws.ToString(r.EndingSequenceNumber) != ""
	}
	return s, nil
}
