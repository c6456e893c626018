package dynamolease_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// good is a lease with every attribute, as a Java worker leaves it.
const good = `{
	"leaseKey":{"S":"shardId-000000000003"}, "entityType":{"S":"LEASE"}, "leaseOwner":{"S":"B"}, "checkpointOwner":{"S":"A"},
	"leaseCounter":{"N":"41"}, "ownerSwitchesSinceCheckpoint":{"N":"2"},
	"checkpoint":{"S":"4959"}, "checkpointSubSequenceNumber":{"N":"7"},
	"pendingCheckpoint":{"S":"4960"}, "pendingCheckpointSubSequenceNumber":{"N":"1"}, "pendingCheckpointState":{"B":"c3RhdGU="},
	"parentShardId":{"SS":["shardId-000000000002","shardId-000000000001"]}, "childShardIds":{"SS":["shardId-000000000008"]},
	"startingHashKey":{"S":"7"}, "endingHashKey":{"S":"340282366920938463463374607431768211455"}, "throughputKBps":{"N":"12.345679"}
}`

func goodLease() lease.Lease {
	return lease.Lease{
		Key: "shardId-000000000003", Shard: "shardId-000000000003", Owner: "B", CheckpointOwner: "A", Counter: 41, OwnerSwitches: 2,
		Checkpoint: stream.Position{Sequence: "4959", Sub: 7},
		Pending:    stream.Position{Sequence: "4960", Sub: 1}, PendingState: []byte("state"),
		Parents:    []stream.ShardID{"shardId-000000000001", "shardId-000000000002"},
		Children:   []stream.ShardID{"shardId-000000000008"},
		HashKeys:   stream.HashKeyRange{First: stream.HashKey{Lo: 7}, Last: stream.MaxHashKey},
		Throughput: 12.345679, ThroughputKnown: true,
	}
}

