package dynamolease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Expressions that several writes share. The names of our attributes are no reserved words, so that they need no
// placeholders and requests stay small.
const (
	whereCounter   = "leaseCounter = :c"
	whereNoHandoff = " AND attribute_not_exists(checkpointOwner)"
	whereExists    = "attribute_exists(leaseKey)"
)

// A state larger than this does not fit into an item of 400 KB with the rest of the lease.
const maxPendingState = 350 << 10

// change is one conditional update of one row.
type change struct {
	call   string // for errors: what was to be done
	update string
	where  string
	values item
	want   types.ReturnValue // what to return of the row
}

// apply makes a change of the row, once, and returns the row, or as much of it as was wanted.
func (s *Store) apply(ctx context.Context, key string, c change) (item, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	out, err := s.cfg.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                           &s.cfg.Table,
		Key:                                 item{attrKey: text(key)},
		UpdateExpression:                    &c.update,
		ConditionExpression:                 &c.where,
		ExpressionAttributeValues:           c.values,
		ReturnValues:                        c.want,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, oneAttempt)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.call, key, s.refused(ctx, "UpdateItem", key, err))
	}
	return out.Attributes, nil
}

// applyTo makes a change and returns the lease as it is now. made is the lease as it should be now, for a row that was
// made unreadable in an attribute that the change does not concern.
func (s *Store) applyTo(ctx context.Context, made lease.Lease, c change) (lease.Lease, error) {
	c.want = types.ReturnValueAllNew
	it, err := s.apply(ctx, made.Key, c)
	if err != nil {
		return lease.Lease{}, err
	}
	if now, err := parseLease(it); err == nil {
		return now, nil
	}
	return made, nil
}

// Create implements [lease.Leases].
func (s *Store) Create(ctx context.Context, l lease.Lease) (bool, error) {
	if err := l.Validate(); err != nil {
		return false, err
	}
	if isReserved(l.Key) {
		return false, fmt.Errorf("create %s: the Java KCL keeps something else under this key", l.Key)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &s.cfg.Table,
		Item:                newItem(l),
		ConditionExpression: aws.String("attribute_not_exists(leaseKey)"),
	}, oneAttempt)
	if retry.Classify(err) == retry.Conditional {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create %s: %w", l.Key, explain("PutItem", s.cfg.Table, err))
	}
	return true, nil
}

// isReserved reports whether the key is that of an item that is no lease.
func isReserved(key string) bool {
	return key == keyLeader || key == keyClientVersion || key == keyTableMigration
}

// Renew implements [lease.Leases]. It costs one write unit.
func (s *Store) Renew(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	c := change{
		call:   "renew",
		update: "SET leaseCounter = :n",
		where:  whereCounter + whereNoHandoff,
		values: item{":c": number(l.Counter), ":n": number(l.Counter + 1)},
		// The answer is not needed: whatever the owner must know raises the counter or begins a handoff.
		want: types.ReturnValueNone,
	}
	if l.InHandoff() {
		c.where = whereCounter
	}
	if t, ok := rate(l); ok {
		c.update = "SET leaseCounter = :n, throughputKBps = :t"
		c.values[":t"] = t
	}
	if _, err := s.apply(ctx, l.Key, c); err != nil {
		return lease.Lease{}, err
	}
	l.Counter++
	return l, nil
}

// setter collects the SET part of an update expression.
type setter struct {
	update strings.Builder
	values item
}

func newSetter(l lease.Lease) *setter {
	s := &setter{values: make(item, 8)}
	s.values[":c"] = number(l.Counter)
	s.update.WriteString("SET leaseCounter = :n")
	s.values[":n"] = number(l.Counter + 1)
	return s
}

func (s *setter) set(attr, placeholder string, value types.AttributeValue) {
	s.update.WriteString(", ")
	s.update.WriteString(attr)
	s.update.WriteString(" = ")
	s.update.WriteString(placeholder)
	s.values[placeholder] = value
}

