package dynamo

import "strings"

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenName  // #placeholder
	tokenValue // :placeholder
	tokenDigits
	tokenPunct // operators and whatever has no meaning
)

type token struct {
	kind       tokenKind
	start, end int
}

// lexer cuts an expression into tokens, all at once: errors quote a token with both its neighbours.
type lexer struct {
	src    string
	tokens []token
	at     int
}

func lex(src string) *lexer {
	l := &lexer{src: src, tokens: make([]token, 0, len(src)/3+2)}
	for i := 0; i < len(src); {
		if strings.IndexByte(" \t\r\n", src[i]) >= 0 {
			i++
			continue
		}
		t := token{start: i}
		t.kind, t.end = scan(src, i)
		l.tokens = append(l.tokens, t)
		i = t.end
	}
	l.tokens = append(l.tokens, token{tokenEnd, len(src), len(src)})
	return l
}

func scan(src string, i int) (tokenKind, int) {
	c := src[i]
	switch {
	case isLetter(c):
		return tokenWord, i + run(src[i:], isWordByte)
	case isDigit(c):
		return tokenDigits, i + run(src[i:], isDigit)
	case c == '#' || c == ':':
		n := run(src[i+1:], isWordByte)
		if n == 0 {
			return tokenPunct, i + 1
		}
		if c == '#' {
			return tokenName, i + 1 + n
		}
		return tokenValue, i + 1 + n
	}
	for _, op := range [...]string{"<=", ">=", "<>"} {
		if strings.HasPrefix(src[i:], op) {
			return tokenPunct, i + 2
		}
	}
	end := i + 1
	for end < len(src) && src[end]&0xc0 == 0x80 { // keep the bytes of one rune together
		end++
	}
	return tokenPunct, end
}

func run(s string, ok func(byte) bool) int {
	n := 0
	for n < len(s) && ok(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool    { return c >= '0' && c <= '9' }
func isLetter(c byte) bool   { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func isWordByte(c byte) bool { return isLetter(c) || isDigit(c) }

func (l *lexer) peek() token { return l.tokens[l.at] }

func (l *lexer) text(t token) string { return l.src[t.start:t.end] }

func (l *lexer) next() token {
	t := l.tokens[l.at]
	if t.kind != tokenEnd {
		l.at++
	}
	return t
}

// isPunct reports whether the token ahead is p.
func (l *lexer) isPunct(p string) bool {
	t := l.peek()
	return t.kind == tokenPunct && l.text(t) == p
}

func (l *lexer) takePunct(p string) bool {
	if l.isPunct(p) {
		l.at++
		return true
	}
	return false
}

// isKeyword reports whether the token ahead is the word w in any case.
func (l *lexer) isKeyword(w string) bool {
	t := l.peek()
	return t.kind == tokenWord && strings.EqualFold(l.text(t), w)
}

func (l *lexer) takeKeyword(w string) bool {
	if l.isKeyword(w) {
		l.at++
		return true
	}
	return false
}

// syntaxError describes the token ahead as DynamoDB does, with the tokens around it.
func (l *lexer) syntaxError() string {
	t := l.peek()
	from, to := t, t
	if l.at > 0 {
		from = l.tokens[l.at-1]
	}
	if l.at+1 < len(l.tokens) {
		to = l.tokens[l.at+1]
	}
	name := l.text(t)
	if t.kind == tokenEnd {
		name = "<EOF>"
	}
	return `Syntax error; token: "` + name + `", near: "` + strings.TrimSpace(l.src[from.start:to.end]) + `"`
}
