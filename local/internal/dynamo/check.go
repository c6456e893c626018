package dynamo

import (
	"strconv"
)

// operandCount is how many operands a function takes.
func operandCount(function string) int {
	switch function {
	case "attribute_exists", "attribute_not_exists", "size":
		return 1
	}
	return 2
}

// checkCondition returns the first error in a condition that needs no item to be seen: undefined placeholders, operands
// of a wrong number or type.
func (b *binding) checkCondition(e *expr) string {
	switch e.op {
	case opAnd, opOr, opNot:
		for _, a := range e.args {
			if msg := b.checkCondition(a); msg != "" {
				return msg
			}
		}
		return ""
	}
	if msg := b.undefinedIn(e); msg != "" {
		return msg
	}
	for _, a := range e.args { // size may be an operand anywhere
		if a.op == opFunc {
			if msg := b.checkFunction(a); msg != "" {
				return msg
			}
		}
	}
	switch e.op {
	case opFunc:
		return b.checkFunction(e)
	case opCompare:
		return b.checkComparison(e)
	case opBetween:
		return b.checkBetween(e)
	}
	return ""
}

func (b *binding) undefinedIn(e *expr) string {
	if e.op == opPath {
		return b.undefinedName(e.path)
	}
	if msg := b.undefinedValue(e); msg != "" {
		return msg
	}
	for _, a := range e.args {
		if msg := b.undefinedIn(a); msg != "" {
			return msg
		}
	}
	return ""
}

func (b *binding) checkFunction(e *expr) string {
	if operandCount(e.name) != len(e.args) {
		return "Incorrect number of operands for operator or function; operator or function: " + e.name +
			", number of operands: " + strconv.Itoa(len(e.args))
	}
	if msg := b.checkDistinct(e); msg != "" {
		return msg
	}
	switch e.name {
	case "attribute_exists", "attribute_not_exists":
		if e.args[0].op != opPath {
			return "Operator or function requires a document path; operator or function: " + e.name
		}
	case "attribute_type":
		return b.checkAttributeType(e)
	case "begins_with":
		for _, a := range e.args {
			if k := b.literalKind(a); k != kindNone && k != kindS && k != kindB {
				return badOperand("operator or function", e.name, k.String())
			}
		}
	case "size":
		if k := b.literalKind(e.args[0]); k == kindN || k == kindBOOL || k == kindNULL {
			return badOperand("operator or function", e.name, k.String())
		}
	}
	return ""
}

