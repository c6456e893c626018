package dynamo

import (
	"slices"
	"strings"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// condition is what must hold of an item, in either form of the API. The zero value always holds.
type condition struct {
	expr   *binding
	legacy []comparison
	any    bool // one of legacy is enough
}

// comparison is one entry of Expected, KeyConditions, QueryFilter or ScanFilter.
type comparison struct {
	attr     string
	operator string
	with     []value
}

func (c *condition) set() bool { return c.expr != nil || len(c.legacy) > 0 }

func (c *condition) holds(it item) bool {
	if c.expr != nil {
		return c.expr.holds(c.expr.root, it)
	}
	for i := range c.legacy {
		if c.legacy[i].holds(it) == c.any {
			return c.any
		}
	}
	return !c.any || len(c.legacy) == 0
}

func (c *comparison) holds(it item) bool {
	var room [2]*value
	with := room[:0]
	for i := range c.with {
		with = append(with, &c.with[i])
	}
	return matches(c.operator, it.get(c.attr), with...)
}

// mixed reports parameters of both forms in one request. given lists the names present in n.
func mixed(n *node, expressions, legacy []string) *awserr.Error {
	given := func(names []string) (out []string) {
		for _, name := range names {
			if n.get(name) != nil {
				out = append(out, name)
			}
		}
		return out
	}
	exprs := given(expressions)
	if exprs != nil {
		if old := given(legacy); old != nil {
			return invalid("Can not use both expression and non-expression parameters in the same request: "+
				"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(old, ", "), strings.Join(exprs, ", "))
		}
	}
	if n.get("ExpressionAttributeNames") != nil && exprs == nil {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if n.get("ExpressionAttributeValues") == nil {
		return nil
	}
	takers := slices.DeleteFunc(slices.Clone(expressions), func(s string) bool { return s == "ProjectionExpression" })
	if given(takers) != nil {
		return nil
	}
	verb := " is"
	if len(takers) > 1 {
		verb = " are"
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: %s%s null", strings.Join(takers, " and "), verb)
}

// legacyEnums checks the enumerations inside a map of conditions or updates.
func (d *decoder) legacyEnums(c *constraints, n *node, name, member, set string) {
	o := d.object(n, name)
	if o == nil {
		return
	}
	for i := range o.kids {
		k := d.asObject(&o.kids[i])
		at := strings.ToLower(name[:1]) + name[1:] + "." + k.name + ".member." + strings.ToLower(member[:1]) + member[1:]
		t := d.str(k, member)
		if name != "Expected" && name != "AttributeUpdates" {
			c.present(t.ok, at)
		}
		c.enum(t, at, set)
	}
}

// expected reads the parameter Expected.
func (d *decoder) expected(n *node) ([]comparison, *awserr.Error) {
	o := d.object(n, "Expected")
	if o == nil {
		return nil, nil
	}
	out := make([]comparison, 0, len(o.kids))
	for i := range o.kids {
		c, err := d.expectation(&o.kids[i])
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (d *decoder) expectation(k *node) (comparison, *awserr.Error) {
	const prefix = "One or more parameter values were invalid: "
	list, val, op := k.get("AttributeValueList"), k.get("Value"), d.str(k, "ComparisonOperator")
	exists, hasExists := d.flag(k, "Exists")
	bad := func(format string, args ...any) (comparison, *awserr.Error) {
		return comparison{}, invalid(prefix+format, args...)
	}
	switch {
	case list != nil && val != nil:
		return bad("Value and AttributeValueList cannot be used together for Attribute: %s", k.name)
	case op.ok && hasExists:
		return bad("Exists and ComparisonOperator cannot be used together for Attribute: %s", k.name)
	case op.ok && list == nil && val == nil && op.s != "NULL" && op.s != "NOT_NULL":
		return bad("Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", op.s, k.name)
	case op.ok:
		return d.comparison(k, op.s)
	case list != nil:
		return bad("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", k.name)
	case val == nil && !hasExists:
		return bad("Value must be provided when Exists is null for Attribute: %s", k.name)
	case val == nil && exists:
		return bad("Value must be provided when Exists is true for Attribute: %s", k.name)
	case val == nil:
		return comparison{attr: k.name, operator: "NULL"}, nil
	case hasExists && !exists:
		return bad("Value cannot be used when Exists is false for Attribute: %s", k.name)
	}
	v, err := d.value(val, 1)
	return comparison{attr: k.name, operator: "EQ", with: []value{v}}, err
}

// comparison reads an entry with a ComparisonOperator and its values.
func (d *decoder) comparison(k *node, operator string) (comparison, *awserr.Error) {
	out := comparison{attr: k.name, operator: operator}
	kids, ok := d.list(k, "AttributeValueList")
	if val := k.get("Value"); !ok && val != nil {
		kids = []node{*val}
	}
	for i := range kids {
		v, err := d.value(&kids[i], 1)
		if err != nil {
			return out, err
		}
		out.with = append(out.with, v)
	}
	if d.err != nil {
		return out, nil
	}
	return out, out.check()
}

func (c *comparison) check() *awserr.Error {
	const prefix = "One or more parameter values were invalid: "
	n, ok := len(c.with), false
	scalar := []kind{kindS, kindN, kindB}
	allowed := scalar
	switch c.operator {
	case "NULL", "NOT_NULL":
		ok = n == 0
	case "IN":
		ok = n > 0
	case "BETWEEN":
		ok = n == 2
	case "EQ", "NE":
		ok, allowed = n == 1, nil
	case "BEGINS_WITH":
		ok, allowed = n == 1, []kind{kindS, kindB}
	default:
		ok = n == 1
	}
	if !ok {
		return invalid(prefix+"Invalid number of argument(s) for the %s ComparisonOperator", c.operator)
	}
	for i := range c.with {
		if c.with[i].kind != c.with[0].kind {
			return invalid(prefix + "AttributeValues inside AttributeValueList must be of same type")
		}
		if allowed != nil && !slices.Contains(allowed, c.with[i].kind) {
			return invalid(prefix+"ComparisonOperator %s is not valid for %s AttributeValue type", c.operator, c.with[i].kind)
		}
	}
	if c.operator == "BETWEEN" {
		if order, _ := c.with[0].compare(&c.with[1]); order > 0 {
			return invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// comparisons reads KeyConditions, QueryFilter or ScanFilter.
func (d *decoder) comparisons(n *node, name string) ([]comparison, *awserr.Error) {
	o := d.object(n, name)
	if o == nil {
		return nil, nil
	}
	var out []comparison
	for i := range o.kids {
		k := d.asObject(&o.kids[i])
		c, err := d.comparison(k, d.str(k, "ComparisonOperator").s)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// legacyUpdate is one entry of AttributeUpdates.
type legacyUpdate struct {
	attr, action string
	with         *value
}

// attributeUpdates reads the parameter AttributeUpdates.
func (d *decoder) attributeUpdates(n *node) ([]legacyUpdate, *awserr.Error) {
	const prefix = "One or more parameter values were invalid: "
	o := d.object(n, "AttributeUpdates")
	if o == nil {
		return nil, nil
	}
	out := make([]legacyUpdate, 0, len(o.kids))
	for i := range o.kids {
		k := &o.kids[i]
		u := legacyUpdate{attr: k.name, action: "PUT"}
		if a := d.str(k, "Action"); a.ok {
			u.action = a.s
		}
		val := k.get("Value")
		if val == nil {
			if u.action != "DELETE" {
				return nil, invalid(prefix + "Only DELETE action is allowed when no attribute value is specified")
			}
			out = append(out, u)
			continue
		}
		v, err := d.value(val, 1)
		if err != nil {
			return nil, err
		}
		if d.err != nil {
			return nil, nil
		}
		switch {
		case u.action == "DELETE" && !v.kind.isSet():
			return nil, invalid(prefix+"DELETE action with value is not supported for the type %s", v.kind)
		case u.action == "ADD" && !v.kind.isSet() && v.kind != kindN && v.kind != kindL:
			return nil, invalid(prefix+"ADD action is not supported for the type %s", v.kind)
		}
		u.with = &v
		out = append(out, u)
	}
	return out, nil
}

// applyLegacy returns old changed by AttributeUpdates.
func applyLegacy(updates []legacyUpdate, old item) (item, *awserr.Error) {
	out := append(make(item, 0, len(old)+len(updates)), old...)
	for _, u := range updates {
		had := old.get(u.attr)
		v, ok := u.with, true
		switch {
		case u.action == "PUT" || u.with == nil:
		case u.with.kind == kindL: // ADD appends to a list, which the expression form does not
			if ok = had == nil || had.kind == kindL; ok && had != nil {
				v = &value{kind: kindL, list: slices.Concat(had.list, u.with.list)}
			}
		default:
			var err *awserr.Error
			if v, ok, err = combine(u.action, had, u.with); err != nil {
				return nil, err
			}
		}
		if !ok {
			return nil, invalid("Type mismatch for attribute to update")
		}
		if v == nil {
			out = out.without(u.attr)
		} else {
			out = out.set(u.attr, *v)
		}
	}
	return out, nil
}
