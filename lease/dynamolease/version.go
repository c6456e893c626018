package dynamolease

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// The client versions of an application, as the Java KCL's ClientVersion names them.
const (
	version3x         = "CLIENT_VERSION_3X"
	version3xRollback = "CLIENT_VERSION_3X_WITH_ROLLBACK" // 3.x, but an operator may still go back
	versionUpgrading  = "CLIENT_VERSION_UPGRADE_FROM_2X"
	version2x         = "CLIENT_VERSION_2X"
	versionInit       = "CLIENT_VERSION_INIT"
)

const (
	attrVersion    = "cv"
	attrModifiedBy = "mb"
	attrModifiedAt = "mts" // epoch milliseconds
	attrHistory    = "h"
)

// bootstrapTime is how long a young table without a client version is left to the worker that created it. A Java worker
// that finds the item written by another fails its start for good (MigrationStateMachineImpl.initialize), and it looks at a
// table that it created only every 10 s.
const bootstrapTime = 20 * time.Second

// readVersion returns the application's client version; "" if none is stored.
func (s *Store) readVersion(ctx context.Context, l layoutNow) (string, error) {
	for _, p := range s.statePlaces(l) {
		it, err := s.getItem(ctx, p, keyClientVersion)
		if err != nil {
			return "", err
		}
		if len(it) > 0 {
			r := row{what: "state", key: keyClientVersion, item: it}
			return r.text(attrVersion), s.judgeVersion(p.table, r.text(attrVersion))
		}
	}
	return "", nil
}

// judgeVersion says whether a worker of this library may work under a client version.
func (s *Store) judgeVersion(table, version string) error {
	refuse := func(why, remedy string) error {
		return fmt.Errorf("table %s: %w: item %s says %q: %s; %s", table, lease.ErrUnusable, keyClientVersion, version, why, remedy)
	}
	switch version {
	case version3x, version3xRollback:
		return nil
	case versionUpgrading:
		return refuse("the application is being upgraded from KCL 2.x", "start this worker when its Java workers have finished that ("+version3x+")")
	case version2x:
		return refuse("the application was rolled back to KCL 2.x", "stop this worker, or roll forward with the Java KCL's migration tool")
	}
	return refuse("this version does not know that state", "use a newer one")
}

// ensureVersion makes sure that the application is one of 3.x, marking a new one as such.
func (s *Store) ensureVersion(ctx context.Context, l layoutNow, table *types.TableDescription, worker string) error {
	leaveUntil := s.leaveAloneUntil(table)
	for attempt := range maxPolls {
		version, err := s.readVersion(ctx, l)
		if err != nil || version != "" {
			return err
		}
		if err := s.mayMark(ctx, l); err != nil {
			// Another worker may have marked the table, and its leader created leases, since the look above.
			if version, again := s.readVersion(ctx, l); again != nil || version != "" {
				return again
			}
			return err
		}
		if time.Now().Before(leaveUntil) {
			if err := pause(ctx, pollWait(attempt)); err != nil {
				return err
			}
			continue
		}
		marked, err := s.markAs3x(ctx, worker)
		if err != nil || marked {
			return err
		}
	}
	return fmt.Errorf("table %s: item %s appears and vanishes: %w", s.cfg.Table, keyClientVersion, lease.ErrUnavailable)
}

// leaveAloneUntil returns the time until which another worker may be about to mark the table that it has just created. It
// compares the service's clock with ours, which only decides how long to wait.
func (s *Store) leaveAloneUntil(table *types.TableDescription) time.Time {
	now := time.Now()
	age := now.Sub(aws.ToTime(table.CreationDateTime))
	if s.isCreator() || age > time.Minute || age < -time.Minute {
		return now
	}
	return now.Add(bootstrapTime)
}

func (s *Store) isCreator() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created
}

// mayMark refuses where a table without a client version may belong to workers that do not know of one.
func (s *Store) mayMark(ctx context.Context, l layoutNow) error {
	if l.live != complete {
		return fmt.Errorf("table %s: %w: there is no item %s, neither here nor in %s: an application of Java KCL 3.0 to 3.4 is just starting; "+
			"start this worker when it runs, or delete the table if no such application runs any more",
			s.cfg.CoordinatorTable, lease.ErrUnusable, keyClientVersion, s.cfg.Table)
	}
	if s.cfg.AdoptOldTable {
		return nil
	}
	has, err := s.hasLease(ctx)
	if err == nil && has {
		err = fmt.Errorf("table %s: %w: it has leases but no item %s, so KCL 1.x or 2.x workers may be running on it, which would not see this one; "+
			"upgrade them first, or, if none runs any more, say so with AdoptOldTable", s.cfg.Table, lease.ErrUnusable, keyClientVersion)
	}
	return err
}

// hasLease looks for one lease.
func (s *Store) hasLease(ctx context.Context) (bool, error) {
	in := dynamodb.ScanInput{TableName: &s.cfg.Table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(100)}
	for {
		page, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
		out, err := s.cfg.Client.Scan(page, &in)
		cancel()
		if err != nil {
			return false, explain("Scan", s.cfg.Table, err)
		}
		for _, it := range out.Items {
			if familyOf(it) == familyLease {
				return true, nil
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return false, nil
		}
	}
}

// markAs3x creates the item as a Java worker does, with a history of one entry, and reports whether it did.
func (s *Store) markAs3x(ctx context.Context, worker string) (bool, error) {
	by, at := text(worker), number(time.Now().UnixMilli())
	entry := &types.AttributeValueMemberM{Value: item{attrVersion: text(versionInit), attrModifiedBy: by, attrModifiedAt: at}}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.cfg.Table,
		Item: item{
			attrKey: text(keyClientVersion), attrEntity: text(entityClientVersion), attrVersion: text(version3x),
			attrModifiedBy: by, attrModifiedAt: at,
			attrHistory: &types.AttributeValueMemberL{Value: []types.AttributeValue{entry}},
		},
		ConditionExpression: aws.String("attribute_not_exists(leaseKey)"),
	}, oneAttempt)
	switch {
	case retry.Classify(err) == retry.Conditional:
		return false, nil
	case err != nil:
		return false, explain("PutItem", s.cfg.Table, err)
	}
	s.log.Info("application marked as one of KCL 3.x", "item", keyClientVersion)
	return true, nil
}
