package dynamolease

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// explain turns an error of the SDK into one of package lease, with the call, the table and, where the store is unusable,
// the remedy.
func explain(call, table string, err error) error {
	switch retry.Classify(err) {
	case retry.None:
		return nil
	case retry.Throttled:
		return fmt.Errorf("%s on table %s: %w: %w", call, table, lease.ErrThrottled, err)
	case retry.Gone:
		return unusable(call, table, "the table does not exist; check its name and region, or start a worker, which creates it", err)
	case retry.Denied:
		return unusable(call, table, "check the credentials and the clock, and allow dynamodb:"+call+" on it", err)
	case retry.Invalid:
		if managesTable(call) {
			return unusable(call, table, "the server refuses the request itself, which is valid on DynamoDB; another server may not know it", err)
		}
		return unusable(call, table, "the table is not a lease table of the Kinesis Client Library, or its rows were changed by hand", err)
	default:
		return fmt.Errorf("%s on table %s: %w: %w", call, table, lease.ErrUnavailable, err)
	}
}

// managesTable reports whether a call concerns the table rather than its rows: then a request that is refused says nothing of them.
func managesTable(call string) bool {
	switch call {
	case "CreateTable", "DescribeTable", "UpdateTable", "UpdateContinuousBackups":
		return true
	}
	return false
}

// noIndex explains why an index was not created. The store can be used without it, so this is none of package lease's errors.
func noIndex(table string, err error) error {
	remedy := "it is asked for again"
	switch retry.Classify(err) {
	case retry.Denied:
		remedy = "allow dynamodb:UpdateTable on the table, or create the index by hand, with the key " + attrOwner + ", " + attrKey
	case retry.Invalid, retry.Unknown:
		remedy = "the server refuses the request itself, which is valid on DynamoDB; another server may not know it"
	}
	return fmt.Errorf("UpdateTable on table %s: %s: %w", table, remedy, err)
}

func unusable(call, table, remedy string, err error) error {
	return fmt.Errorf("%s on table %s: %w: %s: %w", call, table, lease.ErrUnusable, remedy, err)
}

// refused explains a failed write of a row: a condition that does not hold becomes a HeldError with the row as it is.
func (s *Store) refused(ctx context.Context, call, key string, err error) error {
	condition, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return explain(call, s.cfg.Table, err)
	}
	item := condition.Item
	if len(item) == 0 { // no such row, or a server that does not send it along
		if item, err = s.getItem(ctx, leasePlace(s.cfg.Table), key); err != nil {
			return err
		}
	}
	if len(item) == 0 {
		return fmt.Errorf("%s: lease %s: %w", call, key, lease.ErrNotFound)
	}
	row, err := parseLease(item)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", call, &lease.HeldError{Key: key, Current: lease.Lease{Key: key}}, err)
	}
	return &lease.HeldError{Key: key, Current: row}
}
