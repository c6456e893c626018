package kinesis

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

const (
	shardsPerPage     = 1000 // ListShards, default
	mostShardsPerPage = 10000
	tokenLife         = 300 * time.Second // of a NextToken
	countChangesADay  = 10                // UpdateShardCount calls in 24 hours
)

type shardFilter struct {
	Type      string
	ShardId   string        `json:",omitempty"`
	Timestamp *awswire.Time `json:",omitempty"`
}

type listShardsInput struct {
	target
	NextToken               string
	ExclusiveStartShardId   string
	MaxResults              *int
	StreamCreationTimestamp *awswire.Time
	ShardFilter             *shardFilter
}

type listShardsOutput struct {
	Shards    []wireShard
	NextToken string `json:",omitempty"`
}

// listToken is a NextToken. It stands alone: stream and filter are in it, and it expires.
type listToken struct {
	Stream string
	Birth  int64
	After  string // the last shard, or consumer, that was listed
	Filter *shardFilter
	Issued int64 // milliseconds
}

func (t listToken) encode() string {
	return base64.StdEncoding.EncodeToString(awswire.JSON.Encode(t))
}

func (e *Engine) parseToken(text string) (listToken, error) {
	var t listToken
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &t) != nil || t.Stream == "" {
		return t, invalid("NextToken is invalid.")
	}
	if age := time.Since(time.UnixMilli(t.Issued)); age > tokenLife {
		return t, awserr.New("ExpiredNextTokenException",
			"NextToken for stream %s expired. It was issued %d seconds ago; tokens live %d seconds.",
			t.Stream, int(age.Seconds()), int(tokenLife.Seconds()))
	}
	return t, nil
}

func (e *Engine) listShards(in *listShardsInput) (*listShardsOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	from := listToken{After: in.ExclusiveStartShardId, Filter: in.ShardFilter}
	if in.NextToken != "" {
		t, err := e.parseToken(in.NextToken)
		if err != nil {
			return nil, err
		}
		from, in.target = t, target{StreamName: t.Stream}
	}
	s, err := e.listable(in.target)
	if err != nil {
		return nil, err
	}
	if from.Birth != 0 && from.Birth != s.birth {
		return nil, e.noStream(s.name)
	}
	if at := in.StreamCreationTimestamp; at != nil && at.Unix() != s.created.Unix() {
		return nil, notFound("Stream %s created at %d under account %s not found.", s.name, at.Unix(), e.o.AccountID)
	}
	shards := s.filtered(from.Filter)
	page, more := pageOf(after(shards, from.After), in.MaxResults, shardsPerPage)
	out := &listShardsOutput{Shards: wireShards(page)}
	if more {
		from.Stream, from.Birth, from.After = s.name, s.birth, page[len(page)-1].id
		from.Issued = time.Now().UnixMilli()
		out.NextToken = from.encode()
	}
	return out, nil
}

// listable is readable, but says in which state a stream is that cannot be listed.
func (e *Engine) listable(t target) (*stream, error) {
	s, err := e.find(t)
	if err != nil {
		return nil, err
	}
	if state := s.state(time.Now()); state != stateActive && state != stateUpdating {
		return nil, awserr.New("ResourceInUseException",
			"Stream %s under account %s not ACTIVE or UPDATING, instead in state %s", s.name, e.o.AccountID, state)
	}
	return s, nil
}

func (in *listShardsInput) check() error {
	var bad problems
	bad.within("maxResults", in.MaxResults, 1, mostShardsPerPage)
	bad.name("exclusiveStartShardId", in.ExclusiveStartShardId)
	if f := in.ShardFilter; f != nil {
		if f.Type == "" {
			bad.missing("shardFilter.type")
		}
		bad.oneOf("shardFilter.type", f.Type, "AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST",
			"AT_TIMESTAMP", "FROM_TIMESTAMP")
		bad.name("shardFilter.shardId", f.ShardId)
	}
	if err := bad.err(); err != nil {
		return err
	}
	switch {
	case in.NextToken != "" && (in.target != target{} || in.ExclusiveStartShardId != "" || in.ShardFilter != nil ||
		in.StreamCreationTimestamp != nil):
		return invalid("NextToken and StreamName, StreamARN, ExclusiveStartShardId, ShardFilter or StreamCreationTimestamp cannot be provided together.")
	case in.NextToken == "" && in.target == target{}:
		return invalid("Either NextToken or StreamName should be provided.")
	}
	return in.ShardFilter.check()
}

