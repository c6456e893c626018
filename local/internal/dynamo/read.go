package dynamo

import (
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// selection is which attributes a read answers, in either form of the API.
type selection struct {
	b      *binding // of ProjectionExpression
	legacy []string // AttributesToGet
}

func (s selection) on() bool { return s.b != nil || s.legacy != nil }

func (s selection) projection() projection {
	switch {
	case s.b != nil:
		return s.b.projection(s.b.paths)
	case s.legacy != nil:
		return projectNames(s.legacy)
	}
	return projection{}
}

func (d *decoder) attributesToGet(n *node) ([]string, *awserr.Error) {
	names, ok := d.strings(n, "AttributesToGet")
	if !ok {
		return nil, nil
	}
	if len(names) == 0 {
		return nil, invalid("1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1")
	}
	for i, name := range names {
		for _, before := range names[:i] {
			if name == before {
				return nil, invalid("One or more parameter values were invalid: Duplicate value in attribute name: %s", name)
			}
		}
	}
	return names, nil
}

// checkKeyPaths rejects paths that look into a key attribute.
func (k keys) checkKeyPaths(b *binding, what string) (err *awserr.Error) {
	if b == nil {
		return nil
	}
	b.heads(func(name string, nested bool) {
		if nested && k.has(name) && err == nil {
			err = invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: %s: %s", what, name)
		}
	})
	return err
}

// read is the part that GetItem, a table of BatchGetItem and a Get of a transaction have in common.
type read struct {
	keys       []item
	selection  selection
	consistent bool
}

func (e *Engine) readSelection(d *decoder, n *node, r *read) error {
	if err := mixed(n, []string{"ProjectionExpression"}, []string{"AttributesToGet"}); err != nil {
		return err
	}
	names, err := d.attributesToGet(n)
	if err != nil {
		return err
	}
	r.selection.legacy = names
	p := d.placeholders(n)
	text := d.str(n, "ProjectionExpression")
	r.consistent, _ = d.flag(n, "ConsistentRead")
	if d.err != nil {
		return d.err
	}
	if err := p.check(); err != nil {
		return err
	}
	if r.selection.b, err = e.bind(p, "ProjectionExpression", projectionKind, text); err != nil {
		return err
	}
	if err := p.unused(); err != nil {
		return err
	}
	return nil
}

// cost is the read capacity for n bytes.
func (r *read) cost(n int) float64 {
	u := unitsFor(n, readUnit)
	if !r.consistent {
		u /= 2
	}
	return u
}

// fetch returns the rows of r in t, nil where there is none.
func (r *read) fetch(t *table) ([]*row, *awserr.Error) {
	if err := t.keys.checkKeyPaths(r.selection.b, "Key"); err != nil {
		return nil, err
	}
	at := make([]rowKey, len(r.keys))
	for i, key := range r.keys {
		var err *awserr.Error
		if at[i], err = t.keys.locate(key); err != nil {
			return nil, err
		}
		for j := range i {
			if at[j] == at[i] {
				return nil, invalid("Provided list of item keys contains duplicates")
			}
		}
	}
	out := make([]*row, len(r.keys))
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i := range at {
		out[i] = t.rows.get(at[i])
	}
	return out, nil
}

func (e *Engine) getItem(n *node, w *writer) error {
	d := &decoder{}
	name, used := d.str(n, "TableName"), d.str(n, "ReturnConsumedCapacity")
	if d.err != nil {
		return d.err
	}
	if err := checkName(name, "tableName", 1); err != nil {
		return err
	}
	var c constraints
	c.present(d.object(n, "Key") != nil, "key")
	c.enum(used, "returnConsumedCapacity", enumCapacity)
	if err := c.err(); err != nil {
		return err
	}
	r := &read{}
	if err := e.readSelection(d, n, r); err != nil {
		return err
	}
	key, err := d.attrs(n.get("Key"))
	if err != nil {
		return err
	}
	if d.err != nil {
		return d.err
	}
	r.keys = []item{key}
	t, err := e.table(name.s, time.Now())
	if err != nil {
		return err
	}
	rows, err := r.fetch(t)
	if err != nil {
		return err
	}
	w.open('{')
	if rows[0] != nil {
		w.name("Item")
		w.item(r.selection.projection().of(rows[0].it))
	}
	if wantsCapacity(used.s) {
		w.name("ConsumedCapacity")
		(&consumed{name: t.name, table: r.cost(sizeOf(rows[0]))}).writeTo(w, used.s)
	}
	w.close('}')
	return nil
}
