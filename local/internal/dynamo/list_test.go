package dynamo_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kcl/local/internal/dynamo"
)

const composite = `{"TableName":"ttt","KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"r","KeyType":"RANGE"}],
	"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5},
	"AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"r","AttributeType":"N"},{"AttributeName":"g","AttributeType":"S"}],
	"LocalSecondaryIndexes":[{"IndexName":"local","Projection":{"ProjectionType":"KEYS_ONLY"},
		"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"g","KeyType":"RANGE"}]}],
	"GlobalSecondaryIndexes":[{"IndexName":"global","Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["v"]},
		"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5},"KeySchema":[{"AttributeName":"g","KeyType":"HASH"}]}]}`

// withRows has sort keys -10 to 20 in each of three partitions.
func withRows(t *testing.T) *dynamo.Engine {
	e := dynamo.New(dynamo.Options{})
	mustHandle(t, e, "CreateTable", composite)
	for r := -10; r <= 20; r++ {
		for _, p := range []string{"a", "b", "c"} {
			mustHandle(t, e, "PutItem", fmt.Sprintf(`{"TableName":"ttt","Item":{"p":{"S":%q},"r":{"N":"%d.50"},"g":{"S":"g%02d"},"v":{"N":"%d"},"w":{"S":"x"}}}`, p, r, (r+10)%7, r))
		}
	}
	return e
}

type page struct {
	Items            []map[string]map[string]any
	Count            int
	ScannedCount     int
	LastEvaluatedKey json.RawMessage
}

// pages runs a Query or Scan to its end, page by page.
func pages(t *testing.T, e *dynamo.Engine, op, params string) (items []map[string]map[string]any, scanned int) {
	t.Helper()
	start := ""
	for range 1000 {
		var p page
		if err := json.Unmarshal(mustHandle(t, e, op, `{"TableName":"ttt",`+params+start+`}`), &p); err != nil {
			t.Fatal(err)
		}
		items, scanned = append(items, p.Items...), scanned+p.ScannedCount
		if p.LastEvaluatedKey == nil {
			return items, scanned
		}
		start = `,"ExclusiveStartKey":` + string(p.LastEvaluatedKey)
	}
	t.Fatalf("%s %s never ends", op, params)
	return nil, 0
}

