package dynamo

import (
	"cmp"
	"slices"
	"strings"
)

type kind uint8

const (
	kindNone kind = iota // no value
	kindS
	kindN
	kindB
	kindBOOL
	kindNULL
	kindSS
	kindNS
	kindBS
	kindL
	kindM
)

var kindNames = [...]string{"", "S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"}

func (k kind) String() string { return kindNames[k] }

func (k kind) isSet() bool { return k == kindSS || k == kindNS || k == kindBS }

// element is the kind of a set's elements.
func (k kind) element() kind {
	switch k {
	case kindSS:
		return kindS
	case kindNS:
		return kindN
	case kindBS:
		return kindB
	}
	return kindNone
}

func kindNamed(s string) kind {
	for k := kindS; k <= kindM; k++ {
		if kindNames[k] == s {
			return k
		}
	}
	return kindNone
}

// value is one attribute value. It is never changed once an item holds it.
type value struct {
	kind  kind
	yes   bool     // BOOL
	text  string   // S; N in canonical notation; B as raw bytes
	set   []string // SS, NS, BS: elements in the same form as text, in the order given
	list  []value  // L
	attrs item     // M
}

// attr is a named value.
type attr struct {
	name string
	value
}

// item is a set of attributes ordered by name. A nil item is no item.
type item []attr

func (it item) find(name string) (int, bool) {
	for i := range it { // items are short; a scan beats a binary search up to some twenty attributes
		if it[i].name == name {
			return i, true
		}
	}
	return len(it), false
}

// get returns the attribute, or nil.
func (it item) get(name string) *value {
	if i, ok := it.find(name); ok {
		return &it[i].value
	}
	return nil
}

// with returns it with name set to v, in a new slice.
func (it item) with(name string, v value) item {
	out := make(item, len(it), len(it)+1)
	copy(out, it)
	return out.set(name, v)
}

// set changes it in place, and is only for an item nobody else sees yet.
func (it item) set(name string, v value) item {
	if i, ok := it.find(name); ok {
		it[i].value = v
		return it
	}
	at, _ := slices.BinarySearchFunc(it, name, func(a attr, n string) int { return cmp.Compare(a.name, n) })
	return slices.Insert(it, at, attr{name, v})
}

// without returns it with name removed, in a new slice if there was something to remove.
func (it item) without(name string) item {
	i, ok := it.find(name)
	if !ok {
		return it
	}
	out := make(item, 0, len(it))
	return append(append(out, it[:i]...), it[i+1:]...)
}

func sorted(it item) item {
	slices.SortStableFunc(it, func(a, b attr) int { return cmp.Compare(a.name, b.name) })
	return it
}

// equal is DynamoDB's equality: same type, same content, sets in any order.
func (v *value) equal(w *value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case kindBOOL:
		return v.yes == w.yes
	case kindNULL:
		return true
	case kindSS, kindNS, kindBS:
		return len(v.set) == len(w.set) && !slices.ContainsFunc(v.set, func(s string) bool { return !slices.Contains(w.set, s) })
	case kindL:
		return slices.EqualFunc(v.list, w.list, func(a, b value) bool { return a.equal(&b) })
	case kindM:
		return v.attrs.equal(w.attrs)
	default:
		return v.text == w.text
	}
}

func (it item) equal(o item) bool {
	return slices.EqualFunc(it, o, func(a, b attr) bool { return a.name == b.name && a.value.equal(&b.value) })
}

// compare orders two values of one scalar type; ok is false if they have no order.
func (v *value) compare(w *value) (order int, ok bool) {
	if v.kind != w.kind {
		return 0, false
	}
	switch v.kind {
	case kindS, kindB:
		return strings.Compare(v.text, w.text), true
	case kindN:
		return compareNumbers(v.text, w.text), true
	}
	return 0, false
}

// key encodes a key attribute so that its bytes sort as the values do.
func (v *value) key() string {
	if v.kind == kindN {
		return numberKey(v.text)
	}
	return v.text
}

// size is the storage that DynamoDB counts for v (developer guide, "DynamoDB item sizes and formats").
func (v *value) size() int {
	switch v.kind {
	case kindN:
		return numberSize(v.text)
	case kindBOOL, kindNULL:
		return 1
	case kindSS, kindBS:
		n := 0
		for _, s := range v.set {
			n += len(s)
		}
		return n
	case kindNS:
		n := 0
		for _, s := range v.set {
			n += numberSize(s)
		}
		return n
	case kindL:
		n := 3
		for i := range v.list {
			n += 1 + v.list[i].size()
		}
		return n
	case kindM:
		return 3 + len(v.attrs) + v.attrs.size()
	default:
		return len(v.text)
	}
}

func (it item) size() int {
	n := 0
	for i := range it {
		n += len(it[i].name) + it[i].value.size()
	}
	return n
}

// show writes v the way DynamoDB's messages do: {S:text}.
func (v *value) show() string {
	text := v.text
	switch {
	case v.kind == kindBOOL && v.yes, v.kind == kindNULL:
		text = "true"
	case v.kind == kindBOOL:
		text = "false"
	case v.kind.isSet():
		text = "[" + strings.Join(v.set, ", ") + "]"
	}
	return "{" + v.kind.String() + ":" + text + "}"
}