// known sets what the owner knows of its shard; the Java KCL's updateLease does so with each checkpoint.
func (s *setter) known(l lease.Lease) {
	if len(l.Children) > 0 {
		s.set(attrChildren, ":ch", shardSet(l.Children))
	}
	if l.HashKeys.IsKnown() {
		s.set(attrFirstHash, ":hf", text(l.HashKeys.First.String()))
		s.set(attrLastHash, ":hl", text(l.HashKeys.Last.String()))
	}
	if l.StreamID != "" {
		s.set(attrStream, ":st", text(l.StreamID))
		s.set(attrShard, ":sh", text(string(l.Shard)))
	}
}

// Checkpoint implements [lease.Leases].
func (s *Store) Checkpoint(ctx context.Context, l lease.Lease, at stream.Position) (lease.Lease, error) {
	if !at.Valid() {
		return lease.Lease{}, fmt.Errorf("checkpoint %s at %s: %w", l.Key, at, stream.ErrPosition)
	}
	set := newSetter(l)
	set.set(attrCheckpoint, ":p", text(string(at.Sequence)))
	set.set(attrSub, ":s", number(at.Sub))
	set.set(attrSwitches, ":z", number(0))
	set.known(l)
	made := l
	made.Counter++
	made.OwnerSwitches, made.Checkpoint, made.Pending, made.PendingState = 0, at, stream.Position{}, nil
	return s.applyTo(ctx, made, change{
		call:   "checkpoint",
		update: set.update.String() + " REMOVE " + attrsPendingToRemove,
		where:  whereCounter,
		values: set.values,
	})
}

// Prepare implements [lease.Leases]. A state of more than 350 KiB does not fit into the row and is refused.
func (s *Store) Prepare(ctx context.Context, l lease.Lease, at stream.Position, state []byte) (lease.Lease, error) {
	if !at.Valid() {
		return lease.Lease{}, fmt.Errorf("prepare %s at %s: %w", l.Key, at, stream.ErrPosition)
	}
	if len(state) > maxPendingState {
		return lease.Lease{}, fmt.Errorf("prepare %s: a state of %d bytes is over %d", l.Key, len(state), maxPendingState)
	}
	set := newSetter(l)
	set.set(attrPending, ":p", text(string(at.Sequence)))
	set.set(attrPendingSub, ":s", number(at.Sub))
	remove := ""
	if len(state) > 0 {
		set.set(attrPendingState, ":d", binary(state))
	} else {
		remove = " REMOVE " + attrPendingState
	}
	set.known(l)
	made := l
	made.Counter++
	made.Pending, made.PendingState = at, slices.Clone(state)
	return s.applyTo(ctx, made, change{
		call:   "prepare",
		update: set.update.String() + remove,
		where:  whereCounter,
		values: set.values,
	})
}

// whereOwners is the condition that both owners are l's; it adds what it compares to values.
func whereOwners(l lease.Lease, values item) string {
	where := whereExists + " AND "
	if l.Owner != "" {
		values[":o"] = text(l.Owner)
		where += "leaseOwner = :o"
	} else {
		where += "attribute_not_exists(leaseOwner)"
	}
	if l.CheckpointOwner != "" {
		values[":co"] = text(l.CheckpointOwner)
		return where + " AND checkpointOwner = :co"
	}
	return where + whereNoHandoff
}

// Assign implements [lease.Leases].
func (s *Store) Assign(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	if to == "" {
		return lease.Lease{}, fmt.Errorf("assign %s: the worker has no name", l.Key)
	}
	values := item{":to": text(to), ":1": number(1), ":c": number(l.Counter)}
	made := l
	made.Owner, made.CheckpointOwner = to, ""
	made.Counter++
	update := "SET leaseOwner = :to REMOVE checkpointOwner ADD leaseCounter :1"
	if l.Owner != "" && l.Owner != to || l.CheckpointOwner == to {
		update += ", ownerSwitchesSinceCheckpoint :1"
		made.OwnerSwitches++
	}
	// The Java KCL compares the owners alone. An owner whose lease expired may find it again while this write is on its way, and it
	// trusts what it then renews.
	where := whereOwners(l, values) + " AND " + whereCounter
	return s.applyTo(ctx, made, change{call: "assign", update: update, where: where, values: values})
}

