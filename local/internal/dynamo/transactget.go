package dynamo

import (
	"fmt"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

func (e *Engine) transactGetItems(n *node, w *writer) error {
	d := &decoder{}
	items, err := transactItems(d, n)
	if err != nil {
		return err
	}
	used := d.str(n, "ReturnConsumedCapacity")
	var c constraints
	c.enum(used, "returnConsumedCapacity", enumCapacity)
	if err := c.err(); err != nil {
		return err
	}
	gets, tables, err := e.readTransactGets(d, items)
	if err != nil {
		return err
	}
	rows, aerr := fetchTogether(gets, tables)
	if aerr != nil {
		return aerr
	}
	var costs []consumed
	w.open('{')
	w.name("Responses")
	w.open('[')
	for i, r := range rows {
		costOf(&costs, tables[i].name, consumed{read: true}).table += 2 * unitsFor(sizeOf(r), readUnit)
		w.open('{')
		if r != nil {
			w.name("Item")
			w.item(gets[i].selection.projection().of(r.it))
		}
		w.close('}')
	}
	w.close(']')
	answerCapacities(w, costs, used.s)
	w.close('}')
	return nil
}

func (e *Engine) readTransactGets(d *decoder, items []node) ([]*read, []*table, error) {
	var gets []*read
	var names []string
	for i := range items {
		g := d.object(&items[i], "Get")
		key := d.object(g, "Key")
		if d.err != nil {
			return nil, nil, d.err
		}
		if g == nil || key == nil {
			return nil, nil, invalid("1 validation error detected: Value null at 'transactItems.%d.member.get' failed to satisfy constraint: "+
				"Member must not be null", i+1)
		}
		name := d.str(g, "TableName")
		if err := checkName(name, fmt.Sprintf("transactItems.%d.member.get.tableName", i+1), 1); err != nil {
			return nil, nil, err
		}
		r := &read{}
		if err := e.readSelection(d, g, r); err != nil {
			return nil, nil, err
		}
		attrs, err := d.attrs(key)
		if err != nil {
			return nil, nil, err
		}
		r.keys = []item{attrs}
		gets, names = append(gets, r), append(names, name.s)
	}
	now := time.Now()
	tables := make([]*table, len(names))
	for i, name := range names {
		t, err := e.table(name, now)
		if err != nil {
			return nil, nil, err
		}
		tables[i] = t
	}
	return gets, tables, d.result()
}

// fetchTogether reads one row for each of gets, all at one time.
func fetchTogether(gets []*read, tables []*table) ([]*row, *awserr.Error) {
	rows, reasons := make([]*row, len(gets)), make([]reason, len(gets))
	at := make([]rowKey, len(gets))
	for i, g := range gets {
		var err *awserr.Error
		if at[i], err = tables[i].keys.locate(g.keys[0]); err != nil {
			reasons[i] = reasonOf(err, nil, false)
			continue
		}
		for j := range i {
			if tables[j] == tables[i] && at[j] == at[i] {
				return nil, invalid("Transaction request cannot include multiple operations on one item")
			}
		}
	}
	if err := cancelled(reasons); err != nil {
		return nil, err
	}
	for _, t := range locked(tables) {
		t.mu.RLock()
		defer t.mu.RUnlock()
	}
	for i := range gets {
		rows[i] = tables[i].rows.get(at[i])
	}
	return rows, nil
}