func TestQueryRanges(t *testing.T) {
	e := withRows(t)
	for expression, holds := range map[string]func(r float64) bool{
		"":                              func(float64) bool { return true },
		" AND r = :low":                 func(r float64) bool { return r == -2.5 },
		" AND r < :low":                 func(r float64) bool { return r < -2.5 },
		" AND :low >= r":                func(r float64) bool { return r <= -2.5 },
		" AND r > :low":                 func(r float64) bool { return r > -2.5 },
		" AND (r >= :low)":              func(r float64) bool { return r >= -2.5 },
		" AND r BETWEEN :low AND :high": func(r float64) bool { return r >= -2.5 && r <= 12.5 },
	} {
		var want []string
		for r := -10; r <= 20; r++ {
			if f := float64(r) + 0.5; r >= 0 && holds(f) {
				want = append(want, fmt.Sprint(f))
			} else if f := float64(r) - 0.5; r < 0 && holds(f) { // -3.50 is below -3
				want = append(want, fmt.Sprint(f))
			}
		}
		bounds := ""
		if strings.Contains(expression, ":low") {
			bounds += `,":low":{"N":"-2.5"}`
		}
		if strings.Contains(expression, ":high") {
			bounds += `,":high":{"N":"12.5"}`
		}
		for _, more := range []string{`"Limit":100`, `"Limit":1`, `"Limit":4`, `"Limit":4,"ScanIndexForward":false`} {
			items, _ := pages(t, e, "Query", `"KeyConditionExpression":"p = :p`+expression+`","ExpressionAttributeValues":{":p":{"S":"b"}`+bounds+`},`+more)
			var got []string
			for _, it := range items {
				got = append(got, it["r"]["N"].(string))
			}
			if strings.Contains(more, "false") {
				slices.Reverse(got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("p = b%s, %s (-want +got):\n%s", expression, more, diff)
			}
		}
	}
}

func TestListings(t *testing.T) {
	e := withRows(t)
	for _, test := range []struct {
		name, op, params string
		items, scanned   int
		attrs            string // of each item
	}{
		{"scan", "Scan", `"Limit":10`, 93, 93, "g p r v w"},
		{"scan filter", "Scan", `"Limit":10,"FilterExpression":"v < :z","ExpressionAttributeValues":{":z":{"N":"0"}}`, 30, 93, "g p r v w"},
		{"scan legacy filter", "Scan", `"ScanFilter":{"v":{"ComparisonOperator":"IN","AttributeValueList":[{"N":"1"},{"N":"2"}]}},"AttributesToGet":["v"]`, 6, 93, "v"},
		{"scan index", "Scan", `"IndexName":"global","Limit":7`, 93, 93, "g p r v"},
		{"count", "Scan", `"Select":"COUNT"`, 0, 93, ""},
		{"legacy query", "Query", `"KeyConditions":{"p":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]},"r":{"ComparisonOperator":"GE","AttributeValueList":[{"N":"0"}]}},
			"QueryFilter":{"v":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"3"}]},"w":{"ComparisonOperator":"NULL"}},"ConditionalOperator":"OR"`, 20, 21, "g p r v w"},
		{"global index", "Query", `"IndexName":"global","Limit":2,"KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"g01"}}`, 15, 15, "g p r v"},
		{"local index", "Query", `"IndexName":"local","Limit":2,"KeyConditionExpression":"p = :p AND begins_with(g, :g)","ExpressionAttributeValues":{":p":{"S":"a"},":g":{"S":"g0"}}`, 31, 31, "g p r"},
		{"local index, whole items", "Query", `"IndexName":"local","Select":"ALL_ATTRIBUTES","KeyConditionExpression":"p = :p AND g <= :g","ExpressionAttributeValues":{":p":{"S":"a"},":g":{"S":"g00"}}`, 5, 5, "g p r v w"},
		{"projection", "Query", `"KeyConditionExpression":"p = :p","ProjectionExpression":"#v, r","ExpressionAttributeNames":{"#v":"v"},"ExpressionAttributeValues":{":p":{"S":"a"}}`, 31, 31, "r v"},
	} {
		items, scanned := pages(t, e, test.op, test.params)
		if len(items) != test.items || scanned != test.scanned {
			t.Errorf("%s: %d items of %d, want %d of %d", test.name, len(items), scanned, test.items, test.scanned)
		}
		for _, it := range items {
			if got := strings.Join(slices.Sorted(maps.Keys(it)), " "); got != test.attrs {
				t.Errorf("%s: item with %q, want %q", test.name, got, test.attrs)
				break
			}
		}
	}
}

func TestBatches(t *testing.T) {
	e := withRows(t)
	wantJSON(t, mustHandle(t, e, "BatchWriteItem", `{"ReturnConsumedCapacity":"TOTAL","RequestItems":{"ttt":[
		{"PutRequest":{"Item":{"p":{"S":"z"},"r":{"N":"1"}}}},{"DeleteRequest":{"Key":{"p":{"S":"a"},"r":{"N":"0.5"}}}}]}}`),
		`{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"ttt","CapacityUnits":4}]}`)
	wantJSON(t, mustHandle(t, e, "BatchGetItem", `{"RequestItems":{"ttt":{"ConsistentRead":true,"ProjectionExpression":"p",
		"Keys":[{"p":{"S":"z"},"r":{"N":"1.0"}},{"p":{"S":"a"},"r":{"N":"0.5"}}]}}}`), `{"Responses":{"ttt":[{"p":{"S":"z"}}]},"UnprocessedKeys":{}}`)
}

func TestBatchGetIsBounded(t *testing.T) {
	e := withRows(t)
	for r := range 50 {
		mustHandle(t, e, "PutItem", fmt.Sprintf(`{"TableName":"ttt","Item":{"p":{"S":"big"},"r":{"N":"%d"},"d":{"S":%q}}}`, r, strings.Repeat("x", 390_000)))
	}
	keys := map[string]bool{}
	for r := range 50 {
		keys[fmt.Sprintf(`{"p":{"S":"big"},"r":{"N":"%d"}}`, r)] = true
	}
	request := `{"ttt":{"ProjectionExpression":"r","Keys":[` + strings.Join(slices.Sorted(maps.Keys(keys)), ",") + `]}}`
	total, calls := 0, 0
	for request != "{}" {
		var out struct {
			Responses       map[string][]json.RawMessage
			UnprocessedKeys json.RawMessage
		}
		if err := json.Unmarshal(mustHandle(t, e, "BatchGetItem", `{"RequestItems":`+request+`}`), &out); err != nil {
			t.Fatal(err)
		}
		total, calls, request = total+len(out.Responses["ttt"]), calls+1, string(out.UnprocessedKeys)
	}
	if total != 50 || calls != 2 {
		t.Errorf("%d items in %d calls, want 50 in 2: an answer holds 16 MB", total, calls)
	}
}

func TestTables(t *testing.T) {
	e := dynamo.New(dynamo.Options{Region: "eu-west-1", AccountID: "111122223333"})
	for _, name := range []string{"bbb", "aaa", "ccc"} {
		mustHandle(t, e, "CreateTable", strings.Replace(leaseTable, `"app"`, `"`+name+`","DeletionProtectionEnabled":true,"Tags":[{"Key":"k","Value":"v"}]`, 1))
	}
	wantJSON(t, mustHandle(t, e, "ListTables", `{"Limit":2}`), `{"TableNames":["aaa","bbb"],"LastEvaluatedTableName":"bbb"}`)
	wantJSON(t, mustHandle(t, e, "ListTables", `{"ExclusiveStartTableName":"bbb"}`), `{"TableNames":["ccc"]}`)
	const arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/aaa"
	wantJSON(t, mustHandle(t, e, "ListTagsOfResource", `{"ResourceArn":"`+arn+`"}`), `{"Tags":[{"Key":"k","Value":"v"}]}`)
	mustHandle(t, e, "PutItem", `{"TableName":"`+arn+`","Item":{"leaseKey":{"S":"k"}}}`) // a table may be named by its ARN

	if err := handleErr(t, e, "DeleteTable", `{"TableName":"aaa"}`); err.Code != "ValidationException" {
		t.Errorf("DeleteTable of a protected table = %v", err)
	}
	mustHandle(t, e, "UpdateTable", `{"TableName":"aaa","DeletionProtectionEnabled":false}`)
	mustHandle(t, e, "DeleteTable", `{"TableName":"aaa"}`)
	wantJSON(t, mustHandle(t, e, "ListTables", `{}`), `{"TableNames":["bbb","ccc"]}`)

	for range 2 { // a worker sends it at each start
		mustHandle(t, e, "UpdateContinuousBackups", `{"TableName":"bbb","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}`)
	}
	if out := string(mustHandle(t, e, "DescribeContinuousBackups", `{"TableName":"bbb"}`)); !strings.Contains(out, `"PointInTimeRecoveryStatus":"ENABLED"`) {
		t.Errorf("DescribeContinuousBackups = %s", out)
	}
}