func (b *binding) checkAttributeType(e *expr) string {
	v := b.value(e.args[1])
	switch {
	case v == nil:
		return badOperand("operator or function", e.name, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
	case v.kind != kindS:
		return badOperand("operator or function", e.name, v.kind.String())
	case kindNamed(v.text) == kindNone:
		return "Invalid attribute type name found; type: " + v.text + ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
	}
	return ""
}

func badOperand(what, name, kind string) string {
	return "Incorrect operand type for operator or function; " + what + ": " + name + ", operand type: " + kind
}

// literalKind is the type an operand is known to have without an item.
func (b *binding) literalKind(e *expr) kind {
	if v := b.value(e); v != nil {
		return v.kind
	}
	if e.op == opFunc && e.name == "size" {
		return kindN
	}
	return kindNone
}

func (b *binding) checkComparison(e *expr) string {
	if msg := b.checkDistinct(e); msg != "" {
		return msg
	}
	if e.name == "=" || e.name == "<>" {
		return ""
	}
	return b.checkOrdered(e.name, e.args)
}

// checkOrdered rejects literals that have no order.
func (b *binding) checkOrdered(operator string, args []*expr) string {
	for _, a := range args {
		switch k := b.literalKind(a); k {
		case kindNone, kindS, kindN, kindB:
		default:
			return badOperand("operator", operator, k.String())
		}
	}
	return ""
}

func (b *binding) checkBetween(e *expr) string {
	if msg := b.checkOrdered("BETWEEN", e.args); msg != "" {
		return msg
	}
	low, high := b.value(e.args[1]), b.value(e.args[2])
	if low == nil || high == nil {
		return ""
	}
	bounds := "; lower bound operand: AttributeValue: " + low.show() + ", upper bound operand: AttributeValue: " + high.show()
	if low.kind != high.kind {
		return "The BETWEEN operator requires same data type for lower and upper bounds" + bounds
	}
	if order, _ := low.compare(high); order > 0 {
		return "The BETWEEN operator requires upper bound to be greater than or equal to lower bound" + bounds
	}
	return ""
}

func (b *binding) checkDistinct(e *expr) string {
	if len(e.args) != 2 || e.args[0].op != opPath || e.args[1].op != opPath || !b.samePath(e.args[0].path, e.args[1].path) {
		return ""
	}
	return "The first operand must be distinct from the remaining operands for this operator or function; operator: " +
		e.name + ", first operand: " + e.args[0].path.show(b)
}

func (b *binding) samePath(p, q path) bool { return len(p) == len(q) && b.commonSteps(p, q) == len(p) }

// commonSteps counts the steps that p and q share.
func (b *binding) commonSteps(p, q path) int {
	n := 0
	for n < len(p) && n < len(q) && p[n].index == q[n].index && (p[n].index >= 0 || b.name(p[n]) == b.name(q[n])) {
		n++
	}
	return n
}

// checkPaths finds two paths of which one contains the other, or that take one value for a list and for a map.
func (b *binding) checkPaths(paths []path) string {
	conflict := ""
	for i, q := range paths {
		for _, p := range paths[:i] {
			n := b.commonSteps(p, q)
			where := "; must remove or rewrite one of these paths; path one: " + p.show(b) + ", path two: " + q.show(b)
			switch {
			case n == len(p) || n == len(q):
				return "Two document paths overlap with each other" + where
			case (p[n].index >= 0) != (q[n].index >= 0) && conflict == "":
				conflict = "Two document paths conflict with each other" + where
			}
		}
	}
	return conflict
}

func (b *binding) checkProjection() string {
	for _, p := range b.paths {
		if msg := b.undefinedName(p); msg != "" {
			return msg
		}
	}
	return b.checkPaths(b.paths)
}

// checkUpdate is for update expressions what checkCondition is for conditions.
func (b *binding) checkUpdate() string {
	for _, undefined := range []func(*expr) string{b.undefinedPathIn, b.undefinedValueIn} {
		for _, a := range b.actions {
			if msg := undefined(&expr{op: opPath, path: a.path}); msg != "" {
				return msg
			}
			if a.to == nil {
				continue
			}
			if msg := undefined(a.to); msg != "" {
				return msg
			}
		}
	}
	if len(b.actions) > 1 {
		paths := make([]path, len(b.actions))
		for i, a := range b.actions {
			paths[i] = a.path
		}
		if msg := b.checkPaths(paths); msg != "" {
			return msg
		}
	}
	for _, a := range b.actions {
		if msg := b.checkAction(a); msg != "" {
			return msg
		}
	}
	return ""
}

func (b *binding) undefinedPathIn(e *expr) string {
	if e.op == opPath {
		return b.undefinedName(e.path)
	}
	for _, a := range e.args {
		if msg := b.undefinedPathIn(a); msg != "" {
			return msg
		}
	}
	return ""
}

func (b *binding) undefinedValueIn(e *expr) string {
	for _, a := range e.args {
		if msg := b.undefinedValueIn(a); msg != "" {
			return msg
		}
	}
	return b.undefinedValue(e)
}

func (b *binding) checkAction(a action) string {
	switch a.verb {
	case "SET":
		return b.checkAssigned(a.to)
	case "ADD", "DELETE":
		v := b.value(a.to)
		if v.kind.isSet() || a.verb == "ADD" && v.kind == kindN {
			return ""
		}
		long := map[kind]string{kindS: "STRING", kindN: "NUMBER", kindB: "BINARY", kindBOOL: "BOOLEAN", kindNULL: "NULL",
			kindL: "LIST", kindM: "MAP"}[v.kind]
		return badOperand("operator", a.verb, long) + ", typeSet: ALLOWED_FOR_" + a.verb + "_OPERAND"
	}
	return ""
}

func (b *binding) checkAssigned(e *expr) string {
	for _, a := range e.args {
		if msg := b.checkAssigned(a); msg != "" {
			return msg
		}
	}
	if e.op == opFunc {
		if len(e.args) != 2 {
			return "Incorrect number of operands for operator or function; operator or function: " + e.name +
				", number of operands: " + strconv.Itoa(len(e.args))
		}
		if e.name == "if_not_exists" && e.args[0].op != opPath {
			return "Operator or function requires a document path; operator or function: " + e.name
		}
	}
	want := kindNone
	if e.op == opArith {
		want = kindN
	} else if e.op == opFunc && e.name == "list_append" {
		want = kindL
	}
	for _, a := range e.args {
		if k := b.literalKind(a); want != kindNone && k != kindNone && k != want {
			return badOperand("operator or function", e.name, k.String())
		}
	}
	return ""
}
