package dynamo

import (
	"slices"
	"sync"
	"time"
)

// keyDef is a key attribute and its type.
type keyDef struct {
	name string
	kind kind
}

// keys is a key schema. rng.name is empty if there is only a hash key.
type keys struct {
	hash, rng keyDef
}

func (k keys) has(name string) bool {
	return k.hash.name == name || k.rng.name != "" && k.rng.name == name
}

func (k keys) each(f func(keyDef)) {
	f(k.hash)
	if k.rng.name != "" {
		f(k.rng)
	}
}

// rowKey returns where an item with these keys stands; ok is false if a key is missing or of another type.
func (k keys) rowKey(it item) (key rowKey, ok bool) {
	h := it.get(k.hash.name)
	if h == nil || h.kind != k.hash.kind {
		return key, false
	}
	key.pk = h.key()
	key.hash = hashKey(key.pk)
	if k.rng.name != "" {
		r := it.get(k.rng.name)
		if r == nil || r.kind != k.rng.kind {
			return key, false
		}
		key.sk = r.key()
	}
	return key, true
}

// throughput is provisioned capacity; zero on demand.
type throughput struct {
	read, write int64
}

// table is one table with its indexes.
type table struct {
	name, arn, id string
	createdAt     time.Time
	keys          keys

	mu           sync.RWMutex // guards everything below
	updatedUntil time.Time    // when the table turns ACTIVE
	attrDefs     []keyDef
	onDemand     bool
	onDemandAt   time.Time // last switch of the billing mode to on-demand
	billingSet   bool      // the billing mode was named at least once; DescribeTable says so
	throughput   throughput
	raised       time.Time // last increase and decrease of throughput
	lowered      time.Time
	protected    bool
	class        string
	stream, sse  *node
	tags         []tag
	ttl          string // attribute, empty if off
	recovery     bool   // point in time recovery
	recoveryAt   time.Time
	rows         ordered
	indexes      []*index
	lag          time.Duration
}

// index is a secondary index.
type index struct {
	name       string
	arn        string
	global     bool
	keys       keys
	project    string   // ALL, KEYS_ONLY, INCLUDE
	include    []string // with INCLUDE
	throughput throughput
	createdAt  time.Time
	activeAt   time.Time
	rows       ordered
	pending    []change // in the order of their times
}

// change is a write that an index has still to show.
type change struct {
	at       time.Time
	old, new *row
}

type tag struct{ key, value string }

func (t *table) index(name string) *index {
	for _, x := range t.indexes {
		if x.name == name {
			return x
		}
	}
	return nil
}

// status is CREATING, UPDATING or ACTIVE.
func (t *table) statusLocked(now time.Time, delay time.Duration) string {
	switch {
	case now.Before(t.createdAt.Add(delay)):
		return "CREATING"
	case now.Before(t.updatedUntil):
		return "UPDATING"
	}
	return "ACTIVE"
}

// holds reports whether the index shows the attribute.
func (x *index) holds(name string, base keys) bool {
	return x.project == "ALL" || base.has(name) || x.keys.has(name) || slices.Contains(x.include, name)
}

// rowOf returns what x holds of a row of the table, or nil if the row lacks a key of the index.
func (x *index) rowOf(r *row, base keys) *row {
	if r == nil {
		return nil
	}
	k, ok := x.keys.rowKey(r.it)
	if !ok {
		return nil
	}
	k.basePK, k.baseSK = r.pk, r.sk
	out := &row{rowKey: k, it: r.it, size: r.size}
	if x.project != "ALL" {
		out.it = make(item, 0, 4+len(x.include))
		for i := range r.it {
			if x.holds(r.it[i].name, base) {
				out.it = append(out.it, r.it[i])
			}
		}
		out.size = out.it.size()
	}
	return out
}

// same reports whether no attribute that x shows differs, so that a write leaves x alone.
func (x *index) same(old, new item, base keys) bool {
	if len(old) == 0 || len(new) == 0 {
		return false
	}
	shown := func(a, b item) bool {
		for i := range a {
			if x.holds(a[i].name, base) {
				if v := b.get(a[i].name); v == nil || !v.equal(&a[i].value) {
					return false
				}
			}
		}
		return true
	}
	return shown(old, new) && shown(new, old)
}

// replace changes what x shows from old to new, either of which may be nil.
func (x *index) replace(old, new *row) {
	if old != nil && (new == nil || old.rowKey != new.rowKey) {
		x.rows.remove(old.rowKey)
	}
	if new != nil {
		x.rows.put(new)
	}
}

// catchUp applies the changes that are older than lag.
func (x *index) catchUp(now time.Time, lag time.Duration) {
	n := 0
	for n < len(x.pending) && !x.pending[n].at.Add(lag).After(now) {
		x.replace(x.pending[n].old, x.pending[n].new)
		n++
	}
	if n == len(x.pending) {
		x.pending = nil
	} else if n > 0 {
		x.pending = slices.Delete(x.pending, 0, n)
	}
}

// fill gives a new index the rows the table has.
func (t *table) fillLocked(x *index) {
	for p := (place{}); t.rows.row(p) != nil; p = t.rows.next(p) {
		if r := x.rowOf(t.rows.row(p), t.keys); r != nil {
			x.rows.put(r)
		}
	}
}

// storeLocked puts next, or removes the item if next is nil, and returns the write units used. old is the row as it is.
func (t *table) storeLocked(now time.Time, key rowKey, old *row, next item) writeUnits {
	var fresh *row
	if next != nil {
		fresh = &row{rowKey: key, it: next, size: next.size()}
	}
	u := writeUnits{table: unitsFor(max(sizeOf(old), sizeOf(fresh)), writeUnit)}
	switch {
	case fresh != nil:
		t.rows.put(fresh)
	case old != nil:
		t.rows.remove(key)
	}
	for _, x := range t.indexes {
		if old != nil && fresh != nil && x.same(old.it, fresh.it, t.keys) {
			continue
		}
		was, is := x.rowOf(old, t.keys), x.rowOf(fresh, t.keys)
		if was == nil && is == nil {
			continue
		}
		u.add(x, was, is)
		x.catchUp(now, t.lag)
		if x.global && t.lag > 0 {
			x.pending = append(x.pending, change{now, was, is})
		} else {
			x.replace(was, is)
		}
	}
	return u
}

func sizeOf(r *row) int {
	if r == nil {
		return 0
	}
	return r.size
}