// with returns the good item with attributes replaced; "null" removes one.
func with(t *testing.T, attrs string) string {
	t.Helper()
	item := map[string]json.RawMessage{}
	for _, part := range []string{good, "{" + attrs + "}"} {
		if err := json.Unmarshal([]byte(part), &item); err != nil {
			t.Fatalf("%v in %s", err, part)
		}
	}
	for attr, v := range item {
		if string(v) == "null" {
			delete(item, attr)
		}
	}
	out, err := json.Marshal(item)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// snapshotOf reads a table with these items.
func snapshotOf(t *testing.T, items ...string) lease.Snapshot {
	t.Helper()
	s := onFake(t, &fake{answer: func(op string, _ []byte) (int, string) {
		if op != "Scan" {
			return refusal("InternalServerError", "unexpected "+op)
		}
		return http.StatusOK, `{"Items":[` + strings.Join(items, ",") + `]}`
	}})
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestRowsTolerated(t *testing.T) {
	for _, c := range []struct {
		name, attrs string
		change      func(*lease.Lease)
	}{
		{"all attributes", ``, func(*lease.Lease) {}},
		{"unknown attributes", `"fromTheFuture":{"M":{"x":{"BOOL":true}}}, "nothing":{"NULL":true}`, func(*lease.Lease) {}},
		{"no entityType, from before 3.5", `"entityType":null`, func(*lease.Lease) {}},
		{"unassigned", `"leaseOwner":null, "checkpointOwner":null`, func(l *lease.Lease) { l.Owner, l.CheckpointOwner = "", "" }},
		{"no sub-sequence number", `"checkpointSubSequenceNumber":null`, func(l *lease.Lease) { l.Checkpoint.Sub = 0 }},
		{"sentinel with sub-sequence number", `"checkpoint":{"S":"SHARD_END"}`, func(l *lease.Lease) { l.Checkpoint = stream.ShardEnd }},
		{"trim horizon", `"checkpoint":{"S":"TRIM_HORIZON"}, "checkpointSubSequenceNumber":{"N":"0"}`, func(l *lease.Lease) { l.Checkpoint = stream.TrimHorizon }},
		{"nothing pending", `"pendingCheckpoint":null, "pendingCheckpointSubSequenceNumber":null, "pendingCheckpointState":null`, func(l *lease.Lease) {
			l.Pending, l.PendingState = stream.Position{}, nil
		}},
		{"S23: a number as pending state", `"pendingCheckpointState":{"N":"0"}`, func(l *lease.Lease) { l.PendingState = nil }},
		{"no parents, no children", `"parentShardId":null, "childShardIds":null`, func(l *lease.Lease) { l.Parents, l.Children = nil, nil }},
		{"no hash keys, from before 2.3", `"startingHashKey":null, "endingHashKey":null`, func(l *lease.Lease) { l.HashKeys = stream.HashKeyRange{} }},
		{"one hash key", `"endingHashKey":null`, func(l *lease.Lease) { l.HashKeys = stream.HashKeyRange{} }},
		{"no throughput", `"throughputKBps":null`, func(l *lease.Lease) { l.Throughput, l.ThroughputKnown = 0, false }},
		{"throughput in Java's notation", `"throughputKBps":{"N":"1.0E-6"}`, func(l *lease.Lease) { l.Throughput = 1e-6 }},
		{"counter in Java's notation", `"leaseCounter":{"N":"1.2E3"}`, func(l *lease.Lease) { l.Counter = 1200 }},
		{"illegal owners, for the leader to mend", `"leaseOwner":{"S":"A"}`, func(l *lease.Lease) { l.Owner = "A" }},
		{"several streams", `"leaseKey":{"S":"123456789012:orders:17:shardId-000000000003"}, "streamName":{"S":"123456789012:orders:17"}, "shardId":{"S":"shardId-000000000003"}`, func(l *lease.Lease) {
			l.StreamID, l.Key = "123456789012:orders:17", "123456789012:orders:17:shardId-000000000003"
		}},
		{"several streams, no shardId", `"leaseKey":{"S":"123456789012:orders:17:shardId-000000000003"}, "streamName":{"S":"123456789012:orders:17"}`, func(l *lease.Lease) {
			l.StreamID, l.Key = "123456789012:orders:17", "123456789012:orders:17:shardId-000000000003"
		}},
	} {
		want := goodLease()
		c.change(&want)
		snap := snapshotOf(t, with(t, c.attrs))
		if d := cmp.Diff(snap, lease.Snapshot{Leases: []lease.Lease{want}}, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-got +want):\n%s", c.name, d)
		}
	}
}

// Bad input: the row is reported with the attribute at fault and left alone, and the others go on.
func TestRowsBroken(t *testing.T) {
	const row = "lease shardId-000000000003: attribute "
	for _, c := range []struct{ attrs, want string }{
		{`"leaseCounter":null`, row + "leaseCounter is missing"},
		{`"leaseCounter":{"S":"41"}`, row + "leaseCounter is of type S, not N"},
		{`"leaseCounter":{"N":"1.5"}`, row + "leaseCounter is 1.5, not an integer"},
		{`"leaseCounter":{"N":"1e30"}`, row + "leaseCounter is 1e30, not an integer"},
		{`"ownerSwitchesSinceCheckpoint":null`, row + "ownerSwitchesSinceCheckpoint is missing"},
		{`"checkpoint":null`, row + "checkpoint is missing"},
		{`"checkpoint":{"N":"4959"}`, row + "checkpoint is of type N, not S"},
		{`"checkpoint":{"S":""}`, row + "checkpoint is empty"},
		{`"checkpoint":{"S":"trim_horizon"}`, row + `checkpoint is "trim_horizon" with checkpointSubSequenceNumber 7, neither a sequence number nor a sentinel`},
		{`"checkpointSubSequenceNumber":{"N":"-1"}`, row + `checkpoint is "4959" with checkpointSubSequenceNumber -1, neither a sequence number nor a sentinel`},
		{`"checkpointSubSequenceNumber":{"S":"7"}`, row + "checkpointSubSequenceNumber is of type S, not N"},
		{`"leaseOwner":{"NULL":true}`, row + "leaseOwner is of type NULL, not S"},
		{`"leaseOwner":{"S":""}`, row + "leaseOwner is empty"},
		{`"checkpointOwner":{"L":[]}`, row + "checkpointOwner is of type L, not S"},
		{`"pendingCheckpoint":{"S":"soon"}`, row + `pendingCheckpoint is "soon" with pendingCheckpointSubSequenceNumber 1, neither a sequence number nor a sentinel`},
		{`"pendingCheckpointState":{"S":"state"}`, row + "pendingCheckpointState is of type S, not B"},
		{`"parentShardId":{"S":"shardId-000000000001"}`, row + "parentShardId is of type S, not SS"},
		{`"childShardIds":{"NS":["1"]}`, row + "childShardIds is of type NS, not SS"},
		{`"startingHashKey":{"S":"-1"}`, row + `startingHashKey with endingHashKey: hash key "-1": want 1 to 39 decimal digits`},
		{`"startingHashKey":{"S":"9"}, "endingHashKey":{"S":"8"}`, row + "startingHashKey with endingHashKey: hash key range 9 to 8: the first is above the last"},
		{`"throughputKBps":{"S":"fast"}`, row + "throughputKBps is of type S, not N"},
		{`"streamName":{"S":"1:orders:2"}`, row + `streamName is "1:orders:2", with which the key does not begin`},
	} {
		snap := snapshotOf(t, with(t, c.attrs), `{"leaseKey":{"S":"shardId-000000000004"},"leaseCounter":{"N":"0"},"ownerSwitchesSinceCheckpoint":{"N":"0"},"checkpoint":{"S":"LATEST"}}`)
		if len(snap.Leases) != 1 || len(snap.Broken) != 1 {
			t.Errorf("%s: %d leases and broken %v, want one and one", c.attrs, len(snap.Leases), snap.Broken)
			continue
		}
		b := snap.Broken[0]
		if got := b.Err.Error(); got != c.want+": lease: malformed row" || b.Key != "shardId-000000000003" || !errors.Is(b.Err, lease.ErrMalformed) {
			t.Errorf("%s: broken %s:\n got %s\nwant %s: lease: malformed row", c.attrs, b.Key, got, c.want)
		}
	}
	key := `"leaseKey":{"S":"1:orders:2:shardId-000000000003"}, "streamName":{"S":"1:orders:2"}, "shardId":{"S":"shardId-000000000004"}`
	snap := snapshotOf(t, with(t, key))
	if want := `lease 1:orders:2:shardId-000000000003: attribute shardId is "shardId-000000000004", with which the key does not end: lease: malformed row`; len(snap.Broken) != 1 || snap.Broken[0].Err.Error() != want {
		t.Errorf("broken %v, want %s", snap.Broken, want)
	}
}

// Items that are no leases are skipped, whoever wrote them.
func TestOtherItemsSkipped(t *testing.T) {
	snap := snapshotOf(t,
		`{"leaseKey":{"S":"Leader"},"entityType":{"S":"LEADER"},"ownerName":{"S":"A"}}`,
		`{"leaseKey":{"S":"Migration3.0"},"cv":{"S":"CLIENT_VERSION_3X"}}`,
		`{"leaseKey":{"S":"TableMigration3.5"},"tm":{"S":"TABLE_MIGRATION_STATUS_COMPLETE"}}`,
		`{"leaseKey":{"S":"orders"},"entityType":{"S":"STREAM"},"streamId":{"S":"orders"}}`,
		`{"leaseKey":{"S":"x"},"entityType":{"S":"FROM_THE_FUTURE"},"leaseCounter":{"S":"not a number"}}`,
		`{"leaseKey":{"S":"y"},"entityType":{"N":"1"}}`,
	)
	if d := cmp.Diff(snap, lease.Snapshot{}, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("got %s", d)
	}
}

func TestWorkerRows(t *testing.T) {
	const head = `{"leaseKey":{"S":"A"},"entityType":{"S":"WORKER_METRIC_STATS"},`
	for _, c := range []struct {
		name, item string
		want       lease.Worker
		broken     string
	}{
		{"as Java writes it", head + `"lut":{"N":"1700000000"},"sup":{"N":"1"},"slu":{"N":"1700000000"},
			"sts":{"M":{"C":{"L":[{"N":"12.5"},{"N":"-1"}]}}},"opr":{"M":{"C":{"L":[{"N":"100"}]}}}}`,
			lease.Worker{ID: "A", ReportedAt: time.Unix(1_700_000_000, 0), Stats: map[string][]float64{"C": {12.5, -1}}, Limits: map[string]float64{"C": 100}}, ""},
		{"nothing measured", head + `"lut":{"N":"1700000000"},"sts":{"M":{}},"opr":{"M":{}},"properties":{"M":{"a":{"S":"b"}}}}`,
			lease.Worker{ID: "A", ReportedAt: time.Unix(1_700_000_000, 0)}, ""},
		{"bare", head + `"lut":{"N":"1700000000"}}`, lease.Worker{ID: "A", ReportedAt: time.Unix(1_700_000_000, 0)}, ""},
		{"no limit", head + `"lut":{"N":"1"},"opr":{"M":{"C":{"L":[]}}}}`, lease.Worker{ID: "A", ReportedAt: time.Unix(1, 0)}, ""},
		{"S30: no lut", head + `"sts":{"M":{}}}`, lease.Worker{}, "worker A: attribute lut is missing"},
		{"lut of another type", head + `"lut":{"S":"now"}}`, lease.Worker{}, "worker A: attribute lut is of type S, not N"},
		{"stats of another type", head + `"lut":{"N":"1"},"sts":{"L":[]}}`, lease.Worker{}, "worker A: attribute sts is of type L, not M"},
		{"a metric of another type", head + `"lut":{"N":"1"},"sts":{"M":{"C":{"N":"1"}}}}`, lease.Worker{}, "worker A: attribute sts.C is of type N, not L"},
		{"a value of another type", head + `"lut":{"N":"1"},"opr":{"M":{"C":{"L":[{"S":"x"}]}}}}`, lease.Worker{}, "worker A: attribute opr.C[0] is of type S, not N"},
	} {
		snap := snapshotOf(t, c.item)
		if c.broken != "" {
			if len(snap.Broken) != 1 || snap.Broken[0].Err.Error() != c.broken+": lease: malformed row" || len(snap.Workers) > 0 {
				t.Errorf("%s: got %+v, want broken %s", c.name, snap, c.broken)
			}
			continue
		}
		if d := cmp.Diff(snap, lease.Snapshot{Workers: []lease.Worker{c.want}}, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-got +want):\n%s", c.name, d)
		}
	}
}

