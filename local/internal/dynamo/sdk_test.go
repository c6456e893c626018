package dynamo_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/kinesis-go/kcl/local/internal/dynamo"
)

// newClient is the real SDK in front of an engine, without a socket.
func newClient(o dynamo.Options) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://dynamodb.local"),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:   &http.Client{Transport: roundTripper{serve(dynamo.New(o))}},
	})
}

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }

func n(v int) types.AttributeValue { return &types.AttributeValueMemberN{Value: fmt.Sprint(v)} }

type attrs = map[string]types.AttributeValue

func createLeaseTable(t *testing.T, c *dynamodb.Client) {
	t.Helper()
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("app"), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := dynamodb.NewTableExistsWaiter(c).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("app")}, time.Hour); err != nil {
		t.Fatal(err)
	}
}

const ownerIndex = "LeaseOwnerToLeaseKeyIndex"

// createOwnerIndex adds the index as a worker does, spec lease-coordination.md section 1.2.
func createOwnerIndex(t *testing.T, c *dynamodb.Client) error {
	t.Helper()
	_, err := c.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: aws.String("app"),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("leaseOwner"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("leaseKey"), AttributeType: types.ScalarAttributeTypeS},
		},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName:  aws.String(ownerIndex),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("leaseOwner"), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String("leaseKey"), KeyType: types.KeyTypeRange},
			},
		}}},
	})
	return err
}

func put(t *testing.T, c *dynamodb.Client, item attrs) {
	t.Helper()
	if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("app"), Item: item}); err != nil {
		t.Fatal(err)
	}
}

func give(t *testing.T, c *dynamodb.Client, key, owner string) {
	t.Helper()
	in := &dynamodb.UpdateItemInput{TableName: aws.String("app"), Key: attrs{"leaseKey": s(key)}, UpdateExpression: aws.String("REMOVE leaseOwner")}
	if owner != "" {
		in.UpdateExpression = aws.String("SET leaseOwner = :o")
		in.ExpressionAttributeValues = attrs{":o": s(owner)}
	}
	if _, err := c.UpdateItem(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// owned lists what the index says owner owns.
func owned(t *testing.T, c *dynamodb.Client, owner string) []string {
	t.Helper()
	keys := []string{}
	p := dynamodb.NewQueryPaginator(c, &dynamodb.QueryInput{
		TableName: aws.String("app"), IndexName: aws.String(ownerIndex), Limit: aws.Int32(2),
		KeyConditionExpression: aws.String("leaseOwner = :leaseOwner"), ExpressionAttributeValues: attrs{":leaseOwner": s(owner)},
	})
	for p.HasMorePages() {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			if len(it) != 2 {
				t.Errorf("KEYS_ONLY index shows %v", it)
			}
			keys = append(keys, it["leaseKey"].(*types.AttributeValueMemberS).Value)
		}
	}
	return keys
}

func wantOwned(t *testing.T, c *dynamodb.Client, owner string, want ...string) {
	t.Helper()
	if got := owned(t, c, owner); !slices.Equal(got, want) {
		t.Errorf("index says %s owns %q, want %q", owner, got, want)
	}
}

func TestTableAndIndexAreCreatingForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(dynamo.Options{CreateDelay: 25 * time.Second})
		start := time.Now()
		createLeaseTable(t, c)
		if took := time.Since(start); took < 25*time.Second {
			t.Errorf("table was ACTIVE after %v", took)
		}
		put(t, c, attrs{"leaseKey": s("k1"), "leaseOwner": s("A")})
		if err := createOwnerIndex(t, c); err != nil {
			t.Fatal(err)
		}
		var busy *types.ResourceInUseException
		if err := createOwnerIndex(t, c); !errors.As(err, &busy) { // the race that a second worker loses
			t.Errorf("second creation = %v, want ResourceInUseException", err)
		}
		out, err := c.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("app")})
		if err != nil {
			t.Fatal(err)
		}
		x := out.Table.GlobalSecondaryIndexes[0]
		if out.Table.TableStatus != types.TableStatusUpdating || x.IndexStatus != types.IndexStatusCreating || !aws.ToBool(x.Backfilling) {
			t.Errorf("table %s, index %s, backfilling %v", out.Table.TableStatus, x.IndexStatus, aws.ToBool(x.Backfilling))
		}
		_, err = c.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("app"), IndexName: aws.String(ownerIndex),
			KeyConditionExpression: aws.String("leaseOwner = :o"), ExpressionAttributeValues: attrs{":o": s("A")}})
		if err == nil {
			t.Error("a backfilling index was read")
		}
		put(t, c, attrs{"leaseKey": s("k2"), "leaseOwner": s("A")}) // the table stays in use meanwhile
		time.Sleep(25 * time.Second)
		wantOwned(t, c, "A", "k1", "k2")
	})
}

