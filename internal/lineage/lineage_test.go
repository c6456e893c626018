package lineage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

func TestKeys(t *testing.T) {
	id, err := lineage.ParseStreamID("123456789012:orders:1700000000")
	if err != nil {
		t.Fatal(err)
	}
	want := lineage.StreamID{Account: "123456789012", Name: "orders", CreatedAt: time.Unix(1700000000, 0).UTC()}
	if id != want || id.String() != "123456789012:orders:1700000000" {
		t.Errorf("got %+v, %s", id, id)
	}
	for _, streamID := range []string{"", id.String()} {
		key := lineage.Key(streamID, "shardId-000000000007")
		gotStream, gotShard, err := lineage.ParseKey(key)
		if gotStream != streamID || gotShard != "shardId-000000000007" || err != nil {
			t.Errorf("ParseKey(%q) = %q, %q, %v", key, gotStream, gotShard, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"", "a", "1:s", "1:s:0", "1:s:-5", "1:s:+5", "x:s:1", "1::1", "1:s:1:2", "1:s:9999999999999999999", ":s:1"} {
		if id, err := lineage.ParseStreamID(bad); err == nil {
			t.Errorf("ParseStreamID(%q) = %+v, want an error", bad, id)
		}
	}
	for _, bad := range []string{"", "1:s:1:", "s:shard-1", ":shard-1", "1:s:x:shard-1"} {
		if s, shard, err := lineage.ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) = %q, %q, want an error", bad, s, shard)
		}
	}
}

// FuzzParseKey: what can be parsed is written the same way again.
func FuzzParseKey(f *testing.F) {
	f.Add("shardId-000000000001")
	f.Add("123456789012:orders:1700000000:shardId-000000000001")
	f.Add("1:s:01:x")
	f.Fuzz(func(t *testing.T, key string) {
		streamID, shard, err := lineage.ParseKey(key)
		if err == nil && lineage.Key(streamID, shard) != key {
			t.Errorf("%q became %q", key, lineage.Key(streamID, shard))
		}
	})
}

