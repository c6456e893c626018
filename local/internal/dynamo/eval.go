package dynamo

import (
	"slices"
	"strconv"
	"strings"
)

// follow returns what p leads to in it, or nil.
func (b *binding) follow(p path, it item) *value {
	v := it.get(b.name(p[0]))
	for _, s := range p[1:] {
		switch {
		case v == nil:
			return nil
		case s.index >= 0:
			if v.kind != kindL || s.index >= len(v.list) {
				return nil
			}
			v = &v.list[s.index]
		case v.kind == kindM:
			v = v.attrs.get(b.name(s))
		default:
			return nil
		}
	}
	return v
}

// operand returns the value of e for it, or nil if it has none.
func (b *binding) operand(e *expr, it item) *value {
	switch e.op {
	case opPath:
		return b.follow(e.path, it)
	case opValue:
		return b.value(e)
	}
	n, ok := length(b.operand(e.args[0], it))
	if !ok {
		return nil
	}
	return &value{kind: kindN, text: strconv.Itoa(n)}
}

// length is the function size.
func length(v *value) (int, bool) {
	if v == nil {
		return 0, false
	}
	switch v.kind {
	case kindS, kindB:
		return len(v.text), true
	case kindSS, kindNS, kindBS:
		return len(v.set), true
	case kindL:
		return len(v.list), true
	case kindM:
		return len(v.attrs), true
	}
	return 0, false
}

// holds evaluates a condition; a nil item has no attributes.
func (b *binding) holds(e *expr, it item) bool {
	switch e.op {
	case opAnd:
		return b.holds(e.args[0], it) && b.holds(e.args[1], it)
	case opOr:
		return b.holds(e.args[0], it) || b.holds(e.args[1], it)
	case opNot:
		return !b.holds(e.args[0], it)
	case opFunc:
		return b.call(e, it)
	}
	v := b.operand(e.args[0], it)
	switch e.op {
	case opBetween:
		return matches("BETWEEN", v, b.operand(e.args[1], it), b.operand(e.args[2], it))
	case opIn:
		return slices.ContainsFunc(e.args[1:], func(a *expr) bool { return matches("EQ", v, b.operand(a, it)) })
	}
	return matches(comparatorNames[e.name], v, b.operand(e.args[1], it))
}

var comparatorNames = map[string]string{"=": "EQ", "<>": "NE", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}

func (b *binding) call(e *expr, it item) bool {
	v := b.operand(e.args[0], it)
	switch e.name {
	case "attribute_exists":
		return v != nil
	case "attribute_not_exists":
		return v == nil
	}
	w := b.operand(e.args[1], it)
	switch e.name {
	case "attribute_type":
		return v != nil && w != nil && v.kind.String() == w.text
	case "begins_with":
		return matches("BEGINS_WITH", v, w)
	}
	return matches("CONTAINS", v, w)
}

// matches evaluates one comparison, named as in the legacy parameters. A missing operand is nil and matches nothing,
// except that it differs from everything.
func matches(operator string, v *value, with ...*value) bool {
	switch operator {
	case "NULL":
		return v == nil
	case "NOT_NULL":
		return v != nil
	case "NE":
		return v == nil || with[0] == nil || !v.equal(with[0])
	case "NOT_CONTAINS":
		return v == nil || !contains(v, with[0])
	case "IN":
		return v != nil && slices.ContainsFunc(with, v.equal)
	}
	if v == nil || slices.Contains(with, nil) {
		return false
	}
	switch operator {
	case "EQ":
		return v.equal(with[0])
	case "CONTAINS":
		return contains(v, with[0])
	case "BEGINS_WITH":
		return v.kind == with[0].kind && (v.kind == kindS || v.kind == kindB) && strings.HasPrefix(v.text, with[0].text)
	}
	order, ok := v.compare(with[0])
	if !ok {
		return false
	}
	switch operator {
	case "LT":
		return order < 0
	case "LE":
		return order <= 0
	case "GT":
		return order > 0
	case "GE":
		return order >= 0
	}
	high, ok := v.compare(with[1]) // BETWEEN
	return ok && order >= 0 && high <= 0
}

func contains(v, w *value) bool {
	switch v.kind {
	case kindS, kindB:
		return w.kind == v.kind && strings.Contains(v.text, w.text)
	case kindL:
		return slices.ContainsFunc(v.list, func(e value) bool { return e.equal(w) })
	}
	return w.kind == v.kind.element() && w.kind != kindNone && slices.Contains(v.set, w.text)
}
