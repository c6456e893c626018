//go:build interop

package tables_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/interop/internal/fleettest"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
)

// within bounds every wait. It is reached only when something is wrong.
const within = 2 * time.Minute

// TestMain lets all tables be read at the same time: the tests mostly wait for Java's clocks.
func TestMain(m *testing.M) { os.Exit(stagetest.Main(m, 3)) }

// bench is a stage and the command line for it.
type bench struct {
	*fleettest.Stage
	t   *testing.T
	kcl string
}

func TestTables(t *testing.T) {
	worker, kcl := stagetest.Build(t, "./interop/fleet/goworker"), stagetest.Build(t, "./cmd/kcl")
	for name, test := range map[string]func(*testing.T, bench){"ThreeTables": threeTables, "TwoX": twoX, "Upgrading": upgrading} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, bench{fleettest.New(t, worker, 4), t, kcl})
		})
	}
}

// run runs a command of the command line and returns what it printed and its exit code.
func (b bench) run(args ...string) (string, int) {
	b.t.Helper()
	args = append(args, "-application", b.App, "-endpoint", b.URL, "-region", "us-east-1")
	cmd := exec.Command(b.kcl, args...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out) + string(exit.Stderr), exit.ExitCode()
	}
	if err != nil {
		b.t.Fatalf("kcl %s: %v", strings.Join(args, " "), err)
	}
	return string(out), 0
}

// expect runs a command and fails the test unless it ends with code and prints all that is wanted.
func (b bench) expect(code int, want []string, args ...string) {
	b.t.Helper()
	out, got := b.run(args...)
	b.t.Logf("kcl %s, exit %d:\n%s", strings.Join(args, " "), got, out)
	if got != code {
		b.t.Errorf("kcl %s ended with %d, want %d", args[0], got, code)
	}
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(out) {
			b.t.Errorf("kcl %s does not say %q", args[0], w)
		}
	}
}

// owners returns how many leases kcl leases shows as owned by each worker, and the leader that it shows.
func (b bench) owners() (owned map[string]int, leader string) {
	b.t.Helper()
	out, _ := b.run("leases", "-json")
	var view struct {
		Leader *struct{ Worker string }
		Leases []struct{ State, Worker string }
	}
	if err := json.Unmarshal([]byte(out), &view); err != nil {
		b.t.Fatalf("kcl leases -json: %v in %s", err, out)
	}
	owned = map[string]int{}
	for _, l := range view.Leases {
		if l.State == "owned" {
			owned[l.Worker]++
		}
	}
	if view.Leader != nil {
		leader = view.Leader.Worker
	}
	return owned, leader
}

// refused starts a Go worker and fails the test unless it ends by itself, says why, and leaves the tables alone.
func (b bench) refused(why string, args ...string) {
	b.t.Helper()
	p := b.Go("go-refused", args...)
	if code := p.Wait(b.t, within); code != 1 {
		b.t.Errorf("the worker that is not to join ended with %d, want 1", code)
	}
	b.t.Logf("refused: %s", p.Log())
	if !regexp.MustCompile(why).MatchString(p.Log()) {
		b.t.Errorf("it does not say %q", why)
	}
	if n := b.Writes("go-refused"); n != 0 {
		b.t.Errorf("it wrote %d times all the same", n)
	}
}

// onlyLeases fails the test if the lease table holds what workers up to 3.4 cannot read.
func (b bench) onlyLeases() {
	b.t.Helper()
	rows, err := b.Rows(b.App)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range rows {
		if r["leaseCounter"] == "" {
			b.t.Errorf("the lease table holds %v, which no worker before 3.5 can read", r)
		}
	}
}

