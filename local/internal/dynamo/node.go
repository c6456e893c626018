package dynamo

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

type nodeKind uint8

const (
	isNull nodeKind = iota
	isBool
	isNumber
	isString
	isArray
	isObject
)

// maxDepth bounds how deep a body may nest. DynamoDB allows 32 levels of attribute values, each of which is two levels
// of JSON.
const maxDepth = 200

// node is one JSON value of a request body. Requests are read into nodes, and not by encoding/json into structs,
// because a lease renewal spends most of its time there.
type node struct {
	kind nodeKind
	yes  bool   // the value, if kind is isBool
	name string // the member's name, if the parent is an object
	text string // the value of a string, the literal of a number
	kids []node // the elements of an array, the members of an object
}

// get returns the member name, or nil if it is absent or null. Of several it is the last, as in most JSON readers.
func (n *node) get(name string) *node {
	if n == nil || n.kind != isObject {
		return nil
	}
	for i := len(n.kids) - 1; i >= 0; i-- {
		if k := &n.kids[i]; k.name == name {
			if k.kind == isNull {
				return nil
			}
			return k
		}
	}
	return nil
}

// parser reads one JSON text. Strings without escapes are slices of it; children are gathered on a stack and moved to
// a slab, so that a body costs a handful of allocations.
type parser struct {
	s     string
	at    int
	depth int
	stack []node
	slab  []node
}

func serialization(format string, args ...any) *awserr.Error {
	return awserr.New("SerializationException", format, args...)
}

// parse reads a request body, which must be one JSON object.
func parse(in []byte) (*node, error) {
	p := &parser{s: string(in)}
	if !utf8.ValidString(p.s) {
		p.s = strings.ToValidUTF8(p.s, "\uFFFD")
	}
	p.stack = make([]node, 0, 32)
	p.space()
	root := &node{}
	if !p.value(root) || !p.end() || root.kind != isObject {
		return nil, serialization("Unexpected token received from parser")
	}
	return root, nil
}

func (p *parser) end() bool {
	p.space()
	return p.at == len(p.s)
}

func (p *parser) space() {
	for p.at < len(p.s) {
		switch p.s[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take moves past c and the space behind it, if c is next.
func (p *parser) take(c byte) bool {
	if p.at >= len(p.s) || p.s[p.at] != c {
		return false
	}
	p.at++
	p.space()
	return true
}

func (p *parser) word(w string) bool {
	if !strings.HasPrefix(p.s[p.at:], w) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *parser) value(n *node) bool {
	if p.at >= len(p.s) {
		return false
	}
	switch p.s[p.at] {
	case '{', '[':
		return p.container(n)
	case '"':
		n.kind = isString
		return p.str(&n.text)
	case 't':
		n.kind, n.yes = isBool, true
		return p.word("true")
	case 'f':
		n.kind = isBool
		return p.word("false")
	case 'n':
		n.kind = isNull
		return p.word("null")
	default:
		n.kind = isNumber
		return p.number(&n.text)
	}
}

func (p *parser) container(n *node) bool {
	if p.depth++; p.depth > maxDepth {
		return false
	}
	defer func() { p.depth-- }()
	n.kind = isArray
	closing := byte(']')
	if p.s[p.at] == '{' {
		n.kind, closing = isObject, '}'
	}
	p.at++
	p.space()
	base := len(p.stack)
	for first := true; !p.take(closing); first = false {
		if !first && !p.take(',') {
			return false
		}
		kid := node{}
		if n.kind == isObject {
			if !p.str(&kid.name) {
				return false
			}
			if p.space(); !p.take(':') {
				return false
			}
		}
		if !p.value(&kid) {
			return false
		}
		p.space()
		p.stack = append(p.stack, kid)
	}
	n.kids = p.keep(p.stack[base:])
	p.stack = p.stack[:base]
	return true
}

// keep copies kids to the slab.
func (p *parser) keep(kids []node) []node {
	if len(p.slab) < len(kids) {
		p.slab = make([]node, max(32, len(kids)))
	}
	out := p.slab[:len(kids):len(kids)]
	p.slab = p.slab[len(kids):]
	copy(out, kids)
	return out
}

func (p *parser) number(out *string) bool {
	start := p.at
	for p.at < len(p.s) && strings.IndexByte("+-.eE0123456789", p.s[p.at]) >= 0 {
		p.at++
	}
	*out = p.s[start:p.at]
	_, err := parseNumber(*out)
	return err == nil || err.kind != numberMalformed
}

func (p *parser) str(out *string) bool {
	if p.at >= len(p.s) || p.s[p.at] != '"' {
		return false
	}
	p.at++
	for i := p.at; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			*out = p.s[p.at:i]
			p.at = i + 1
			return true
		case c == '\\':
			return p.escaped(out, i)
		case c < ' ':
			return false
		}
	}
	return false
}

// escaped reads the rest of a string whose first backslash stands at i.
func (p *parser) escaped(out *string, i int) bool {
	b := append(make([]byte, 0, 2*(i-p.at)+16), p.s[p.at:i]...)
	for i < len(p.s) {
		c := p.s[i]
		switch {
		case c == '"':
			*out = string(b)
			p.at = i + 1
			return true
		case c < ' ':
			return false
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		if i+1 >= len(p.s) {
			return false
		}
		if p.s[i+1] != 'u' {
			at := strings.IndexByte(`"\/bfnrt`, p.s[i+1])
			if at < 0 {
				return false
			}
			b = append(b, "\"\\/\b\f\n\r\t"[at])
			i += 2
			continue
		}
		r, ok := hex4(p.s, i+2)
		if !ok {
			return false
		}
		i += 6
		if utf16.IsSurrogate(r) {
			low, ok := rune(0), false
			if strings.HasPrefix(p.s[i:], `\u`) {
				low, ok = hex4(p.s, i+2)
			}
			if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
				i += 6
			}
		}
		b = utf8.AppendRune(b, r)
	}
	return false
}

func hex4(s string, at int) (rune, bool) {
	if at+4 > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[at : at+4]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
