package dynamo_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/dynamo"
)

// handleErr runs an operation that must fail and returns its error.
func handleErr(tb testing.TB, e *dynamo.Engine, op, in string) *awserr.Error {
	tb.Helper()
	out, err := e.Handle(tb.Context(), op, []byte(in))
	a, ok := errors.AsType[*awserr.Error](err)
	if !ok {
		tb.Fatalf("%s %s = %s, %v, want an error", op, in, out, err)
	}
	return a
}

// decoded is any JSON as Go values.
func decoded(tb testing.TB, b []byte) (v any) {
	tb.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatalf("answer %q is no JSON: %v", b, err)
	}
	return v
}

func wantJSON(tb testing.TB, got []byte, want string) {
	tb.Helper()
	if diff := cmp.Diff(decoded(tb, []byte(want)), decoded(tb, got)); diff != "" {
		tb.Errorf("answer differs (-want +got):\n%s", diff)
	}
}

// leases is an engine with an application's table and one lease, k1, owned by A, whose counter is 7.
func leases(tb testing.TB, o dynamo.Options) *dynamo.Engine {
	e := dynamo.New(o)
	mustHandle(tb, e, "CreateTable", leaseTable)
	mustHandle(tb, e, "UpdateTable", leaseIndex)
	mustHandle(tb, e, "PutItem", `{"TableName":"app","Item":{"leaseKey":{"S":"k1"},"leaseOwner":{"S":"A"},"leaseCounter":{"N":"7"},
		"checkpoint":{"S":"TRIM_HORIZON"},"ownerSwitchesSinceCheckpoint":{"N":"2"},"pendingCheckpoint":{"S":"5"}}}`)
	return e
}

// put, expect and update build requests the way the AWS SDK for Java writes those of DynamoDBLeaseRefresher.
func expectValue(kind, v string) string { return fmt.Sprintf(`{"Value":{%q:%q}}`, kind, v) }

const absent = `{"Exists":false}`