func TestTableMissingWhileCreating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := dynamo.New(dynamo.Options{CreateDelay: time.Second})
		mustHandle(t, e, "CreateTable", leaseTable)
		if err := handleErr(t, e, "GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k"}}}`); err.Code != "ResourceNotFoundException" {
			t.Errorf("GetItem while CREATING = %v", err)
		}
		if err := handleErr(t, e, "DeleteTable", `{"TableName":"app"}`); err.Message != "Attempt to change a resource which is still in use: Table is being created: app" {
			t.Errorf("DeleteTable while CREATING = %v", err)
		}
		time.Sleep(time.Second)
		mustHandle(t, e, "DeleteTable", `{"TableName":"app"}`)
	})
}

// TestOwnerIndex: sparse, sorted, paged, following updates and deletions, and behind by exactly the lag.
func TestOwnerIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 3 * time.Second
		c := newClient(dynamo.Options{IndexLag: lag})
		createLeaseTable(t, c)
		if err := createOwnerIndex(t, c); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"k5", "k1", "k3", "k4", "k2"} {
			put(t, c, attrs{"leaseKey": s(k), "leaseOwner": s("A"), "leaseCounter": n(0)})
		}
		put(t, c, attrs{"leaseKey": s("free"), "leaseCounter": n(0)})
		time.Sleep(lag - 1)
		wantOwned(t, c, "A")
		time.Sleep(time.Nanosecond)
		wantOwned(t, c, "A", "k1", "k2", "k3", "k4", "k5")

		give(t, c, "k2", "B")
		time.Sleep(time.Second)
		give(t, c, "k2", "C")
		give(t, c, "k3", "")
		if _, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("app"), Key: attrs{"leaseKey": s("k4")}}); err != nil {
			t.Fatal(err)
		}
		wantOwned(t, c, "A", "k1", "k2", "k3", "k4", "k5")
		time.Sleep(lag - time.Second)
		wantOwned(t, c, "A", "k1", "k3", "k4", "k5")
		wantOwned(t, c, "B", "k2")
		time.Sleep(time.Second)
		wantOwned(t, c, "A", "k1", "k5")
		wantOwned(t, c, "B")
		wantOwned(t, c, "C", "k2")
	})
}

func TestParallelScan(t *testing.T) {
	c := newClient(dynamo.Options{})
	createLeaseTable(t, c)
	const items = 700
	for i := range items {
		put(t, c, attrs{"leaseKey": s(fmt.Sprintf("shardId-%012d", i)), "even": n(i % 2)})
	}
	for _, segments := range []int32{1, 2, 7, 32} {
		seen := map[string]int{}
		for segment := range segments {
			p := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String("app"), Segment: aws.Int32(segment),
				TotalSegments: aws.Int32(segments), Limit: aws.Int32(13), FilterExpression: aws.String("even = :zero"),
				ExpressionAttributeValues: attrs{":zero": n(0)}})
			got := 0
			for p.HasMorePages() {
				out, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, it := range out.Items {
					seen[it["leaseKey"].(*types.AttributeValueMemberS).Value]++
					got++
				}
			}
			if segments == 7 && (got < 20 || got > 90) {
				t.Errorf("segment %d of 7 holds %d of %d items: the hash does not spread", segment, got, items/2)
			}
		}
		if len(seen) != items/2 {
			t.Errorf("%d segments: %d items, want %d", segments, len(seen), items/2)
		}
		for k, times := range seen {
			if times != 1 {
				t.Errorf("%d segments: %s came %d times", segments, k, times)
			}
		}
	}
}

// TestMigrationTransaction moves an entry between tables under a check of the lock, spec section 3.4.
func TestMigrationTransaction(t *testing.T) {
	c := newClient(dynamo.Options{})
	createLeaseTable(t, c)
	put(t, c, attrs{"leaseKey": s("Leader"), "ownerName": s("A")})
	put(t, c, attrs{"leaseKey": s("old"), "v": n(1)})
	move := func(owner, token string) error {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: aws.String(token),
			TransactItems: []types.TransactWriteItem{
				{ConditionCheck: &types.ConditionCheck{TableName: aws.String("app"), Key: attrs{"leaseKey": s("Leader")},
					ConditionExpression: aws.String("ownerName = :owner"), ExpressionAttributeValues: attrs{":owner": s(owner)},
					ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}},
				{Put: &types.Put{TableName: aws.String("app"), Item: attrs{"leaseKey": s("new"), "a": n(1), "b": n(2), "c": n(3)},
					ConditionExpression: aws.String("attribute_not_exists(leaseKey)")}},
				{Delete: &types.Delete{TableName: aws.String("app"), Key: attrs{"leaseKey": s("old")}}},
			},
		})
		return err
	}
	var cancelled *types.TransactionCanceledException
	if err := move("B", "t1"); !errors.As(err, &cancelled) {
		t.Fatalf("move by B = %v", err)
	}
	codes := []string{}
	for _, r := range cancelled.CancellationReasons {
		codes = append(codes, aws.ToString(r.Code))
	}
	if !slices.Equal(codes, []string{"ConditionalCheckFailed", "None", "None"}) || len(cancelled.CancellationReasons[0].Item) != 2 {
		t.Errorf("reasons %q, item %v", codes, cancelled.CancellationReasons[0].Item)
	}
	out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("app")})
	if err != nil || out.Count != 2 {
		t.Errorf("after a cancelled transaction: %d items, %v", out.Count, err)
	}
	for range 5 { // the SDK orders maps differently each time; the token makes all but the first a repetition
		if err := move("A", "t1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := move("A", "t2"); !errors.As(err, &cancelled) {
		t.Errorf("move with a fresh token = %v, want a failed condition", err)
	}
	var mismatch *types.IdempotentParameterMismatchException
	if err := move("B", "t1"); !errors.As(err, &mismatch) {
		t.Errorf("another request with a used token = %v", err)
	}
}
