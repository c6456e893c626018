package dynamo

import (
	"strings"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// keyComparisons turns a KeyConditionExpression into comparisons, one per key.
func keyComparisons(b *binding) ([]comparison, *awserr.Error) {
	var out []comparison
	if msg := b.keyComparison(b.root, &out); msg != "" {
		return nil, invalid("%s", msg)
	}
	return out, nil
}

func (b *binding) keyComparison(e *expr, out *[]comparison) string {
	switch {
	case e.op == opOr || e.op == opNot || e.op == opIn:
		return "Invalid operator used in KeyConditionExpression: " + map[exprOp]string{opOr: "OR", opNot: "NOT", opIn: "IN"}[e.op]
	case e.op == opCompare && e.name == "<>":
		return "Invalid operator used in KeyConditionExpression: <>"
	case e.op == opFunc && e.name != "begins_with":
		return "Invalid operator used in KeyConditionExpression: " + e.name
	case e.op == opAnd:
		for _, a := range e.args {
			if msg := b.keyComparison(a, out); msg != "" {
				return msg
			}
		}
		return ""
	case e.op == opBetween && e.args[0].op != opPath:
		return "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand"
	case e.op == opFunc && e.args[0].op != opPath:
		return "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand"
	}
	c, msg := b.oneKey(e)
	if msg != "" {
		return msg
	}
	for _, had := range *out {
		if had.attr == c.attr {
			return "KeyConditionExpressions must only contain one condition per key"
		}
	}
	*out = append(*out, c)
	return ""
}

func (b *binding) oneKey(e *expr) (comparison, string) {
	c := comparison{operator: comparatorNames[e.name]}
	switch e.op {
	case opBetween:
		c.operator = "BETWEEN"
	case opFunc:
		c.operator = "BEGINS_WITH"
	}
	found := false
	for i, a := range e.args {
		switch a.op {
		case opFunc:
			return c, "KeyConditionExpressions cannot contain nested operations"
		case opValue:
			c.with = append(c.with, *b.value(a))
			continue
		}
		switch {
		case found:
			return c, "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
		case len(a.path) > 1:
			return c, "KeyConditionExpressions cannot have conditions on nested attributes"
		}
		found = true
		c.attr = b.name(a.path[0])
		if i == 1 && e.op == opCompare { // :v < key is key > :v
			c.operator = map[string]string{"EQ": "EQ", "LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE"}[c.operator]
		}
	}
	if !found {
		return c, "Invalid condition in KeyConditionExpression: No key attribute specified"
	}
	return c, ""
}

// span is the part of one partition that a query reads.
type span struct {
	hash     uint64
	pk       string
	rng      *comparison
	low      string
	lowOpen  bool // low itself is outside
	high     string
	hasHigh  bool
	highOpen bool
}

// spanOf checks key conditions against the keys of a table or index.
func (k keys) spanOf(conds []comparison) (*span, *awserr.Error) {
	if len(conds) != 1 && len(conds) != 2 {
		return nil, invalid("Conditions can be of length 1 or 2 only")
	}
	var hash, rng *comparison
	for i := range conds {
		switch c := &conds[i]; {
		case c.attr == k.hash.name:
			hash = c
		case k.rng.name != "" && c.attr == k.rng.name:
			rng = c
		}
	}
	switch {
	case len(conds) == 2 && k.rng.name == "":
		return nil, invalid("Query key condition not supported")
	case hash == nil:
		return nil, invalid("Query condition missed key schema element: %s", k.hash.name)
	case len(conds) == 2 && rng == nil:
		return nil, invalid("Query condition missed key schema element: %s", k.rng.name)
	}
	if err := checkKeyComparison(hash, k.hash); err != nil {
		return nil, err
	}
	if hash.operator != "EQ" {
		return nil, invalid("Query key condition not supported")
	}
	s := &span{pk: hash.with[0].key(), rng: rng}
	s.hash = hashKey(s.pk)
	if rng == nil {
		return s, nil
	}
	if err := checkKeyComparison(rng, k.rng); err != nil {
		return nil, err
	}
	s.bounds()
	return s, nil
}

func checkKeyComparison(c *comparison, d keyDef) *awserr.Error {
	switch c.operator {
	case "NULL", "NOT_NULL", "NE", "CONTAINS", "NOT_CONTAINS", "IN":
		return invalid("Attempted conditional constraint is not an indexable operation")
	}
	for i := range c.with {
		if c.with[i].kind != d.kind {
			return invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		if c.with[i].text == "" && c.operator == "EQ" {
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "+
				"empty string value. Key: %s", d.name)
		}
	}
	return nil
}

func (s *span) bounds() {
	first := s.rng.with[0].key()
	switch s.rng.operator {
	case "EQ":
		s.low, s.high, s.hasHigh = first, first, true
	case "LT":
		s.high, s.hasHigh, s.highOpen = first, true, true
	case "LE":
		s.high, s.hasHigh = first, true
	case "GT":
		s.low, s.lowOpen = first, true
	case "GE":
		s.low = first
	case "BETWEEN":
		s.low, s.high, s.hasHigh = first, s.rng.with[1].key(), true
	case "BEGINS_WITH":
		s.low, s.high, s.hasHigh, s.highOpen = first, successor(first), true, true
		if s.high == "" {
			s.hasHigh = false
		}
	}
}

// successor is the first string behind all that begin with p, empty if there is none.
func successor(p string) string {
	for strings.HasSuffix(p, "\xff") {
		p = p[:len(p)-1]
	}
	if p == "" {
		return ""
	}
	return p[:len(p)-1] + string([]byte{p[len(p)-1] + 1})
}

// before reports whether r comes before the span.
func (s *span) before(r *row) bool {
	if r.hash != s.hash {
		return r.hash < s.hash
	}
	if r.pk != s.pk {
		return r.pk < s.pk
	}
	return r.sk < s.low || s.lowOpen && r.sk == s.low
}

// after reports whether r comes after the span.
func (s *span) after(r *row) bool {
	if r.hash != s.hash {
		return r.hash > s.hash
	}
	if r.pk != s.pk {
		return r.pk > s.pk
	}
	return s.hasHigh && (r.sk > s.high || s.highOpen && r.sk == s.high)
}
