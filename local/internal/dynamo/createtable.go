package dynamo

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// Limits of a table ("Service, account, and table quotas").
const (
	maxLocalIndexes  = 5
	maxGlobalIndexes = 20
)

func (e *Engine) createTable(n *node, w *writer) error {
	d := &decoder{}
	name := d.str(n, "TableName")
	if d.err != nil {
		return d.err
	}
	if !name.ok {
		return invalid("The parameter 'TableName' is required but was not present in the request")
	}
	name.s = tableOfARN(name.s)
	if err := checkName(name, "tableName", 3); err != nil {
		return err
	}
	var c constraints
	s := d.tableSpec(&c, n)
	c.present(s.hasDefs, "attributeDefinitions")
	schema := d.keySchema(&c, n, "")
	local, hasLocal := d.indexSpecs(&c, n, "LocalSecondaryIndexes", false)
	global, hasGlobal := d.indexSpecs(&c, n, "GlobalSecondaryIndexes", true)
	tags := d.tags(&c, n)
	if d.err != nil {
		return d.err
	}
	if err := c.err(); err != nil {
		return err
	}
	t, err := s.newTable(name.s, schema)
	if err != nil {
		return err
	}
	if err := t.addIndexes(local, hasLocal, global, hasGlobal); err != nil {
		return err
	}
	if err := t.checkDefs(hasLocal || hasGlobal); err != nil {
		return err
	}
	t.tags = tags
	return e.register(t, w)
}

// newTable checks the table itself and makes it, without indexes.
func (s *tableSpec) newTable(name string, schema []keyElement) (*table, *awserr.Error) {
	if err := s.checkBilling(); err != nil {
		return nil, err
	}
	if len(schema) > len(s.attrDefs) {
		return nil, invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	k, err := resolveKeys(schema, s.attrDefs)
	if err != nil {
		return nil, err
	}
	t := &table{name: name, id: uuid.NewString(), keys: k, attrDefs: s.attrDefs, stream: s.stream, sse: s.sse, class: s.class.s}
	if s.billing.s == "PAY_PER_REQUEST" {
		t.onDemand, t.billingSet = true, true
	} else {
		t.throughput = *s.throughput
	}
	t.protected = s.protect != nil && *s.protect
	return t, nil
}

func (t *table) addIndexes(local []*indexSpec, hasLocal bool, global []*indexSpec, hasGlobal bool) *awserr.Error {
	switch {
	case hasLocal && len(local) == 0:
		return invalid(badParameters + "List of LocalSecondaryIndexes is empty")
	case hasLocal && t.keys.rng.name == "":
		return invalid(badParameters + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	case hasGlobal && len(global) == 0:
		return invalid(badParameters + "List of GlobalSecondaryIndexes is empty")
	}
	for _, s := range append(local[:len(local):len(local)], global...) {
		x, err := s.resolve(t.keys, t.attrDefs, t.onDemand)
		if err != nil {
			return err
		}
		if t.index(s.name) != nil {
			return invalid(badParameters+"Duplicate index name: %s", s.name)
		}
		t.indexes = append(t.indexes, x)
	}
	if len(local) > maxLocalIndexes {
		return invalid(badParameters+"Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocalIndexes)
	}
	if len(global) > maxGlobalIndexes {
		return invalid(badParameters+"GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	return nil
}

func (e *Engine) arn(table string) string {
	return fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", e.options.Region, e.options.AccountID, table)
}

// register makes t known and answers with its description.
func (e *Engine) register(t *table, w *writer) error {
	now := time.Now()
	t.arn, t.createdAt, t.lag = e.arn(t.name), now, e.options.IndexLag
	t.onDemandAt = now
	for _, x := range t.indexes {
		x.arn, x.createdAt, x.activeAt = t.arn+"/index/"+x.name, now, now.Add(e.options.CreateDelay)
	}
	e.mu.Lock()
	if e.tables[t.name] != nil {
		e.mu.Unlock()
		return awserr.New("ResourceInUseException", "Table already exists: %s", t.name)
	}
	e.tables[t.name] = t
	e.mu.Unlock()
	t.mu.RLock()
	defer t.mu.RUnlock()
	w.open('{')
	w.name("TableDescription")
	t.describeLocked(w, now, "CREATING")
	w.close('}')
	return nil
}

// any returns a table whatever its state, for the operations on tables.
func (e *Engine) any(name string) (*table, *awserr.Error) {
	e.mu.RLock()
	t := e.tables[tableOfARN(name)]
	e.mu.RUnlock()
	if t == nil {
		return nil, awserr.New("ResourceNotFoundException", "Requested resource not found: Table: %s not found", tableOfARN(name))
	}
	return t, nil
}

// namedTable reads TableName and returns that table.
func (e *Engine) namedTable(d *decoder, n *node) (*table, error) {
	name := d.str(n, "TableName")
	if d.err != nil {
		return nil, d.err
	}
	if err := checkName(name, "tableName", 1); err != nil {
		return nil, err
	}
	t, err := e.any(name.s)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (e *Engine) describeTable(n *node, w *writer) error {
	t, err := e.namedTable(&decoder{}, n)
	if err != nil {
		return err
	}
	now := time.Now()
	t.mu.Lock() // counting an index means to catch up with it
	defer t.mu.Unlock()
	for _, x := range t.indexes {
		x.catchUp(now, t.lag)
	}
	w.open('{')
	w.name("Table")
	t.describeLocked(w, now, t.statusLocked(now, e.options.CreateDelay))
	w.close('}')
	return nil
}

func (e *Engine) deleteTable(n *node, w *writer) error {
	t, err := e.namedTable(&decoder{}, n)
	if err != nil {
		return err
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.inUseLocked(now, e.options.CreateDelay); err != nil {
		return err
	}
	if t.protected {
		return invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	if e.tables[t.name] == t {
		delete(e.tables, t.name)
	}
	w.open('{')
	w.name("TableDescription")
	t.describeLocked(w, now, "DELETING")
	w.close('}')
	return nil
}

// inUseLocked is the error of a change to a table that is not ACTIVE, nil if it is.
func (t *table) inUseLocked(now time.Time, delay time.Duration) *awserr.Error {
	state := map[string]string{"CREATING": "created", "UPDATING": "updated"}[t.statusLocked(now, delay)]
	if state == "" {
		return nil
	}
	return awserr.New("ResourceInUseException", "Attempt to change a resource which is still in use: Table is being %s: %s", state, t.name)
}

func (e *Engine) listTables(n *node, w *writer) error {
	d := &decoder{}
	limit, start := d.int(n, "Limit"), d.str(n, "ExclusiveStartTableName")
	var c constraints
	c.atLeast(limit, 1, "limit")
	if limit.n > 100 {
		c.add(fmt.Sprintf("'%d'", limit.n), "limit", "Member must have value less than or equal to 100")
	}
	if d.err != nil {
		return d.err
	}
	if err := c.err(); err != nil {
		return err
	}
	if start.ok {
		if err := checkName(start, "exclusiveStartTableName", 3); err != nil {
			return err
		}
	}
	most := 100
	if limit.ok {
		most = int(limit.n)
	}
	names, last := e.tableNames(start.s, most)
	w.open('{')
	w.name("TableNames")
	w.raw(names)
	if last != "" {
		w.name("LastEvaluatedTableName")
		w.str(last)
	}
	w.close('}')
	return nil
}
