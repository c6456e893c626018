package dynamo

import (
	"strconv"
	"strings"
)

type exprOp uint8

const (
	opPath exprOp = iota
	opValue
	opFunc
	opAnd
	opOr
	opNot
	opCompare // name is the comparator
	opBetween
	opIn
	opArith // name is + or -
)

// expr is a node of a parsed expression. Placeholders are slots of the parsed expression, so that one tree serves all
// requests with the same text.
type expr struct {
	op     exprOp
	name   string // function, comparator or operator
	slot   int    // of the value, if op is opValue
	path   path
	args   []*expr
	parens bool
}

// step is one element of a document path: a member by literal name or by placeholder, or a list index.
type step struct {
	name  string
	slot  int // of the name; -1 for a literal
	index int // -1 for a member
}

type path []step

func (e *expr) isOperand() bool {
	return e.op == opPath || e.op == opValue || e.op == opArith || e.op == opFunc && e.name == "size"
}

// action is one clause of an update expression.
type action struct {
	verb string // SET, REMOVE, ADD, DELETE
	path path
	to   *expr // nil for REMOVE
}

// parsed is an expression independent of any request. It is shared between requests and not changed.
type parsed struct {
	err     string // why it is none; the other fields are then empty
	root    *expr
	actions []action
	paths   []path   // of a projection
	names   []string // placeholders used, with their #
	values  []string // placeholders used, with their :
}

// exprKind says which grammar an expression follows.
type exprKind uint8

const (
	conditionKind exprKind = iota
	updateKind
	projectionKind
)

// maxExpression is DynamoDB's limit for the length of an expression, in bytes.
const maxExpression = 4096

func parseExpr(kind exprKind, src string) *parsed {
	switch {
	case src == "":
		return &parsed{err: "The expression can not be empty;"}
	case len(src) > maxExpression:
		return &parsed{err: "Expression size has exceeded the maximum allowed size; expression size: " + strconv.Itoa(len(src))}
	}
	p := &exprParser{lexer: lex(src), out: &parsed{}, sections: map[string]bool{}}
	var ok bool
	switch kind {
	case updateKind:
		ok = p.update()
	case projectionKind:
		ok = p.projection()
	default:
		p.out.root, ok = p.condition()
	}
	if !ok || p.peek().kind != tokenEnd {
		return &parsed{err: p.syntaxError()}
	}
	order := []string{p.redundant, p.unknown, p.misused, p.reserved}
	if kind == updateKind {
		order = []string{p.reserved, p.unknown, p.misused, p.section}
	}
	for _, e := range order {
		if e != "" {
			return &parsed{err: e}
		}
	}
	return p.out
}

// exprParser is a recursive-descent parser. A method returns false where the syntax is broken, with the lexer at the
// offending token; the first error of each other sort is kept, because DynamoDB ranks the sorts and not the places.
type exprParser struct {
	*lexer
	out      *parsed
	sections map[string]bool
	depth    int

	redundant, unknown, misused, reserved, section string
}

func keepFirst(to *string, msg string) {
	if *to == "" {
		*to = msg
	}
}

func slotOf(list *[]string, placeholder string) int {
	for i, p := range *list {
		if p == placeholder {
			return i
		}
	}
	*list = append(*list, placeholder)
	return len(*list) - 1
}

// documentPath reads a path such as a.#b[3].c.
func (p *exprParser) documentPath() (path, bool) {
	first, ok := p.member()
	if !ok {
		return nil, false
	}
	out := path{first}
	for {
		switch {
		case p.takePunct("."):
			s, ok := p.member()
			if !ok {
				return nil, false
			}
			out = append(out, s)
		case p.isPunct("["):
			p.next()
			if p.peek().kind != tokenDigits {
				return nil, false
			}
			i, err := strconv.Atoi(p.text(p.peek()))
			if err != nil {
				return nil, false
			}
			p.next()
			if !p.takePunct("]") {
				return nil, false
			}
			out = append(out, step{slot: -1, index: i})
		default:
			return out, true
		}
	}
}

func (p *exprParser) member() (step, bool) {
	t := p.peek()
	switch t.kind {
	case tokenWord:
		p.next()
		if isReserved(p.text(t)) {
			keepFirst(&p.reserved, "Attribute name is a reserved keyword; reserved keyword: "+p.text(t))
		}
		return step{name: p.text(t), slot: -1, index: -1}, true
	case tokenName:
		p.next()
		return step{slot: slotOf(&p.out.names, p.text(t)), index: -1}, true
	}
	return step{}, false
}

func (p *exprParser) placeholder() *expr {
	return &expr{op: opValue, slot: slotOf(&p.out.values, p.text(p.next()))}
}

// projection reads a list of paths.
func (p *exprParser) projection() bool {
	for {
		d, ok := p.documentPath()
		if !ok {
			return false
		}
		p.out.paths = append(p.out.paths, d)
		if !p.takePunct(",") {
			return true
		}
	}
}

// arguments reads what follows a function's name.
func (p *exprParser) arguments(name string, one func() (*expr, bool)) (*expr, bool) {
	f := &expr{op: opFunc, name: name}
	if !p.takePunct("(") {
		return nil, false
	}
	for {
		a, ok := one()
		if !ok {
			return nil, false
		}
		f.args = append(f.args, a)
		if p.takePunct(")") {
			return f, true
		}
		if !p.takePunct(",") {
			return nil, false
		}
	}
}

// atCall reports whether a word and an opening parenthesis are ahead.
func (p *exprParser) atCall() bool {
	if p.peek().kind != tokenWord {
		return false
	}
	t := p.tokens[p.at+1]
	return t.kind == tokenPunct && p.text(t) == "("
}

func (p path) show(b *binding) string {
	parts := make([]string, len(p))
	for i, s := range p {
		if s.index >= 0 {
			parts[i] = "[" + strconv.Itoa(s.index) + "]"
		} else {
			parts[i] = b.name(s)
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
