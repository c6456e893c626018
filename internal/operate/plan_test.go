package operate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/internal/script"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// TestPlans runs the scripts in testdata. Shards are one letter; "shards" and "rows" say what there is:
//
//	shards             rows
//	  P closed           P SHARD_END
//	  C from P           C 17 of=w handoff=v from=P
func TestPlans(t *testing.T) {
	script.Run(t, "testdata", func(t *testing.T) func(script.Command) string {
		in := operate.Rewind{}
		return func(c script.Command) string {
			switch c.Name {
			case "shards":
				in.Shards = parseShards(c.Input)
				return "ok\n"
			case "rows":
				in.Leases = parseRows(t, c.Input)
				return "ok\n"
			case "rewind":
				return planned(rewind(t, in, c))
			case "set":
				set := map[string]stream.Position{}
				for _, arg := range c.Args {
					shard, at, _ := strings.Cut(arg, "=")
					set[shard] = position(t, at)
				}
				return planned(operate.PlanSet(in, set))
			case "release":
				sel := operate.Selection{}
				sel.Worker, _ = c.Option("worker")
				for _, w := range c.Words() {
					sel.Shards = append(sel.Shards, stream.ShardID(w))
				}
				return released(operate.PlanRelease(in.Leases, sel))
			}
			return "no such command\n"
		}
	})
}

// rewind reads "rewind <target> [shard]... [shard=place]..."; a place of "past" before a comma says that nothing lies behind.
func rewind(t *testing.T, in operate.Rewind, c script.Command) (operate.Plan, error) {
	in.Places = map[stream.ShardID]operate.Place{}
	words := c.Words()
	if to := words[0]; to != "places" {
		for _, s := range in.Shards {
			in.Places[s.ID] = operate.Place{To: position(t, to)}
		}
	}
	for _, w := range words[1:] {
		in.Chosen = append(in.Chosen, stream.ShardID(w))
	}
	for _, arg := range c.Args {
		if shard, at, is := strings.Cut(arg, "="); is {
			at, past := strings.CutSuffix(at, ",past")
			in.Places[stream.ShardID(shard)] = operate.Place{To: position(t, at), Past: past}
		}
	}
	return operate.PlanRewind(in)
}

