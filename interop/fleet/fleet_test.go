//go:build interop

package fleet_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/interop/internal/fleettest"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
)

// within bounds every wait. It is reached only when something is wrong.
const within = 2 * time.Minute

// TestMain lets all scenarios run at the same time: they mostly wait for Java's clocks.
func TestMain(m *testing.M) { os.Exit(stagetest.Main(m, 4)) }

// java starts a Java worker of the newest version.
func java(s *fleettest.Stage, id string, extra ...string) *stagetest.Process {
	return s.Java(fleettest.Newest, id, append(extra, fleettest.Quick...)...)
}

func TestFleet(t *testing.T) {
	binary := stagetest.Build(t, "./interop/fleet/goworker")
	t.Run("JavaFirst", func(t *testing.T) { t.Parallel(); javaFirst(t, fleettest.New(t, binary, 4)) })
	t.Run("GoFirst", func(t *testing.T) { t.Parallel(); goFirst(t, fleettest.New(t, binary, 4)) })
	t.Run("Daemon", func(t *testing.T) { t.Parallel(); daemon(t, fleettest.New(t, binary, 4)) })
	t.Run("Rolling", func(t *testing.T) { t.Parallel(); rolling(t, fleettest.New(t, binary, 4)) })
}

// javaFirst joins a Go worker to a Java one, kills the Java leader, joins another, and kills that while it owns shards.
func javaFirst(t *testing.T, s *fleettest.Stage) {
	s.Feed()
	first := java(s, "java-1")
	s.AwaitShares(within, map[string]int{"java-1": 4})

	s.Phase("Go joins under a Java leader")
	since := time.Now()
	s.Go("go-1")
	s.AwaitMove(within, since, "handed over", "java-1", "go-1")
	s.AwaitShares(within, map[string]int{"java-1": 1, "go-1": 1})

	s.Phase("split and merge under a Java leader")
	s.SplitOne(within, "java-1")
	s.SplitOne(within, "go-1")
	s.MergeAcross(within)
	s.AwaitReading(within)

	s.Phase("Java leader and owner killed")
	first.KillGroup()
	s.Await(within, "Go leads", func() bool { return s.Leader() == "go-1" })
	s.AwaitShares(within, map[string]int{"go-1": 4})
	s.AwaitReading(within)

	s.Phase("Java joins under a Go leader")
	since = time.Now()
	second := java(s, "java-2")
	s.AwaitMove(within, since, "handed over", "go-1", "java-2")
	s.AwaitShares(within, map[string]int{"java-2": 1, "go-1": 1})

	s.Phase("split and merge under a Go leader")
	s.SplitOne(within, "java-2")
	s.SplitOne(within, "go-1")
	s.MergeAcross(within)
	s.AwaitReading(within)

	s.Phase("Java owner killed under a Go leader")
	second.KillGroup()
	s.AwaitShares(within, map[string]int{"go-1": 4})
	s.Finish(stagetest.Result{
		Part: "fleet", Pairing: "Java KCL 3.5.1 first, then Go",
		Ran: "join, split and merge across owners and crash, under a leader of each",
	})
}