// The lock is read whatever its state, because a lock that cannot be read would never be taken over.
func TestLockRows(t *testing.T) {
	for _, c := range []struct {
		name, attrs string
		want        lease.LockItem
	}{
		{"as Java writes it", `"ownerName":{"S":"J"},"leaseDuration":{"S":"120000"},"recordVersionNumber":{"S":"v"},"entityType":{"S":"LEADER"}`,
			lease.LockItem{Owner: "J", Version: "v", Duration: 2 * time.Minute}},
		{"ours", `"ownerName":{"S":"G"},"leaseDuration":{"S":"20000"},"recordVersionNumber":{"S":"v"}`,
			lease.LockItem{Owner: "G", Version: "v", Duration: 20 * time.Second}},
		{"released", `"ownerName":{"S":"J"},"leaseDuration":{"S":"1"},"recordVersionNumber":{"S":"v"},"isReleased":{"S":"1"}`,
			lease.LockItem{Owner: "J", Version: "v", Duration: time.Millisecond, Released: true}},
		{"duration as a number", `"ownerName":{"S":"J"},"leaseDuration":{"N":"1"},"recordVersionNumber":{"S":"v"}`,
			lease.LockItem{Owner: "J", Version: "v", Duration: 2 * time.Minute}},
		{"duration out of reason", `"leaseDuration":{"S":"99999999999999"},"recordVersionNumber":{"S":"v"}`,
			lease.LockItem{Version: "v", Duration: 2 * time.Minute}},
		{"negative duration", `"leaseDuration":{"S":"-5"},"recordVersionNumber":{"S":"v"}`,
			lease.LockItem{Version: "v", Duration: 2 * time.Minute}},
		{"nothing but the key", ``, lease.LockItem{Duration: 2 * time.Minute}},
		{"other types", `"ownerName":{"N":"1"},"recordVersionNumber":{"NULL":true}`, lease.LockItem{Duration: 2 * time.Minute}},
	} {
		item := `"leaseKey":{"S":"Leader"}`
		if c.attrs != "" {
			item += "," + c.attrs
		}
		s := onFake(t, &fake{answer: func(string, []byte) (int, string) { return http.StatusOK, `{"Item":{` + item + `}}` }})
		got, err := s.ReadLock(t.Context())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(got, &c.want); d != "" {
			t.Errorf("%s (-got +want):\n%s", c.name, d)
		}
	}
}