func position(t *testing.T, s string) stream.Position {
	switch s {
	case "oldest":
		return stream.TrimHorizon
	case "latest":
		return stream.Latest
	}
	p, err := operate.ParsePosition(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parseShards(lines []string) []lineage.Shard {
	var shards []lineage.Shard
	for _, line := range lines {
		c := script.Command{Args: strings.Fields(line)}
		s := lineage.Shard{ID: stream.ShardID(c.Args[0]), Closed: c.Has("closed"), Starting: "10"}
		s.Parents = ids(c, "from")
		s.HashKeys = stream.HashKeyRange{Last: stream.MaxHashKey}
		shards = append(shards, s)
	}
	return shards
}

func ids(c script.Command, option string) []stream.ShardID {
	list, ok := c.Option(option)
	if !ok {
		return nil
	}
	var ids []stream.ShardID
	for id := range strings.SplitSeq(list, ",") {
		ids = append(ids, stream.ShardID(id))
	}
	return ids
}

func parseRows(t *testing.T, lines []string) []lease.Lease {
	var rows []lease.Lease
	for _, line := range lines {
		c := script.Command{Args: strings.Fields(line)}
		l := lease.Lease{Key: c.Args[0], Shard: stream.ShardID(c.Args[0]), Checkpoint: position(t, c.Args[1]), Parents: ids(c, "from"),
			HashKeys: stream.HashKeyRange{Last: stream.MaxHashKey}}
		l.Owner, _ = c.Option("of")
		if next, ok := c.Option("handoff"); ok {
			l.CheckpointOwner, l.Owner = l.Owner, next
		}
		if c.Has("other-keys") {
			l.HashKeys.Last = stream.HashKey{Lo: 7}
		}
		rows = append(rows, l)
	}
	return rows
}

func planned(p operate.Plan, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	var b strings.Builder
	for _, s := range p.Steps {
		from := s.From.String()
		if s.Creates() {
			from = "(no row)"
		}
		fmt.Fprintf(&b, "%s: %s -> %s", s.Shard, from, s.To)
		for _, note := range []struct {
			is   bool
			text string
		}{{s.Worker != "", "taken from " + s.Worker}, {s.Skips(), "skips records"}, {s.Why != "", s.Why}} {
			if note.is {
				fmt.Fprintf(&b, ", %s", note.text)
			}
		}
		b.WriteString("\n")
	}
	for _, l := range p.Left {
		fmt.Fprintf(&b, "%s left: %s\n", l.Key, l.Why)
	}
	if undo := operate.Undo(p.Steps); len(undo) > 0 {
		fmt.Fprintf(&b, "undo: %s\n", strings.Join(undo, " "))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func released(plan []operate.Release, left []operate.Left, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	var b strings.Builder
	for _, r := range plan {
		fmt.Fprintf(&b, "%s: %s -> %q\n", r.Key, r.From, r.To)
	}
	for _, l := range left {
		fmt.Fprintf(&b, "%s left: %s\n", l.Key, l.Why)
	}
	return b.String()
}

func TestParseTarget(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	tests := []struct{ in, want, err string }{
		{in: "oldest", want: "oldest"},
		{in: "LATEST", want: "latest"},
		{in: "2026-01-31T09:30:00+01:00", want: "2026-01-31T09:30:00+01:00"},
		{in: "2026-01-31T08:30:00.25Z", want: "2026-01-31T08:30:00.25Z"},
		{in: "49590338271490256608559692538361571095921575989136588898", want: "49590338271490256608559692538361571095921575989136588898"},
		{in: "90m", want: "2026-01-31T10:30:00Z"},
		{in: "4959/12", want: "4959/12"},
		{in: "2026-02-01T00:00:00Z", err: "2026-02-01T00:00:00Z lies in the future"},
		{in: "yesterday", err: `"yesterday": want oldest, latest, a time such as 2026-01-31T08:30:00Z, how long ago, such as 15m, or a checkpoint's sequence number`},
		{in: "SHARD_END", err: `"SHARD_END": want oldest, latest, a time such as 2026-01-31T08:30:00Z, how long ago, such as 15m, or a checkpoint's sequence number`},
		{in: "12/-1", err: `"12/-1": want oldest, latest, a time such as 2026-01-31T08:30:00Z, how long ago, such as 15m, or a checkpoint's sequence number`},
		{in: "", err: `"": want oldest, latest, a time such as 2026-01-31T08:30:00Z, how long ago, such as 15m, or a checkpoint's sequence number`},
	}
	for _, tt := range tests {
		got, err := operate.ParseTarget(tt.in, now)
		if errText(err) != tt.err || err == nil && got.String() != tt.want {
			t.Errorf("ParseTarget(%q) = %q, %v; want %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestPlanKeepsOrder: whatever tree, rows and choice, after the plan no row can start before a parent that is to be read again.
func TestPlanKeepsOrder(t *testing.T) {
	// P splits into C and D; C and E (second root) merge into M.
	shards := parseShards([]string{"P closed", "E closed", "C closed from=P", "D from=P", "M from=C,E"})
	checkpoints := []string{"", "TRIM_HORIZON", "17", "SHARD_END"}
	shapes := 0
	for n := range 4 * 4 * 4 * 4 * 4 {
		var rows []lease.Lease
		for i, s := range shards {
			if at := checkpoints[n>>(2*i)&3]; at != "" && (at != "SHARD_END" || s.Closed) {
				rows = append(rows, lease.Lease{Key: string(s.ID), Shard: s.ID, Checkpoint: position(t, at), Parents: s.Parents, HashKeys: s.HashKeys})
			}
		}
		for _, choice := range [][]stream.ShardID{nil, {"P"}, {"C"}, {"E"}, {"P", "E"}, {"M"}} {
			places := map[stream.ShardID]operate.Place{}
			for _, s := range shards {
				places[s.ID] = operate.Place{To: position(t, "13")}
			}
			p, err := operate.PlanRewind(operate.Rewind{Leases: rows, Shards: shards, Chosen: choice, Places: places})
			if err != nil {
				t.Fatal(err)
			}
			shapes++
			checkOrder(t, shards, rows, p)
		}
	}
	t.Logf("%d plans", shapes)
}

// checkOrder carries the plan out step by step and looks after it whether a child could be ahead of a parent.
func checkOrder(t *testing.T, shards []lineage.Shard, rows []lease.Lease, p operate.Plan) {
	t.Helper()
	at := map[stream.ShardID]stream.Position{}
	for _, r := range rows {
		at[r.Shard] = r.Checkpoint
	}
	before := maps.Clone(at)
	written := map[stream.ShardID]bool{}
	for _, s := range p.Steps {
		at[s.Shard] = s.To
		if written[s.Shard] {
			t.Fatalf("%s is written twice", s.Shard)
		}
		for _, sh := range shards {
			if slices.Contains(sh.Parents, s.Shard) && written[sh.ID] {
				t.Fatalf("child %s is written before %s", sh.ID, s.Shard)
			}
		}
		written[s.Shard] = true
	}
	for _, sh := range shards {
		waited := slices.ContainsFunc(sh.Parents, func(p stream.ShardID) bool { at, has := before[p]; return has && at != stream.ShardEnd })
		for _, parent := range sh.Parents {
			was, had := before[parent]
			reopened := written[parent] && (!had || was == stream.ShardEnd)
			now, has := at[sh.ID]
			if reopened && has && now != stream.TrimHorizon {
				t.Fatalf("parent %s is read again (%s -> %s) while child %s stays at %s; rows %v, steps %v", parent, was, at[parent], sh.ID, now, before, p.Steps)
			}
			if reopened && has && before[sh.ID] == stream.TrimHorizon && !written[sh.ID] && !waited {
				t.Fatalf("child %s may be running from its beginning and keeps its owner while parent %s is read again", sh.ID, parent)
			}
			if reopened && !has && !waited {
				t.Fatalf("parent %s is read again but child %s has no row, and no other parent makes it", parent, sh.ID)
			}
		}
	}
}
