package dynamolease

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// The attributes of the lock, as Amazon's dynamodb-lock-client names them.
const (
	attrLockOwner    = "ownerName"
	attrLockDuration = "leaseDuration" // milliseconds, in a string
	attrLockVersion  = "recordVersionNumber"
	attrLockReleased = "isReleased" // its presence counts
)

// lockPatience is how long a lock without a readable duration is respected: the lock lease of the Java KCL.
const lockPatience = 120 * time.Second

const whereLock = "attribute_exists(#pk) AND recordVersionNumber = :v"

// ReadLock implements [lease.Lock].
func (s *Store) ReadLock(ctx context.Context) (*lease.LockItem, error) {
	lay, err := s.freshLayout(ctx) // the lock is the one thing that must not be looked for in two tables
	if err != nil {
		return nil, err
	}
	it, err := s.getItem(ctx, s.lockPlace(lay), keyLeader)
	if err != nil || len(it) == 0 {
		return nil, err
	}
	return parseLock(it), nil
}

// parseLock never fails: a lock that is not as it should be is respected for lockPatience, and then taken.
func parseLock(it item) *lease.LockItem {
	r := row{what: "lock", item: it}
	lock := lease.LockItem{Owner: r.text(attrLockOwner), Version: r.text(attrLockVersion), Duration: lockPatience}
	_, lock.Released = it[attrLockReleased]
	if ms, ok := it[attrLockDuration].(*types.AttributeValueMemberS); ok {
		if n, err := strconv.ParseInt(ms.Value, 10, 32); err == nil && n >= 0 {
			lock.Duration = time.Duration(n) * time.Millisecond
		}
	}
	return &lock
}

// TakeLock implements [lease.Lock].
func (s *Store) TakeLock(ctx context.Context, seen *lease.LockItem, mine lease.LockItem) error {
	lay, err := s.knownLayout(ctx)
	if err != nil {
		return err
	}
	if err := s.putLock(ctx, s.lockPlace(lay), seen, mine); err != nil || lay.live == complete {
		return err
	}
	// The fleet may have moved its lock into the lease table since the lock was read.
	now, err := s.freshLayout(ctx)
	if err == nil && now.live == complete {
		if err := s.dropLock(ctx, s.lockPlace(lay), mine); err != nil {
			return err
		}
		return fmt.Errorf("%w: it moved to table %s", lease.ErrLockHeld, s.cfg.Table)
	}
	return err
}

// putLock replaces the whole item, as Java's lock client does.
func (s *Store) putLock(ctx context.Context, p place, seen *lease.LockItem, mine lease.LockItem) error {
	in := dynamodb.PutItemInput{
		TableName:                &p.table,
		ExpressionAttributeNames: map[string]string{"#pk": p.key},
		Item: item{
			p.key: text(keyLeader), attrEntity: text(entityLeader), attrLockOwner: text(mine.Owner),
			attrLockDuration: lockDuration(mine), attrLockVersion: text(mine.Version),
		},
	}
	if mine.Released {
		in.Item[attrLockReleased] = text("1")
	}
	switch {
	case seen == nil:
		in.ConditionExpression = aws.String("attribute_not_exists(#pk)")
	case seen.Released:
		in.ConditionExpression = aws.String("attribute_exists(#pk) AND attribute_exists(isReleased)")
	case seen.Version == "":
		in.ConditionExpression = aws.String("attribute_exists(#pk) AND attribute_not_exists(recordVersionNumber)")
	default:
		in.ConditionExpression = aws.String(whereLock)
		in.ExpressionAttributeValues = item{":v": text(seen.Version)}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.PutItem(ctx, &in, oneAttempt)
	return explainLock("take the leader lock", "PutItem", p.table, err)
}

func lockDuration(l lease.LockItem) types.AttributeValue {
	return text(strconv.FormatInt(l.Duration.Milliseconds(), 10))
}

// BeatLock implements [lease.Lock].
func (s *Store) BeatLock(ctx context.Context, held lease.LockItem, version string) (lease.LockItem, error) {
	lay, err := s.knownLayout(ctx)
	if err != nil {
		return lease.LockItem{}, err
	}
	p := s.lockPlace(lay)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err = s.cfg.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                &p.table,
		Key:                      item{p.key: text(keyLeader)},
		UpdateExpression:         aws.String("SET leaseDuration = :d, recordVersionNumber = :n"),
		ConditionExpression:      aws.String(whereLock + " AND ownerName = :o"),
		ExpressionAttributeNames: map[string]string{"#pk": p.key},
		ExpressionAttributeValues: item{
			":d": lockDuration(held), ":n": text(version), ":v": text(held.Version), ":o": text(held.Owner),
		},
	}, oneAttempt)
	if err := explainLock("keep the leader lock", "UpdateItem", p.table, err); err != nil {
		return lease.LockItem{}, err
	}
	held.Version = version
	return held, nil
}

// DropLock implements [lease.Lock].
func (s *Store) DropLock(ctx context.Context, held lease.LockItem) error {
	lay, err := s.knownLayout(ctx)
	if err != nil {
		return err
	}
	return s.dropLock(ctx, s.lockPlace(lay), held)
}

func (s *Store) dropLock(ctx context.Context, p place, held lease.LockItem) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &p.table,
		Key:                       item{p.key: text(keyLeader)},
		ConditionExpression:       aws.String(whereLock + " AND ownerName = :o"),
		ExpressionAttributeNames:  map[string]string{"#pk": p.key},
		ExpressionAttributeValues: item{":v": text(held.Version), ":o": text(held.Owner)},
	}, oneAttempt)
	return explainLock("drop the leader lock", "DeleteItem", p.table, err)
}

func explainLock(what, call, table string, err error) error {
	switch {
	case err == nil:
		return nil
	case retry.Classify(err) == retry.Conditional:
		return fmt.Errorf("%s: %w", what, lease.ErrLockHeld)
	}
	return fmt.Errorf("%s: %w", what, explain(call, table, err))
}