// TestKCLLeaseWrites sends the writes W1 to W11 of spec lease-coordination.md section 2.4, in the legacy form that Java
// sends and as expressions, once where the condition holds and once where it does not.
func TestKCLLeaseWrites(t *testing.T) {
	key := `"TableName":"app","Key":{"leaseKey":{"S":"k1"}}`
	exists := `"leaseKey":{"Value":{"S":"k1"},"Exists":true}`
	num := func(n string) string { return `{"Value":{"N":"` + n + `"},"Action":"PUT"}` }
	str := func(s string) string { return `{"Value":{"S":"` + s + `"},"Action":"PUT"}` }
	const del, addOne = `{"Action":"DELETE"}`, `{"Value":{"N":"1"},"Action":"ADD"}`
	base := map[string]string{"leaseKey": "k1", "leaseOwner": "A", "leaseCounter": "7", "checkpoint": "TRIM_HORIZON",
		"ownerSwitchesSinceCheckpoint": "2", "pendingCheckpoint": "5"}
	tests := []struct {
		name     string
		before   string // an UpdateExpression that prepares the item
		legacy   string
		expr     string
		want     map[string]string // changes to base; "" is removed
		breaking string            // an UpdateExpression after which the condition fails
	}{
		{"W2 renew", "",
			`"Expected":{"leaseCounter":` + expectValue("N", "7") + `,"checkpointOwner":` + absent + `},
			"AttributeUpdates":{"leaseCounter":` + num("8") + `,"throughputKBps":` + num("1.0E-6") + `}`,
			`"ConditionExpression":"leaseCounter = :c AND attribute_not_exists(checkpointOwner)",
			"UpdateExpression":"SET leaseCounter = :n, throughputKBps = :t","ExpressionAttributeValues":{":c":{"N":"7"},":n":{"N":"8"},":t":{"N":"1.0E-6"}}`,
			map[string]string{"leaseCounter": "8", "throughputKBps": "0.000001"}, "SET checkpointOwner = :x"},
		{"W3 renew during handoff", "SET checkpointOwner = :x",
			`"Expected":{"leaseCounter":` + expectValue("N", "7") + `},"AttributeUpdates":{"leaseCounter":` + num("8") + `}`,
			`"ConditionExpression":"leaseCounter = :c","UpdateExpression":"SET leaseCounter = :n","ExpressionAttributeValues":{":c":{"N":"7"},":n":{"N":"8"}}`,
			map[string]string{"leaseCounter": "8", "checkpointOwner": "x"}, "ADD leaseCounter :one"},
		{"W4 take", "SET checkpointOwner = :x",
			`"Expected":{"leaseCounter":` + expectValue("N", "7") + `},"AttributeUpdates":{"leaseCounter":` + num("8") + `,"leaseOwner":` + str("B") +
				`,"checkpointOwner":` + del + `,"ownerSwitchesSinceCheckpoint":` + addOne + `}`,
			`"ConditionExpression":"leaseCounter = :c","UpdateExpression":"SET leaseCounter = :n, leaseOwner = :me REMOVE checkpointOwner ADD ownerSwitchesSinceCheckpoint :one",
			"ExpressionAttributeValues":{":c":{"N":"7"},":n":{"N":"8"},":me":{"S":"B"},":one":{"N":"1"}}`,
			map[string]string{"leaseCounter": "8", "leaseOwner": "B", "ownerSwitchesSinceCheckpoint": "3"}, "ADD leaseCounter :one"},
		{"W5 start handoff", "",
			`"Expected":{` + exists + `,"leaseOwner":` + expectValue("S", "A") + `,"checkpointOwner":` + absent + `},
			"AttributeUpdates":{"leaseOwner":` + str("B") + `,"checkpointOwner":` + str("A") + `}`,
			`"ConditionExpression":"attribute_exists(leaseKey) AND leaseOwner = :o AND attribute_not_exists(checkpointOwner)",
			"UpdateExpression":"SET leaseOwner = :new, checkpointOwner = :o","ExpressionAttributeValues":{":o":{"S":"A"},":new":{"S":"B"}}`,
			map[string]string{"leaseOwner": "B", "checkpointOwner": "A"}, "SET leaseOwner = :x"},
		{"W6 assign an unowned lease", "REMOVE leaseOwner",
			`"Expected":{` + exists + `,"leaseOwner":` + absent + `,"checkpointOwner":` + absent + `},
			"AttributeUpdates":{"leaseOwner":` + str("B") + `,"checkpointOwner":` + del + `,"leaseCounter":` + addOne + `}`,
			`"ConditionExpression":"attribute_exists(leaseKey) AND attribute_not_exists(leaseOwner) AND attribute_not_exists(checkpointOwner)",
			"UpdateExpression":"SET leaseOwner = :new REMOVE checkpointOwner ADD leaseCounter :one","ExpressionAttributeValues":{":new":{"S":"B"},":one":{"N":"1"}}`,
			map[string]string{"leaseOwner": "B", "leaseCounter": "8"}, "SET leaseOwner = :x"},
		{"W7 finish handoff", "SET checkpointOwner = :x",
			`"Expected":{` + exists + `,"leaseOwner":` + expectValue("S", "A") + `,"checkpointOwner":` + expectValue("S", "x") + `},
			"AttributeUpdates":{"leaseOwner":` + str("A") + `,"checkpointOwner":` + del + `,"leaseCounter":` + addOne + `}`,
			`"ConditionExpression":"attribute_exists(leaseKey) AND leaseOwner = :o AND checkpointOwner = :me",
			"UpdateExpression":"SET leaseOwner = :o REMOVE checkpointOwner ADD leaseCounter :one","ExpressionAttributeValues":{":o":{"S":"A"},":me":{"S":"x"},":one":{"N":"1"}}`,
			map[string]string{"leaseCounter": "8"}, "REMOVE checkpointOwner"},
		{"W8 evict", "",
			`"Expected":{` + exists + `,"leaseOwner":` + expectValue("S", "A") + `,"checkpointOwner":` + absent + `},
			"AttributeUpdates":{"leaseOwner":` + del + `,"checkpointOwner":` + del + `,"leaseCounter":` + addOne + `}`,
			`"ConditionExpression":"attribute_exists(leaseKey) AND leaseOwner = :o AND attribute_not_exists(checkpointOwner)",
			"UpdateExpression":"REMOVE leaseOwner, checkpointOwner ADD leaseCounter :one","ExpressionAttributeValues":{":o":{"S":"A"},":one":{"N":"1"}}`,
			map[string]string{"leaseCounter": "8", "leaseOwner": ""}, "SET leaseOwner = :x"},
		{"W9 checkpoint", "",
			`"Expected":{"leaseCounter":` + expectValue("N", "7") + `},"AttributeUpdates":{"leaseCounter":` + num("8") + `,"checkpoint":` + str("123") +
				`,"checkpointSubSequenceNumber":` + num("0") + `,"ownerSwitchesSinceCheckpoint":` + num("0") + `,"pendingCheckpoint":` + del +
				`,"pendingCheckpointSubSequenceNumber":` + del + `,"pendingCheckpointState":` + del + `}`,
			`"ConditionExpression":"leaseCounter = :c","UpdateExpression":"SET leaseCounter = :n, #cp = :cp, checkpointSubSequenceNumber = :z, ownerSwitchesSinceCheckpoint = :z REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState",
			"ExpressionAttributeNames":{"#cp":"checkpoint"},"ExpressionAttributeValues":{":c":{"N":"7"},":n":{"N":"8"},":cp":{"S":"123"},":z":{"N":"0"}}`,
			map[string]string{"leaseCounter": "8", "checkpoint": "123", "checkpointSubSequenceNumber": "0", "ownerSwitchesSinceCheckpoint": "0",
				"pendingCheckpoint": ""}, "ADD leaseCounter :one"},
		{"W10 metadata", "",
			`"Expected":{` + exists + `},"AttributeUpdates":{"startingHashKey":` + str("0") + `,"endingHashKey":` + str("99") + `}`,
			`"ConditionExpression":"attribute_exists(leaseKey)","UpdateExpression":"SET startingHashKey = :s, endingHashKey = :e",
			"ExpressionAttributeValues":{":s":{"S":"0"},":e":{"S":"99"}}`,
			map[string]string{"startingHashKey": "0", "endingHashKey": "99"}, ""},
	}
	for _, test := range tests {
		for form, params := range map[string]string{"legacy": test.legacy, "expression": test.expr} {
			t.Run(test.name+" "+form, func(t *testing.T) {
				e := leases(t, dynamo.Options{})
				change(t, e, test.before)
				out := mustHandle(t, e, "UpdateItem", `{`+key+`,`+params+`,"ReturnValues":"ALL_NEW","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
				want := map[string]string{}
				for _, m := range []map[string]string{base, test.want} {
					for k, v := range m {
						if want[k] = v; v == "" {
							delete(want, k)
						}
					}
				}
				if diff := cmp.Diff(want, flat(t, out, "Attributes")); diff != "" {
					t.Errorf("ALL_NEW differs (-want +got):\n%s", diff)
				}
				if test.breaking == "" { // only a missing item breaks it
					mustHandle(t, e, "DeleteItem", `{`+key+`}`)
				} else {
					e = leases(t, dynamo.Options{})
					change(t, e, test.before)
					change(t, e, test.breaking)
				}
				before := mustHandle(t, e, "GetItem", `{`+key+`,"ConsistentRead":true}`)
				err := handleErr(t, e, "UpdateItem", `{`+key+`,`+params+`,"ReturnValues":"ALL_NEW","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
				if err.Code != "ConditionalCheckFailedException" || err.Message != "The conditional request failed" {
					t.Errorf("error = %v", err)
				}
				if item, _ := json.Marshal(err.Fields); test.breaking != "" {
					wantJSON(t, item, string(before))
				} else if err.Fields != nil {
					t.Errorf("Fields = %s for an item that does not exist", item)
				}
				wantJSON(t, mustHandle(t, e, "GetItem", `{`+key+`,"ConsistentRead":true}`), string(before))
			})
		}
	}
}

// change applies an update expression to k1 that may use :x and :one.
func change(t *testing.T, e *dynamo.Engine, expression string) {
	t.Helper()
	if expression == "" {
		return
	}
	values := `,"ExpressionAttributeValues":{":x":{"S":"x"}}`
	if strings.Contains(expression, ":one") {
		values = `,"ExpressionAttributeValues":{":one":{"N":"1"}}`
	} else if !strings.Contains(expression, ":x") {
		values = ""
	}
	mustHandle(t, e, "UpdateItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k1"}},"UpdateExpression":"`+expression+`"`+values+`}`)
}

// flat is an item of strings and numbers.
func flat(t *testing.T, out []byte, member string) map[string]string {
	t.Helper()
	var answer map[string]json.RawMessage
	var attrs map[string]map[string]string
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(answer[member], &attrs); err != nil {
		t.Fatalf("%s of %s: %v", member, out, err)
	}
	got := map[string]string{}
	for name, v := range attrs {
		for _, text := range v {
			got[name] = text
		}
	}
	return got
}

func TestKCLCreateAndDelete(t *testing.T) {
	for form, condition := range map[string]string{
		"legacy":     `"Expected":{"leaseKey":{"Exists":false}}`,
		"expression": `"ConditionExpression":"attribute_not_exists(leaseKey)"`,
	} {
		t.Run(form, func(t *testing.T) {
			e := leases(t, dynamo.Options{})
			w1 := `{"TableName":"app","Item":` + lease("k2", "A") + `,` + condition + `,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`
			mustHandle(t, e, "PutItem", w1)
			if err := handleErr(t, e, "PutItem", w1); err.Code != "ConditionalCheckFailedException" || err.Fields["Item"] == nil {
				t.Errorf("second create = %v with %v", err, err.Fields)
			}
			for range 2 { // W11 has no condition and may be repeated
				mustHandle(t, e, "DeleteItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k2"}}}`)
			}
			wantJSON(t, mustHandle(t, e, "GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k2"}}}`), `{}`)
		})
	}
}

// TestKCLLock walks through the requests of the lock client, spec section 4.2.
func TestKCLLock(t *testing.T) {
	e := leases(t, dynamo.Options{})
	names := func(list ...string) string {
		all := map[string]string{"#pk": "leaseKey", "#rvn": "recordVersionNumber", "#on": "ownerName", "#ld": "leaseDuration", "#ir": "isReleased"}
		out := map[string]string{}
		for _, n := range list {
			out[n] = all[n]
		}
		b, _ := json.Marshal(out)
		return `,"ExpressionAttributeNames":` + string(b)
	}
	put := func(rvn, condition string) string {
		return `{"TableName":"app","Item":{"leaseKey":{"S":"Leader"},"entityType":{"S":"LEADER"},"ownerName":{"S":"A"},
			"leaseDuration":{"S":"120000"},"recordVersionNumber":{"S":"` + rvn + `"}},` + condition + `}`
	}
	missing := `"ConditionExpression":"attribute_not_exists(#pk)"` + names("#pk")
	expired := func(rvn string) string {
		return `"ConditionExpression":"attribute_exists(#pk) AND #rvn = :rvn","ExpressionAttributeValues":{":rvn":{"S":"` + rvn + `"}}` + names("#pk", "#rvn")
	}
	released := `"ConditionExpression":"attribute_exists(#pk) AND #ir = :ir","ExpressionAttributeValues":{":ir":{"S":"1"}}` + names("#pk", "#ir")
	held := func(rvn string) string {
		return `{"TableName":"app","Key":{"leaseKey":{"S":"Leader"}},"ConditionExpression":"attribute_exists(#pk) AND #rvn = :rvn AND #on = :on",` +
			`"ExpressionAttributeValues":{":rvn":{"S":"` + rvn + `"},":on":{"S":"A"}%s}`
	}
	heartbeat := func(rvn, next string) string {
		return fmt.Sprintf(held(rvn), `,":ld":{"S":"120000"},":newRvn":{"S":"`+next+`"}`) + names("#pk", "#rvn", "#on", "#ld") +
			`,"UpdateExpression":"SET #ld = :ld, #rvn = :newRvn"}`
	}
	release := func(rvn string) string { return fmt.Sprintf(held(rvn), "") + names("#pk", "#rvn", "#on") + `}` }

	steps := []struct {
		op, in string
		ok     bool
	}{
		{"PutItem", put("r0", expired("r0")), false},
		{"PutItem", put("r0", released), false},
		{"PutItem", put("r1", missing), true},
		{"PutItem", put("r2", missing), false},
		{"UpdateItem", heartbeat("r0", "r2"), false},
		{"UpdateItem", heartbeat("r1", "r2"), true},
		{"PutItem", put("r3", expired("r1")), false},
		{"PutItem", put("r3", expired("r2")), true},
		{"DeleteItem", release("r2"), false},
		{"DeleteItem", release("r3"), true},
		{"DeleteItem", release("r3"), false},
	}
	for i, s := range steps {
		_, err := e.Handle(t.Context(), s.op, []byte(s.in))
		a, _ := errors.AsType[*awserr.Error](err)
		if s.ok != (err == nil) || err != nil && a.Code != "ConditionalCheckFailedException" {
			t.Errorf("step %d, %s %s: %v", i, s.op, s.in, err)
		}
	}
}

func TestConditionalUpdateIsAtomic(t *testing.T) {
	e := leases(t, dynamo.Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 16 {
		wg.Go(func() {
			for c := 7; c < 57; c++ {
				in := fmt.Sprintf(`{"TableName":"app","Key":{"leaseKey":{"S":"k1"}},"UpdateExpression":"SET leaseCounter = leaseCounter + :one",
					"ConditionExpression":"leaseCounter = :c","ExpressionAttributeValues":{":one":{"N":"1"},":c":{"N":"%d"}}}`, c)
				if _, err := e.Handle(t.Context(), "UpdateItem", []byte(in)); err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	got := flat(t, mustHandle(t, e, "GetItem", `{"TableName":"app","Key":{"leaseKey":{"S":"k1"}}}`), "Item")["leaseCounter"]
	if want := fmt.Sprint(7 + won); got != want || won == 0 || won > 50 {
		t.Errorf("counter = %s after %d successful updates", got, won)
	}
}
