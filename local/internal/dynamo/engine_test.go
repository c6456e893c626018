package dynamo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/local/internal/dynamo"
)

const subject = `{"leaseKey":{"S":"k"},"n":{"N":"5"},"s":{"S":"hello"},"b":{"B":"AQI="},"t":{"BOOL":true},"z":{"NULL":true},
	"ss":{"SS":["x","y"]},"ns":{"NS":["1","2"]},"l":{"L":[{"S":"zero"},{"N":"1"},{"M":{"deep":{"S":"down"}}}]},
	"m":{"M":{"inn":{"N":"7"},"l":{"L":[{"S":"a"}]}}}}`

func withSubject(t *testing.T) *dynamo.Engine {
	e := dynamo.New(dynamo.Options{})
	mustHandle(t, e, "CreateTable", leaseTable)
	mustHandle(t, e, "PutItem", `{"TableName":"app","Item":`+subject+`}`)
	return e
}

// values may be used by all expressions of the tables below; each request sends those that its expression has.
var values = map[string]string{":5": `{"N":"5"}`, ":7": `{"N":"7.0"}`, ":hello": `{"S":"hello"}`, ":he": `{"S":"he"}`, ":x": `{"S":"x"}`, ":1": `{"N":"1"}`,
	":zero": `{"S":"zero"}`, ":S": `{"S":"S"}`, ":NULL": `{"S":"NULL"}`, ":down": `{"S":"down"}`, ":9": `{"N":"9"}`, ":yx": `{"SS":["y","x"]}`,
	":set": `{"SS":["y","w"]}`, ":both": `{"SS":["x","y"]}`, ":l": `{"L":[{"S":"new"}]}`, ":true": `{"BOOL":true}`, ":bin": `{"B":"AQ=="}`, ":half": `{"N":"0.5"}`,
	":ns": `{"NS":["2","3.0"]}`, ":m": `{"M":{}}`}

func placeholders(expression string) string {
	var used []string
	for name, v := range values {
		if strings.Contains(expression+" ", name+" ") || strings.Contains(expression, name+",") || strings.Contains(expression, name+")") {
			used = append(used, fmt.Sprintf("%q:%s", name, v))
		}
	}
	if used == nil {
		return ""
	}
	return `,"ExpressionAttributeValues":{` + strings.Join(used, ",") + `}`
}

func TestConditionExpressions(t *testing.T) {
	e := withSubject(t)
	for expression, want := range map[string]any{
		"n = :5": true, "n <> :5": false, "n < :7": true, "n >= :5": true, "n > :5": false, ":5 = n": true, "s = :5": false, "s <> :5": true,
		"lost = :5": false, "lost <> :5": true, "lost < :5": false, "NOT lost = :5": true,
		"n BETWEEN :1 AND :9": true, "n BETWEEN :7 AND :9": false, ":7 BETWEEN n AND :9": true, "n IN (:1, :5)": true, "n IN (:1, :9)": false,
		"begins_with(s, :he)": true, "begins_with(n, :he)": false, "begins_with(b, :bin)": true, "contains(s, :he)": true,
		"contains(ss, :x)": true, "contains(ss, :he)": false, "contains(ns, :1)": true, "contains(l, :zero)": true, "contains(l, :1)": true, "contains(lost, :x)": false,
		"attribute_type(s, :S)": true, "attribute_type(z, :NULL)": true, "attribute_type(n, :S)": false,
		"size(s) = :5": true, "size(l) < :5": true, "size(lost) < :5": false, "size(n) = :5": false, "size(ss) > :1": true,
		"ss = :yx": true, "t = :true": true, "l[2].deep = :down": true, "m.inn = :7": true, "m.l[0] = :x": false, "attribute_exists(l[3])": false,
		"attribute_exists(m.l[0])": true, "attribute_not_exists(m.gone.deeper)": true,
		// OR binds looser than AND, AND looser than NOT.
		"n = :5 OR n = :1 AND n = :9": true, "(n = :5 OR n = :1) AND n = :9": false, "NOT n = :1 AND n = :5": true, "NOT (n = :5 AND s = :hello)": false,
		"not n = :1 and n = :5": true,
		// errors
		"":                           "Invalid ConditionExpression: The expression can not be empty;",
		"n =":                        `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="`,
		"n = :5 AND":                 `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "AND"`,
		"n = = :5":                   `Invalid ConditionExpression: Syntax error; token: "=", near: "= = :5"`,
		"n":                          `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "n"`,
		"((n = :5))":                 "Invalid ConditionExpression: The expression has redundant parentheses;",
		"n = n":                      "Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [n]",
		"nope(n)":                    "Invalid ConditionExpression: Invalid function name; function: nope",
		"if_not_exists(n, :5)":       "Invalid ConditionExpression: The function is not allowed in a condition expression; function: if_not_exists",
		"attribute_exists(n) = :5":   "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: attribute_exists",
		"size(n)":                    "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: size",
		"attribute_exists(:5)":       "Invalid ConditionExpression: Operator or function requires a document path; operator or function: attribute_exists",
		"begins_with(s, :5)":         "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"begins_with(s)":             "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
		"attribute_type(s, :he)":     "Invalid ConditionExpression: Invalid attribute type name found; type: he, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"n BETWEEN :9 AND :1":        "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {N:1}",
		"n BETWEEN :9 AND :he":       "Invalid ConditionExpression: The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {S:he}",
		"size = :5":                  "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: size",
		"#none = :5":                 "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #none",
		"n = :none":                  "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :none",
		strings.Repeat("(", 4000):    `Invalid ConditionExpression: Syntax error; token: "(", near: "((("`,
		strings.Repeat("n = ", 1200): "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 4800",
	} {
		in := fmt.Sprintf(`{"TransactItems":[{"ConditionCheck":{"TableName":"app","Key":{"leaseKey":{"S":"k"}},"ConditionExpression":%q%s}}]}`, expression, placeholders(expression))
		var got any = true
		if _, err := e.Handle(t.Context(), "TransactWriteItems", []byte(in)); err != nil {
			a := handleErr(t, e, "TransactWriteItems", in)
			if got = a.Message; a.Code == "TransactionCanceledException" {
				got = false
			}
		}
		if got != want {
			t.Errorf("%.80s: %v, want %v", expression, got, want)
		}
	}
}

