//go:build interop

package servers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestDynamoDBBehaviour(t *testing.T) {
	t.Parallel()
	servers := []server{startLocal(t), startDynalite(t)}
	compare(t, dynamoChecks, dynamoDiffers, servers, func(s server) *dynamodb.Client { return dynamodb.NewFromConfig(s.config()) })
}

var dynamoDiffers = known{
	"dynalite": {
		"put if not there":                     "ConditionalCheckFailedException, with ",
		"UpdateTable adds an index, on demand": "ValidationException", // it asks for ProvisionedThroughput
		"a transaction that is refused":        "UnknownOperationException",
		"deletion protection":                  "protect: ValidationException",
		"point in time recovery":               "UnknownOperationException",
	},
}

type onDynamo = trial[*dynamodb.Client]

// row is an item in a few words: n:5 is a number, other values are text.
type row map[string]string

func (r row) item() map[string]types.AttributeValue {
	item := map[string]types.AttributeValue{}
	for k, v := range r {
		item[k] = value(v)
	}
	return item
}

func value(v string) types.AttributeValue {
	if n, ok := strings.CutPrefix(v, "n:"); ok {
		return &types.AttributeValueMemberN{Value: n}
	}
	return &types.AttributeValueMemberS{Value: v}
}

func text(item map[string]types.AttributeValue) string {
	var words []string
	for k, v := range item {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			words = append(words, k+"="+v.Value)
		case *types.AttributeValueMemberN:
			words = append(words, k+"="+v.Value)
		case *types.AttributeValueMemberSS:
			slices.Sort(v.Value)
			words = append(words, k+"="+strings.Join(v.Value, "+"))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// table makes a table of its own, with an index by owner, and puts rows.
func table(d *onDynamo, rows ...row) error {
	_, err := d.client.CreateTable(d, &dynamodb.CreateTableInput{
		TableName: &d.name, BillingMode: types.BillingModePayPerRequest, KeySchema: key("id", types.KeyTypeHash),
		AttributeDefinitions:   attributes("id", "owner"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{IndexName: aws.String("byOwner"), KeySchema: key("owner", types.KeyTypeHash), Projection: allOf}},
	})
	if err != nil {
		return err
	}
	if err := tableReady(d); err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := d.client.PutItem(d, &dynamodb.PutItemInput{TableName: &d.name, Item: r.item()}); err != nil {
			return err
		}
	}
	return nil
}

var allOf = &types.Projection{ProjectionType: types.ProjectionTypeAll}

func key(name string, kind types.KeyType) []types.KeySchemaElement {
	return []types.KeySchemaElement{{AttributeName: &name, KeyType: kind}}
}

func attributes(names ...string) (all []types.AttributeDefinition) {
	for _, n := range names {
		all = append(all, types.AttributeDefinition{AttributeName: &n, AttributeType: types.ScalarAttributeTypeS})
	}
	return all
}

func tableReady(d *onDynamo) error {
	return dynamodb.NewTableExistsWaiter(d.client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 20 * time.Millisecond }).
		Wait(d, &dynamodb.DescribeTableInput{TableName: &d.name}, 20*time.Second)
}

