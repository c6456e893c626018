package dynamolease

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// The attributes of a lease, as the Java KCL's DynamoDBLeaseSerializer and DynamoDBMultiStreamLeaseSerializer name them.
const (
	attrKey          = "leaseKey"
	attrEntity       = "entityType"
	attrOwner        = "leaseOwner"
	attrCounter      = "leaseCounter"
	attrSwitches     = "ownerSwitchesSinceCheckpoint"
	attrCpOwner      = "checkpointOwner"
	attrCheckpoint   = "checkpoint"
	attrSub          = "checkpointSubSequenceNumber"
	attrPending      = "pendingCheckpoint"
	attrPendingSub   = "pendingCheckpointSubSequenceNumber"
	attrPendingState = "pendingCheckpointState"
	attrParents      = "parentShardId"
	attrChildren     = "childShardIds"
	attrFirstHash    = "startingHashKey"
	attrLastHash     = "endingHashKey"
	attrThroughput   = "throughputKBps"
	attrStream       = "streamName" // the serialised stream identifier, not the bare name
	attrShard        = "shardId"
)

// The values of entityType, which tells the families of items of one table apart. Items of ≤3.4 have none.
const (
	entityLease          = "LEASE"
	entityLeader         = "LEADER"
	entityWorker         = "WORKER_METRIC_STATS"
	entityClientVersion  = "CLIENT_VERSION_MIGRATION"
	keyLeader            = "Leader"
	keyClientVersion     = "Migration3.0"
	keyTableMigration    = "TableMigration3.5"
	attrLegacyState      = "key" // the partition key of the coordinator table of 3.0 to 3.4
	attrLegacyWorker     = "wid" // and of its worker metrics table
	attrsPendingToRemove = attrPending + ", " + attrPendingSub + ", " + attrPendingState
)

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
func binary(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func shardSet(ids []stream.ShardID) types.AttributeValue {
	set := make([]string, len(ids))
	for i, id := range ids {
		set[i] = string(id)
	}
	slices.Sort(set)
	return &types.AttributeValueMemberSS{Value: slices.Compact(set)}
}

// rate is a throughput with the six decimals of the Java KCL's DynamoDBLeaseSerializer; false for what is none.
func rate(l lease.Lease) (types.AttributeValue, bool) {
	if !l.ThroughputKnown || !(l.Throughput >= 0 && l.Throughput <= math.MaxInt64) { // NaN is not >= 0
		return nil, false
	}
	rounded := math.Round(l.Throughput*1e6) / 1e6
	return &types.AttributeValueMemberN{Value: strconv.FormatFloat(rounded, 'f', -1, 64)}, true
}

// newItem is a lease as it is created: unassigned, with counter 0 and nothing pending.
func newItem(l lease.Lease) item {
	it := item{
		attrKey:        text(l.Key),
		attrEntity:     text(entityLease),
		attrCounter:    number(0),
		attrSwitches:   number(0),
		attrCheckpoint: text(string(l.Checkpoint.Sequence)),
		attrSub:        number(l.Checkpoint.Sub),
	}
	if len(l.Parents) > 0 {
		it[attrParents] = shardSet(l.Parents)
	}
	if len(l.Children) > 0 {
		it[attrChildren] = shardSet(l.Children)
	}
	if l.HashKeys.IsKnown() {
		it[attrFirstHash] = text(l.HashKeys.First.String())
		it[attrLastHash] = text(l.HashKeys.Last.String())
	}
	if l.StreamID != "" {
		it[attrStream] = text(l.StreamID)
		it[attrShard] = text(string(l.Shard))
	}
	return it
}

// row reads the attributes of one item and keeps the first thing that is wrong with it.
type row struct {
	what string // "lease" or "worker"
	key  string
	item item
	err  error
}

func (r *row) bad(attr, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s %s: attribute %s %s: %w", r.what, r.key, attr, fmt.Sprintf(format, args...), lease.ErrMalformed)
	}
}

func (r *row) wrongType(attr, want string, got types.AttributeValue) {
	r.bad(attr, "is of type %s, not %s", typeOf(got), want)
}

func (r *row) require(attr string) {
	if r.item[attr] == nil { // absent, or a value of no type, which the SDK makes nil
		r.bad(attr, "is missing")
	}
}

// text returns a string attribute; "" if it is absent. A present one must not be empty.
func (r *row) text(attr string) string {
	switch v := r.item[attr].(type) {
	case nil:
	case *types.AttributeValueMemberS:
		if v.Value == "" {
			r.bad(attr, "is empty")
		}
		return v.Value
	default:
		r.wrongType(attr, "S", v)
	}
	return ""
}

// number returns an integer attribute; 0 if it is absent.
func (r *row) number(attr string) int64 {
	v, ok := r.item[attr].(*types.AttributeValueMemberN)
	if !ok {
		if other := r.item[attr]; other != nil {
			r.wrongType(attr, "N", other)
		}
		return 0
	}
	if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
		return n
	}
	// A double of the Java SDK that has no fraction, such as 1.0E3.
	f, err := strconv.ParseFloat(v.Value, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		r.bad(attr, "is %s, not an integer", v.Value)
		return 0
	}
	return int64(f)
}