func TestUpdateExpressions(t *testing.T) {
	for _, test := range []struct{ expression, want string }{
		{"SET n = n + :1 , q = n", `{"n":{"N":"6"},"q":{"N":"5"}}`}, // right sides see the item as it was
		{"SET n = n - :half", `{"n":{"N":"4.5"}}`},
		{"SET q = if_not_exists(lost, :5)", `{"q":{"N":"5"}}`},
		{"SET n = if_not_exists(n, :9) + :1", `{"n":{"N":"6"}}`},
		{"SET l = list_append(l, :l)", `{"l":{"L":[{"S":"zero"},{"N":"1"},{"M":{"deep":{"S":"down"}}},{"S":"new"}]}}`},
		{"SET l = list_append(:l, m.l)", `{"l":{"L":[{"S":"new"},{"S":"a"}]}}`},
		{"SET l[1] = :x , l[9] = :5", `{"l":{"L":[{"S":"zero"},{"S":"x"},{"M":{"deep":{"S":"down"}}},{"N":"5"}]}}`},
		{"SET m.l[0] = :x , m.q = :5", `{"m":{"M":{"inn":{"N":"7"},"l":{"L":[{"S":"x"}]},"q":{"N":"5"}}}}`},
		{"REMOVE l[0], l[1]", `{"l":{"L":[{"M":{"deep":{"S":"down"}}}]}}`},
		{"REMOVE l[7], lost", `{}`},
		{"REMOVE n, m.inn", `{"n":null,"m":{"M":{"l":{"L":[{"S":"a"}]}}}}`},
		{"ADD n :1 , q :5", `{"n":{"N":"6"},"q":{"N":"5"}}`},
		{"ADD ss :set", `{"ss":{"SS":["x","y","w"]}}`},
		{"ADD ns :ns", `{"ns":{"NS":["1","2","3"]}}`},
		{"ADD m.inn :1 , m.q :1", `{"m":{"M":{"inn":{"N":"8"},"l":{"L":[{"S":"a"}]},"q":{"N":"1"}}}}`},
		{"DELETE ss :set", `{"ss":{"SS":["x"]}}`},
		{"DELETE ss :both", `{"ss":null}`},
		{"DELETE lost :both", `{}`},
		{"set n = :9 remove s add q :1 delete ss :set", `{"n":{"N":"9"},"s":null,"q":{"N":"1"},"ss":{"SS":["x"]}}`},
		// errors
		{"SET n = lost", "The provided expression refers to an attribute that does not exist in the item"},
		{"SET n = s + :1", "An operand in the update expression has an incorrect data type"},
		{"ADD s :1", "An operand in the update expression has an incorrect data type"},
		{"DELETE ns :set", "An operand in the update expression has an incorrect data type"},
		{"SET gone.deep = :5", "The document path provided in the update expression is invalid for update"},
		{"SET n.deep = :5", "The document path provided in the update expression is invalid for update"},
		{"SET n[0] = :5", "The document path provided in the update expression is invalid for update"},
		{"REMOVE gone.deep", "The document path provided in the update expression is invalid for update"},
		{"SET n = :5 SET s = :5", `Invalid UpdateExpression: The "SET" section can only be used once in an update expression;`},
		{"SET m = :m REMOVE m.l", "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, l]"},
		{"SET m.l = :5 REMOVE m[0]", "Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, l], path two: [m, [0]]"},
		{"ADD n :he", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"},
		{"DELETE n :5", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"},
		{"SET n = :he + :1", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +, operand type: S"},
		{"SET n = size(s)", "Invalid UpdateExpression: The function is not allowed in an update expression; function: size"},
		{"ADD n n", `Invalid UpdateExpression: Syntax error; token: "n", near: "n n"`},
	} {
		t.Run(test.expression, func(t *testing.T) {
			e := withSubject(t)
			in := fmt.Sprintf(`{"TableName":"app","Key":{"leaseKey":{"S":"k"}},"ReturnValues":"ALL_NEW","UpdateExpression":%q%s}`, test.expression, placeholders(test.expression))
			if test.want[0] != '{' {
				if err := handleErr(t, e, "UpdateItem", in); err.Code != "ValidationException" || err.Message != test.want {
					t.Errorf("error %v, want %s", err, test.want)
				}
				wantJSON(t, mustHandle(t, e, "GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k"}}}`), `{"Item":`+subject+`}`)
				return
			}
			want := decoded(t, []byte(subject)).(map[string]any)
			for name, v := range decoded(t, []byte(test.want)).(map[string]any) {
				if want[name] = v; v == nil {
					delete(want, name)
				}
			}
			b, _ := json.Marshal(map[string]any{"Attributes": want})
			wantJSON(t, mustHandle(t, e, "UpdateItem", in), string(b))
		})
	}
}

// TestConsumedCapacity checks the arithmetic of the developer guide on a table with the owner index.
func TestConsumedCapacity(t *testing.T) {
	const x = "LeaseOwnerToLeaseKeyIndex"
	kb := func(n int) string { return strings.Repeat("x", n*1024) }
	item := func(owner string, size int) string {
		return `{"TableName":"app","Item":{"leaseKey":{"S":"k"},"leaseOwner":{"S":"` + owner + `"},"d":{"S":"` + kb(size) + `"}}}`
	}
	get := `{"TableName":"app","Key":{"leaseKey":{"S":"k"}}}`
	unowned := `{"TableName":"app","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"REMOVE leaseOwner"}`
	touch := `{"TableName":"app","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"SET c = :c","ExpressionAttributeValues":{":c":{"N":"1"}}}`
	query := `{"TableName":"app","IndexName":"` + x + `","KeyConditionExpression":"leaseOwner = :o","ExpressionAttributeValues":{":o":{"S":"B"}}}`
	transact := `{"TransactItems":[{"Update":` + touch + `}]}`
	transactGet := `{"TransactItems":[{"Get":` + get + `}]}`
	consistent := strings.Replace(get, `"Key"`, `"ConsistentRead":true,"Key"`, 1)
	e := leases(t, dynamo.Options{})
	for i, step := range []struct {
		op, in       string
		table, index float64
	}{
		{"PutItem", item("A", 0), 1, 1},         // new: an entry in each
		{"PutItem", item("A", 3), 4, 0},         // 3 KiB and its names; the index shows keys only and does not change
		{"PutItem", item("B", 1), 4, 2},         // the larger of old and new; the entry moves: one removed, one added
		{"UpdateItem", touch, 2, 0},             // the whole item counts, not the change
		{"UpdateItem", transact, 4, 0},          // twice
		{"GetItem", get, 0.5, 0},                // eventually consistent
		{"GetItem", consistent, 1, 0},           //
		{"TransactGetItems", transactGet, 2, 0}, //
		{"Query", query, 0, 0.5},                //
		{"UpdateItem", unowned, 2, 1},           // the entry goes
		{"PutItem", item("", 0), 2, 0},          // replaced below
		{"Scan", `{"TableName":"app"}`, 0.5, 0}, //
		{"DeleteItem", get, 1, 0},               //
		{"DeleteItem", get, 1, 0},               // nothing there costs one
		{"GetItem", consistent, 1, 0},           // nothing there costs one
		{"PutItem", item("A", 9), 10, 1},        //
		{"GetItem", consistent, 3, 0},           // 9 KiB are three units of 4 KiB
		{"DeleteItem", get, 10, 1},              //
	} {
		if step.op == "PutItem" {
			step.in = strings.Replace(step.in, `"leaseOwner":{"S":""},`, "", 1)
		}
		op := step.op
		if step.in == transact {
			op = "TransactWriteItems"
		}
		out := mustHandle(t, e, op, step.in[:len(step.in)-1]+`,"ReturnConsumedCapacity":"INDEXES"}`)
		var got struct{ ConsumedCapacity json.RawMessage }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		got.ConsumedCapacity = []byte(strings.Trim(string(got.ConsumedCapacity), "[]"))
		var c struct {
			CapacityUnits          float64
			Table                  struct{ CapacityUnits float64 }
			GlobalSecondaryIndexes map[string]struct{ CapacityUnits float64 }
		}
		if err := json.Unmarshal(got.ConsumedCapacity, &c); err != nil {
			t.Fatal(err)
		}
		if index := c.GlobalSecondaryIndexes[x].CapacityUnits; c.Table.CapacityUnits != step.table || index != step.index || c.CapacityUnits != step.table+step.index {
			t.Errorf("step %d, %s: table %v, index %v, total %v; want %v and %v", i, op, c.Table.CapacityUnits, index, c.CapacityUnits, step.table, step.index)
		}
	}
}

func TestErrors(t *testing.T) {
	const key = `"TableName":"app","Key":{"leaseKey":{"S":"k"}}`
	for _, test := range []struct{ op, in, want string }{
		{"Nothing", `{}`, "UnknownOperationException: "},
		{"GetItem", ``, "SerializationException: Unexpected token received from parser"},
		{"GetItem", `[]`, "SerializationException: Unexpected token received from parser"},
		{"GetItem", `{"TableName":"app"`, "SerializationException: Unexpected token received from parser"},
		{"GetItem", strings.Repeat(`{"a":`, 5000), "SerializationException: Unexpected token received from parser"},
		{"GetItem", `{"TableName":5}`, "SerializationException: NUMBER_VALUE cannot be converted to String"},
		{"GetItem", `{"TableName":"app","Key":{"leaseKey":"k"}}`, "SerializationException: Unexpected value type in payload"},
		{"GetItem", `{"TableName":"app","Key":{"leaseKey":{"B":"x"}}}`, "SerializationException: Base64 encoded length is expected a multiple of 4 bytes but found: 1"},
		{"GetItem", `{"TableName":"app","Key":{"leaseKey":{"N":"1"}}}`, "ValidationException: The provided key element does not match the schema"},
		{"GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"a"},"more":{"S":"a"}}}`, "ValidationException: The provided key element does not match the schema"},
		{"GetItem", `{"TableName":"app","Key":{"leaseKey":{}}}`, "ValidationException: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{"GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"a","N":"1"}}}`, "ValidationException: Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{"GetItem", `{"TableName":"none","Key":{"leaseKey":{"S":"a"}}}`, "ResourceNotFoundException: Requested resource not found"},
		{"DescribeTable", `{"TableName":"none"}`, "ResourceNotFoundException: Requested resource not found: Table: none not found"},
		{"UpdateContinuousBackups", `{"TableName":"none","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}`, "TableNotFoundException: Table not found: none"},
		{"CreateTable", leaseTable, "ResourceInUseException: Table already exists: app"},
		{"Query", `{"TableName":"app","IndexName":"none","KeyConditionExpression":"a = :a","ExpressionAttributeValues":{":a":{"S":"b"}}}`, "ValidationException: The table does not have the specified index: none"},
		{"Query", `{"TableName":"app"}`, "ValidationException: Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."},
		{"UpdateItem", `{` + key + `,"Expected":{"a":{"Exists":true}}}`, "ValidationException: One or more parameter values were invalid: Value must be provided when Exists is true for Attribute: a"},
		{"UpdateItem", `{` + key + `,"Expected":{"a":{"Exists":false,"Value":{"S":"x"}}}}`, "ValidationException: One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: a"},
		{"UpdateItem", `{` + key + `,"Expected":{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"}]}}}`, "ValidationException: One or more parameter values were invalid: Invalid number of argument(s) for the BETWEEN ComparisonOperator"},
		{"UpdateItem", `{` + key + `,"AttributeUpdates":{"a":{"Action":"ADD","Value":{"S":"x"}}}}`, "ValidationException: One or more parameter values were invalid: ADD action is not supported for the type S"},
		{"UpdateItem", `{` + key + `,"AttributeUpdates":{"a":{"Action":"PUT"}}}`, "ValidationException: One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified"},
		{"PutItem", `{"TableName":"app","Item":{"leaseKey":{"S":"k"},"d":{"S":"` + strings.Repeat("x", 400*1024) + `"}}}`, "ValidationException: Item size has exceeded the maximum allowed size"},
		{"DeleteTable", `{"TableName":"app"}`, "ValidationException: Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."},
	} {
		e := withSubject(t)
		mustHandle(t, e, "UpdateTable", `{"TableName":"app","DeletionProtectionEnabled":true}`)
		if got := handleErr(t, e, test.op, test.in).Error(); got != test.want {
			t.Errorf("%s %.60s: %s\nwant %s", test.op, test.in, got, test.want)
		}
	}
}

func TestHandleEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := withSubject(t)
	if out, err := e.Handle(ctx, "DeleteItem", []byte(`{"TableName":"app","Key":{"leaseKey":{"S":"k"}}}`)); err == nil {
		t.Errorf("Handle with an ended context = %s", out)
	}
	wantJSON(t, mustHandle(t, e, "GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k"}}}`), `{"Item":`+subject+`}`)
}

// FuzzHandle sends any body to any operation: the answer is JSON or an error, never a panic, and the engine still works.
func FuzzHandle(f *testing.F) {
	ops := []string{"PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem", "TransactWriteItems",
		"TransactGetItems", "CreateTable", "UpdateTable", "DescribeTable", "ListTables", "TagResource", "UpdateTimeToLive", "UpdateContinuousBackups"}
	for i, in := range []string{
		`{"TableName":"app","Item":` + subject + `,"Expected":{"a":{"Exists":false}}}`,
		`{"TableName":"app","Key":{"leaseKey":{"S":"k"}},"ProjectionExpression":"l[0], m.inn"}`,
		`{"TableName":"app","Key":{"leaseKey":{"S":"k"}},"UpdateExpression":"SET n = :n","ExpressionAttributeValues":{":n":{"N":"1"}},"ReturnValues":"UPDATED_OLD"}`,
		`{"TableName":"app","Key":{"leaseKey":{"S":"k\u00e9\ud83d\ude00"}},"ReturnConsumedCapacity":"INDEXES"}`,
		`{"TableName":"app","KeyConditions":{"leaseKey":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"k"}]}},"Limit":1}`,
		`{"TableName":"app","Segment":1,"TotalSegments":3,"ExclusiveStartKey":{"leaseKey":{"S":"k"}}}`,
		`{"RequestItems":{"app":{"Keys":[{"leaseKey":{"S":"k"}}]}}}`,
		`{"RequestItems":{"app":[{"DeleteRequest":{"Key":{"leaseKey":{"S":"k"}}}}]}}`,
		`{"ClientRequestToken":"t","TransactItems":[{"Put":{"TableName":"app","Item":` + subject + `}}]}`,
		`{"TransactItems":[{"Get":{"TableName":"app","Key":{}}}]}`,
		leaseTable, leaseIndex,
		`null`, `{"Limit":1e9}`, `{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/app","Tags":[{"Key":"a","Value":"b"}]}`,
	} {
		f.Add(uint8(i), in)
	}
	f.Fuzz(func(t *testing.T, op uint8, in string) {
		e := dynamo.New(dynamo.Options{})
		mustHandle(t, e, "CreateTable", leaseTable)
		mustHandle(t, e, "PutItem", `{"TableName":"app","Item":`+subject+`}`)
		if out, err := e.Handle(t.Context(), ops[int(op)%len(ops)], []byte(in)); err == nil {
			decoded(t, out)
		}
		decoded(t, mustHandle(t, e, "Scan", `{"TableName":"app"}`))
	})
}
