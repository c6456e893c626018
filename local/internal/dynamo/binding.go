package dynamo

import (
	"slices"
	"strings"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// placeholders are a request's ExpressionAttributeNames and ExpressionAttributeValues.
type placeholders struct {
	names, values         []named
	hasNames, hasValues   bool
	namesErr, valuesErr   *awserr.Error // found while reading, reported in DynamoDB's order
	namesSlab, valuesSlab [4]named
}

// named is one placeholder with what it stands for.
type named struct {
	key  string
	text string
	val  value
	used bool
}

func (d *decoder) placeholders(n *node) *placeholders {
	p := &placeholders{}
	if o := d.object(n, "ExpressionAttributeNames"); o != nil {
		p.hasNames = true
		p.readNames(d, o)
	}
	if o := d.object(n, "ExpressionAttributeValues"); o != nil {
		p.hasValues = true
		p.readValues(d, o)
	}
	return p
}

func (p *placeholders) readNames(d *decoder, o *node) {
	p.names = p.namesSlab[:0]
	if len(o.kids) == 0 {
		p.namesErr = invalid("ExpressionAttributeNames must not be empty")
	}
	for i := range o.kids {
		k := &o.kids[i]
		if !isPlaceholder(k.name, '#') && p.namesErr == nil {
			p.namesErr = invalid(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, k.name)
		}
		p.names = append(p.names, named{key: k.name, text: d.toString(k)})
	}
}

func (p *placeholders) readValues(d *decoder, o *node) {
	p.values = p.valuesSlab[:0]
	if len(o.kids) == 0 {
		p.valuesErr = invalid("ExpressionAttributeValues must not be empty")
	}
	for i := range o.kids {
		if k := &o.kids[i]; !isPlaceholder(k.name, ':') && p.valuesErr == nil {
			p.valuesErr = invalid(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, k.name)
		}
	}
	for i := range o.kids {
		k := &o.kids[i]
		v, err := d.value(k, 1)
		if err != nil && p.valuesErr == nil {
			p.valuesErr = invalid("ExpressionAttributeValues contains invalid value: %s for key %s", err.Message, k.name)
		}
		p.values = append(p.values, named{key: k.name, val: v})
	}
}

func isPlaceholder(s string, first byte) bool {
	return len(s) > 1 && s[0] == first && run(s[1:], isWordByte) == len(s)-1
}

// check returns what is wrong with the placeholders themselves.
func (p *placeholders) check() *awserr.Error {
	if p.namesErr != nil {
		return p.namesErr
	}
	return p.valuesErr
}

// unused returns the error for placeholders that no expression used.
func (p *placeholders) unused() *awserr.Error {
	for _, l := range [...]struct {
		what string
		list []named
	}{{"ExpressionAttributeNames", p.names}, {"ExpressionAttributeValues", p.values}} {
		var keys []string
		for i := range l.list {
			if !l.list[i].used {
				keys = append(keys, l.list[i].key)
			}
		}
		if keys != nil {
			slices.Sort(keys)
			return invalid("Value provided in %s unused in expressions: keys: {%s}", l.what, strings.Join(keys, ", "))
		}
	}
	return nil
}

// binding is a parsed expression with one request's placeholders.
type binding struct {
	*parsed
	bound []*named // names, then values; nil where the request defines none
}

// bind looks the placeholders of x up and checks what can be checked without an item. what names the parameter.
func (p *placeholders) bind(what string, kind exprKind, x *parsed) (*binding, *awserr.Error) {
	if x.err != "" {
		return nil, invalid("Invalid %s: %s", what, x.err)
	}
	b := &binding{parsed: x, bound: make([]*named, 0, len(x.names)+len(x.values))}
	for _, n := range x.names {
		b.bound = append(b.bound, lookUp(p.names, n))
	}
	for _, v := range x.values {
		b.bound = append(b.bound, lookUp(p.values, v))
	}
	msg := ""
	switch kind {
	case updateKind:
		msg = b.checkUpdate()
	case projectionKind:
		msg = b.checkProjection()
	default:
		msg = b.checkCondition(x.root)
	}
	if msg != "" {
		return nil, invalid("Invalid %s: %s", what, msg)
	}
	return b, nil
}

func lookUp(list []named, key string) *named {
	for i := range list {
		if list[i].key == key {
			list[i].used = true
			return &list[i]
		}
	}
	return nil
}

func (b *binding) name(s step) string {
	if s.slot < 0 {
		return s.name
	}
	if n := b.bound[s.slot]; n != nil {
		return n.text
	}
	return b.names[s.slot]
}

// value returns the literal e stands for, nil if e is no literal.
func (b *binding) value(e *expr) *value {
	if e.op != opValue || b.bound[len(b.names)+e.slot] == nil {
		return nil
	}
	return &b.bound[len(b.names)+e.slot].val
}

func (b *binding) undefinedName(p path) string {
	for _, s := range p {
		if s.slot >= 0 && b.bound[s.slot] == nil {
			return "An expression attribute name used in the document path is not defined; attribute name: " + b.names[s.slot]
		}
	}
	return ""
}

func (b *binding) undefinedValue(e *expr) string {
	if e.op == opValue && b.value(e) == nil {
		return "An expression attribute value used in expression is not defined; attribute value: " + b.values[e.slot]
	}
	return ""
}

// heads calls f with the first member of each path in the expression, and whether more follows it.
func (b *binding) heads(f func(name string, nested bool)) {
	var walk func(e *expr)
	walk = func(e *expr) {
		if e.op == opPath {
			f(b.name(e.path[0]), len(e.path) > 1)
		}
		for _, a := range e.args {
			walk(a)
		}
	}
	if b.root != nil {
		walk(b.root)
	}
	for _, a := range b.actions {
		f(b.name(a.path[0]), len(a.path) > 1)
		if a.to != nil {
			walk(a.to)
		}
	}
	for _, p := range b.paths {
		f(b.name(p[0]), len(p) > 1)
	}
}