// threeTables joins a live application of 3.4, whose lock, reports and version have tables of their own.
func threeTables(t *testing.T, b bench) {
	b.Feed()
	first := b.Java("3.4.0", "java-1", fleettest.Quick...)
	b.AwaitShares(within, map[string]int{"java-1": 4})
	b.AwaitReading(within)
	if owned, leader := b.owners(); owned["java-1"] != 4 || leader != "java-1" {
		t.Errorf("kcl leases shows %v, led by %q", owned, leader)
	}
	b.expect(0, []string{"a worker would start", "CoordinatorState"}, "doctor", "-stream", b.Stream)
	b.expect(0, nil, "leases", "-check", "-lease-duration", fleettest.Failover.String())
	b.expect(0, []string{"java-1"}, "lag", "-stream", b.Stream, "-for", "0")
	b.expect(0, []string{"java-1 .*leads"}, "workers", "-for", "0")

	b.Phase("Go joins an application of 3.4")
	since := time.Now()
	b.Go("go-1")
	b.AwaitMove(within, since, "handed over", "java-1", "go-1")
	b.AwaitShares(within, map[string]int{"java-1": 1, "go-1": 1})
	b.onlyLeases()

	b.Phase("leader of 3.4 killed")
	first.KillGroup()
	b.Await(within, "Go leads", func() bool { return b.Leader() == "go-1" })
	b.AwaitShares(within, map[string]int{"go-1": 4})
	b.SplitOne(within, "go-1") // rows of our making, for the next to read

	b.Phase("3.4 joins under a Go leader")
	since = time.Now()
	b.Java("3.4.0", "java-2", fleettest.Quick...)
	b.AwaitMove(within, since, "handed over", "go-1", "java-2")
	b.AwaitShares(within, map[string]int{"java-2": 1, "go-1": 1})
	b.AwaitReading(within)
	b.onlyLeases()
	b.expect(0, nil, "leases", "-check", "-lease-duration", fleettest.Failover.String())
	b.Finish(stagetest.Result{
		Part: "tables", Pairing: "Java KCL 3.4.0 (three tables) and Go",
		Ran: "Go joins, leader of 3.4 killed, split, 3.4 joins under a Go leader; kcl leases, lag, workers, doctor",
	})
}

// twoX refuses a live application of 2.x, adopts its table when it has stopped, and is joined by 3.5.
func twoX(t *testing.T, b bench) {
	b.Feed()
	old := b.Java("2.7.2", "java-1")
	b.AwaitShares(within, map[string]int{"java-1": 4})
	if owned, leader := b.owners(); owned["java-1"] != 4 || leader != "" {
		t.Errorf("kcl leases shows %v, led by %q", owned, leader)
	}
	b.expect(0, []string{"java-1", "no worker reports.*2.x, which do neither"}, "lag", "-stream", b.Stream, "-for", "0")
	b.expect(1, []string{"NOT start", "2.x"}, "doctor", "-stream", b.Stream)
	b.refused("AdoptOldTable")
	b.AwaitReading(within) // by 2.x, undisturbed
	b.onlyLeases()

	b.Phase("2.x stopped, Go adopts its table")
	old.Signal(t, syscall.SIGTERM)
	old.Wait(t, within)
	b.Go("go-1", "-adopt")
	b.AwaitShares(within, map[string]int{"go-1": 4})
	b.AwaitReading(within)
	b.expect(0, []string{"a worker would start"}, "doctor", "-stream", b.Stream)

	b.Phase("3.5 joins the adopted table")
	since := time.Now()
	b.Java(fleettest.Newest, "java-2", fleettest.Quick...)
	b.AwaitMove(within, since, "handed over", "go-1", "java-2")
	b.Finish(stagetest.Result{
		Part: "tables", Pairing: "Java KCL 2.7.2, then Go, then Java KCL 3.5.1",
		Ran: "Go refuses the live table, adopts it when told to, 3.5.1 joins; kcl leases, lag, doctor",
	})
}

// upgrading refuses an application whose Java workers are on their way from 2.x to 3.x.
func upgrading(_ *testing.T, b bench) {
	b.Feed()
	b.Java(fleettest.Newest, "java-1", "coordinator.clientVersionConfig=CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X")
	b.AwaitShares(within, map[string]int{"java-1": 4})
	b.refused("CLIENT_VERSION_UPGRADE_FROM_2X")
	b.refused("CLIENT_VERSION_UPGRADE_FROM_2X", "-adopt")
	b.expect(1, []string{"NOT start", "CLIENT_VERSION_UPGRADE_FROM_2X"}, "doctor", "-stream", b.Stream)
	b.AwaitReading(within)
	b.Finish(stagetest.Result{
		Part: "tables", Pairing: "Java KCL 3.5.1 in its mode for 2.x, and Go", Ran: "Go refuses; kcl doctor",
	})
}