func (f *shardFilter) check() error {
	if f == nil {
		return nil
	}
	timed := f.Type == "AT_TIMESTAMP" || f.Type == "FROM_TIMESTAMP"
	switch {
	case f.Type == "AFTER_SHARD_ID" && f.ShardId == "":
		return invalid("ShardFilter of type AFTER_SHARD_ID needs a ShardId.")
	case f.Type != "AFTER_SHARD_ID" && f.ShardId != "":
		return invalid("ShardId can only be used with a ShardFilter of type AFTER_SHARD_ID.")
	case timed && f.Timestamp == nil:
		return invalid("ShardFilter of type %s needs a Timestamp.", f.Type)
	case !timed && f.Timestamp != nil:
		return invalid("Timestamp can only be used with a ShardFilter of type AT_TIMESTAMP or FROM_TIMESTAMP.")
	case timed && f.Timestamp.After(time.Now()):
		return invalid("The Timestamp of a ShardFilter must not lie in the future.")
	}
	return nil
}

// filtered returns the shards that f admits, by number. A moment before the trim horizon, or before the stream was
// created, counts as that.
func (s *stream) filtered(f *shardFilter) []*shard {
	shards := s.listed()
	if f == nil {
		return shards
	}
	horizon := max(s.horizon(), s.created.UnixMilli())
	at := horizon
	if f.Timestamp != nil {
		at = max(horizon, f.Timestamp.UnixMilli())
	}
	var admits func(openedAt, closedAt int64) bool // closedAt is 0 for an open shard
	switch f.Type {
	case "AFTER_SHARD_ID":
		return after(shards, f.ShardId)
	case "AT_LATEST":
		admits = func(_, closed int64) bool { return closed == 0 }
	case "AT_TRIM_HORIZON": // the generation that was open then: no shard together with its child
		admits = func(opened, closed int64) bool { return opened <= at && (closed == 0 || closed > at) }
	case "AT_TIMESTAMP":
		admits = func(opened, closed int64) bool { return opened <= at && (closed == 0 || closed >= at) }
	case "FROM_TIMESTAMP":
		admits = func(_, closed int64) bool { return closed == 0 || closed >= at }
	default: // FROM_TRIM_HORIZON
		return shards
	}
	return slices.DeleteFunc(shards, func(sh *shard) bool {
		closed, _ := sh.closing()
		return !admits(sh.openedAt, closed)
	})
}

// openShardLocked returns a shard that can be split or merged.
func (e *Engine) openShardLocked(s *stream, id string) (*shard, error) {
	i := slices.IndexFunc(s.open, func(sh *shard) bool { return sh.id == id })
	if i >= 0 {
		return s.open[i], nil
	}
	if slices.ContainsFunc(s.shards, func(sh *shard) bool { return sh.id == id }) {
		return nil, invalid("Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.",
			id, s.name, e.o.AccountID)
	}
	return nil, e.noShard(id, s)
}

// reshard is change for streams whose shards are the user's business.
func (e *Engine) reshard(t target, f func(*stream) error) error {
	return e.change(t, func(s *stream) error {
		if s.mode == modeOnDemand {
			return awserr.New("ValidationException", "Request is invalid. Stream %s under account %s is in On-Demand mode.", s.arn, e.o.AccountID)
		}
		return f(s)
	})
}

type splitShardInput struct {
	target
	ShardToSplit       string
	NewStartingHashKey string
}

