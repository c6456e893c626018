package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"
)

// tableNames returns at most n names behind start, and the last of them if more follow.
func (e *Engine) tableNames(start string, n int) (names []string, last string) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := slices.Sorted(maps.Keys(e.tables))
	all = all[sort.Search(len(all), func(i int) bool { return all[i] > start }):]
	if len(all) <= n {
		return append([]string{}, all...), ""
	}
	return all[:n], all[n-1]
}

// seconds is a time as the JSON protocol has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (w *writer) time(name string, t time.Time) {
	if !t.IsZero() {
		w.name(name)
		w.float(seconds(t))
	}
}

func (w *writer) field(name, val string) {
	w.name(name)
	w.str(val)
}

func (w *writer) count(name string, n int) {
	w.name(name)
	w.int(n)
}

func (w *writer) keySchema(k keys) {
	w.name("KeySchema")
	w.open('[')
	for i, d := range []keyDef{k.hash, k.rng} {
		if d.name == "" {
			continue
		}
		w.open('{')
		w.field("AttributeName", d.name)
		w.field("KeyType", [...]string{"HASH", "RANGE"}[i])
		w.close('}')
	}
	w.close(']')
}

// describeLocked writes a TableDescription.
func (t *table) describeLocked(w *writer, now time.Time, status string) {
	w.open('{')
	w.name("AttributeDefinitions")
	w.open('[')
	for _, d := range t.attrDefs {
		w.open('{')
		w.field("AttributeName", d.name)
		w.field("AttributeType", d.kind.String())
		w.close('}')
	}
	w.close(']')
	w.field("TableName", t.name)
	w.keySchema(t.keys)
	w.field("TableStatus", status)
	w.time("CreationDateTime", t.createdAt)
	w.name("ProvisionedThroughput")
	w.open('{')
	w.time("LastIncreaseDateTime", t.raised)
	w.time("LastDecreaseDateTime", t.lowered)
	w.throughput(t.throughput)
	w.close('}')
	w.count("TableSizeBytes", t.rows.bytes)
	w.count("ItemCount", t.rows.count)
	w.field("TableArn", t.arn)
	w.field("TableId", t.id)
	if t.billingSet {
		w.name("BillingModeSummary")
		w.open('{')
		if t.onDemand {
			w.field("BillingMode", "PAY_PER_REQUEST")
		} else {
			w.field("BillingMode", "PROVISIONED")
		}
		w.time("LastUpdateToPayPerRequestDateTime", t.onDemandAt)
		w.close('}')
	}
	t.describeIndexesLocked(w, now, "LocalSecondaryIndexes", false, status)
	t.describeIndexesLocked(w, now, "GlobalSecondaryIndexes", true, status)
	t.describeExtrasLocked(w)
	w.close('}')
}

func (w *writer) throughput(t throughput) {
	w.count("NumberOfDecreasesToday", 0)
	w.count("ReadCapacityUnits", int(t.read))
	w.count("WriteCapacityUnits", int(t.write))
}

func (t *table) describeExtrasLocked(w *writer) {
	if t.stream != nil {
		w.name("StreamSpecification")
		w.node(t.stream)
	}
	if t.stream.enabled("StreamEnabled") {
		label := t.createdAt.UTC().Format("2006-01-02T15:04:05.000")
		w.field("LatestStreamLabel", label)
		w.field("LatestStreamArn", t.arn+"/stream/"+label)
	}
	if t.sse.enabled("Enabled") {
		w.name("SSEDescription")
		w.open('{')
		w.field("Status", "ENABLED")
		w.field("SSEType", "KMS")
		if k := t.sse.get("KMSMasterKeyId"); k != nil {
			w.field("KMSMasterKeyArn", k.text)
		}
		w.close('}')
	}
	if t.class != "" {
		w.name("TableClassSummary")
		w.open('{')
		w.field("TableClass", t.class)
		w.close('}')
	}
	w.name("DeletionProtectionEnabled")
	w.bool(t.protected)
}

// enabled reports whether n has a member that is true.
func (n *node) enabled(member string) bool {
	k := n.get(member)
	return k != nil && k.kind == isBool && k.yes
}

func (t *table) describeIndexesLocked(w *writer, now time.Time, name string, global bool, status string) {
	opened := false
	for _, x := range t.indexes {
		if x.global != global {
			continue
		}
		if !opened {
			w.name(name)
			w.open('[')
			opened = true
		}
		x.describe(w, now, x.createdAt.After(t.createdAt), status)
	}
	if opened {
		w.close(']')
	}
}

// describe writes an index; later says that it was added to an existing table.
func (x *index) describe(w *writer, now time.Time, later bool, tableStatus string) {
	w.open('{')
	w.field("IndexName", x.name)
	w.keySchema(x.keys)
	w.name("Projection")
	w.open('{')
	w.field("ProjectionType", x.project)
	if x.include != nil {
		w.name("NonKeyAttributes")
		w.raw(x.include)
	}
	w.close('}')
	if x.global {
		status := x.statusAt(now)
		if tableStatus == "CREATING" || tableStatus == "DELETING" {
			status = tableStatus
		}
		w.field("IndexStatus", status)
		if later && status == "CREATING" {
			w.name("Backfilling")
			w.bool(true)
		}
		w.name("ProvisionedThroughput")
		w.open('{')
		w.throughput(x.throughput)
		w.close('}')
	}
	w.count("IndexSizeBytes", x.rows.bytes)
	w.count("ItemCount", x.rows.count)
	w.field("IndexArn", x.arn)
	w.close('}')
}

// describeLimits answers the default quotas of an account.
func (e *Engine) describeLimits(_ *node, w *writer) error {
	w.raw(map[string]int{"AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
		"TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000})
	return nil
}

func (e *Engine) describeEndpoints(_ *node, w *writer) error {
	w.raw(map[string]any{"Endpoints": []any{map[string]any{
		"Address": fmt.Sprintf("dynamodb.%s.amazonaws.com", e.options.Region), "CachePeriodInMinutes": 1440}}})
	return nil
}
