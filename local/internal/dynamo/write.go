package dynamo

import (
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// maxItem is DynamoDB's limit for an item with its attribute names, in bytes.
const maxItem = 400 * 1024

type verb uint8

const (
	verbPut verb = iota
	verbUpdate
	verbDelete
	verbCheck // ConditionCheck of a transaction
)

// write is one checked change of an item, on its own or in a transaction.
type write struct {
	verb    verb
	table   string
	attrs   item // the whole item of a put, else the key
	cond    condition
	update  *binding
	legacy  []legacyUpdate
	values  string // ReturnValues
	onFail  bool   // ReturnValuesOnConditionCheckFailure is ALL_OLD
	used    string // ReturnConsumedCapacity
	metrics bool   // ReturnItemCollectionMetrics is SIZE
}

// readWrite reads and checks all of a write that needs no table.
func (e *Engine) readWrite(v verb, n *node) (*write, error) {
	d := &decoder{}
	name := d.str(n, "TableName")
	if d.err != nil {
		return nil, d.err
	}
	if err := checkName(name, "tableName", 1); err != nil {
		return nil, err
	}
	w := &write{verb: v, table: name.s, values: "NONE"}
	if err := w.model(d, n); err != nil {
		return nil, err
	}
	expressions, legacy := []string{"ConditionExpression"}, []string{"Expected", "ConditionalOperator"}
	if v == verbUpdate {
		expressions, legacy = []string{"UpdateExpression", "ConditionExpression"}, []string{"AttributeUpdates", "Expected", "ConditionalOperator"}
	}
	if err := mixed(n, expressions, legacy); err != nil {
		return nil, err
	}
	if v != verbUpdate && w.values != "NONE" && w.values != "ALL_OLD" {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	var err *awserr.Error
	if w.attrs, err = d.attrs(n.get(w.member())); err != nil {
		return nil, err
	}
	if err := w.readLegacy(d, n); err != nil {
		return nil, err
	}
	if d.err != nil {
		return nil, d.err
	}
	return w, e.readExpressions(w, d, n)
}

// member is the name of the parameter that says which item.
func (w *write) member() string {
	if w.verb == verbPut {
		return "Item"
	}
	return "Key"
}

// model checks what the service model says about the parameters.
func (w *write) model(d *decoder, n *node) error {
	var c constraints
	if w.verb == verbPut {
		c.present(d.object(n, "Item") != nil, "item")
	} else {
		c.present(d.object(n, "Key") != nil, "key")
	}
	used, metrics := d.str(n, "ReturnConsumedCapacity"), d.str(n, "ReturnItemCollectionMetrics")
	values, onFail := d.str(n, "ReturnValues"), d.str(n, "ReturnValuesOnConditionCheckFailure")
	c.enum(used, "returnConsumedCapacity", enumCapacity)
	c.enum(metrics, "returnItemCollectionMetrics", enumMetrics)
	c.enum(values, "returnValues", enumReturn)
	c.enum(onFail, "returnValuesOnConditionCheckFailure", enumOnFailure)
	c.enum(d.str(n, "ConditionalOperator"), "conditionalOperator", enumOperator)
	d.legacyEnums(&c, n, "Expected", "ComparisonOperator", enumComparison)
	d.legacyEnums(&c, n, "AttributeUpdates", "Action", enumAction)
	if d.err != nil {
		return d.err
	}
	if values.ok {
		w.values = values.s
	}
	w.used, w.metrics, w.onFail = used.s, metrics.s == "SIZE", onFail.s == "ALL_OLD"
	return c.err()
}

func (w *write) readLegacy(d *decoder, n *node) error {
	operator := d.str(n, "ConditionalOperator")
	var err *awserr.Error
	if w.cond.legacy, err = d.expected(n); err != nil {
		return err
	}
	if operator.ok && w.cond.legacy == nil {
		return invalid("ConditionalOperator cannot be used without Filter or Expected")
	}
	if operator.ok && len(w.cond.legacy) == 1 {
		return invalid("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	w.cond.any = operator.s == "OR"
	if w.legacy, err = d.attributeUpdates(n); err != nil {
		return err
	}
	return nil
}

func (e *Engine) readExpressions(w *write, d *decoder, n *node) error {
	p := d.placeholders(n)
	update, cond := d.str(n, "UpdateExpression"), d.str(n, "ConditionExpression")
	if d.err != nil {
		return d.err
	}
	if err := p.check(); err != nil {
		return err
	}
	var err *awserr.Error
	if w.verb == verbUpdate {
		if w.update, err = e.bind(p, "UpdateExpression", updateKind, update); err != nil {
			return err
		}
	}
	if w.cond.expr, err = e.bind(p, "ConditionExpression", conditionKind, cond); err != nil {
		return err
	}
	if err := p.unused(); err != nil {
		return err
	}
	if w.verb == verbPut && w.attrs.size() > maxItem {
		return invalid("Item size has exceeded the maximum allowed size")
	}
	return nil
}

// locate returns where the item stands in t, after checking its keys and every key that an index has.
func (w *write) locate(t *table) (rowKey, *awserr.Error) {
	if w.verb != verbPut {
		if err := w.checkTargets(t); err != nil {
			return rowKey{}, err
		}
		return t.keys.locate(w.attrs)
	}
	if err := t.keys.checkItem(w.attrs); err != nil {
		return rowKey{}, err
	}
	k, _ := t.keys.rowKey(w.attrs)
	return k, t.checkIndexKeysLocked(w.attrs)
}

// locate returns where an item with exactly the given key stands.
func (k keys) locate(key item) (rowKey, *awserr.Error) {
	want := 1
	if k.rng.name != "" {
		want = 2
	}
	at, ok := k.rowKey(key)
	if !ok || len(key) != want {
		return at, invalid("The provided key element does not match the schema")
	}
	return at, k.checkSizes(key)
}

// checkItem checks the keys inside a whole item.
func (k keys) checkItem(it item) (err *awserr.Error) {
	k.each(func(d keyDef) {
		v := it.get(d.name)
		switch {
		case err != nil:
		case v == nil:
			err = invalid("One or more parameter values were invalid: Missing the key %s in the item", d.name)
		case v.kind != d.kind:
			err = invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", d.name, d.kind, v.kind)
		}
	})
	if err != nil {
		return err
	}
	return k.checkSizes(it)
}

// checkSizes checks that keys are neither empty nor too long.
func (k keys) checkSizes(it item) (err *awserr.Error) {
	k.each(func(d keyDef) {
		v := it.get(d.name)
		if err != nil || v == nil || v.kind == kindN {
			return
		}
		what := "string"
		if d.kind == kindB {
			what = "binary"
		}
		switch {
		case v.text == "":
			err = invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", what, d.name)
		case d.name == k.hash.name && len(v.text) > 2048:
			err = invalid("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes")
		case d.name != k.hash.name && len(v.text) > 1024:
			err = invalid("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
		}
	})
	return err
}

// checkIndexKeysLocked checks the attributes of it that are keys of an index.
func (t *table) checkIndexKeysLocked(it item) (err *awserr.Error) {
	for _, x := range t.indexes {
		x.keys.each(func(d keyDef) {
			v := it.get(d.name)
			if v == nil || err != nil || t.keys.has(d.name) {
				return
			}
			if v.kind != d.kind {
				err = invalid("One or more parameter values were invalid: Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s",
					d.name, d.kind, v.kind, x.name)
			} else if v.text == "" {
				what := map[kind]string{kindS: "string", kindB: "binary"}[d.kind]
				err = invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
					"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", what, x.name, d.name)
			}
		})
	}
	return err
}

// checkTargets rejects updates of the table's keys.
func (w *write) checkTargets(t *table) *awserr.Error {
	reject := func(name string) *awserr.Error {
		return invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
	}
	for _, u := range w.legacy {
		if t.keys.has(u.attr) {
			return reject(u.attr)
		}
	}
	if w.update != nil {
		for _, a := range w.update.actions {
			if name := w.update.name(a.path[0]); t.keys.has(name) {
				return reject(name)
			}
		}
	}
	return nil
}

// conditionFailed is the error of a condition that does not hold for old.
func (w *write) conditionFailed(old *row) *awserr.Error {
	err := awserr.New("ConditionalCheckFailedException", "The conditional request failed")
	if w.onFail && old != nil {
		err.Fields = map[string]any{"Item": encodedItem(old.it)}
	}
	return err
}

// planLocked returns the item as it will be, nil if it will be gone, given the row as it is.
func (w *write) planLocked(t *table, old *row) (item, *awserr.Error) {
	var was item
	if old != nil {
		was = old.it
	}
	if w.cond.set() && !w.cond.holds(was) {
		return nil, w.conditionFailed(old)
	}
	switch w.verb {
	case verbDelete:
		return nil, nil
	case verbCheck:
		return was, nil
	case verbPut:
		return w.attrs, nil
	}
	if was == nil {
		was = w.attrs
	}
	next, err := was, (*awserr.Error)(nil)
	if w.update != nil {
		next, err = w.update.apply(was)
	} else if w.legacy != nil {
		next, err = applyLegacy(w.legacy, was)
	}
	if err != nil {
		return nil, err
	}
	if len(t.indexes) > 0 {
		if err := t.checkIndexKeysLocked(next); err != nil {
			return nil, err
		}
	}
	if next.size() > maxItem {
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	return next, nil
}

// done is what a write did.
type done struct {
	old   *row
	next  item
	units writeUnits
}

// run performs a single write.
func (e *Engine) runWrite(w *write) (*table, done, *awserr.Error) {
	now := time.Now()
	t, err := e.table(w.table, now)
	if err != nil {
		return nil, done{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key, err := w.locate(t)
	if err != nil {
		return t, done{}, err
	}
	out := done{old: t.rows.get(key)}
	if out.next, err = w.planLocked(t, out.old); err != nil {
		return t, done{}, err
	}
	out.units = t.storeLocked(now, key, out.old, out.next)
	return t, out, nil
}

func (e *Engine) putItem(n *node, w *writer) error    { return e.writeItem(verbPut, n, w) }
func (e *Engine) updateItem(n *node, w *writer) error { return e.writeItem(verbUpdate, n, w) }
func (e *Engine) deleteItem(n *node, w *writer) error { return e.writeItem(verbDelete, n, w) }

func (e *Engine) writeItem(v verb, n *node, w *writer) error {
	req, err := e.readWrite(v, n)
	if err != nil {
		return err
	}
	t, did, aerr := e.runWrite(req)
	if aerr != nil {
		return aerr
	}
	w.open('{')
	if it := req.returned(did); len(it) > 0 {
		w.name("Attributes")
		w.item(it)
	}
	if wantsCapacity(req.used) {
		c := &consumed{name: t.name}
		c.addWrite(did.units, 1)
		w.name("ConsumedCapacity")
		c.writeTo(w, req.used)
	}
	if req.metrics && t.hasLocalIndex() {
		w.name("ItemCollectionMetrics")
		t.collectionMetrics(w, req.attrs)
	}
	w.close('}')
	return nil
}

// hasLocalIndex is constant for a table: local indexes come with CreateTable only.
func (t *table) hasLocalIndex() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, x := range t.indexes {
		if !x.global {
			return true
		}
	}
	return false
}

// collectionMetrics answers the smallest range there is; real collections of this engine are far below a gigabyte.
func (t *table) collectionMetrics(w *writer, it item) {
	w.open('{')
	w.name("ItemCollectionKey")
	w.item(item{{t.keys.hash.name, *it.get(t.keys.hash.name)}})
	w.name("SizeEstimateRangeGB")
	w.raw([]int{0, 1})
	w.close('}')
}

// returned is the answer's Attributes.
func (w *write) returned(d done) item {
	var old item
	if d.old != nil {
		old = d.old.it
	}
	switch w.values {
	case "ALL_OLD":
		return old
	case "ALL_NEW":
		return d.next
	case "UPDATED_OLD":
		return w.touched(old)
	case "UPDATED_NEW":
		return w.touched(d.next)
	}
	return nil
}

// touched is the part of it that the update names.
func (w *write) touched(it item) item {
	if w.update == nil {
		names := make([]string, len(w.legacy))
		for i, u := range w.legacy {
			names[i] = u.attr
		}
		return projectNames(names).of(it)
	}
	paths := make([]path, len(w.update.actions))
	for i, a := range w.update.actions {
		paths[i] = a.path
	}
	return w.update.projection(paths).of(it)
}
