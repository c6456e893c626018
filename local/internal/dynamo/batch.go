package dynamo

import (
	"strings"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// Limits of the batch operations.
const (
	maxBatchGets   = 100
	maxBatchWrites = 25
	maxBatchBytes  = 16 << 20 // of what BatchGetItem answers
)

// batchRequest reads what both batch operations have in common.
func batchRequest(d *decoder, n *node, op string) (items *node, used string, err error) {
	items = d.object(n, "RequestItems")
	if items == nil || len(items.kids) == 0 {
		return nil, "", invalid("The requestItems parameter is required for %s", op)
	}
	var c constraints
	capacity := d.str(n, "ReturnConsumedCapacity")
	c.enum(capacity, "returnConsumedCapacity", enumCapacity)
	c.enum(d.str(n, "ReturnItemCollectionMetrics"), "returnItemCollectionMetrics", enumMetrics)
	for i := range items.kids {
		if err := checkName(text{items.kids[i].name, true}, "requestItems."+items.kids[i].name+".member.tableName", 1); err != nil {
			return nil, "", err
		}
	}
	if d.err != nil {
		return nil, "", d.err
	}
	return items, capacity.s, c.err()
}

// tableGet is one table of a BatchGetItem.
type tableGet struct {
	node *node
	name string
	read
	t    *table
	rows []*row
}

func (e *Engine) batchGetItem(n *node, w *writer) error {
	d := &decoder{}
	items, used, err := batchRequest(d, n, "BatchGetItem")
	if err != nil {
		return err
	}
	gets, err := e.readBatchGet(d, items)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, g := range gets {
		var err *awserr.Error
		if g.t, err = e.table(g.name, now); err != nil {
			return err
		}
		if g.rows, err = g.fetch(g.t); err != nil {
			return err
		}
	}
	answerBatchGet(w, gets, used)
	return nil
}

func (e *Engine) readBatchGet(d *decoder, items *node) ([]*tableGet, error) {
	total := 0
	for i := range items.kids {
		k := d.asObject(&items.kids[i])
		list, _ := d.list(k, "Keys")
		switch {
		case d.err != nil:
			return nil, d.err
		case len(list) > maxBatchGets:
			return nil, invalid("1 validation error detected: Value at 'RequestItems.%s.member.Keys' failed to satisfy constraint: "+
				"Member must have length less than or equal to 100", k.name)
		case len(list) == 0:
			return nil, invalid("1 validation error detected: Value '[]' at 'requestItems.%s.member.keys' failed to satisfy constraint: "+
				"Member must have length greater than or equal to 1", k.name)
		}
		if total += len(list); total > maxBatchGets {
			return nil, invalid("Too many items requested for the BatchGetItem call")
		}
	}
	var gets []*tableGet
	for i := range items.kids {
		k := &items.kids[i]
		g := &tableGet{node: k, name: k.name}
		if err := e.readSelection(d, k, &g.read); err != nil {
			return nil, err
		}
		list, _ := d.list(k, "Keys")
		for j := range list {
			key, err := d.attrs(&list[j])
			if err != nil {
				return nil, err
			}
			g.keys = append(g.keys, key)
		}
		gets = append(gets, g)
	}
	return gets, d.result()
}

func answerBatchGet(w *writer, gets []*tableGet, used string) {
	left := maxBatchBytes
	unread := map[*tableGet][]item{}
	costs := make([]consumed, len(gets))
	w.open('{')
	w.name("Responses")
	w.open('{')
	for i, g := range gets {
		costs[i].name = g.t.name
		project := g.selection.projection()
		w.name(g.name)
		w.open('[')
		for j, r := range g.rows {
			if left -= sizeOf(r); left < 0 {
				unread[g] = append(unread[g], g.keys[j])
				continue
			}
			costs[i].table += g.cost(sizeOf(r))
			if r != nil {
				w.item(project.of(r.it))
			}
		}
		w.close(']')
	}
	w.close('}')
	w.name("UnprocessedKeys")
	w.open('{')
	for _, g := range gets {
		if unread[g] != nil {
			w.name(g.name)
			g.writeRest(w, unread[g])
		}
	}
	w.close('}')
	answerCapacities(w, costs, used)
	w.close('}')
}

// writeRest echoes the request for the keys that were not read.
func (g *tableGet) writeRest(w *writer, keys []item) {
	w.open('{')
	for i := range g.node.kids {
		k := &g.node.kids[i]
		w.name(k.name)
		if k.name != "Keys" {
			w.node(k)
			continue
		}
		w.open('[')
		for _, key := range keys {
			w.item(key)
		}
		w.close(']')
	}
	w.close('}')
}

// answerCapacities writes one entry per table.
func answerCapacities(w *writer, costs []consumed, used string) {
	if !wantsCapacity(used) {
		return
	}
	w.name("ConsumedCapacity")
	w.open('[')
	for i := range costs {
		costs[i].writeTo(w, used)
	}
	w.close(']')
}

// tableWrites is one table of a BatchWriteItem.
type tableWrites struct {
	name   string
	writes []*write
	at     []rowKey
	t      *table
}

func (e *Engine) batchWriteItem(n *node, w *writer) error {
	d := &decoder{}
	items, used, err := batchRequest(d, n, "BatchWriteItem")
	if err != nil {
		return err
	}
	batch, err := e.readBatchWrite(d, items)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, b := range batch {
		if err := b.locate(e, now); err != nil {
			return err
		}
	}
	costs := make([]consumed, len(batch))
	for i, b := range batch {
		costs[i].name = b.t.name
		b.store(now, &costs[i])
	}
	w.open('{')
	w.name("UnprocessedItems")
	w.raw(struct{}{})
	if d.str(n, "ReturnItemCollectionMetrics").s == "SIZE" {
		w.name("ItemCollectionMetrics")
		w.open('{')
		for _, b := range batch {
			b.metrics(w)
		}
		w.close('}')
	}
	answerCapacities(w, costs, used)
	w.close('}')
	return nil
}

func (e *Engine) readBatchWrite(d *decoder, items *node) ([]*tableWrites, error) {
	total := 0
	for i := range items.kids {
		k := &items.kids[i]
		if k.kind != isArray {
			return nil, serialization("Unexpected field type")
		}
		if len(k.kids) == 0 || len(k.kids) > maxBatchWrites {
			shown := strings.TrimSuffix(strings.Repeat("com.amazonaws.dynamodb.v20120810.WriteRequest, ", len(k.kids)), ", ")
			return nil, invalid("1 validation error detected: Value '{%s=[%s]}' at 'requestItems' failed to satisfy constraint: "+
				"Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]",
				k.name, shown)
		}
		if total += len(k.kids); total > maxBatchWrites {
			return nil, invalid("Too many items requested for the BatchWriteItem call")
		}
	}
	var batch []*tableWrites
	for i := range items.kids {
		b := &tableWrites{name: items.kids[i].name}
		for j := range items.kids[i].kids {
			one, err := readBatchEntry(d, &items.kids[i].kids[j])
			if err != nil {
				return nil, err
			}
			b.writes = append(b.writes, one)
		}
		batch = append(batch, b)
	}
	return batch, d.result()
}

func readBatchEntry(d *decoder, k *node) (*write, error) {
	put, del := d.object(k, "PutRequest"), d.object(k, "DeleteRequest")
	var one *write
	var attrs *node
	switch {
	case put != nil && del != nil:
		return nil, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case put != nil:
		one, attrs = &write{verb: verbPut}, d.object(put, "Item")
	case del != nil:
		one, attrs = &write{verb: verbDelete}, d.object(del, "Key")
	default:
		return nil, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
	if attrs == nil {
		return nil, invalid("1 validation error detected: Value null at 'requestItems.member.%s' failed to satisfy constraint: Member must not be null",
			strings.ToLower(one.member()))
	}
	var err *awserr.Error
	if one.attrs, err = d.attrs(attrs); err != nil {
		return nil, err
	}
	if one.verb == verbPut && one.attrs.size() > maxItem {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	return one, nil
}

// locate checks every write of the batch before any is done.
func (b *tableWrites) locate(e *Engine, now time.Time) error {
	var err *awserr.Error
	if b.t, err = e.table(b.name, now); err != nil {
		return err
	}
	b.t.mu.RLock()
	defer b.t.mu.RUnlock()
	seen := map[rowKey]bool{}
	for _, one := range b.writes {
		at, err := one.locate(b.t)
		if err != nil {
			return err
		}
		if seen[at] {
			return invalid("Provided list of item keys contains duplicates")
		}
		seen[at] = true
		b.at = append(b.at, at)
	}
	return nil
}

func (b *tableWrites) store(now time.Time, c *consumed) {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	for i, one := range b.writes {
		var next item
		if one.verb == verbPut {
			next = one.attrs
		}
		c.addWrite(b.t.storeLocked(now, b.at[i], b.t.rows.get(b.at[i]), next), 1)
	}
}

func (b *tableWrites) metrics(w *writer) {
	if !b.t.hasLocalIndex() {
		return
	}
	w.name(b.name)
	w.open('[')
	seen := map[string]bool{}
	for i, one := range b.writes {
		if id := b.at[i].pk; !seen[id] {
			seen[id] = true
			b.t.collectionMetrics(w, one.attrs)
		}
	}
	w.close(']')
}
