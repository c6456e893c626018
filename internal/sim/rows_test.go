package sim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// This file holds what is in the table, and each write to it, to the rules of spec lease-coordination.md (sections 1, 2.4, 3 to 5 and
// 9.7), as a Java worker on the same table would (I9). It reads raw items, without the code that is under test.

// raw makes a DynamoDB call past the network and the SDK.
func (w *world) raw(operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		return fmt.Errorf("%s: %s", operation, rec.Body)
	}
	return json.Unmarshal(rec.Body.Bytes(), out)
}

// rows returns the whole table; ok is false while there is none.
func (w *world) rows() (items []item, ok bool) {
	in := map[string]any{"TableName": application, "ConsistentRead": true}
	for {
		var page struct {
			Items            []item
			LastEvaluatedKey item
		}
		if err := w.raw("Scan", in, &page); err != nil {
			if !strings.Contains(err.Error(), "ResourceNotFoundException") {
				w.ledger.breach("the table cannot be read: %v", err)
			}
			return nil, false
		}
		items = append(items, page.Items...)
		if page.LastEvaluatedKey == nil {
			return items, true
		}
		in["ExclusiveStartKey"] = page.LastEvaluatedKey
	}
}

func (w *world) row(key string) item {
	var out struct{ Item item }
	if err := w.raw("GetItem", map[string]any{"TableName": application, "ConsistentRead": true,
		"Key": map[string]any{"leaseKey": map[string]any{"S": key}}}, &out); err != nil {
		w.ledger.breach("the row %s cannot be read: %v", key, err)
	}
	return out.Item
}

func (it item) text(name string) string {
	if s := it[name].S; s != nil {
		return *s
	}
	return ""
}

func (it item) number(name string) int64 {
	if it[name].N == nil {
		return 0
	}
	n, _ := strconv.ParseInt(*it[name].N, 10, 64)
	return n
}

// Kinds of attributes, as functions that say whether a value is one.
var (
	digits   = regexp.MustCompile(`^\d+$`)
	shardKey = regexp.MustCompile(`^(\d+:[^:]+:[1-9]\d*:)?shardId-\d{12}$`)
	streamID = regexp.MustCompile(`^\d+:[^:]+:[1-9]\d*$`)
	someID   = regexp.MustCompile(`.`)
)

func like(re *regexp.Regexp) func(attr) bool {
	return func(a attr) bool { return a.S != nil && re.MatchString(*a.S) }
}

func oneOf(values ...string) func(attr) bool {
	return func(a attr) bool { return a.S != nil && slices.Contains(values, *a.S) }
}

func long(a attr) bool {
	if a.N == nil {
		return false
	}
	_, err := strconv.ParseInt(*a.N, 10, 64)
	return err == nil
}

func double(a attr) bool {
	if a.N == nil {
		return false
	}
	f, err := strconv.ParseFloat(*a.N, 64)
	return err == nil && f >= 0
}

func shardIDs(a attr) bool {
	return len(a.SS) > 0 && len(a.SS) <= 2 && !slices.ContainsFunc(a.SS, func(id string) bool {
		return !shardKey.MatchString(id) || strings.Contains(id, ":")
	})
}

func position(a attr) bool {
	return a.S != nil && (digits.MatchString(*a.S) || slices.Contains([]string{"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END"}, *a.S))
}

// measures is a map of lists of numbers, none of them empty.
func measures(a attr) bool {
	for _, list := range a.M {
		if len(list.L) == 0 || slices.ContainsFunc(list.L, func(v attr) bool { return !double(v) }) {
			return false
		}
	}
	return a.M != nil
}

func anything(attr) bool { return true }

// family is what the attributes of one kind of item must be; those with a name that ends in ? may be absent.
type family map[string]func(attr) bool

