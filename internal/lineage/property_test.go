package lineage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// world is a stream that reshards and trims, a lease table, and workers that read without fault.
type world struct {
	t      *testing.T
	r      *rand.Rand
	start  stream.Position
	shards map[stream.ShardID]*shard
	order  []stream.ShardID // of creation
	leases map[string]lease.Lease
	read   map[stream.ShardID]bool // shards of which some record was or could have been read
	clock  int
}

type shard struct {
	lineage.Shard
	children []stream.ShardID
	trimmed  bool
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), shards: map[stream.ShardID]*shard{},
		leases: map[string]lease.Lease{}, read: map[stream.ShardID]bool{}}
	w.start = []stream.Position{stream.Latest, stream.TrimHorizon, stream.AtTimestamp}[w.r.IntN(3)]
	n := 1 + w.r.IntN(4)
	for i := range n {
		w.add(part(i, i+1, n))
	}
	return w
}

func (w *world) add(r stream.HashKeyRange, parents ...stream.ShardID) {
	w.clock++
	s := &shard{Shard: lineage.Shard{ID: stream.ShardID(fmt.Sprintf("shardId-%03d", len(w.order))),
		HashKeys: r, Starting: stream.SequenceNumber(fmt.Sprint(w.clock)), Parents: parents}}
	for _, p := range parents {
		w.shards[p].Closed = true
		w.shards[p].children = append(w.shards[p].children, s.ID)
	}
	w.shards[s.ID] = s
	w.order = append(w.order, s.ID)
}

// reshard splits one open shard or merges two neighbours.
func (w *world) reshard() {
	var open []*shard
	for _, id := range w.order {
		if s := w.shards[id]; !s.Closed {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b *shard) int { return a.HashKeys.First.Compare(b.HashKeys.First) })
	i := w.r.IntN(len(open))
	a := open[i]
	if i+1 < len(open) && w.r.IntN(2) == 0 {
		b := open[i+1]
		w.add(stream.HashKeyRange{First: a.HashKeys.First, Last: b.HashKeys.Last}, a.ID, b.ID)
		return
	}
	middle := a.HashKeys.First
	middle.Hi += (a.HashKeys.Last.Hi - a.HashKeys.First.Hi) / 2
	if middle == a.HashKeys.First {
		return
	}
	left := stream.HashKeyRange{First: a.HashKeys.First, Last: stream.HashKey{Hi: middle.Hi - 1, Lo: ^uint64(0)}}
	w.add(left, a.ID)
	w.add(stream.HashKeyRange{First: middle, Last: a.HashKeys.Last}, a.ID)
}

// trim lets the oldest closed shards leave the retention period.
func (w *world) trim() {
	for _, id := range w.order {
		s := w.shards[id]
		if !s.trimmed {
			s.trimmed = s.Closed
			return
		}
	}
}