// Handoff implements [lease.Leases].
func (s *Store) Handoff(ctx context.Context, l lease.Lease, to string) (lease.Lease, error) {
	if l.Owner == "" || to == "" || l.Owner == to {
		return lease.Lease{}, fmt.Errorf("hand off %s: from %q to %q is no handoff", l.Key, l.Owner, to)
	}
	made := l
	made.Owner, made.CheckpointOwner = to, l.Owner
	return s.applyTo(ctx, made, change{
		call:   "hand off",
		update: "SET leaseOwner = :to, checkpointOwner = :o",
		where:  whereExists + " AND leaseOwner = :o" + whereNoHandoff,
		values: item{":to": text(to), ":o": text(l.Owner)},
	})
}

// Release implements [lease.Leases].
func (s *Store) Release(ctx context.Context, l lease.Lease) (lease.Lease, error) {
	values := item{":1": number(1)}
	made := l
	made.Counter++
	made.CheckpointOwner = ""
	update := "REMOVE checkpointOwner ADD leaseCounter :1"
	if !l.InHandoff() {
		made.Owner = ""
		update = "REMOVE leaseOwner, checkpointOwner ADD leaseCounter :1"
	}
	return s.applyTo(ctx, made, change{call: "release", update: update, where: whereOwners(l, values), values: values})
}

// SetChildren implements [lease.Leases].
func (s *Store) SetChildren(ctx context.Context, key string, children []stream.ShardID) error {
	if len(children) == 0 {
		return fmt.Errorf("set children of %s: there are none", key)
	}
	return s.setMetadata(ctx, key, change{
		call:   "set children of",
		update: "SET childShardIds = :ch",
		where:  whereExists,
		values: item{":ch": shardSet(children)},
	})
}

// SetHashKeys implements [lease.Leases].
func (s *Store) SetHashKeys(ctx context.Context, key string, r stream.HashKeyRange) error {
	if !r.IsKnown() {
		return fmt.Errorf("set hash keys of %s: the range is unknown", key)
	}
	return s.setMetadata(ctx, key, change{
		call:   "set hash keys of",
		update: "SET startingHashKey = :hf, endingHashKey = :hl",
		where:  whereExists,
		values: item{":hf": text(r.First.String()), ":hl": text(r.Last.String())},
	})
}

// setMetadata makes a change whose only condition is that the row is there.
func (s *Store) setMetadata(ctx context.Context, key string, c change) error {
	c.want = types.ReturnValueNone
	_, err := s.apply(ctx, key, c)
	return err
}

// Rewind implements [lease.Leases].
func (s *Store) Rewind(ctx context.Context, l lease.Lease, to stream.Position) (lease.Lease, error) {
	if !to.Valid() {
		return lease.Lease{}, fmt.Errorf("rewind %s to %s: %w", l.Key, to, stream.ErrPosition)
	}
	set := newSetter(l)
	set.set(attrCheckpoint, ":p", text(string(to.Sequence)))
	set.set(attrSub, ":s", number(to.Sub))
	made := l
	made.Counter++
	made.Owner, made.CheckpointOwner = "", ""
	made.Checkpoint, made.Pending, made.PendingState = to, stream.Position{}, nil
	return s.applyTo(ctx, made, change{
		call:   "rewind",
		update: set.update.String() + " REMOVE leaseOwner, checkpointOwner, " + attrsPendingToRemove,
		where:  whereCounter,
		values: set.values,
	})
}

// Delete implements [lease.Leases]. The Java KCL deletes without a condition and may lose a lease that was recreated.
func (s *Store) Delete(ctx context.Context, l lease.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                           &s.cfg.Table,
		Key:                                 item{attrKey: text(l.Key)},
		ConditionExpression:                 aws.String("leaseCounter = :c AND checkpoint = :p"),
		ExpressionAttributeValues:           item{":c": number(l.Counter), ":p": text(string(l.Checkpoint.Sequence))},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, oneAttempt)
	if err == nil {
		return nil
	}
	if err = s.refused(ctx, "DeleteItem", l.Key, err); errors.Is(err, lease.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("delete %s: %w", l.Key, err)
}