var families = map[string]family{
	"LEASE": {
		"leaseKey": like(shardKey), "entityType": oneOf("LEASE"), "leaseCounter": long, "ownerSwitchesSinceCheckpoint": long,
		"checkpoint": position, "checkpointSubSequenceNumber": long,
		"startingHashKey": like(digits), "endingHashKey": like(digits), "leaseOwner?": like(someID), "checkpointOwner?": like(someID),
		"parentShardId?": shardIDs, "childShardIds?": shardIDs, "throughputKBps?": double, "streamName?": like(streamID), "shardId?": like(shardKey),
	},
	"LEADER": {
		"leaseKey": oneOf("Leader"), "entityType": oneOf("LEADER"), "ownerName": like(someID), "leaseDuration": like(digits),
		"recordVersionNumber": like(someID),
	},
	"CLIENT_VERSION_MIGRATION": {
		"leaseKey": oneOf("Migration3.0"), "entityType": oneOf("CLIENT_VERSION_MIGRATION"), "cv": oneOf("CLIENT_VERSION_3X"),
		"mb": like(someID), "mts": long, "h?": anything,
	},
	"WORKER_METRIC_STATS": {
		"leaseKey": like(someID), "entityType": oneOf("WORKER_METRIC_STATS"), "lut": long, "slu": long, "sup": long,
		"sts": measures, "opr": measures,
	},
}

// faultsOf returns what a Java worker could not read, or would not expect, in an item.
func faultsOf(it item) (faults []string) {
	f, known := families[it.text("entityType")]
	if !known {
		return []string{fmt.Sprintf("entityType %q", it.text("entityType"))}
	}
	allowed := map[string]bool{}
	for name, is := range f {
		name, optional := strings.CutSuffix(name, "?")
		allowed[name] = true
		switch a, present := it[name]; {
		case !present && !optional:
			faults = append(faults, name+" is missing")
		case present && !is(a):
			value, _ := json.Marshal(a)
			faults = append(faults, fmt.Sprintf("%s is %s", name, value))
		}
	}
	for name := range it {
		if !allowed[name] {
			faults = append(faults, "unknown attribute "+name)
		}
	}
	if it.text("entityType") == "LEASE" && len(faults) == 0 {
		faults = append(faults, leaseFaults(it)...)
	}
	return faults
}

// leaseFaults looks at how the attributes of a lease fit together.
func leaseFaults(it item) (faults []string) {
	first, _ := new(big.Int).SetString(it.text("startingHashKey"), 10)
	last, _ := new(big.Int).SetString(it.text("endingHashKey"), 10)
	if first.Cmp(last) >= 0 {
		faults = append(faults, "startingHashKey is not under endingHashKey")
	}
	if co := it.text("checkpointOwner"); co != "" && (it.text("leaseOwner") == "" || co == it.text("leaseOwner")) {
		faults = append(faults, fmt.Sprintf("handed from %q to %q", co, it.text("leaseOwner")))
	}
	if !digits.MatchString(it.text("checkpoint")) && it.number("checkpointSubSequenceNumber") != 0 {
		faults = append(faults, "a sentinel with a sub-sequence number")
	}
	if stream := it.text("streamName"); it.text("leaseKey") != strings.TrimPrefix(stream+":"+it.text("shardId"), ":") && (stream != "" || it.text("shardId") != "") {
		faults = append(faults, fmt.Sprintf("streamName %q and shardId %q do not make the key", stream, it.text("shardId")))
	}
	return faults
}