// goFirst joins a Java worker to a Go one, kills the Go leader, joins another, and kills that while it owns shards.
func goFirst(t *testing.T, s *fleettest.Stage) {
	s.HideItems()
	s.Feed()
	first := s.Go("go-1", "-fanout")
	s.AwaitShares(within, map[string]int{"go-1": 4})

	s.Phase("Java, by fan-out, joins under a Go leader")
	since := time.Now()
	last := java(s, "java-1", "retrieval=fanout")
	s.AwaitMove(within, since, "handed over", "go-1", "java-1")
	s.AwaitShares(within, map[string]int{"java-1": 1, "go-1": 1})

	s.Phase("Go leader and owner killed")
	first.KillGroup()
	s.Await(within, "Java leads", func() bool { return s.Leader() == "java-1" })
	s.AwaitShares(within, map[string]int{"java-1": 4})
	s.AwaitReading(within)

	s.Phase("Go joins under a Java leader")
	since = time.Now()
	second := s.Go("go-2", "-fanout")
	s.AwaitMove(within, since, "handed over", "java-1", "go-2")
	s.AwaitShares(within, map[string]int{"java-1": 1, "go-2": 1})

	s.Phase("Go owner killed under a Java leader")
	second.KillGroup()
	s.AwaitShares(within, map[string]int{"java-1": 4})
	s.AwaitReading(within)

	s.Phase("Java leaves for Go")
	s.Go("go-3")
	last.Signal(t, syscall.SIGTERM)
	s.AwaitShares(within, map[string]int{"go-3": 4})
	last.Wait(t, within)
	s.Finish(stagetest.Result{
		Part: "fleet", Pairing: "Go first, then Java KCL 3.5.1 by fan-out", Ran: "join and crash, under a leader of each; Java leaves",
	})
}

// rolling starts one of each at the same moment and replaces worker by worker: until all are Go, all are Java, and back.
func rolling(t *testing.T, s *fleettest.Stage) {
	s.Feed()
	s.Phase("cold start together")
	java1, go1 := java(s, "java-1"), s.Go("go-1")
	s.AwaitShares(within, map[string]int{"java-1": 1, "go-1": 1})
	replace := func(phase string, old *stagetest.Process, start func() *stagetest.Process, now map[string]int) *stagetest.Process {
		s.Phase(phase)
		old.Signal(t, syscall.SIGTERM)
		p := start()
		s.AwaitShares(within, now)
		old.Wait(t, within)
		s.AwaitReading(within)
		return p
	}
	go2 := replace("java-1 replaced by go-2", java1, func() *stagetest.Process { return s.Go("go-2") }, map[string]int{"go-1": 1, "go-2": 1})
	java2 := replace("go-1 replaced by java-2", go1, func() *stagetest.Process { return java(s, "java-2") }, map[string]int{"java-2": 1, "go-2": 1})
	replace("go-2 replaced by java-3", go2, func() *stagetest.Process { return java(s, "java-3") }, map[string]int{"java-2": 1, "java-3": 1})
	replace("java-2 replaced by go-3", java2, func() *stagetest.Process { return s.Go("go-3") }, map[string]int{"java-3": 1, "go-3": 1})
	s.Finish(stagetest.Result{
		Part: "fleet", Pairing: "Java KCL 3.5.1 and Go together", Ran: "cold start at the same moment; rolling replacement under load, both ways",
	})
}

// daemon joins a Java MultiLangDaemon with Go children to a Go worker, and kills it with its children.
func daemon(t *testing.T, s *fleettest.Stage) {
	if fleettest.Baseline() {
		t.Skip("a daemon is no stand-in for a Java worker")
	}
	child := stagetest.Build(t, "./interop/childjava/modern")
	s.Feed()
	s.Go("go-1")
	s.AwaitShares(within, map[string]int{"go-1": 4})

	s.Phase("daemon joins under a Go leader")
	since := time.Now()
	p := s.Daemon("daemon-1", child)
	s.AwaitMove(within, since, "handed over", "go-1", "daemon-1")
	s.AwaitShares(within, map[string]int{"daemon-1": 1, "go-1": 1})
	s.AwaitReading(within)

	s.Phase("split and merge")
	s.SplitOne(within, "daemon-1")
	s.MergeAcross(within)
	s.AwaitReading(within)

	s.Phase("daemon and its children killed")
	p.KillGroup()
	s.AwaitShares(within, map[string]int{"go-1": 4})
	s.Finish(stagetest.Result{
		Part: "fleet", Pairing: "Java MultiLangDaemon 3.5.1 with Go children, and Go",
		Ran: "join, split and merge across owners, crash, under a Go leader",
	})
}