func (w *world) listed() []lineage.Shard {
	var list []lineage.Shard
	for _, id := range w.order {
		if s := w.shards[id]; !s.trimmed {
			list = append(list, s.Shard)
		}
	}
	w.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (w *world) table() []lease.Lease {
	var leases []lease.Lease
	for _, l := range w.leases {
		leases = append(leases, l)
	}
	slices.SortFunc(leases, func(a, b lease.Lease) int { return stream.SequenceNumber(a.Key).Compare(stream.SequenceNumber(b.Key)) })
	return leases
}

// sync does what the leader does, and checks what must hold of every answer whatever the table was.
func (w *world) sync() {
	got := lineage.Missing("", w.listed(), w.table(), w.start)
	if len(got.Skipped) > 0 {
		w.t.Fatalf("skipped %v of a consistent list", got.Skipped)
	}
	for _, l := range got.Create {
		if _, ok := w.leases[l.Key]; ok {
			w.t.Fatalf("%s has a lease already", l.Key)
		}
		for p := range w.ancestors(l.Shard) {
			if slices.ContainsFunc(got.Create, func(o lease.Lease) bool { return o.Shard == p && o.Key > l.Key }) {
				w.t.Fatalf("%s is created before its ancestor %s", l.Key, p)
			}
		}
		w.leases[l.Key] = l
	}
	if again := lineage.Missing("", w.listed(), w.table(), w.start); len(again.Create) > 0 {
		w.t.Fatalf("asked again, it wants %s too", describe(again.Create))
	}
}

func (w *world) ancestors(id stream.ShardID) map[stream.ShardID]bool {
	all := map[stream.ShardID]bool{}
	for _, p := range w.shards[id].Parents {
		all[p] = true
		for a := range w.ancestors(p) {
			all[a] = true
		}
	}
	return all
}

// work reads one shard a step further, or ends it. sane says that the table was never tampered with; then no shard may
// start while an ancestor is still to be read.
func (w *world) work(sane bool) (progress bool) {
	table := w.table()
	w.r.Shuffle(len(table), func(i, j int) { table[i], table[j] = table[j], table[i] })
	for _, l := range table {
		s := w.shards[l.Shard]
		if l.Ended() || len(lineage.Blocking(l, w.get(lineage.ParentKeys(l)))) > 0 {
			continue
		}
		if a := w.unread(l.Shard); sane && a != "" {
			w.t.Fatalf("%s starts before its ancestor %s has ended", l.Shard, a)
		}
		if !l.Checkpoint.IsNumber() {
			l.Checkpoint = stream.Position{Sequence: s.Starting}
			w.leases[l.Key] = l
			return true
		}
		if s.Closed && w.end(l, s) {
			return true
		}
	}
	return false
}

// unread returns an ancestor that has a live lease.
func (w *world) unread(id stream.ShardID) stream.ShardID {
	for a := range w.ancestors(id) {
		if l, ok := w.leases[string(a)]; ok && !l.Ended() {
			return a
		}
	}
	return ""
}

func (w *world) end(l lease.Lease, s *shard) bool {
	end := lineage.End{Parent: l}
	if !s.trimmed {
		for _, c := range s.children {
			end.Children = append(end.Children, w.shards[c].Shard)
		}
		for _, o := range w.shards {
			if o.trimmed {
				end.Gone = append(end.Gone, o.ID)
			}
		}
		end.Present = w.get(end.Keys())
		rows, err := end.Rows()
		if err != nil {
			w.sync() // the other parent has no row: the leader's part
			return false
		}
		for _, row := range rows {
			w.leases[row.Key] = row
		}
		l.Children = end.IDs()
	}
	l.Checkpoint = stream.ShardEnd
	w.leases[l.Key] = l
	return true
}

func (w *world) get(keys []string) (found []lease.Lease) {
	for _, k := range keys {
		if l, ok := w.leases[k]; ok {
			found = append(found, l)
		}
	}
	return found
}

func (w *world) clean() {
	for _, l := range lineage.Finished(w.table()).Delete {
		delete(w.leases, l.Key)
	}
	for _, l := range lineage.Garbage("", w.listed(), w.table()) {
		delete(w.leases, l.Key)
	}
}

// settle lets everybody work until nothing changes, then checks that every open shard is read by a lease of its own.
func (w *world) settle(sane bool) {
	for n := 0; ; n++ {
		for w.work(sane) {
			continue
		}
		w.clean()
		before := len(w.leases)
		w.sync() // a shard that ended by being trimmed leaves its descendants to the leader
		if len(w.leases) == before && !w.work(sane) || n > 1000 {
			break
		}
	}
	for _, id := range w.order {
		l, ok := w.leases[string(id)]
		if s := w.shards[id]; !s.Closed && (!ok || l.Ended()) {
			w.t.Fatalf("open shard %s is not read; leases %s", id, describe(w.table()))
		}
		if ok && !l.Ended() && w.shards[id].Closed {
			w.t.Fatalf("closed shard %s never ends; leases %s", id, describe(w.table()))
		}
	}
	if holes := lineage.Holes("", w.table()); len(holes) > 0 {
		w.t.Fatalf("holes %v after all; leases %s", holes, describe(w.table()))
	}
}

// An application that runs from the beginning: whatever the order of resharding, trimming, reading, ending, cleaning and
// syncing, no child starts before its ancestors have ended, no row comes back, and in the end every shard is read.
func TestEveryShardIsReadInOrder(t *testing.T) {
	for seed := range uint64(400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range w.r.IntN(6) {
				w.reshard()
			}
			w.sync()
			if holes := lineage.Holes("", w.table()); len(holes) > 0 {
				t.Fatalf("holes %v after the first sync", holes)
			}
			deleted := map[string]bool{}
			for range 60 {
				switch w.r.IntN(6) {
				case 0:
					w.reshard()
				case 1:
					w.sync()
				case 2:
					for _, l := range lineage.Finished(w.table()).Delete {
						delete(w.leases, l.Key)
						deleted[l.Key] = true
					}
				default:
					w.work(true)
				}
				for key := range w.leases {
					if deleted[key] {
						t.Fatalf("%s came back after it was finished", key)
					}
				}
				if holes := lineage.Holes("", w.table()); len(holes) > 0 {
					t.Fatalf("holes %v while running", holes)
				}
			}
			w.settle(true)
		})
	}
}

