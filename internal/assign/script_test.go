package assign_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/internal/script"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

func TestScripts(t *testing.T) {
	script.Run(t, "testdata", func(t *testing.T) func(script.Command) string {
		s := newSim(assign.Config{})
		return func(c script.Command) string { return s.do(t, c) }
	})
}

// do carries out one command:
//
//	config [by-count] [no-handoff] [me=a] [max-leases=3] [max-kib=500]
//	join a b [cpu=40]            workers that report; cpu is in percent
//	worker a b [dead|silent|idle|stubborn|well|forgotten] [cpu=40] [clock=-10m] [ignores=s0]
//	lease s0 s1 [owner=a] [to=b] [kib=100] [ended] [gone]
//	new-leader                   one that has seen nothing
//	look                         the leader looks, plans and writes
//	run 30s                      workers work, the leader looks every 2 s
//	leave a                      its leases go by its own plan, then it is dead
//	show
func (s *sim) do(t *testing.T, c script.Command) string {
	number := func(key string, otherwise float64) float64 {
		text, ok := c.Option(key)
		if !ok {
			return otherwise
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s: %v", c.Pos, err)
		}
		return v
	}
	switch c.Name {
	case "config":
		me, _ := c.Option("me")
		s.cfg = assign.Config{Me: me, ByCount: c.Has("by-count"), NoHandoff: c.Has("no-handoff"),
			MaxLeases: int(number("max-leases", 0)), MaxThroughput: number("max-kib", 0)}
	case "join", "worker":
		s.setWorkers(t, c, number)
	case "lease":
		s.setLeases(c, number)
	case "new-leader":
		s.obs = assign.Observation{}
	case "look":
		p := s.look()
		out := s.takeLog()
		if len(p.Unplaced) > 0 {
			out += fmt.Sprintf("\nno room for %s", strings.Join(p.Unplaced, " "))
		}
		return out + fmt.Sprintf("\ncandidates %v", p.Candidates)
	case "run":
		d, err := time.ParseDuration(c.Args[0])
		if err != nil {
			t.Fatalf("%s: %v", c.Pos, err)
		}
		s.run(d)
		return s.takeLog()
	case "leave":
		me := c.Args[0]
		s.workers[me].report = lease.Worker{}
		s.write(s.cfg.Leave(s.cfg.Observe(assign.Observation{}, s.snapshot(), s.now, s.now), me).Moves)
		s.workers[me].dead = true
		return s.takeLog()
	case "show":
		return s.show()
	default:
		t.Fatalf("%s: unknown command %s", c.Pos, c.Name)
	}
	return ""
}

func (s *sim) setWorkers(t *testing.T, c script.Command, number func(string, float64) float64) {
	states := "dead silent idle stubborn well forgotten"
	for _, id := range c.Words() {
		if strings.Contains(states, id) && len(id) > 1 {
			continue
		}
		if c.Name == "join" {
			s.join(id)
		}
		w := s.workers[id]
		if c.Has("well") {
			*w = worker{cpu: w.cpu, report: w.report, sentAt: w.sentAt}
		}
		w.dead = w.dead || c.Has("dead")
		w.silent = w.silent || c.Has("silent")
		w.idle = w.idle || c.Has("idle")
		w.stubborn = w.stubborn || c.Has("stubborn")
		w.cpu = number("cpu", w.cpu)
		w.ignores, _ = c.Option("ignores")
		if text, ok := c.Option("clock"); ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatalf("%s: %v", c.Pos, err)
			}
			w.clock = d
		}
		if c.Name == "join" {
			s.sendReport(id, w)
		}
		if c.Has("forgotten") {
			w.report = lease.Worker{}
		}
	}
}

func (s *sim) setLeases(c script.Command, number func(string, float64) float64) {
	for _, key := range c.Words() {
		if key == "ended" || key == "gone" {
			continue
		}
		l := s.leases[key]
		if l == nil {
			l = s.add(key, "", -1)
		}
		if owner, ok := c.Option("owner"); ok {
			l.Owner = owner
		}
		if to, ok := c.Option("to"); ok {
			l.CheckpointOwner, l.Owner = l.Owner, to
		}
		if kib := number("kib", -1); kib >= 0 {
			l.Throughput, l.ThroughputKnown = kib, true
		}
		if c.Has("ended") {
			l.Checkpoint = stream.ShardEnd
		}
		if c.Has("gone") {
			delete(s.leases, key)
		}
	}
}
