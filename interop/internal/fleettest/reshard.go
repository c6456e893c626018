package fleettest

import (
	"math/big"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/stream"
)

// open returns the rows of shards that have not ended, in the order of their hash keys.
func (s *Stage) open() []Row {
	var rows []Row
	for _, r := range s.Leases() {
		if r["checkpoint"] != string(stream.ShardEnd.Sequence) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return decimal(a["startingHashKey"]).Cmp(decimal(b["startingHashKey"])) })
	return rows
}

func decimal(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10) // of the service's making
	return n
}

// SplitOne splits the widest shard of that owner in the middle and waits until both halves are read.
func (s *Stage) SplitOne(within time.Duration, owner string) {
	s.t.Helper()
	rows := slices.DeleteFunc(s.open(), func(r Row) bool { return r["leaseOwner"] != owner })
	if len(rows) == 0 {
		s.t.Fatalf("%s owns no open shard", owner)
	}
	widest := slices.MaxFunc(rows, func(a, b Row) int { return a.width().Cmp(b.width()) })
	middle := new(big.Int).Rsh(widest.width(), 1)
	middle.Add(middle, decimal(widest["startingHashKey"]))
	shard, key := widest["leaseKey"], middle.String()
	_, err := s.Kinesis.SplitShard(s.t.Context(), &kinesis.SplitShardInput{StreamName: &s.Stream, ShardToSplit: &shard, NewStartingHashKey: &key})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("split %s of %s", shard, owner)
	s.awaitChildren(within, shard)
}

// width is how many hash keys the shard has, but one.
func (r Row) width() *big.Int {
	return new(big.Int).Sub(decimal(r["endingHashKey"]), decimal(r["startingHashKey"]))
}

// MergeAcross merges two neighbours of different owners and waits until their child has one.
func (s *Stage) MergeAcross(within time.Duration) {
	s.t.Helper()
	rows := s.open()
	for i := 1; i < len(rows); i++ {
		a, b := rows[i-1], rows[i]
		if a.Owner() == b.Owner() {
			continue
		}
		left, right := a["leaseKey"], b["leaseKey"]
		_, err := s.Kinesis.MergeShards(s.t.Context(), &kinesis.MergeShardsInput{StreamName: &s.Stream, ShardToMerge: &left, AdjacentShardToMerge: &right})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Logf("merged %s of %s and %s of %s", left, a.Owner(), right, b.Owner())
		s.awaitChildren(within, left, right)
		return
	}
	s.t.Fatal("no two neighbours have different owners")
}

// awaitChildren waits until the shards have ended and all open ones have an owner and have moved past their beginning.
func (s *Stage) awaitChildren(within time.Duration, ended ...string) {
	s.t.Helper()
	s.Await(within, "children are read", func() bool {
		open := s.open()
		for _, r := range open {
			if slices.Contains(ended, r["leaseKey"]) || r.Owner() == "" || r["checkpoint"] == string(stream.TrimHorizon.Sequence) {
				return false
			}
		}
		return len(open) > 0
	})
}
