package scene

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// act is one thing that happens while records flow.
type act struct {
	at float64 // of the duration
	do func(context.Context, *rand.Rand) error
}

// acts are what happens, in the order of time.
func (s *Scene) acts() []act {
	switch {
	case s.cfg.Calm:
		return []act{{0, s.assemble}}
	case s.cfg.Workers == 1:
		return []act{{0.28, s.split}, {0.55, s.merge}}
	}
	return []act{{0, s.assemble}, {0.15, s.split}, {0.33, s.killOne}, {0.55, s.replaceOne}, {0.68, s.restartOne}, {0.85, s.merge}}
}

// direct lets things happen until feeding ends. What was begun is finished, unless ctx ends.
func (s *Scene) direct(ctx, feeding context.Context) error {
	random := rand.New(rand.NewPCG(s.cfg.Seed, 1))
	for _, a := range s.acts() {
		select {
		case <-feeding.Done():
			return nil
		case <-time.After(time.Until(s.beginning().Add(time.Duration(a.at * float64(s.cfg.Duration))))):
		}
		if err := a.do(ctx, random); err != nil {
			return err
		}
	}
	return nil
}

// leadTime is how long the first worker may take to lead.
const leadTime = 3 * time.Second

// assemble starts the other workers when the first one leads, so that it is not the leader who is killed later: how long
// that takes is a matter of the leader's own lease, and not what is to be shown.
func (s *Scene) assemble(ctx context.Context, _ *rand.Rand) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !s.leads(toRestart) && time.Since(began) < leadTime; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	for n := 2; n <= s.cfg.Workers; n++ {
		if err := s.hire(ctx, fmt.Sprint("worker-", n)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scene) leads(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.crew {
		if m.id == id {
			return m.status.Leading
		}
	}
	return false
}

// The workers to which things happen. The first one leads.
const (
	toKill    = "worker-2"
	toRestart = "worker-1"
)

// killOne kills a worker without warning.
func (s *Scene) killOne(ctx context.Context, _ *rand.Rand) error {
	m := s.leave(toKill, killed)
	if m == nil {
		return fmt.Errorf("there is no %s to kill", toKill)
	}
	m.kill()
	s.await(ctx, m)
	return nil
}

// replaceOne starts a worker in place of the one that was killed, under a new id as a new container would have.
func (s *Scene) replaceOne(ctx context.Context, _ *rand.Rand) error { return s.hire(ctx, toKill+".2") }

// restartOne asks a worker to end, waits for that, and starts another in its place.
func (s *Scene) restartOne(ctx context.Context, _ *rand.Rand) error {
	m := s.leave(toRestart, " is restarted")
	if m == nil {
		return fmt.Errorf("there is no %s to restart", toRestart)
	}
	m.ask()
	s.await(ctx, m)
	return s.hire(ctx, toRestart+".2")
}