// judgeWrite holds one write to the conditions that the other workers rely on.
func (w *world) judgeWrite(n *network, c *call) {
	if !c.writes() || c.row.TableName != application {
		return
	}
	if fault := w.writeFault(c); fault != "" {
		w.ledger.breach("I9: %s: %s if %q: %s", n.n, c, c.row.ConditionExpression, fault)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.woken; k != nil && c.began.After(k.since) && !k.covers(c) {
		w.ledger.breach("I3: %s slept longer than its leases last, and now writes without having looked: %s", n.n, c)
	}
}

func (w *world) writeFault(c *call) string {
	r := c.row
	where, update := r.ConditionExpression, r.UpdateExpression
	lease := shardKey.MatchString(r.key())
	switch {
	case !lease && r.key() != "Leader":
		return ""
	case where == "":
		return "no condition"
	case c.operation == "PutItem" && lease:
		if where != "attribute_not_exists(leaseKey)" || r.Item.number("leaseCounter") != 0 || r.Item.text("leaseOwner") != "" || r.Item.text("checkpoint") != "TRIM_HORIZON" {
			return "is no new row that is read from its beginning"
		}
	case !lease || c.operation == "PutItem":
		if !strings.Contains(where, "recordVersionNumber = :") && where != "attribute_not_exists(leaseKey)" && where != "attribute_not_exists(#pk)" {
			return "the lock's version is not checked"
		}
	case c.operation == "DeleteItem":
		return w.deletionFault(r)
	case strings.Contains(update, "ADD leaseCounter :1"):
		if !strings.Contains(where, "leaseOwner") || !strings.Contains(where, "checkpointOwner") {
			return "changes the owner without looking at both owners"
		}
	case strings.Contains(update, "leaseCounter = :n"):
		if !strings.Contains(where, "leaseCounter = :c") || r.ExpressionAttributeValues.number(":n") != r.ExpressionAttributeValues.number(":c")+1 {
			return "does not raise the counter it knows by one"
		}
	case strings.Contains(update, "leaseOwner = "):
		if !strings.Contains(where, "leaseOwner = :o") || !strings.Contains(where, "attribute_not_exists(checkpointOwner)") || !strings.Contains(update, "checkpointOwner = :o") {
			return "is no handoff by the rules"
		}
	case strings.HasPrefix(update, "SET childShardIds = ") && where == "attribute_exists(leaseKey)":
	case strings.HasPrefix(update, "SET startingHashKey = ") && where == "attribute_exists(leaseKey)":
	default:
		return "is none of the writes of section 2.4"
	}
	return ""
}

// deletionFault tells why a row must not be deleted yet (section 9.7).
func (w *world) deletionFault(r *rowCall) string {
	it := w.row(r.key())
	if it == nil || it.number("leaseCounter") != r.ExpressionAttributeValues.number(":c") {
		return "" // the condition refuses it
	}
	if name := it.text("streamName"); name != "" && w.isDeleted(strings.Split(name, ":")[1]) {
		return ""
	}
	if it.text("checkpoint") != "SHARD_END" || r.text(":p") != "SHARD_END" {
		return "the shard has not ended"
	}
	prefix := strings.TrimSuffix(r.key(), r.key()[strings.LastIndex(r.key(), "shardId-"):])
	for _, child := range it["childShardIds"].SS {
		kid := w.row(prefix + child)
		if kid == nil && !w.ledger.hasEnded(prefix+child) || kid.text("checkpoint") == "TRIM_HORIZON" {
			return "child " + child + " is not under way"
		}
	}
	if len(it["childShardIds"].SS) == 0 {
		return "its children are not known"
	}
	return ""
}

// knowledge is what a worker has looked at since it woke.
type knowledge struct {
	since time.Time
	held  map[string]bool // what it believed to own when it fell asleep
	all   bool
	rows  map[string]bool
}

// covers reports whether a write may be made: what the worker owned before needs a new look.
func (k *knowledge) covers(c *call) bool {
	return k.all || k.rows[c.row.key()] || !k.held[c.row.key()]
}

func (n *network) learn(c *call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.woken
	if k == nil || n.thawed != nil {
		return
	}
	switch {
	case c.operation == "Scan":
		k.all = true
	case c.row != nil:
		k.rows[c.row.key()] = true
	}
}

// look holds every row to the rules and the ledger to what they say.
func (w *world) look() {
	items, ok := w.rows()
	if !ok {
		return
	}
	now := time.Now()
	for _, it := range items {
		for _, fault := range faultsOf(it) {
			w.ledger.breach("I9: row %s: %s", it.text("leaseKey"), fault)
		}
		if it.text("entityType") == "LEASE" {
			w.ledger.look(w.idOf(it), it, now)
		}
	}
	w.ledger.looked(now)
}

// idOf names the shard of a lease.
func (w *world) idOf(it item) shardID {
	if name := it.text("streamName"); name != "" {
		return shardID{strings.Split(name, ":")[1], stream.ShardID(it.text("shardId"))}
	}
	return shardID{w.plan.names()[0], stream.ShardID(it.text("leaseKey"))}
}
