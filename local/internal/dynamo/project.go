package dynamo

import (
	"cmp"
	"slices"
)

// projection selects parts of an item. The zero value selects everything.
type projection struct {
	on   bool
	root pick
}

// pick is a set of paths below one value, as a tree.
type pick struct {
	members []memberPick
	indexes []indexPick
}

type memberPick struct {
	name string
	pick
}

type indexPick struct {
	index int
	pick
}

// project returns a projection to the paths of b.
func (b *binding) projection(paths []path) projection {
	p := projection{on: true}
	for _, one := range paths {
		at := &p.root
		for _, s := range one {
			if s.index >= 0 {
				at = at.toIndex(s.index)
			} else {
				at = at.toMember(b.name(s))
			}
		}
	}
	return p
}

// projectNames is a projection to top-level attributes.
func projectNames(names []string) projection {
	p := projection{on: true}
	for _, n := range names {
		p.root.toMember(n)
	}
	return p
}

func (p *pick) toMember(name string) *pick {
	for i := range p.members {
		if p.members[i].name == name {
			return &p.members[i].pick
		}
	}
	p.members = append(p.members, memberPick{name: name})
	return &p.members[len(p.members)-1].pick
}

func (p *pick) toIndex(i int) *pick {
	at, ok := slices.BinarySearchFunc(p.indexes, i, func(e indexPick, i int) int { return cmp.Compare(e.index, i) })
	if !ok {
		p.indexes = slices.Insert(p.indexes, at, indexPick{index: i})
	}
	return &p.indexes[at].pick
}

// of returns the selected part of it, which is empty and not nil if nothing is there.
func (p projection) of(it item) item {
	if !p.on {
		return it
	}
	return p.root.ofItem(it)
}

func (p *pick) ofItem(it item) item {
	out := item{}
	for i := range p.members {
		m := &p.members[i]
		if v := it.get(m.name); v != nil {
			if got, ok := m.pick.of(v); ok {
				out = append(out, attr{m.name, got})
			}
		}
	}
	return sorted(out)
}

func (p *pick) of(v *value) (value, bool) {
	switch {
	case p.members == nil && p.indexes == nil:
		return *v, true
	case p.members != nil && v.kind == kindM:
		got := p.ofItem(v.attrs)
		return value{kind: kindM, attrs: got}, len(got) > 0
	case p.indexes != nil && v.kind == kindL:
		out := value{kind: kindL}
		for i := range p.indexes {
			if e := &p.indexes[i]; e.index < len(v.list) {
				if got, ok := e.pick.of(&v.list[e.index]); ok {
					out.list = append(out.list, got)
				}
			}
		}
		return out, len(out.list) > 0
	}
	return value{}, false
}
