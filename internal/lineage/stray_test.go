package lineage_test

import (
	"testing"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

func TestStrays(t *testing.T) {
	low, high := stream.HashKeyRange{Last: stream.HashKey{Lo: 9}}, stream.HashKeyRange{First: stream.HashKey{Lo: 10}, Last: stream.MaxHashKey}
	all := stream.HashKeyRange{Last: stream.MaxHashKey}
	at := func(n stream.SequenceNumber) stream.Position { return stream.Position{Sequence: n} }
	shard0, closed0 := lineage.Shard{ID: "0", HashKeys: all, Starting: "500"}, lineage.Shard{ID: "0", HashKeys: all, Starting: "500", Closed: true}
	tests := map[string]struct {
		listed []lineage.Shard
		leases []lease.Lease
		ended  bool
		want   string // why the first is one; empty: there is none
	}{
		"nothing contradicts": {listed: []lineage.Shard{shard0}, leases: []lease.Lease{{Shard: "0", HashKeys: all, Checkpoint: at("500")}}},
		"nothing is known":    {listed: []lineage.Shard{{ID: "0"}}, leases: []lease.Lease{{Shard: "0", HashKeys: all, Checkpoint: at("5")}}},
		"finished":            {listed: []lineage.Shard{closed0}, leases: []lease.Lease{{Shard: "0", HashKeys: all, Checkpoint: stream.ShardEnd}}},
		"finished, but listed as open beside its child": {
			listed: []lineage.Shard{shard0, {ID: "1", Parents: []stream.ShardID{"0"}, HashKeys: low}},
			leases: []lease.Lease{{Shard: "0", HashKeys: all, Checkpoint: stream.ShardEnd}, {Shard: "1", Parents: []stream.ShardID{"0"}, Checkpoint: stream.TrimHorizon}}},
		"finished, but open": {listed: []lineage.Shard{shard0}, leases: []lease.Lease{{Shard: "0", HashKeys: all, Checkpoint: stream.ShardEnd}},
			ended: true, want: "the lease says that the shard was read to its end, but the shard is open"},
		"not listed":        {listed: []lineage.Shard{shard0}, leases: []lease.Lease{{Shard: "7", Checkpoint: stream.ShardEnd}}},
		"of another stream": {listed: []lineage.Shard{shard0}, leases: []lease.Lease{{StreamID: "1:s:1", Shard: "0", Checkpoint: stream.ShardEnd}}},
		"other hash keys": {listed: []lineage.Shard{{ID: "0", HashKeys: low}}, leases: []lease.Lease{{Shard: "0", HashKeys: high, Checkpoint: stream.ShardEnd}},
			want: "the lease says that the shard has the hash keys " + high.String() + ", but it has " + low.String()},
		"an older checkpoint": {listed: []lineage.Shard{closed0}, leases: []lease.Lease{{Shard: "0", HashKeys: all, Checkpoint: at("499")}}},
		"a parent that is open": {listed: []lineage.Shard{shard0, {ID: "1", HashKeys: low}},
			leases: []lease.Lease{{Shard: "1", Parents: []stream.ShardID{"gone", "0"}, Checkpoint: stream.TrimHorizon}},
			want:   "the lease names the parent 0, which is open and so has no child"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			strays := lineage.Strays("", test.listed, test.leases)
			if len(strays) == 0 && test.want == "" {
				return
			}
			if len(strays) != 1 || strays[0].Why != test.want || strays[0].Ended != test.ended {
				t.Errorf("got  %+v\nwant %s, %v", strays, test.want, test.ended)
			}
		})
	}
}