func (e *Engine) splitShard(in *splitShardInput) (*none, error) {
	var bad problems
	bad.requiredName("shardToSplit", in.ShardToSplit)
	if in.NewStartingHashKey == "" {
		bad.missing("newStartingHashKey")
	}
	key, ok := parseHashKey(in.NewStartingHashKey)
	if !ok && in.NewStartingHashKey != "" {
		bad.add(in.NewStartingHashKey, "newStartingHashKey", "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})")
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	return nil, e.reshard(in.target, func(s *stream) error {
		sh, err := e.openShardLocked(s, in.ShardToSplit)
		if err != nil {
			return err
		}
		if key.compare(sh.from) <= 0 || key.compare(sh.from.next()) <= 0 || key.compare(sh.to) >= 0 {
			return invalid("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
				key, sh.id, s.name, e.o.AccountID, sh.from, sh.to)
		}
		s.splitLocked(sh, key)
		return nil
	})
}

type mergeShardsInput struct {
	target
	ShardToMerge         string
	AdjacentShardToMerge string
}

func (e *Engine) mergeShards(in *mergeShardsInput) (*none, error) {
	var bad problems
	bad.requiredName("shardToMerge", in.ShardToMerge)
	bad.requiredName("adjacentShardToMerge", in.AdjacentShardToMerge)
	if err := bad.err(); err != nil {
		return nil, err
	}
	return nil, e.reshard(in.target, func(s *stream) error {
		parent, err := e.openShardLocked(s, in.ShardToMerge)
		if err != nil {
			return err
		}
		adjacent, err := e.openShardLocked(s, in.AdjacentShardToMerge)
		if err != nil {
			return err
		}
		// The end of the hash key space is not next to its start: next wraps around to zero there.
		touching := parent.to.next() == adjacent.from && adjacent.from != hashKey{} ||
			adjacent.to.next() == parent.from && parent.from != hashKey{}
		if parent == adjacent || !touching {
			return invalid("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging",
				parent.id, adjacent.id, s.name, e.o.AccountID)
		}
		s.mergeLocked(parent, adjacent)
		return nil
	})
}

type updateCountInput struct {
	target
	TargetShardCount *int
	ScalingType      string
}

type updateCountOutput struct {
	StreamName        string
	StreamARN         string
	CurrentShardCount int
	TargetShardCount  int
}

func (e *Engine) updateShardCount(in *updateCountInput) (*updateCountOutput, error) {
	var bad problems
	if in.TargetShardCount == nil {
		bad.missing("targetShardCount")
	}
	if in.ScalingType == "" {
		bad.missing("scalingType")
	}
	bad.within("targetShardCount", in.TargetShardCount, 1, 1<<31-1)
	bad.oneOf("scalingType", in.ScalingType, "UNIFORM_SCALING")
	if err := bad.err(); err != nil {
		return nil, err
	}
	n := *in.TargetShardCount
	var out *updateCountOutput
	err := e.reshard(in.target, func(s *stream) error {
		current := len(s.open)
		switch {
		case n > mostShards:
			return awserr.New("LimitExceededException", "UpdateShardCount cannot scale a stream to more than %d shards.", mostShards)
		case n > 2*current:
			return invalid("UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: %d, target: %d.", current, n)
		case 2*n < current:
			return invalid("UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: %d, target: %d.", current, n)
		}
		if err := e.countChangeLocked(s); err != nil {
			return err
		}
		s.resizeLocked(n)
		out = &updateCountOutput{s.name, s.arn, current, n}
		return nil
	})
	return out, err
}

// countChangeLocked notes one more UpdateShardCount, or refuses it.
func (e *Engine) countChangeLocked(s *stream) error {
	now := time.Now()
	s.countChanges = slices.DeleteFunc(s.countChanges, func(at time.Time) bool { return now.Sub(at) >= 24*time.Hour })
	if e.o.EnforceLimits && len(s.countChanges) >= countChangesADay {
		return awserr.New("LimitExceededException", "UpdateShardCount cannot scale stream %s more than %d times in a rolling 24 hour period.", s.name, countChangesADay)
	}
	s.countChanges = append(s.countChanges, now)
	return nil
}
