package dynamo

import "slices"

// maxExprDepth bounds the parser's own recursion; 4096 bytes of parentheses would otherwise be 4096 frames.
const maxExprDepth = 300

// condition reads a whole condition, filter or key condition.
func (p *exprParser) condition() (*expr, bool) {
	e, ok := p.or()
	if !ok {
		return nil, false
	}
	return e, p.asCondition(e)
}

// asCondition notes a function that is no condition. It is false if e is no condition at all.
func (p *exprParser) asCondition(e *expr) bool {
	if e.op == opFunc && e.name == "size" {
		keepFirst(&p.misused, "The function is not allowed to be used this way in an expression; function: size")
		return true
	}
	return !e.isOperand()
}

// or, and, not read the operators in the order of their binding. Each may also return a bare operand, which its caller
// then finds before a comparator or rejects.
func (p *exprParser) or() (*expr, bool) { return p.chain("OR", opOr, p.and) }

func (p *exprParser) and() (*expr, bool) { return p.chain("AND", opAnd, p.not) }

func (p *exprParser) chain(word string, op exprOp, next func() (*expr, bool)) (*expr, bool) {
	left, ok := next()
	for ok && p.isKeyword(word) {
		if !p.asCondition(left) {
			return nil, false
		}
		p.next()
		var right *expr
		if right, ok = next(); !ok || !p.asCondition(right) {
			return nil, false
		}
		left = &expr{op: op, args: []*expr{left, right}}
	}
	return left, ok
}

func (p *exprParser) not() (*expr, bool) {
	if p.isKeyword("NOT") {
		if p.depth++; p.depth > maxExprDepth {
			return nil, false
		}
		defer func() { p.depth-- }()
		p.next()
		e, ok := p.not()
		if !ok || !p.asCondition(e) {
			return nil, false
		}
		return &expr{op: opNot, args: []*expr{e}}, true
	}
	left, ok := p.primary()
	if !ok {
		return nil, false
	}
	return p.comparison(left)
}

// primary reads an operand, a function or anything in parentheses.
func (p *exprParser) primary() (*expr, bool) {
	switch {
	case p.isPunct("("):
		return p.parenthesized()
	case p.peek().kind == tokenValue:
		return p.placeholder(), true
	case p.atCall():
		return p.conditionFunction()
	}
	d, ok := p.documentPath()
	return &expr{op: opPath, path: d}, ok
}

func (p *exprParser) parenthesized() (*expr, bool) {
	if p.depth++; p.depth > maxExprDepth {
		return nil, false
	}
	defer func() { p.depth-- }()
	p.next()
	e, ok := p.or()
	if !ok || !p.takePunct(")") {
		return nil, false
	}
	if e.parens {
		keepFirst(&p.redundant, "The expression has redundant parentheses;")
	}
	e.parens = true
	return e, true
}

func (p *exprParser) conditionFunction() (*expr, bool) {
	name := p.text(p.next())
	f, ok := p.arguments(name, p.primary)
	if !ok {
		return nil, false
	}
	switch name {
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
	case "if_not_exists", "list_append":
		keepFirst(&p.unknown, "The function is not allowed in a condition expression; function: "+name)
	default:
		keepFirst(&p.unknown, "Invalid function name; function: "+name)
	}
	return f, p.operands(f.args...)
}

// operands checks that each of args may stand where a value is needed.
func (p *exprParser) operands(args ...*expr) bool {
	for _, a := range args {
		if a.op == opFunc && a.name != "size" {
			keepFirst(&p.misused, "The function is not allowed to be used this way in an expression; function: "+a.name)
		} else if !a.isOperand() {
			return false
		}
	}
	return true
}

// comparison reads what may follow an operand.
func (p *exprParser) comparison(left *expr) (*expr, bool) {
	t := p.peek()
	comparators := []string{"=", "<>", "<", "<=", ">", ">="}
	switch {
	case t.kind == tokenPunct && slices.Contains(comparators, p.text(t)):
		if !left.isOperand() && left.op != opFunc {
			return nil, false
		}
		p.next()
		right, ok := p.primary()
		if !ok || !p.operands(left, right) {
			return nil, false
		}
		return &expr{op: opCompare, name: p.text(t), args: []*expr{left, right}}, true
	case p.isKeyword("BETWEEN"):
		return p.between(left)
	case p.isKeyword("IN"):
		p.next()
		in, ok := p.arguments("", p.primary)
		if !ok {
			return nil, false
		}
		in.op, in.args = opIn, append([]*expr{left}, in.args...)
		return in, p.operands(in.args...)
	}
	return left, true
}

func (p *exprParser) between(left *expr) (*expr, bool) {
	p.next()
	low, ok := p.primary()
	if !ok || !p.takeKeyword("AND") {
		return nil, false
	}
	high, ok := p.primary()
	if !ok || !p.operands(left, low, high) {
		return nil, false
	}
	return &expr{op: opBetween, args: []*expr{left, low, high}}, true
}
