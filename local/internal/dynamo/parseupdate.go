package dynamo

// update reads the clauses of an update expression.
func (p *exprParser) update() bool {
	for p.peek().kind != tokenEnd {
		verb := ""
		for _, v := range [...]string{"SET", "REMOVE", "ADD", "DELETE"} {
			if p.isKeyword(v) {
				verb = v
			}
		}
		if verb == "" {
			return false
		}
		p.next()
		if p.sections[verb] {
			keepFirst(&p.section, `The "`+verb+`" section can only be used once in an update expression;`)
		}
		p.sections[verb] = true
		if !p.clause(verb) {
			return false
		}
	}
	return true
}

func (p *exprParser) clause(verb string) bool {
	for {
		d, ok := p.documentPath()
		if !ok {
			return false
		}
		a := action{verb: verb, path: d}
		switch verb {
		case "SET":
			if !p.takePunct("=") {
				return false
			}
			if a.to, ok = p.assigned(); !ok {
				return false
			}
		case "ADD", "DELETE":
			if p.peek().kind != tokenValue {
				return false
			}
			a.to = p.placeholder()
		}
		p.out.actions = append(p.out.actions, a)
		if !p.takePunct(",") {
			return true
		}
	}
}

// assigned reads the right side of SET: an operand, or a sum or difference of two.
func (p *exprParser) assigned() (*expr, bool) {
	left, ok := p.updateOperand()
	if !ok {
		return nil, false
	}
	for _, op := range [...]string{"+", "-"} {
		if p.takePunct(op) {
			right, ok := p.updateOperand()
			if !ok {
				return nil, false
			}
			return &expr{op: opArith, name: op, args: []*expr{left, right}}, true
		}
	}
	return left, true
}

func (p *exprParser) updateOperand() (*expr, bool) {
	if p.depth++; p.depth > maxExprDepth {
		return nil, false
	}
	defer func() { p.depth-- }()
	switch {
	case p.takePunct("("):
		e, ok := p.assigned()
		return e, ok && p.takePunct(")")
	case p.peek().kind == tokenValue:
		return p.placeholder(), true
	case p.atCall():
		name := p.text(p.next())
		switch name {
		case "if_not_exists", "list_append":
		case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
			keepFirst(&p.unknown, "The function is not allowed in an update expression; function: "+name)
		default:
			keepFirst(&p.unknown, "Invalid function name; function: "+name)
		}
		return p.arguments(name, p.assigned)
	}
	d, ok := p.documentPath()
	return &expr{op: opPath, path: d}, ok
}