// Whatever is in the table, reading it does not panic, every item is a lease, a worker, broken or skipped, and what was read
// as a lease holds what later code relies on.
func FuzzRow(f *testing.F) {
	f.Add(good)
	f.Add(`{"leaseKey":{"S":"A"},"entityType":{"S":"WORKER_METRIC_STATS"},"lut":{"N":"1"},"sts":{"M":{"C":{"L":[{"N":"1"}]}}}}`)
	f.Add(`{"leaseKey":{"S":"Leader"},"entityType":{"S":"LEADER"}}`)
	f.Add(`{"leaseKey":{"S":"1:s:2:shardId-0"},"streamName":{"S":"1:s:2"},"leaseCounter":{"N":"1e3"},"ownerSwitchesSinceCheckpoint":{"N":"0"},"checkpoint":{"S":"SHARD_END"},"checkpointSubSequenceNumber":{"N":"9"}}`)
	f.Add(`{"leaseKey":{"S":""}}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, item string) {
		if !json.Valid([]byte(item)) {
			t.Skip()
		}
		s := onFake(t, &fake{answer: func(string, []byte) (int, string) { return http.StatusOK, `{"Items":[` + item + `]}` }})
		snap, err := s.Snapshot(t.Context())
		if err != nil {
			return // the SDK did not take it for an item
		}
		if n := len(snap.Leases) + len(snap.Workers) + len(snap.Broken); n > 1 {
			t.Fatalf("one item became %d: %+v", n, snap)
		}
		for _, l := range snap.Leases {
			if err := l.Validate(); err != nil {
				t.Errorf("lease %+v: %v", l, err)
			}
			if !l.Checkpoint.IsNumber() && l.Checkpoint.Sub != 0 || !l.Pending.IsZero() && !l.Pending.Valid() {
				t.Errorf("positions of %+v", l)
			}
		}
		for _, b := range snap.Broken {
			if !errors.Is(b.Err, lease.ErrMalformed) || !strings.Contains(b.Err.Error(), "attribute ") {
				t.Errorf("broken without an attribute: %v", b.Err)
			}
		}
	})
}

// What is created is read back as it was.
func FuzzCreated(f *testing.F) {
	f.Add("shardId-000000000003", "", "4959", int64(7), "shardId-000000000001", uint64(0), uint64(1))
	f.Add("shardId-000000000003", "1:s:2", "TRIM_HORIZON", int64(0), "", uint64(9), uint64(9))
	f.Fuzz(func(t *testing.T, shard, streamID, seq string, sub int64, parent string, first, last uint64) {
		l := lease.Lease{
			Key: shard, StreamID: streamID, Shard: stream.ShardID(shard),
			Checkpoint: stream.Position{Sequence: stream.SequenceNumber(seq), Sub: sub},
			HashKeys:   stream.HashKeyRange{First: stream.HashKey{Hi: min(first, last)}, Last: stream.HashKey{Hi: max(first, last)}},
		}
		if streamID != "" {
			l.Key = fmt.Sprintf("%s:%s", streamID, shard)
		}
		if !l.Checkpoint.IsNumber() {
			l.Checkpoint.Sub = 0
		}
		if parent != "" {
			l.Parents = []stream.ShardID{stream.ShardID(parent)}
		}
		var item json.RawMessage
		fk := &fake{}
		s := onFake(t, fk)
		if created, err := s.Create(t.Context(), l); err != nil || !created {
			return // refused
		}
		var put struct{ Item json.RawMessage }
		if err := json.Unmarshal(fk.take()[0].body, &put); err != nil {
			t.Fatal(err)
		}
		item = put.Item
		if text := shard + streamID + parent; !json.Valid([]byte(`"`+text+`"`)) || strings.ToValidUTF8(text, "") != text {
			return // not a string that JSON carries unchanged
		}
		if d := cmp.Diff(snapshotOf(t, string(item)), lease.Snapshot{Leases: []lease.Lease{l}}, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("read back (-got +want):\n%s", d)
		}
	})
}