func (r *row) float(attr string) (value float64, known bool) {
	switch v := r.item[attr].(type) {
	case nil:
	case *types.AttributeValueMemberN:
		f, err := strconv.ParseFloat(v.Value, 64)
		if err != nil {
			r.bad(attr, "is %s, not a number", v.Value)
		}
		return f, err == nil
	default:
		r.wrongType(attr, "N", v)
	}
	return 0, false
}

func (r *row) shards(attr string) []stream.ShardID {
	switch v := r.item[attr].(type) {
	case nil:
	case *types.AttributeValueMemberSS:
		ids := make([]stream.ShardID, len(v.Value))
		for i, id := range v.Value {
			ids[i] = stream.ShardID(id)
		}
		slices.Sort(ids)
		return ids
	default:
		r.wrongType(attr, "SS", v)
	}
	return nil
}

// position returns the position of two attributes; the zero Position if the first is absent.
func (r *row) position(attr, sub string) stream.Position {
	seq := stream.SequenceNumber(r.text(attr))
	if seq == "" {
		return stream.Position{}
	}
	p := stream.Position{Sequence: seq, Sub: r.number(sub)}
	switch {
	case !p.Valid():
		r.bad(attr, "is %q with %s %d, neither a sequence number nor a sentinel", seq, sub, p.Sub)
	case !p.IsNumber():
		p.Sub = 0 // sentinels have none, and are compared with ==
	}
	return p
}

// parseLease reads a lease, tolerating unknown attributes and the absence of all that the Java KCL's
// DynamoDBLeaseSerializer does without. An error wraps lease.ErrMalformed and names the row and the attribute.
func parseLease(it item) (lease.Lease, error) {
	r := row{what: "lease", item: it}
	r.key = r.text(attrKey)
	r.require(attrKey)
	r.require(attrCounter)
	r.require(attrSwitches)
	r.require(attrCheckpoint)
	l := lease.Lease{
		Key:             r.key,
		StreamID:        r.text(attrStream),
		Owner:           r.text(attrOwner),
		CheckpointOwner: r.text(attrCpOwner),
		Counter:         r.number(attrCounter),
		OwnerSwitches:   r.number(attrSwitches),
		Checkpoint:      r.position(attrCheckpoint, attrSub),
		Pending:         r.position(attrPending, attrPendingSub),
		Parents:         r.shards(attrParents),
		Children:        r.shards(attrChildren),
	}
	l.Throughput, l.ThroughputKnown = r.float(attrThroughput)
	l.PendingState = r.pendingState()
	l.HashKeys = r.hashKeys()
	l.Shard = r.shard(l.StreamID)
	if r.err != nil {
		return lease.Lease{}, r.err
	}
	return l, nil
}

func (r *row) pendingState() []byte {
	switch v := r.item[attrPendingState].(type) {
	case nil:
	case *types.AttributeValueMemberB:
		return v.Value
	case *types.AttributeValueMemberN:
		// Creating a lease, the Java KCL writes the sub-sequence number here by mistake; it is no state.
	default:
		r.wrongType(attrPendingState, "B", v)
	}
	return nil
}

// hashKeys returns the range; unknown unless both ends are there.
func (r *row) hashKeys() stream.HashKeyRange {
	first, last := r.text(attrFirstHash), r.text(attrLastHash)
	if first == "" || last == "" {
		return stream.HashKeyRange{}
	}
	keys, err := stream.ParseHashKeyRange(first, last)
	if err != nil {
		r.bad(attrFirstHash, "with %s: %v", attrLastHash, err)
	}
	return keys
}

// shard returns the id of the shard, which in a table of several streams is only a part of the key.
func (r *row) shard(streamID string) stream.ShardID {
	if streamID == "" {
		return stream.ShardID(r.key)
	}
	rest, ok := strings.CutPrefix(r.key, streamID+":")
	if !ok || rest == "" {
		r.bad(attrStream, "is %q, with which the key does not begin", streamID)
	} else if id := r.text(attrShard); id != "" && id != rest {
		r.bad(attrShard, "is %q, with which the key does not end", id)
	}
	return stream.ShardID(rest)
}

// typeOf returns DynamoDB's letter for the type of a value.
func typeOf(v types.AttributeValue) string {
	switch v.(type) {
	case *types.AttributeValueMemberS:
		return "S"
	case *types.AttributeValueMemberN:
		return "N"
	case *types.AttributeValueMemberB:
		return "B"
	case *types.AttributeValueMemberSS:
		return "SS"
	case *types.AttributeValueMemberNS:
		return "NS"
	case *types.AttributeValueMemberBS:
		return "BS"
	case *types.AttributeValueMemberM:
		return "M"
	case *types.AttributeValueMemberL:
		return "L"
	case *types.AttributeValueMemberBOOL:
		return "BOOL"
	case *types.AttributeValueMemberNULL:
		return "NULL"
	}
	return "unknown"
}
