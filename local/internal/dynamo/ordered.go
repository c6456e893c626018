package dynamo

import (
	"cmp"
	"hash/fnv"
	"slices"
	"sort"
	"strings"
)

// rowKey is where a row stands: by the hash of its partition key, which is the order of a scan; then by that key, and
// by its sort key, which is the order of a query. In an index, rows with equal keys go by their keys in the table.
type rowKey struct {
	hash           uint64
	pk, sk         string // encoded by value.key
	basePK, baseSK string // the table's keys; empty in the table itself
}

func (k rowKey) compare(o rowKey) int {
	if c := cmp.Compare(k.hash, o.hash); c != 0 {
		return c
	}
	if c := strings.Compare(k.pk, o.pk); c != 0 {
		return c
	}
	if c := strings.Compare(k.sk, o.sk); c != 0 {
		return c
	}
	if c := strings.Compare(k.basePK, o.basePK); c != 0 {
		return c
	}
	return strings.Compare(k.baseSK, o.baseSK)
}

// hashKey spreads partition keys over all 64 bits: FNV-1a, whose high bits are weak for short keys, and the finishing
// step of MurmurHash3.
func hashKey(pk string) uint64 {
	f := fnv.New64a()
	f.Write([]byte(pk))
	h := f.Sum64()
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// row is an item in a table or an index. It is replaced, never changed.
type row struct {
	rowKey
	it   item
	size int // of the item as DynamoDB counts it
}

// maxBlock is the length at which a block of rows is split in two.
const maxBlock = 512

// ordered keeps rows sorted by key, in blocks: two levels of a B-tree, which is enough for a few million rows.
// No block is empty.
type ordered struct {
	blocks [][]*row
	count  int
	bytes  int
}

// place is a position in an ordered; at is in range while block is.
type place struct{ block, at int }

// find returns the first place whose row satisfies f; f must be false for a prefix of the rows and true for the rest.
func (o *ordered) find(f func(*row) bool) place {
	b := sort.Search(len(o.blocks), func(i int) bool { return f(o.blocks[i][len(o.blocks[i])-1]) })
	if b == len(o.blocks) {
		return place{b, 0}
	}
	return place{b, sort.Search(len(o.blocks[b]), func(i int) bool { return f(o.blocks[b][i]) })}
}

func (o *ordered) from(k rowKey) place {
	return o.find(func(r *row) bool { return r.compare(k) >= 0 })
}

// row returns the row at p, or nil behind the end and before the beginning.
func (o *ordered) row(p place) *row {
	if p.block < 0 || p.block >= len(o.blocks) {
		return nil
	}
	return o.blocks[p.block][p.at]
}

func (o *ordered) next(p place) place {
	if p.at++; p.at == len(o.blocks[p.block]) {
		return place{p.block + 1, 0}
	}
	return p
}

func (o *ordered) prev(p place) place {
	if p.at--; p.at >= 0 {
		return p
	}
	if p.block--; p.block < 0 {
		return p
	}
	return place{p.block, len(o.blocks[p.block]) - 1}
}

func (o *ordered) get(k rowKey) *row {
	if r := o.row(o.from(k)); r != nil && r.rowKey == k {
		return r
	}
	return nil
}

// put adds r or replaces the row with its key.
func (o *ordered) put(r *row) {
	p := o.from(r.rowKey)
	if had := o.row(p); had != nil && had.rowKey == r.rowKey {
		o.bytes += r.size - had.size
		o.blocks[p.block][p.at] = r
		return
	}
	o.count++
	o.bytes += r.size
	if len(o.blocks) == 0 {
		o.blocks = [][]*row{{r}}
		return
	}
	if p.block == len(o.blocks) {
		p = place{p.block - 1, len(o.blocks[p.block-1])}
	}
	b := slices.Insert(o.blocks[p.block], p.at, r)
	if len(b) < maxBlock {
		o.blocks[p.block] = b
		return
	}
	half := len(b) / 2
	o.blocks[p.block] = slices.Clone(b[:half])
	o.blocks = slices.Insert(o.blocks, p.block+1, slices.Clone(b[half:]))
}

// remove deletes the row with key k, if there is one.
func (o *ordered) remove(k rowKey) {
	p := o.from(k)
	had := o.row(p)
	if had == nil || had.rowKey != k {
		return
	}
	o.count--
	o.bytes -= had.size
	if b := slices.Delete(o.blocks[p.block], p.at, p.at+1); len(b) > 0 {
		o.blocks[p.block] = b
	} else {
		o.blocks = slices.Delete(o.blocks, p.block, p.block+1)
	}
}
