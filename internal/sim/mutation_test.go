package sim_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var mutate = flag.Bool("sim.mutate", false, "break each invariant on purpose and see the simulation catch it (compiles each time)")

// mutation is a deliberate bug: old, which stands once in the file, becomes new.
type mutation struct {
	invariant string // that the breach must name
	what      string
	file      string // in the module
	old, new  string
}

var mutations = []mutation{
	{"I1", "children are read from the tip instead of their beginning", "internal/lineage/end.go",
		"func(Shard) stream.Position { return stream.TrimHorizon }), nil", "func(Shard) stream.Position { return stream.Latest }), nil"},
	{"I1", "a shard that was taken over is read from its tip", "internal/fetch/open.go",
		"	return place{kind: types.ShardIteratorTypeAtSequenceNumber, sequence: string(c.From.Sequence)}", "	return place{kind: types.ShardIteratorTypeLatest}"},
	{"I2", "a child does not wait for its parents", "worker/parents.go",
		"		waiting := lineage.Blocking(row, parents)\n", "		waiting := lineage.Blocking(row, nil)\n"},
	{"I3", "a checkpoint is written whatever the counter is", "lease/dynamolease/write.go",
		`" REMOVE " + attrsPendingToRemove,` + "\n		where:  whereCounter,\n		values: set.values,\n	})\n}\n\n// Prepare",
		`" REMOVE " + attrsPendingToRemove,` + "\n		where:  whereExists + \" OR \" + whereCounter,\n		values: set.values,\n	})\n}\n\n// Prepare"},
	{"I4", "a batch that failed is passed over, as the Java KCL does", "internal/lifecycle/machine.go",
		"	case e.Err != nil:\n		return m.fail(e.Err)\n	}\n	if m.failedIn", "	}\n	if m.failedIn"},
	{"I1", "an aggregate is dropped for one stray in it, as the Java KCL does", "internal/aggregate/split.go",
		"	return dst, Outcome{Aggregated: true, Strays: strays}\n", "	if strays > 0 {\n		dst = dst[:whole]\n	}\n	return dst, Outcome{Aggregated: true, Strays: strays}\n"},
	{"I1", "strays are delivered", "internal/aggregate/split.go",
		"			strays++\n			continue\n", "			strays++\n"},
	{"I1", "a damaged aggregate is dropped", "internal/aggregate/split.go",
		"	message, ok := payload(r.Data)\n	if !ok {\n		return append(dst, r), Outcome{Damaged: true}", "	message, ok := payload(r.Data)\n	if !ok {\n		return dst, Outcome{Damaged: true}"},
	{"I2", "the records before a checkpoint inside an aggregate come again", "internal/fetch/subscribe.go",
		"	s.sub, s.next = sub, sub.openedAt.Add(takeoverGap)", "	s.floor = stream.Position{}\n	s.sub, s.next = sub, sub.openedAt.Add(takeoverGap)"},
	{"I3", "a checkpoint is stored without its place in the aggregate", "lease/dynamolease/write.go",
		"	set.set(attrSub, \":s\", number(at.Sub))\n	set.set(attrSwitches", "	set.set(attrSub, \":s\", number(0))\n	set.set(attrSwitches"},
	{"I4", "reading goes on behind the record of the checkpoint, of which a part may not be done", "internal/fetch/open.go",
		"	return place{kind: types.ShardIteratorTypeAtSequenceNumber, sequence: string(c.From.Sequence)}",
		"	return place{kind: types.ShardIteratorTypeAfterSequenceNumber, sequence: string(c.From.Sequence)}"},
	{"I4", "a subscription that broke is followed by one from the tip", "internal/fetch/mend.go",
		"	old := s.sub\n	s.drop()\n", "	old := s.sub\n	s.drop()\n	s.place = place{kind: \"LATEST\"}\n"},
	{"I1", "a dead connection is not noticed", "internal/fetch/subscription.go",
		"silence: c.IdleTimeout,", "silence: c.IdleTimeout + 24*time.Hour,"},
	{"I5", "a lease is trusted for longer than others wait", "worker/held.go",
		"func trust(d time.Duration) time.Duration { return d - d/20 }", "func trust(d time.Duration) time.Duration { return d + d/2 }"},
	{"I5", "trust begins with the reply instead of the request", "worker/held.go",
		"	h.trustedUntil = asked.Add(trust(h.duration))\n	h.adoptLocked(row)", "	h.trustedUntil = time.Now().Add(trust(h.duration))\n	h.adoptLocked(row)"},
	{"I5", "a lease that was begun between two looks seems not to have been", "internal/assign/observe.go",
		"s.adopted, s.untouched = false, l.Counter == before.counter+1", "s.adopted, s.untouched = false, true"},
	{"I6", "the leader's lock lasts two minutes, as the Java KCL's does", "internal/fleet/lock.go",
		"	return lock{store: cfg.Store, me: cfg.ID, duration: duration}", "	return lock{store: cfg.Store, me: cfg.ID, duration: 12 * duration}"},
	{"I6", "nobody finishes a handoff", "worker/assignment.go",
		"			handedOff = nil\n", "			handedOff = nil\n			continue\n"},
	{"I7", "reading does not heed the budget", "internal/fetch/budget.go",
		"				if b.over != nil || b.used >= b.max {\n					return\n				}\n", ""},
	{"I8", "a worker that stops keeps its leases", "worker/worker.go",
		"	if err := a.held.giveUp(ctx, heir); err != nil {", "	if err := error(nil); err != nil || ctx == nil && heir == \"\" {"},
	{"I9", "rows do not say what they are", "lease/dynamolease/row.go",
		"		attrEntity:     text(entityLease),\n", ""},
	{"I9", "a row is deleted before its children have begun", "internal/lineage/cleanup.go",
		"		case all(ParentKeys(l), absent) && all(ChildKeys(l), begun):\n", "		case all(ParentKeys(l), absent) || all(ChildKeys(l), begun):\n"},
}

