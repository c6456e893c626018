package dynamo

import (
	"cmp"
	"slices"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

const (
	wrongOperand = "An operand in the update expression has an incorrect data type"
	wrongPath    = "The document path provided in the update expression is invalid for update"
	noAttribute  = "The provided expression refers to an attribute that does not exist in the item"
)

// apply returns old changed by the update expression. Every right side is evaluated against old.
func (b *binding) apply(old item) (item, *awserr.Error) {
	out := append(make(item, 0, len(old)+len(b.actions)), old...)
	var removals []path
	for _, a := range b.actions {
		if a.verb == "REMOVE" {
			removals = append(removals, a.path)
			continue
		}
		v, err := b.newValue(a, old)
		if err != nil {
			return nil, err
		}
		if len(a.path) == 1 && v != nil {
			out = out.set(b.name(a.path[0]), *v) // out is ours: no need for a copy per clause
		} else if out, err = b.put(out, a.path, v); err != nil {
			return nil, err
		}
	}
	// List indexes count from before the update, so the highest goes first.
	slices.SortStableFunc(removals, func(p, q path) int {
		for i := 0; i < len(p) && i < len(q); i++ {
			if c := cmp.Compare(q[i].index, p[i].index); c != 0 {
				return c
			}
		}
		return 0
	})
	for _, p := range removals {
		var err *awserr.Error
		if out, err = b.put(out, p, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// newValue is what the action stores at its path; nil means that nothing is left there.
func (b *binding) newValue(a action, old item) (*value, *awserr.Error) {
	if a.verb == "SET" {
		return b.evaluate(a.to, old)
	}
	had, with := b.follow(a.path, old), b.value(a.to)
	v, ok, err := combine(a.verb, had, with)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, invalid(wrongOperand)
	}
	return v, nil
}

// combine adds with to had or deletes it from had; had may be nil. ok is false if their types do not fit.
func combine(verb string, had, with *value) (out *value, ok bool, err *awserr.Error) {
	switch {
	case had == nil && verb == "ADD":
		return with, true, nil
	case had == nil:
		return nil, true, nil
	case had.kind != with.kind:
		return nil, false, nil
	case with.kind == kindN:
		sum, err := addNumbers(had.text, with.text, false)
		if err != nil {
			return nil, false, invalid("%s", err.Error())
		}
		return &value{kind: kindN, text: sum}, true, nil
	}
	set := make([]string, 0, len(had.set)+len(with.set))
	if verb == "ADD" {
		set = append(set, had.set...)
		for _, s := range with.set {
			if !slices.Contains(had.set, s) {
				set = append(set, s)
			}
		}
	} else {
		for _, s := range had.set {
			if !slices.Contains(with.set, s) {
				set = append(set, s)
			}
		}
	}
	if len(set) == 0 {
		return nil, true, nil
	}
	return &value{kind: had.kind, set: set}, true, nil
}

// evaluate computes the right side of SET.
func (b *binding) evaluate(e *expr, it item) (*value, *awserr.Error) {
	switch {
	case e.op == opValue:
		return b.value(e), nil
	case e.op == opPath:
		if v := b.follow(e.path, it); v != nil {
			return v, nil
		}
		return nil, invalid(noAttribute)
	case e.op == opFunc && e.name == "if_not_exists":
		if v := b.follow(e.args[0].path, it); v != nil {
			return v, nil
		}
		return b.evaluate(e.args[1], it)
	}
	x, err := b.evaluate(e.args[0], it)
	if err != nil {
		return nil, err
	}
	y, err := b.evaluate(e.args[1], it)
	if err != nil {
		return nil, err
	}
	want := kindN
	if e.op == opFunc {
		want = kindL
	}
	if x.kind != want || y.kind != want {
		return nil, invalid(wrongOperand)
	}
	if want == kindL {
		return &value{kind: kindL, list: slices.Concat(x.list, y.list)}, nil
	}
	sum, nerr := addNumbers(x.text, y.text, e.name == "-")
	if nerr != nil {
		return nil, invalid("%s", nerr.Error())
	}
	return &value{kind: kindN, text: sum}, nil
}

// put returns it with v at p, or with nothing there if v is nil. What is on the way is copied, never changed.
func (b *binding) put(it item, p path, v *value) (item, *awserr.Error) {
	name := b.name(p[0])
	if len(p) > 1 {
		had := it.get(name)
		if had == nil {
			return nil, invalid(wrongPath)
		}
		inner, err := b.putBelow(had, p[1:], v)
		if err != nil {
			return nil, err
		}
		return it.with(name, inner), nil
	}
	if v == nil {
		return it.without(name), nil
	}
	return it.with(name, *v), nil
}

func (b *binding) putBelow(had *value, p path, v *value) (value, *awserr.Error) {
	out := *had
	if p[0].index < 0 {
		if had.kind != kindM {
			return out, invalid(wrongPath)
		}
		attrs, err := b.put(had.attrs, p, v)
		out.attrs = attrs
		return out, err
	}
	if had.kind != kindL {
		return out, invalid(wrongPath)
	}
	i := p[0].index
	out.list = slices.Clone(had.list)
	switch {
	case len(p) > 1 && i >= len(out.list):
		return out, invalid(wrongPath)
	case len(p) > 1:
		inner, err := b.putBelow(&out.list[i], p[1:], v)
		out.list[i] = inner
		return out, err
	case v == nil && i < len(out.list):
		out.list = slices.Delete(out.list, i, i+1)
	case v == nil:
	case i < len(out.list):
		out.list[i] = *v
	default:
		out.list = append(out.list, *v)
	}
	return out, nil
}
