package checkup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// Names of the Java KCL's: DynamoDBLeaseSerializer, CoordinatorState.
const (
	ownerIndex   = "LeaseOwnerToLeaseKeyIndex"
	keyAttribute = "leaseKey"
	stateKey     = "Migration3.0"
	// probeKey is the key of an item that is never there.
	probeKey = "kcl-doctor-probe"
)

// checkTable looks whether the lease table can be used.
func (s Subject) checkTable(ctx context.Context, r *report) {
	about := "table " + s.Table
	table, err := s.describe(ctx, r, s.Table)
	switch {
	case errors.Is(err, errNoTable):
		r.add(Note, about, "it does not exist yet: the first worker makes it",
			"that worker needs dynamodb:CreateTable and dynamodb:UpdateTable on it; if the application exists already, check its name and the region")
		s.checkLegacy(ctx, r)
		return
	case err != nil:
		r.refuse(about, "dynamodb:DescribeTable", about, err)
		return
	case !isLeaseTable(table):
		r.add(Failure, about, "its key is not the string "+keyAttribute+" alone: it is no lease table", "choose another application or table name")
		return
	}
	switch table.TableStatus {
	case types.TableStatusActive, types.TableStatusUpdating:
		r.add(OK, about, fmt.Sprintf("%s, %s", table.TableStatus, billing(table)), "")
	case types.TableStatusCreating, types.TableStatusDeleting:
		r.add(Warning, about, "it is "+string(table.TableStatus), "a worker waits until it is ACTIVE, or makes it anew")
		return
	default:
		r.add(Failure, about, "it is "+string(table.TableStatus), "restore it, or its encryption key")
		return
	}
	s.checkLegacy(ctx, r)
	if err := s.Store.Check(ctx); err != nil {
		r.add(Failure, about, err.Error(), "")
		return
	}
	s.checkPermissions(ctx, r, table)
	s.checkRows(ctx, r)
}

// describe returns errNoTable for a table that does not exist.
func (s Subject) describe(ctx context.Context, r *report, name string) (*types.TableDescription, error) {
	out, err := s.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	switch retry.Classify(err) {
	case retry.None:
		r.seeClock(middleware.GetAttemptSkew(out.ResultMetadata))
		return out.Table, nil
	case retry.Gone:
		return nil, errNoTable
	}
	return nil, err
}

func isLeaseTable(t *types.TableDescription) bool {
	if len(t.KeySchema) != 1 || aws.ToString(t.KeySchema[0].AttributeName) != keyAttribute {
		return false
	}
	return slices.ContainsFunc(t.AttributeDefinitions, func(a types.AttributeDefinition) bool {
		return aws.ToString(a.AttributeName) == keyAttribute && a.AttributeType == types.ScalarAttributeTypeS
	})
}

func billing(t *types.TableDescription) string {
	if p := t.ProvisionedThroughput; p != nil && aws.ToInt64(p.WriteCapacityUnits) > 0 {
		return fmt.Sprintf("%d read and %d write units a second", aws.ToInt64(p.ReadCapacityUnits), aws.ToInt64(p.WriteCapacityUnits))
	}
	return "on demand"
}

// checkLegacy tells of the tables of Java KCL 3.0 to 3.4.
func (s Subject) checkLegacy(ctx context.Context, r *report) {
	for _, name := range []string{s.Coordinator, s.Metrics} {
		about := "table " + name
		switch _, err := s.describe(ctx, r, name); {
		case err == nil:
			r.add(Note, about, "it exists: the application has, or had, workers of Java KCL 3.0 to 3.4, whose tables are used as they prescribe", "")
		case !errors.Is(err, errNoTable):
			r.refuse(about, "dynamodb:DescribeTable", about, err)
		}
	}
}

// checkPermissions makes each call of a worker once. Writes carry a condition that is not met.
func (s Subject) checkPermissions(ctx context.Context, r *report, t *types.TableDescription) {
	about := "table " + s.Table
	key := map[string]types.AttributeValue{keyAttribute: &types.AttributeValueMemberS{Value: probeKey}}
	never := aws.String("attribute_exists(" + keyAttribute + ")")
	calls := []struct {
		name string
		call func() error
	}{
		{"GetItem", func() error {
			_, err := s.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key})
			return err
		}},
		{"Scan", func() error {
			_, err := s.DynamoDB.Scan(ctx, &dynamodb.ScanInput{TableName: &s.Table, Limit: aws.Int32(1)})
			return err
		}},
		{"PutItem", func() error {
			_, err := s.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: key, ConditionExpression: never})
			return err
		}},
		{"UpdateItem", func() error {
			_, err := s.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &s.Table, Key: key, ConditionExpression: never,
				UpdateExpression:          aws.String("SET entityType = :probe"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":probe": &types.AttributeValueMemberS{Value: "PROBE"}}})
			return err
		}},
		{"DeleteItem", func() error {
			_, err := s.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: key, ConditionExpression: never})
			return err
		}},
	}
	allowed := true
	for _, c := range calls {
		if err := c.call(); err != nil && retry.Classify(err) != retry.Conditional {
			allowed = false
			r.refuse(about, "dynamodb:"+c.name, about, err)
		}
	}
	if allowed {
		r.add(OK, about, "leases can be read and written", "")
	}
	s.checkIndex(ctx, r, t)
}