// TestMutations shows that the simulation notices each of the bugs, with the first seed that does.
func TestMutations(t *testing.T) {
	if !*mutate {
		t.Skip("compiles the simulation once for each mutation: run it with -sim.mutate")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(m.invariant+" "+m.what, func(t *testing.T) {
			binary := m.compile(t, root)
			seed, breach := m.firstBreach(t, binary)
			if seed == "" {
				t.Fatalf("not caught by %d seeds: %s", *seeds, m.what)
			}
			t.Logf("caught by seed %s: %s", seed, breach)
		})
	}
}

// compile builds the simulation with the bug in it.
func (m mutation) compile(t *testing.T, root string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%s has changed: what is to be broken occurs %d times in it:\n%s", m.file, n, m.old)
	}
	dir := t.TempDir()
	mutant := filepath.Join(dir, filepath.Base(m.file))
	write(t, mutant, []byte(strings.Replace(string(source), m.old, m.new, 1)))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): mutant}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), overlay)
	binary := filepath.Join(dir, "sim.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// firstBreach runs seeds, a few at a time, until one breaks the invariant.
func (m mutation) firstBreach(t *testing.T, binary string) (seed, breach string) {
	t.Helper()
	breaches := regexp.MustCompile(`seed (\d+): +[\d.]+s (` + m.invariant + `\b.*)`)
	const some = 10
	for first := uint64(1); first <= *seeds; first += some {
		out, err := exec.CommandContext(t.Context(), binary, "-test.run", "TestSim$", "-sim.from", fmt.Sprint(first), "-sim.seeds", fmt.Sprint(some)).CombinedOutput()
		if err == nil {
			continue
		}
		found := breaches.FindAllStringSubmatch(string(out), -1)
		if len(found) == 0 {
			continue
		}
		first := slices.MinFunc(found, func(a, b []string) int { return cmp.Or(cmp.Compare(len(a[1]), len(b[1])), cmp.Compare(a[1], b[1])) })
		return first[1], first[2]
	}
	return "", ""
}