func TestNewLeaseHasWhatAFreshRowHas(t *testing.T) {
	s := lineage.Shard{ID: "c", Parents: []stream.ShardID{"a", "b"}, HashKeys: span(0, 4)}
	got := lineage.NewLease("1:s:1", s, stream.TrimHorizon)
	want := lease.Lease{Key: "1:s:1:c", StreamID: "1:s:1", Shard: "c", Checkpoint: stream.TrimHorizon,
		Parents: []stream.ShardID{"a", "b"}, HashKeys: span(0, 4)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFirst(t *testing.T) {
	quarter := func(i int) lineage.Shard {
		return lineage.Shard{ID: stream.ShardID(fmt.Sprint("s", i)), HashKeys: span(i, i+1), Starting: "5"}
	}
	all := []lineage.Shard{quarter(2), quarter(0), quarter(3), quarter(1)}
	tests := []struct {
		name   string
		listed []lineage.Shard
		err    string
	}{
		{"complete", all, ""},
		{"nothing", nil, "there is no shard"},
		{"gap", all[:3], "want hash key 85070591730234615865843651857942052864 to begin a shard, found s2"},
		{"start missing", []lineage.Shard{all[0], all[2], all[3]}, "want hash key 0 to begin a shard, found s1"},
		{"end missing", []lineage.Shard{all[0], all[1], all[3]}, "s2 with 170141183460469231731687303715884105728-255211775190703847597530955573826158591 is followed by 0 shards"},
		{"overlap", append(slices.Clone(all), lineage.Shard{ID: "s9", HashKeys: span(0, 2)}), "to begin a shard, found s9"},
		{"past the end", append(slices.Clone(all), lineage.Shard{ID: "s9", HashKeys: span(3, 4)}), "s3 with"},
		{"unknown range", []lineage.Shard{{ID: "s0"}}, "found s0 with unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := lineage.First("", tt.listed, stream.Latest)
			if tt.err != "" {
				if !errors.Is(err, lineage.ErrIncomplete) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want ErrIncomplete with %q", err, tt.err)
				}
				return
			}
			if got := describe(rows); err != nil || got != "s0:LATEST s1:LATEST s2:LATEST s3:LATEST" {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestFilterFor(t *testing.T) {
	for start, want := range map[stream.Position]lineage.Filter{
		stream.Latest: "AT_LATEST", stream.TrimHorizon: "AT_TRIM_HORIZON", stream.AtTimestamp: "AT_TIMESTAMP",
	} {
		if got := lineage.FilterFor(start); got != want {
			t.Errorf("%s: got %s, want %s", start, got, want)
		}
	}
}

// familyTree is the worked example of the Java KCL's HierarchicalShardSyncer: 0 and 1 merge to 6, 2 and 3 to 7, 6 and
// 7 to 8, 5 is split into 9 and 10, and 4 stays.
func familyTree() []lineage.Shard {
	shard := func(id string, from, to int, at string, open bool, parents ...stream.ShardID) lineage.Shard {
		return lineage.Shard{ID: stream.ShardID(id), HashKeys: sixth(from, to), Starting: stream.SequenceNumber(at),
			Closed: !open, Parents: parents}
	}
	return []lineage.Shard{
		shard("0", 0, 1, "1", false), shard("1", 1, 2, "1", false), shard("2", 2, 3, "1", false), shard("3", 3, 4, "1", false),
		shard("4", 4, 5, "1", true), shard("5", 5, 6, "1", false), shard("6", 0, 2, "2", false, "0", "1"),
		shard("7", 2, 4, "2", false, "2", "3"), shard("8", 0, 4, "3", true, "6", "7"),
		shard("9", 5, 6, "2", true, "5"), shard("10", 5, 6, "2", true, "5"),
	}
}

func TestMissing(t *testing.T) {
	leased := func(ids ...string) (leases []lease.Lease) {
		for _, id := range ids {
			id, isEnded := strings.CutSuffix(id, "!")
			l := lease.Lease{Key: id, Shard: stream.ShardID(id), Checkpoint: stream.Position{Sequence: "7"}}
			if isEnded {
				l.Checkpoint = stream.ShardEnd
			}
			leases = append(leases, l)
		}
		return leases
	}
	tests := []struct {
		name                  string
		leases                []lease.Lease
		latest, trim, at      string
		drop, reopen, skipped []stream.ShardID
	}{
		{name: "worked example", leases: leased("4", "5", "7"),
			latest: "6:LATEST", trim: "0:TRIM_HORIZON 1:TRIM_HORIZON", at: "0:AT_TIMESTAMP 1:AT_TIMESTAMP"},
		{name: "no lease at all",
			latest: "4:LATEST 10:LATEST 9:LATEST 8:LATEST",
			trim:   "0:TRIM_HORIZON 1:TRIM_HORIZON 2:TRIM_HORIZON 3:TRIM_HORIZON 4:TRIM_HORIZON 5:TRIM_HORIZON",
			at:     "0:AT_TIMESTAMP 1:AT_TIMESTAMP 2:AT_TIMESTAMP 3:AT_TIMESTAMP 4:AT_TIMESTAMP 5:AT_TIMESTAMP"},
		{name: "every open shard has one", leases: leased("4", "8", "9", "10")},
		{name: "all below live leases", leases: leased("0", "1", "2", "3", "4", "5")},
		{name: "child of an ended parent was lost", leases: leased("4", "8", "5!", "9"),
			latest: "10:TRIM_HORIZON", trim: "10:TRIM_HORIZON", at: "10:TRIM_HORIZON"},
		{name: "merged child of an ended and a live parent was lost", leases: leased("4", "9", "10", "6!", "7"),
			latest: "8:TRIM_HORIZON", trim: "8:TRIM_HORIZON", at: "8:TRIM_HORIZON"},
		{name: "merged child must not overtake a parent without row", leases: leased("4", "9", "10", "6!", "2", "3")},
		{name: "shard of a lease was trimmed", leases: append(leased("4", "8"), lease.Lease{Key: "5", Shard: "5", HashKeys: sixth(5, 6)}),
			drop: []stream.ShardID{"5"}, latest: "10:TRIM_HORIZON 9:TRIM_HORIZON", trim: "10:TRIM_HORIZON 9:TRIM_HORIZON",
			at: "10:AT_TIMESTAMP 9:AT_TIMESTAMP"},
		{name: "children of an open parent wait", reopen: []stream.ShardID{"5"}, skipped: []stream.ShardID{"10", "9"}, leases: leased("4", "8"),
			latest: "5:LATEST", trim: "5:TRIM_HORIZON", at: "5:AT_TIMESTAMP"},
		{name: "grandchildren of an open parent wait too", reopen: []stream.ShardID{"2"}, skipped: []stream.ShardID{"7", "8"}, leases: leased("4", "5"),
			latest: "2:LATEST", trim: "2:TRIM_HORIZON", at: "2:AT_TIMESTAMP"},
		{name: "an open parent whose child is being read is over", reopen: []stream.ShardID{"2"}, skipped: []stream.ShardID{"7", "8"},
			leases: leased("4", "5", "8")},
		{name: "leases of other streams do not count", leases: []lease.Lease{{Key: "1:s:1:4", StreamID: "1:s:1", Shard: "4"}},
			latest: "4:LATEST 10:LATEST 9:LATEST 8:LATEST",
			trim:   "0:TRIM_HORIZON 1:TRIM_HORIZON 2:TRIM_HORIZON 3:TRIM_HORIZON 4:TRIM_HORIZON 5:TRIM_HORIZON",
			at:     "0:AT_TIMESTAMP 1:AT_TIMESTAMP 2:AT_TIMESTAMP 3:AT_TIMESTAMP 4:AT_TIMESTAMP 5:AT_TIMESTAMP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			listed := slices.DeleteFunc(familyTree(), func(s lineage.Shard) bool { return slices.Contains(tt.drop, s.ID) })
			for i := range listed {
				if slices.Contains(tt.reopen, listed[i].ID) {
					listed[i].Closed = false
				}
			}
			for start, want := range map[stream.Position]string{stream.Latest: tt.latest, stream.TrimHorizon: tt.trim, stream.AtTimestamp: tt.at} {
				got := lineage.Missing("", listed, tt.leases, start)
				if describe(got.Create) != want || !slices.Equal(got.Skipped, tt.skipped) {
					t.Errorf("from %s: got %q, skipped %q; want %q, skipped %q", start, describe(got.Create), got.Skipped, want, tt.skipped)
				}
			}
		})
	}
}

func TestMissingSurvivesACycle(t *testing.T) {
	listed := []lineage.Shard{
		{ID: "a", Parents: []stream.ShardID{"b"}, Closed: true}, {ID: "b", Parents: []stream.ShardID{"a", "b"}, Closed: true},
		{ID: "c", Parents: []stream.ShardID{"b"}},
	}
	if got := describe(lineage.Missing("", listed, nil, stream.Latest).Create); got != "c:LATEST" {
		t.Errorf("got %q, want c:LATEST", got)
	}
}

func TestEndRows(t *testing.T) {
	parent := lease.Lease{Key: "p", Shard: "p", HashKeys: span(0, 4)}
	left := lineage.Shard{ID: "l", Parents: []stream.ShardID{"p"}, HashKeys: span(0, 2)}
	right := lineage.Shard{ID: "r", Parents: []stream.ShardID{"p"}, HashKeys: span(2, 4)}
	merged := lineage.Shard{ID: "m", Parents: []stream.ShardID{"p", "q"}}
	has := func(ids ...stream.ShardID) (leases []lease.Lease) {
		for _, id := range ids {
			leases = append(leases, lease.Lease{Key: string(id), Shard: id})
		}
		return leases
	}
	tests := []struct {
		name string
		end  lineage.End
		keys string
		want string
		err  string
	}{
		{"split", lineage.End{Children: []lineage.Shard{right, left}}, "l r", "l:TRIM_HORIZON r:TRIM_HORIZON", ""},
		{"split, half done", lineage.End{Children: []lineage.Shard{left, right}, Present: has("l")}, "l r", "r:TRIM_HORIZON", ""},
		{"split, all done", lineage.End{Children: []lineage.Shard{left, right}, Present: has("l", "r")}, "l r", "", ""},
		{"child twice", lineage.End{Children: []lineage.Shard{left, right, left}}, "l r", "l:TRIM_HORIZON r:TRIM_HORIZON", ""},
		{"merge", lineage.End{Children: []lineage.Shard{merged}, Present: has("q")}, "m q", "m:TRIM_HORIZON", ""},
		{"merge, child is there", lineage.End{Children: []lineage.Shard{merged}, Present: has("m")}, "m q", "", ""},
		{"merge, other parent has no row", lineage.End{Children: []lineage.Shard{merged}}, "m q", "", "shard m waits for its parent q, which has no lease"},
		{"merge, other parent is gone", lineage.End{Children: []lineage.Shard{merged}, Gone: []stream.ShardID{"q"}}, "m q", "m:TRIM_HORIZON", ""},
		{"no children", lineage.End{}, "", "", "shard p has no next iterator, but no children either"},
		{"child of another", lineage.End{Children: []lineage.Shard{left, {ID: "x", Parents: []stream.ShardID{"z"}}}}, "l x z", "", `shard p ends in child "x", whose parents are ["z"]`},
		{"one child, one parent", lineage.End{Children: []lineage.Shard{left}}, "l", "", "shard p ends in the one child l, which is merged from 1 shards, not two"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.end.Parent = parent
			if got := strings.Join(tt.end.Keys(), " "); got != tt.keys {
				t.Errorf("keys %q, want %q", got, tt.keys)
			}
			rows, err := tt.end.Rows()
			if (err != nil || tt.err != "") && fmt.Sprint(err) != tt.err {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if describe(rows) != tt.want {
				t.Errorf("got %q, want %q", describe(rows), tt.want)
			}
			if missing := (*lineage.ParentMissingError)(nil); strings.Contains(tt.err, "waits for") != errors.As(err, &missing) {
				t.Errorf("error %T, want a *ParentMissingError where it waits", err)
			}
		})
	}
}

func TestBlocking(t *testing.T) {
	l := lease.Lease{Key: "m", Shard: "m", Parents: []stream.ShardID{"a", "b"}}
	a := lease.Lease{Key: "a", Shard: "a", Checkpoint: stream.ShardEnd}
	b := lease.Lease{Key: "b", Shard: "b", Checkpoint: stream.Latest}
	other := lease.Lease{Key: "1:s:1:a", StreamID: "1:s:1", Shard: "a", Checkpoint: stream.Latest}
	if got := lineage.Blocking(l, []lease.Lease{b, a, other}); !slices.Equal(got, []stream.ShardID{"b"}) {
		t.Errorf("got %q, want b alone", got)
	}
	if got := lineage.Blocking(l, []lease.Lease{a}); got != nil {
		t.Errorf("got %q; an absent and an ended parent block nothing", got)
	}
	if got := lineage.ParentKeys(l); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("ParentKeys %q", got)
	}
}

func TestHolesAndDetector(t *testing.T) {
	row := func(from, to int, at stream.Position) lease.Lease {
		return lease.Lease{HashKeys: span(from, to), Checkpoint: at}
	}
	leases := []lease.Lease{row(2, 3, stream.Latest), row(0, 1, stream.Latest), row(1, 2, stream.ShardEnd), {Checkpoint: stream.Latest}, row(2, 4, stream.Latest)}
	holes := lineage.Holes("", leases)
	if want := []stream.HashKeyRange{span(1, 2)}; !slices.Equal(holes, want) {
		t.Fatalf("got %v, want %v", holes, want)
	}
	if got := lineage.Holes("1:s:1", leases); !slices.Equal(got, []stream.HashKeyRange{span(0, 4)}) {
		t.Errorf("a stream without leases has holes %v", got)
	}
	edges := lineage.Holes("", []lease.Lease{row(1, 3, stream.Latest)})
	if want := []stream.HashKeyRange{span(0, 1), span(3, 4)}; !slices.Equal(edges, want) {
		t.Errorf("got %v, want %v", edges, want)
	}

	var d lineage.Detector
	var confirmed []bool
	for _, seen := range [][]stream.HashKeyRange{holes, edges, holes, holes, append(edges, holes...), holes, nil, holes} {
		var is bool
		d, is = d.See(seen)
		confirmed = append(confirmed, is)
	}
	if want := []bool{false, false, false, false, true, true, false, false}; !slices.Equal(confirmed, want) {
		t.Errorf("confirmed %v, want %v", confirmed, want)
	}
}

func TestRanges(t *testing.T) {
	listed := []lineage.Shard{{ID: "a", HashKeys: span(0, 1)}, {ID: "b", HashKeys: span(1, 2)}}
	leases := []lease.Lease{{Key: "a", Shard: "a"}, {Key: "b", Shard: "b", HashKeys: span(1, 2)}, {Key: "gone", Shard: "gone"}}
	if diff := cmp.Diff(map[string]stream.HashKeyRange{"a": span(0, 1)}, lineage.Ranges("", listed, leases)); diff != "" {
		t.Error(diff)
	}
}

func TestFinished(t *testing.T) {
	row := func(id string, at stream.Position, parents, children string) lease.Lease {
		split := func(s string) (ids []stream.ShardID) {
			for _, f := range strings.Fields(s) {
				ids = append(ids, stream.ShardID(f))
			}
			return ids
		}
		return lease.Lease{Key: id, Shard: stream.ShardID(id), Checkpoint: at, Parents: split(parents), Children: split(children)}
	}
	begun := stream.Position{Sequence: "5"}
	tests := []struct {
		name        string
		leases      []lease.Lease
		delete, ask string
	}{
		{"children begun", []lease.Lease{row("p", stream.ShardEnd, "old", "a b"), row("a", begun, "p", ""), row("b", stream.Latest, "p", "")}, "p:SHARD_END", ""},
		{"a child not begun", []lease.Lease{row("p", stream.ShardEnd, "", "a b"), row("a", begun, "p", ""), row("b", stream.TrimHorizon, "p", "")}, "", ""},
		{"a child at its timestamp", []lease.Lease{row("p", stream.ShardEnd, "", "a"), row("a", stream.AtTimestamp, "p", "")}, "", ""},
		{"a child missing", []lease.Lease{row("p", stream.ShardEnd, "", "a b"), row("a", begun, "p", "")}, "", ""},
		{"one generation at once", []lease.Lease{row("p", stream.ShardEnd, "", "a"), row("a", stream.ShardEnd, "p", "b"), row("b", begun, "a", "")}, "p:SHARD_END", ""},
		{"children not stored", []lease.Lease{row("p", stream.ShardEnd, "", "")}, "", "p:SHARD_END"},
		{"not ended", []lease.Lease{row("p", begun, "", "a"), row("a", begun, "p", "")}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lineage.Finished(tt.leases)
			if describe(got.Delete) != tt.delete || describe(got.AskChildren) != tt.ask {
				t.Errorf("delete %q ask %q, want %q and %q", describe(got.Delete), describe(got.AskChildren), tt.delete, tt.ask)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	listed := []lineage.Shard{{ID: "a", HashKeys: span(0, 4)}}
	gone := lease.Lease{Key: "g", Shard: "g", HashKeys: span(0, 2), Checkpoint: stream.Latest}
	kept := lease.Lease{Key: "a", Shard: "a", HashKeys: span(0, 4), Checkpoint: stream.Latest}
	if got := describe(lineage.Garbage("", listed, []lease.Lease{gone, kept})); got != "g:LATEST" {
		t.Errorf("got %q, want g", got)
	}
	if got := describe(lineage.Garbage("", listed, []lease.Lease{gone})); got != "" {
		t.Errorf("got %q; the row must stay until another covers its hash keys", got)
	}
}

func TestRemoved(t *testing.T) {
	leases := []lease.Lease{{StreamID: "1:b:1"}, {StreamID: "1:a:1"}, {StreamID: "1:b:1"}, {StreamID: "1:c:1"}}
	if got := lineage.Of("1:b:1", leases); len(got) != 2 {
		t.Errorf("Of: got %d leases, want the 2 of stream b", len(got))
	}
	if got := lineage.Removed([]string{"1:c:1"}, leases); !slices.Equal(got, []string{"1:a:1", "1:b:1"}) {
		t.Errorf("got %q", got)
	}
}

// span is the range from quarter `from` to before quarter `to` of the hash keys.
func span(from, to int) stream.HashKeyRange { return part(from, to, 4) }

func sixth(from, to int) stream.HashKeyRange { return part(from, to, 6) }

func part(from, to, of int) stream.HashKeyRange {
	step := (^uint64(0))/uint64(of) + 1
	if of == 6 {
		step = ^uint64(0) / 6
	}
	r := stream.HashKeyRange{First: stream.HashKey{Hi: step * uint64(from)}, Last: stream.HashKey{Hi: step*uint64(to) - 1, Lo: ^uint64(0)}}
	if to == of {
		r.Last = stream.MaxHashKey
	}
	return r
}

func describe(leases []lease.Lease) string {
	var words []string
	for _, l := range leases {
		words = append(words, fmt.Sprintf("%s:%s", l.Key, l.Checkpoint))
	}
	return strings.Join(words, " ")
}