// checkIndex looks at the index over owners, without which workers read the whole table each second.
func (s Subject) checkIndex(ctx context.Context, r *report, t *types.TableDescription) {
	about := "index " + ownerIndex
	var status types.IndexStatus
	for _, x := range t.GlobalSecondaryIndexes {
		if aws.ToString(x.IndexName) == ownerIndex {
			status = x.IndexStatus
		}
	}
	switch status {
	case types.IndexStatusActive:
	case "":
		r.add(Warning, about, "it is missing: until there is one, each worker reads the whole table to find its leases",
			"a worker asks for it and needs dynamodb:UpdateTable for that")
		return
	default:
		r.add(Note, about, "it is "+string(status)+": until it is ACTIVE, each worker reads the whole table to find its leases", "")
		return
	}
	_, err := s.DynamoDB.Query(ctx, &dynamodb.QueryInput{TableName: &s.Table, IndexName: aws.String(ownerIndex),
		KeyConditionExpression:    aws.String("leaseOwner = :probe"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":probe": &types.AttributeValueMemberS{Value: probeKey}}})
	if err != nil {
		r.refuse(about, "dynamodb:Query", about+" of table "+s.Table, err)
		return
	}
	r.add(OK, about, "ACTIVE, and can be asked", "")
}

// checkRows looks at what the table holds.
func (s Subject) checkRows(ctx context.Context, r *report) {
	about := "table " + s.Table
	snap, err := s.Store.Snapshot(ctx)
	if err != nil {
		r.add(Failure, about, err.Error(), "")
		return
	}
	r.add(OK, about, fmt.Sprintf("%d %s, %d reporting %s", len(snap.Leases), plural(len(snap.Leases), "lease"), len(snap.Workers), plural(len(snap.Workers), "worker")), "")
	for _, b := range snap.Broken {
		r.add(Warning, about, fmt.Sprintf("row %s cannot be read: %v", b.Key, b.Err), "all workers leave it alone; mend or delete it by hand")
	}
	s.checkState(ctx, r, snap)
	s.checkFormat(r, snap)
	s.checkReports(r, snap)
}

// checkState looks for the item that says which generation of the KCL runs on the table. Store.Check has judged it if it is there.
func (s Subject) checkState(ctx context.Context, r *report, snap lease.Snapshot) {
	about := "item " + stateKey
	places := []struct{ table, key string }{{s.Table, keyAttribute}, {s.Coordinator, "key"}}
	for _, p := range places {
		out, err := s.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &p.table, ConsistentRead: aws.Bool(true),
			Key: map[string]types.AttributeValue{p.key: &types.AttributeValueMemberS{Value: stateKey}}})
		if err == nil && len(out.Item) > 0 {
			version, _ := out.Item["cv"].(*types.AttributeValueMemberS)
			if version != nil {
				r.add(OK, about, "table "+p.table+" is of "+version.Value, "")
			}
			return
		}
	}
	if len(snap.Leases) > 0 {
		r.add(Failure, about, "it is missing although there are leases: KCL 1.x or 2.x workers may be running, which would not see this one",
			"upgrade them first; if none runs any more, start one worker with AdoptOldTable")
	}
}

// checkFormat compares the format of the rows with the number of streams.
func (s Subject) checkFormat(r *report, snap lease.Snapshot) {
	about := "table " + s.Table
	multi := 0
	for _, l := range snap.Leases {
		if l.StreamID != "" {
			multi++
		}
	}
	switch {
	case multi > 0 && multi < len(snap.Leases):
		r.add(Failure, about, "some rows name their stream and some do not", "a table is of one format; find out which application wrote the others")
	case multi == 0 && len(snap.Leases) > 0 && len(s.Streams) > 1:
		r.add(Failure, about, "its rows are of an application that reads one stream", "a table keeps its format for ever: choose another application name for several streams")
	case multi > 0 && len(s.Streams) == 1:
		r.add(Note, about, "its rows are of an application that may read several streams", "a worker for one of them needs MultiStream")
	}
	for _, b := range lineage.Removed(nil, snap.Leases) {
		if b != "" && len(s.Streams) > 0 && !slices.ContainsFunc(s.Streams, func(name string) bool { return isOf(b, name) }) {
			r.add(Note, about, "it has leases of stream "+b+", which was not asked about", "")
		}
	}
}

func isOf(id, name string) bool {
	parsed, err := lineage.ParseStreamID(id)
	return err == nil && (parsed.Name == name || strings.HasSuffix(name, ":"+parsed.Account+":stream/"+parsed.Name))
}

// checkReports compares the newest reports with this machine's clock.
func (s Subject) checkReports(r *report, snap lease.Snapshot) {
	now := time.Now()
	for _, w := range snap.Workers {
		if ahead := w.ReportedAt.Sub(now); ahead > leaderSkew {
			r.add(Warning, "worker "+w.ID, fmt.Sprintf("its latest report is from the future, by %s", ahead.Round(time.Second)),
				"one of the two clocks is wrong; a Java leader then keeps a dead worker for alive")
		}
	}
}