// stored returns the item with an id.
func stored(d *onDynamo, id string) string {
	out, err := d.client.GetItem(d, &dynamodb.GetItemInput{TableName: &d.name, Key: row{"id": id}.item(), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return code(err)
	}
	return text(out.Item)
}

// updating runs an update expression on the row id=a n=1 and renders what is there then.
func updating(expression, condition string, values row) func(*onDynamo) string {
	return func(d *onDynamo) string {
		if err := table(d, row{"id": "a", "n": "n:1", "s": "x"}); err != nil {
			return code(err)
		}
		in := &dynamodb.UpdateItemInput{TableName: &d.name, Key: row{"id": "a"}.item(), UpdateExpression: &expression}
		if condition != "" {
			in.ConditionExpression = &condition
		}
		if len(values) > 0 {
			in.ExpressionAttributeValues = values.item()
		}
		_, err := d.client.UpdateItem(d, in)
		return code(err) + ": " + stored(d, "a")
	}
}

// legacy runs an update in the old form that the Java KCL writes, expecting s to be a value.
func legacy(s string) func(*onDynamo) string {
	return func(d *onDynamo) string {
		if err := table(d, row{"id": "a", "n": "n:1", "s": "x", "gone": "y"}); err != nil {
			return code(err)
		}
		_, err := d.client.UpdateItem(d, &dynamodb.UpdateItemInput{
			TableName: &d.name, Key: row{"id": "a"}.item(),
			Expected: map[string]types.ExpectedAttributeValue{"s": {Value: value(s)}, "none": {Exists: aws.Bool(false)}},
			AttributeUpdates: map[string]types.AttributeValueUpdate{
				"s": {Action: types.AttributeActionPut, Value: value("z")}, "n": {Action: types.AttributeActionAdd, Value: value("n:2")}, "gone": {Action: types.AttributeActionDelete},
			},
		})
		return code(err) + ": " + stored(d, "a")
	}
}

// twenty is a table of ids 00 to 19 with owners o0 to o2.
func twenty(d *onDynamo) error {
	var rows []row
	for i := range 20 {
		rows = append(rows, row{"id": fmt.Sprintf("%02d", i), "owner": fmt.Sprintf("o%d", i%3), "n": fmt.Sprintf("n:%d", i)})
	}
	return table(d, rows...)
}

var dynamoChecks = []check[*dynamodb.Client]{
	{name: "create on demand with an index", want: "ACTIVE, index ACTIVE", run: func(d *onDynamo) string {
		if err := table(d); err != nil {
			return code(err)
		}
		out, err := d.client.DescribeTable(d, &dynamodb.DescribeTableInput{TableName: &d.name})
		if err != nil || len(out.Table.GlobalSecondaryIndexes) != 1 {
			return code(err)
		}
		return fmt.Sprintf("%s, index %s", out.Table.TableStatus, out.Table.GlobalSecondaryIndexes[0].IndexStatus)
	}},
	{name: "create twice", want: "ResourceInUseException", run: func(d *onDynamo) string { return code(errors.Join(table(d), table(d))) }},
	{name: "a table that is not there", want: "ResourceNotFoundException", run: func(d *onDynamo) string { return stored(d, "a") }},
	{name: "put if not there", want: "ConditionalCheckFailedException, with id=a n=1", run: func(d *onDynamo) string {
		if err := table(d, row{"id": "a", "n": "n:1"}); err != nil {
			return code(err)
		}
		_, err := d.client.PutItem(d, &dynamodb.PutItemInput{
			TableName: &d.name, Item: row{"id": "a", "n": "n:2"}.item(), ConditionExpression: aws.String("attribute_not_exists(id)"),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		var refused *types.ConditionalCheckFailedException
		if errors.As(err, &refused) {
			return code(err) + ", with " + text(refused.Item)
		}
		return code(err)
	}},
	{name: "update: set, add, remove", want: "ok: id=a m=5 n=3", run: updating("SET m = if_not_exists(m, :five) REMOVE s ADD n :two", "n = :one", row{":one": "n:1", ":two": "n:2", ":five": "n:5"})},
	{name: "update that is refused changes nothing", want: "ConditionalCheckFailedException: id=a n=1 s=x", run: updating("SET s = :y", "n > :five AND begins_with(s, :y)", row{":five": "n:5", ":y": "y"})},
	{name: "update of what is not a number", want: "ValidationException: id=a n=1 s=x", run: updating("ADD s :two", "", row{":two": "n:2"})},
	{name: "a value that is not used", want: "ValidationException: id=a n=1 s=x", run: updating("SET s = :y", "", row{":y": "y", ":z": "z"})},
	{name: "a reserved word", want: "ValidationException: id=a n=1 s=x", run: updating("SET owner = :y, counter = :y", "", row{":y": "y"})},
	{name: "an expression that is none", want: "ValidationException: id=a n=1 s=x", run: updating("SET s", "", nil)},
	{name: "legacy update with Expected", want: "ok: id=a n=3 s=z", run: legacy("x")},
	{name: "legacy update that is refused", want: "ConditionalCheckFailedException: gone=y id=a n=1 s=x", run: legacy("other")},
	{name: "scan in two segments", want: "20, both some", run: func(d *onDynamo) string {
		if err := twenty(d); err != nil {
			return code(err)
		}
		var counts []int32
		for s := range int32(2) {
			out, err := d.client.Scan(d, &dynamodb.ScanInput{TableName: &d.name, Segment: &s, TotalSegments: aws.Int32(2)})
			if err != nil {
				return code(err)
			}
			counts = append(counts, out.Count)
		}
		if counts[0] == 0 || counts[1] == 0 {
			return fmt.Sprint(counts)
		}
		return fmt.Sprintf("%d, both some", counts[0]+counts[1])
	}},
	{name: "scan with a filter, in pages", want: "10 of 20", run: func(d *onDynamo) string {
		if err := twenty(d); err != nil {
			return code(err)
		}
		var count, scanned int32
		pages := dynamodb.NewScanPaginator(d.client, &dynamodb.ScanInput{
			TableName: &d.name, Limit: aws.Int32(3), FilterExpression: aws.String("n >= :ten"), ExpressionAttributeValues: row{":ten": "n:10"}.item(),
		})
		for pages.HasMorePages() {
			out, err := pages.NextPage(d)
			if err != nil {
				return code(err)
			}
			count, scanned = count+out.Count, scanned+out.ScannedCount
		}
		return fmt.Sprintf("%d of %d", count, scanned)
	}},
	{name: "an index follows its table", want: "7, then 6", run: func(d *onDynamo) string {
		if err := twenty(d); err != nil {
			return code(err)
		}
		count := func() string {
			out, err := d.client.Query(d, &dynamodb.QueryInput{
				TableName: &d.name, IndexName: aws.String("byOwner"), KeyConditionExpression: aws.String("#o = :o"),
				ExpressionAttributeNames: map[string]string{"#o": "owner"}, ExpressionAttributeValues: row{":o": "o1"}.item(),
			})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(out.Count)
		}
		before := count()
		_, err := d.client.UpdateItem(d, &dynamodb.UpdateItemInput{
			TableName: &d.name, Key: row{"id": "01"}.item(), UpdateExpression: aws.String("REMOVE #o"), ExpressionAttributeNames: map[string]string{"#o": "owner"},
		})
		if err != nil {
			return code(err)
		}
		return before + ", then " + count()
	}},
	{name: "UpdateTable adds an index, on demand", want: "ok", run: func(d *onDynamo) string {
		if err := table(d); err != nil {
			return code(err)
		}
		_, err := d.client.UpdateTable(d, &dynamodb.UpdateTableInput{
			TableName: &d.name, AttributeDefinitions: attributes("id", "owner", "other"),
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
				IndexName: aws.String("byOther"), KeySchema: key("other", types.KeyTypeHash), Projection: allOf,
			}}},
		})
		return code(err)
	}},
	{name: "a transaction that is refused", want: "TransactionCanceledException [None ConditionalCheckFailed], and nothing is put", run: func(d *onDynamo) string {
		if err := table(d, row{"id": "a"}); err != nil {
			return code(err)
		}
		_, err := d.client.TransactWriteItems(d, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: &d.name, Item: row{"id": "b"}.item()}},
			{ConditionCheck: &types.ConditionCheck{TableName: &d.name, Key: row{"id": "a"}.item(), ConditionExpression: aws.String("attribute_not_exists(id)")}},
		}})
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) {
			return code(err)
		}
		var reasons []string
		for _, r := range cancelled.CancellationReasons {
			reasons = append(reasons, aws.ToString(r.Code))
		}
		if stored(d, "b") != "" {
			return "something is put"
		}
		return fmt.Sprintf("%s %v, and nothing is put", code(err), reasons)
	}},
	{name: "deletion protection", want: "protected: ValidationException, then ok", run: func(d *onDynamo) string {
		if err := table(d); err != nil {
			return code(err)
		}
		protect := func(on bool) error {
			_, err := d.client.UpdateTable(d, &dynamodb.UpdateTableInput{TableName: &d.name, DeletionProtectionEnabled: &on})
			return err
		}
		remove := func() string {
			_, err := d.client.DeleteTable(d, &dynamodb.DeleteTableInput{TableName: &d.name})
			return code(err)
		}
		if err := protect(true); err != nil {
			return "protect: " + code(err)
		}
		first := remove()
		if err := protect(false); err != nil {
			return "unprotect: " + code(err)
		}
		return "protected: " + first + ", then " + remove()
	}},
	{name: "point in time recovery", want: "ok", run: func(d *onDynamo) string {
		if err := table(d); err != nil {
			return code(err)
		}
		_, err := d.client.UpdateContinuousBackups(d, &dynamodb.UpdateContinuousBackupsInput{
			TableName: &d.name, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		return code(err)
	}},
	{name: "eight writers raise a counter 25 times each", want: "id=a n=200", run: func(d *onDynamo) string {
		if err := table(d, row{"id": "a", "n": "n:0"}); err != nil {
			return code(err)
		}
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() {
				for range 25 {
					raise(d, d)
				}
			})
		}
		running.Wait()
		return stored(d, "a")
	}},
}

// raise reads the number of row a and raises it on the condition that it is what was read, until that succeeds.
func raise(ctx context.Context, d *onDynamo) {
	for ctx.Err() == nil {
		was := strings.TrimPrefix(stored(d, "a"), "id=a n=")
		var n int
		if _, err := fmt.Sscan(was, &n); err != nil {
			return
		}
		_, err := d.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &d.name, Key: row{"id": "a"}.item(), UpdateExpression: aws.String("SET n = :new"), ConditionExpression: aws.String("n = :was"),
			ExpressionAttributeValues: row{":new": fmt.Sprintf("n:%d", n+1), ":was": "n:" + was}.item(),
		})
		if err == nil {
			return
		}
	}
}
