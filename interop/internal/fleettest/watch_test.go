package fleettest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/local"
)

// TestWatchFindsFaults writes what no worker may write and expects each to be found, and what workers do to pass.
func TestWatchFindsFaults(t *testing.T) {
	const (
		create = `PutItem {"TableName":"app","Item":{"leaseKey":{"S":"s"},"leaseCounter":{"N":"1"},"leaseOwner":{"S":"a"},"checkpoint":{"S":"5"}}}`
		lead   = `PutItem {"TableName":"app","Item":{"leaseKey":{"S":"Leader"},"ownerName":{"S":"l"}}}`
		update = `UpdateItem {"TableName":"app","Key":{"leaseKey":{"S":"s"}},"UpdateExpression":"set %s","ExpressionAttributeValues":{%s}}`
	)
	set := func(expression, values string) string { return fmt.Sprintf(update, expression, values) }
	checkpoint := set("checkpoint = :c, leaseCounter = :n", `":c":{"S":"6"},":n":{"N":"2"}`)
	handoff := set("leaseOwner = :b, checkpointOwner = :a", `":b":{"S":"b"},":a":{"S":"a"}`)
	tests := []struct {
		name, by, write, want string
	}{
		{"owner checkpoints", "a", checkpoint, ""},
		{"another checkpoints", "b", checkpoint, "b checkpoints s, whose owner is a"},
		{"owner goes back", "a", set("checkpoint = :c, leaseCounter = :n", `":c":{"S":"4"},":n":{"N":"2"}`), "back from"},
		{"counter jumps", "a", set("leaseCounter = :n", `":n":{"N":"3"}`), "from 1 to 3"},
		{"owner renews", "a", set("leaseCounter = :n", `":n":{"N":"2"}`), ""},
		{"another renews", "b", set("leaseCounter = :n", `":n":{"N":"2"}`), "b renews s"},
		{"leader hands off", "l", handoff, ""},
		{"another hands off", "b", handoff, "does not lead, begins"},
		{"leader assigns", "l", set("leaseOwner = :b, leaseCounter = :n", `":b":{"S":"b"},":n":{"N":"2"}`), ""},
		{"another steals", "b", set("leaseOwner = :b, leaseCounter = :n", `":b":{"S":"b"},":n":{"N":"2"}`), "moves a lease"},
		{"owner passes on", "a", set("leaseOwner = :b, leaseCounter = :n", `":b":{"S":"b"},":n":{"N":"2"}`), ""},
		{"open lease is deleted", "l", `DeleteItem {"TableName":"app","Key":{"leaseKey":{"S":"s"}}}`, "l deletes s"},
		{"another takes the lock", "b", lead, "b writes the lock of l"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := local.New(local.Config{})
			w := newWatch(server)
			send := func(by, request string) {
				operation, body, _ := strings.Cut(request, " ")
				if code := serve(t, w, by, operation, body); code != 200 {
					t.Fatalf("%s by %s is answered with %d", request, by, code)
				}
			}
			send("setup", `CreateTable {"TableName":"app","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"leaseKey","AttributeType":"S"}],"KeySchema":[{"AttributeName":"leaseKey","KeyType":"HASH"}]}`)
			send("l", lead)
			send("a", create)
			w.faults = nil // a worker does not create rows that have an owner
			send(tt.by, tt.write)
			_, faults := w.snapshot()
			got := strings.Join(faults, "; ")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("faults are %q, want %q", got, tt.want)
			}
		})
	}
}

func serve(t *testing.T, w *watch, by, operation, body string) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://dynamodb/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", dynamoTarget+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	r.Header.Set(local.CallerHeader, by)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		t.Log(rec.Body)
	}
	return rec.Code
}