// A table in any state whatever, with shards trimmed under it: in the end every open shard is read all the same.
func TestAnyTableIsMended(t *testing.T) {
	for seed := range uint64(1000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range w.r.IntN(12) {
				w.reshard()
			}
			for _, id := range w.order {
				if s := w.shards[id]; w.r.IntN(3) == 0 {
					l := lineage.NewLease("", s.Shard, []stream.Position{w.start, stream.TrimHorizon, {Sequence: s.Starting}}[w.r.IntN(3)])
					if s.Closed && w.r.IntN(3) == 0 {
						l.Checkpoint, l.Children = stream.ShardEnd, s.children
					}
					w.leases[l.Key] = l
				}
			}
			for range w.r.IntN(4) {
				w.trim()
			}
			w.sync()
			for range 20 {
				switch w.r.IntN(8) {
				case 0:
					w.trim()
				case 1:
					w.clean()
				case 2:
					w.reshard()
				default:
					w.work(false)
				}
			}
			w.settle(false)
		})
	}
}

// What Missing says does not depend on the order of its arguments, and on a list made while the stream changes (a parent
// shown open) it makes no row for a shard whose ancestor it shows open.
func TestMissingOnTornLists(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		for range w.r.IntN(10) {
			w.reshard()
		}
		torn := w.listed()
		for i := range torn {
			if w.r.IntN(4) == 0 {
				torn[i].Closed = false
			}
		}
		for _, id := range w.order {
			if w.r.IntN(4) == 0 {
				w.leases[string(id)] = lineage.NewLease("", w.shards[id].Shard, w.start)
			}
		}
		one := lineage.Missing("", torn, w.table(), w.start)
		shownOpen := map[stream.ShardID]bool{}
		for _, s := range torn {
			shownOpen[s.ID] = !s.Closed
		}
		for _, l := range one.Create {
			for a := range w.ancestors(l.Shard) {
				if shownOpen[a] {
					t.Fatalf("seed %d: a row for %s, whose ancestor %s is shown open", seed, l.Shard, a)
				}
			}
		}
		w.r.Shuffle(len(torn), func(i, j int) { torn[i], torn[j] = torn[j], torn[i] })
		if two := lineage.Missing("", torn, w.table(), w.start); describe(one.Create) != describe(two.Create) || !slices.Equal(one.Skipped, two.Skipped) {
			t.Fatalf("seed %d: %s, then %s", seed, describe(one.Create), describe(two.Create))
		}
	}
}

func BenchmarkLineage(b *testing.B) {
	const n = 10_000
	var listed []lineage.Shard
	var leases []lease.Lease
	for i := range n {
		r := part(i, i+1, n)
		p := lineage.Shard{ID: stream.ShardID(fmt.Sprintf("shardId-%012d", i)), HashKeys: r, Starting: "1", Closed: true}
		c := lineage.Shard{ID: stream.ShardID(fmt.Sprintf("shardId-%012d", n+i)), HashKeys: r, Starting: "2", Parents: []stream.ShardID{p.ID}}
		listed = append(listed, p, c)
		leases = append(leases, lineage.NewLease("", p, stream.Latest))
	}
	b.Run("nothing missing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lineage.Missing("", listed, leases, stream.Latest)
		}
	})
	b.Run("all missing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lineage.Missing("", listed, nil, stream.Latest)
		}
	})
	b.Run("holes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lineage.Holes("", leases)
		}
	})
}
