package dynamo

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// writer builds a JSON answer. Members are separated on demand, so that optional ones need no bookkeeping.
type writer struct {
	b []byte
}

func newWriter(size int) *writer { return &writer{b: make([]byte, 0, size)} }

func (w *writer) separate() {
	if n := len(w.b); n > 0 {
		switch w.b[n-1] {
		case '{', '[', ':':
		default:
			w.b = append(w.b, ',')
		}
	}
}

func (w *writer) open(c byte)  { w.separate(); w.b = append(w.b, c) }
func (w *writer) close(c byte) { w.b = append(w.b, c) }

// name starts a member.
func (w *writer) name(s string) {
	w.separate()
	w.quote(s)
	w.b = append(w.b, ':')
}

func (w *writer) str(s string) { w.separate(); w.quote(s) }
func (w *writer) int(i int)    { w.separate(); w.b = strconv.AppendInt(w.b, int64(i), 10) }

func (w *writer) bool(yes bool) {
	w.separate()
	w.b = strconv.AppendBool(w.b, yes)
}

func (w *writer) float(f float64) {
	w.separate()
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		w.b = strconv.AppendFloat(w.b, f, 'f', 1, 64)
		return
	}
	w.b = strconv.AppendFloat(w.b, f, 'f', -1, 64)
}

// raw appends any other value.
func (w *writer) raw(v any) {
	w.separate()
	b, err := json.Marshal(v)
	if err != nil {
		panic("dynamo: answer that is no JSON: " + err.Error()) // answers hold maps, slices and scalars only
	}
	w.b = append(w.b, b...)
}

// quote appends a JSON string.
func (w *writer) quote(s string) {
	w.b = append(w.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf { // U+2028 and U+2029 would end a line in old JavaScript
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || n > 1) {
				i += n
				continue
			}
			w.b = append(w.b, s[start:i]...)
			w.b = append(w.b, `\u`...)
			w.b = append(w.b, strconv.FormatInt(int64(r), 16)...)
			i += n
			start = i
			continue
		}
		w.b = append(w.b, s[start:i]...)
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		default:
			w.b = append(w.b, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
		i++
		start = i
	}
	w.b = append(w.b, s[start:]...)
	w.b = append(w.b, '"')
}

func (w *writer) item(it item) {
	w.open('{')
	for i := range it {
		w.name(it[i].name)
		w.value(&it[i].value)
	}
	w.close('}')
}

func (w *writer) value(v *value) {
	w.open('{')
	w.name(v.kind.String())
	switch v.kind {
	case kindBOOL:
		w.bool(v.yes)
	case kindNULL:
		w.bool(true)
	case kindB:
		w.blob(v.text)
	case kindSS, kindNS, kindBS:
		w.open('[')
		for _, s := range v.set {
			if v.kind == kindBS {
				w.blob(s)
			} else {
				w.str(s)
			}
		}
		w.close(']')
	case kindL:
		w.open('[')
		for i := range v.list {
			w.value(&v.list[i])
		}
		w.close(']')
	case kindM:
		w.item(v.attrs)
	default:
		w.str(v.text)
	}
	w.close('}')
}

func (w *writer) blob(s string) {
	w.separate()
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, []byte(s))
	w.b = append(w.b, '"')
}

// encodedItem is it as JSON, for the Fields of an error.
func encodedItem(it item) json.RawMessage {
	w := newWriter(256)
	w.item(it)
	return w.b
}

// node echoes a part of the request.
func (w *writer) node(n *node) {
	switch n.kind {
	case isNull:
		w.separate()
		w.b = append(w.b, "null"...)
	case isBool:
		w.bool(n.yes)
	case isNumber:
		w.separate()
		w.b = append(w.b, n.text...)
	case isString:
		w.str(n.text)
	case isArray:
		w.open('[')
		for i := range n.kids {
			w.node(&n.kids[i])
		}
		w.close(']')
	case isObject:
		w.open('{')
		for i := range n.kids {
			w.name(n.kids[i].name)
			w.node(&n.kids[i])
		}
		w.close('}')
	}
}
