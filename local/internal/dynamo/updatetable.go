package dynamo

import (
	"fmt"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// indexUpdate is one entry of GlobalSecondaryIndexUpdates: exactly one of the three is set.
type indexUpdate struct {
	create     *indexSpec
	update     string
	throughput *throughput
	remove     string
}

func (u *indexUpdate) name() string {
	if u.create != nil {
		return u.create.name
	}
	return u.update + u.remove
}

func (e *Engine) updateTable(n *node, w *writer) error {
	d := &decoder{}
	name := d.str(n, "TableName")
	if d.err != nil {
		return d.err
	}
	if err := checkName(name, "tableName", 1); err != nil {
		return err
	}
	var c constraints
	s := d.tableSpec(&c, n)
	updates, err := d.indexUpdates(&c, n)
	if d.err != nil {
		return d.err
	}
	if cerr := c.err(); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	if err := s.checkUpdate(updates); err != nil {
		return err
	}
	t, err := e.any(name.s)
	if err != nil {
		return err
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.inUseLocked(now, e.options.CreateDelay); err != nil {
		return err
	}
	if err := t.changeLocked(s, updates, now, e.options.CreateDelay); err != nil {
		return err
	}
	w.open('{')
	w.name("TableDescription")
	t.describeLocked(w, now, "UPDATING")
	w.close('}')
	return nil
}

func (d *decoder) indexUpdates(c *constraints, n *node) ([]*indexUpdate, *awserr.Error) {
	list, _ := d.list(n, "GlobalSecondaryIndexUpdates")
	var out []*indexUpdate
	for i := range list {
		k := d.asObject(&list[i])
		at := fmt.Sprintf("globalSecondaryIndexUpdates.%d.member.", i+1)
		u := &indexUpdate{}
		create, update, remove := d.object(k, "Create"), d.object(k, "Update"), d.object(k, "Delete")
		switch {
		case create != nil:
			u.create = d.indexSpec(c, create, at+"create.", true)
		case update != nil:
			u.update = d.str(update, "IndexName").s
			u.throughput = d.throughput(c, update, at+"update.")
			c.present(u.throughput != nil, at+"update.provisionedThroughput")
		case remove != nil:
			u.remove = d.str(remove, "IndexName").s
		default:
			return nil, invalid(badParameters + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, " +
				"GlobalSecondaryIndexUpdate.Delete must not be null")
		}
		for _, had := range out {
			if had.name() == u.name() {
				return nil, invalid(badParameters+"Only one global secondary index update per index is allowed simultaneously. Index: %s", u.name())
			}
		}
		out = append(out, u)
	}
	return out, nil
}

func (s *tableSpec) checkUpdate(updates []*indexUpdate) *awserr.Error {
	if s.throughput == nil && !s.billing.ok && updates == nil && s.stream == nil && s.sse == nil && s.protect == nil && !s.class.ok {
		return invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or " +
			"SSESpecification or ReplicaUpdates is required")
	}
	switch {
	case s.billing.s == "PROVISIONED" && s.throughput == nil:
		return invalid(badParameters + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	case s.billing.s == "PAY_PER_REQUEST" && s.throughput != nil:
		return s.checkBilling()
	case s.throughput != nil:
		return s.throughput.check()
	}
	return nil
}

// changeLocked checks the whole update, then applies it.
func (t *table) changeLocked(s *tableSpec, updates []*indexUpdate, now time.Time, delay time.Duration) *awserr.Error {
	onDemand := t.onDemand
	if s.billing.ok {
		onDemand = s.billing.s == "PAY_PER_REQUEST"
	}
	if s.throughput != nil && onDemand {
		return invalid(badParameters + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	}
	if s.throughput != nil && !t.onDemand && *s.throughput == t.throughput && updates == nil {
		return invalid("The provisioned throughput for the table will not change. The requested value equals the current value. "+
			"Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. "+
			"Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d. "+
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
			t.throughput.read, s.throughput.read, t.throughput.write, s.throughput.write)
	}
	indexes, defs, err := t.changedIndexesLocked(s, updates, onDemand, now, delay)
	if err != nil {
		return err
	}
	t.indexes, t.attrDefs = indexes, defs
	t.billLocked(s, onDemand, now)
	if s.protect != nil {
		t.protected = *s.protect
	}
	if s.class.ok {
		t.class = s.class.s
	}
	if s.stream != nil {
		t.stream = s.stream
		if !s.stream.enabled("StreamEnabled") {
			t.stream = nil
		}
	}
	if s.sse != nil {
		t.sse = s.sse
	}
	t.updatedUntil = now.Add(delay)
	return nil
}

func (t *table) billLocked(s *tableSpec, onDemand bool, now time.Time) {
	if s.billing.ok {
		t.billingSet = true
	}
	if onDemand && !t.onDemand {
		t.throughput, t.onDemandAt = throughput{}, now
		for _, x := range t.indexes {
			x.throughput = throughput{}
		}
	}
	t.onDemand = onDemand
	if s.throughput == nil {
		return
	}
	if s.throughput.read > t.throughput.read || s.throughput.write > t.throughput.write {
		t.raised = now
	}
	if s.throughput.read < t.throughput.read || s.throughput.write < t.throughput.write {
		t.lowered = now
	}
	t.throughput = *s.throughput
}

// changedIndexesLocked returns the indexes and attribute definitions after updates, leaving t as it is on an error.
func (t *table) changedIndexesLocked(s *tableSpec, updates []*indexUpdate, onDemand bool, now time.Time, delay time.Duration) ([]*index, []keyDef, *awserr.Error) {
	defs := slices.Clone(t.attrDefs)
	for _, d := range s.attrDefs {
		if !slices.ContainsFunc(defs, func(h keyDef) bool { return h.name == d.name }) {
			defs = append(defs, d)
		}
	}
	changed := 0
	next := &table{keys: t.keys, indexes: slices.Clone(t.indexes)}
	for _, u := range updates {
		if u.create != nil || u.remove != "" {
			changed++
		}
		if err := t.changeIndexLocked(next, u, defs, onDemand, now, delay); err != nil {
			return nil, nil, err
		}
	}
	if changed > 1 {
		return nil, nil, awserr.New("LimitExceededException",
			"Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	used := next.usedKeys()
	defs = slices.DeleteFunc(defs, func(d keyDef) bool { return !slices.Contains(used, d.name) })
	for _, u := range updates { // only now: nothing can fail any more
		if x := next.index(u.update); x != nil && u.throughput != nil {
			x.throughput = *u.throughput
		}
	}
	return next.indexes, defs, nil
}

func (t *table) changeIndexLocked(next *table, u *indexUpdate, defs []keyDef, onDemand bool, now time.Time, delay time.Duration) *awserr.Error {
	had := next.index(u.name())
	switch {
	case u.create != nil && had != nil:
		return invalid("Attempting to create an index which already exists")
	case u.create != nil:
		x, err := u.create.resolve(t.keys, defs, onDemand)
		if err != nil {
			return err
		}
		if len(next.indexes) >= maxGlobalIndexes+maxLocalIndexes {
			return awserr.New("LimitExceededException", "GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
		}
		x.arn, x.createdAt, x.activeAt = t.arn+"/index/"+x.name, now, now.Add(delay)
		t.fillLocked(x)
		next.indexes = append(next.indexes, x)
	case had == nil || !had.global:
		return awserr.New("ResourceNotFoundException", "Requested resource not found")
	case u.remove != "":
		next.indexes = slices.DeleteFunc(next.indexes, func(x *index) bool { return x == had })
	case onDemand:
		return invalid(badParameters+"ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", u.update)
	}
	return nil
}
