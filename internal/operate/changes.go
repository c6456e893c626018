package operate

import (
	"cmp"
	"fmt"
	"slices"
)

// Changes tells in lines what is different in next, for those who read a log rather than a picture.
func Changes(prev, next View) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	before := map[string]Lease{}
	for _, l := range prev.Leases {
		before[l.Key] = l
	}
	for _, l := range next.Leases {
		old, known := before[l.Key]
		delete(before, l.Key)
		switch {
		case !known:
			say("%s: new, %s", l.Key, l.Told())
		case old.Told() != l.Told():
			say("%s: %s, was %s", l.Key, l.Told(), old.Told())
		}
	}
	for _, key := range sortedKeys(before) {
		say("%s: gone, was %s", key, before[key].Told())
	}
	if was, is := prev.leading(), next.leading(); was != is {
		say("leader: %s, was %s", cmp.Or(is, "nobody"), cmp.Or(was, "nobody"))
	}
	for _, p := range next.Problems {
		if !slices.ContainsFunc(prev.Problems, p.like) {
			say("problem: %s", p)
		}
	}
	for _, p := range prev.Problems {
		if !slices.ContainsFunc(next.Problems, p.like) {
			say("no more: %s", p)
		}
	}
	return lines
}

// Told returns who has the lease, in words.
func (l Lease) Told() string {
	switch l.State {
	case Handoff:
		return fmt.Sprintf("on its way from %s to %s", l.Worker, l.Next)
	case Unassigned:
		return "nobody's"
	case Ended:
		return "ended"
	}
	return "owned by " + l.Worker
}

func (v View) leading() string {
	if v.Leader == nil || v.Leader.Released {
		return ""
	}
	return v.Leader.Worker
}

// like reports whether two problems are the same one, seen at different times.
func (p Problem) like(o Problem) bool { return p.id() == o.id() }

func (p Problem) id() [4]string { return [4]string{p.Stream, string(p.Shard), p.Worker, p.kind} }

// String is the problem in one line.
func (p Problem) String() string {
	where := string(p.Shard)
	if p.Stream != "" {
		where = p.Stream + " " + where
	}
	if where == "" {
		return p.What
	}
	return where + ": " + p.What
}

func sortedKeys(m map[string]Lease) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
