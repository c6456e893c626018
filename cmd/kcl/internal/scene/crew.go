package scene

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// member is one worker of the scene, in this process or in one of its own.
type member struct {
	id        string
	ask, kill func()
	done      chan struct{} // closed when it is gone

	// The rest is guarded by Scene.mu.

	leaving string // why it goes; "": it stays
	gone    bool
	status  worker.Status
	runs    map[int64]*run
}

// run is one assignment of a member.
type run struct {
	shard stream.ShardID
	books *ledger.Run
}

// hire starts a worker. Ending ctx stops it, if it is in this process.
func (s *Scene) hire(ctx context.Context, id string) error {
	m := &member{id: id, done: make(chan struct{}), runs: map[int64]*run{}}
	var work func() error
	if s.cfg.Spawn == nil {
		working, stop := context.WithCancel(ctx)
		m.ask, m.kill = stop, stop
		w := Work{Kinesis: s.cfg.Kinesis, DynamoDB: s.cfg.DynamoDB, Stream: s.cfg.Stream, ID: id, LeaseDuration: s.cfg.LeaseDuration}
		work = func() error {
			defer stop()
			return w.run(working, func(_ context.Context, told message) error { s.hear(m, told); return nil })
		}
	} else {
		p, err := s.cfg.Spawn(id)
		if err != nil {
			return fmt.Errorf("start %s: %w", id, err)
		}
		m.ask, m.kill = p.Ask, p.Kill
		work = func() error { return s.follow(m, p) }
		s.tell("%s starts, process %d", id, p.Pid())
	}
	s.mu.Lock()
	s.crew = append(s.crew, m)
	s.mu.Unlock()
	go func() { // ends with the worker; dismiss waits for that
		defer close(m.done)
		s.left(m, work())
	}()
	return nil
}

// follow hears a process until it is gone.
func (s *Scene) follow(m *member, p Process) error {
	defer p.Close()
	said, acks := json.NewDecoder(p), json.NewEncoder(p)
	for {
		var told message
		err := said.Decode(&told)
		if err != nil { // the end; of a worker that was killed perhaps in the middle of a message, whose records come again
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				s.fault("%s is not understood: %v", m.id, err)
				m.kill()
			}
			return p.Wait()
		}
		if told.Ended {
			p.Close() // it waits for that
			continue
		}
		s.hear(m, told)
		if told.Number > 0 {
			_ = acks.Encode(ack{told.Number}) // if it is gone, the next Decode says so
		}
	}
}

// hear enters what a member tells.
func (s *Scene) hear(m *member, told message) {
	switch {
	case told.Begin != nil:
		s.begins(m, told.Run, *told.Begin)
	case told.End != 0:
		s.ends(m, told.Run, told.End)
	case told.Run != 0:
		s.mu.Lock()
		r := m.runs[told.Run]
		s.mu.Unlock()
		r.books.Deliver(told.Records, time.Now())
		s.read(r)
	case told.Status != nil:
		s.heardStatus(m, *told.Status)
	case told.Failed != "":
		s.mu.Lock()
		s.shardLocked(told.Failed).state = picture.Failing
		s.tellLocked(true, "%s failed on %s and starts again: %s", picture.Short(told.Failed), m.id, told.Text)
		s.mu.Unlock()
	case told.Text != "":
		s.mu.Lock()
		s.tellLocked(told.Bad, "%s: %s", m.id, told.Text)
		s.mu.Unlock()
	}
}

func (s *Scene) begins(m *member, number int64, a stream.Assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &run{shard: a.Shard, books: s.books.Begin(a.Shard)}
	m.runs[number] = r
	sh := s.shardLocked(a.Shard)
	if sh.owner != "" && sh.owner != m.id {
		sh.blame("taken from " + sh.owner) // which does not know it yet
	}
	sh.state, sh.owner, sh.run = picture.Reading, m.id, r
	if a.HashKeys.IsKnown() {
		sh.keys = a.HashKeys
	}
	s.tellLocked(false, "%s reads %s", m.id, picture.Short(a.Shard))
}

func (s *Scene) ends(m *member, number int64, why stream.EndReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := m.runs[number]
	delete(m.runs, number)
	sh := s.shardLocked(r.shard)
	switch why {
	case stream.ShardEnded:
		s.tellLocked(false, "%s is read to its end", picture.Short(r.shard))
	case stream.LeaseLost:
		s.tellLocked(false, "%s lost %s", m.id, picture.Short(r.shard))
	}
	if sh.run != r {
		return // another one reads it already
	}
	if why == stream.ShardEnded {
		sh.state = picture.Done
		return
	}
	cause := m.leaving
	switch {
	case cause != "":
	case why == stream.LeaseLost:
		cause = "lost by " + m.id
	default:
		cause = "passed on by " + m.id
	}
	sh.free(cause)
}

func (s *Scene) heardStatus(m *member, status worker.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status.Leading && !m.status.Leading && s.cfg.Workers > 1 {
		s.tellLocked(false, "%s leads", m.id)
	}
	m.status = status
	for _, told := range status.Shards {
		if sh := s.shardLocked(told.Shard); sh.owner == m.id {
			sh.behind, sh.known = told.Behind, told.BehindKnown
		}
	}
}

// left enters that a member is gone, whether it was meant to or not.
func (s *Scene) left(m *member, err error) {
	s.mu.Lock()
	m.gone = true
	leaving := m.leaving
	cause := leaving
	if cause == "" {
		cause = m.id + " ended"
	}
	for _, sh := range s.shards {
		if sh.owner == m.id && sh.state != picture.Done {
			sh.free(cause)
		}
	}
	s.mu.Unlock()
	switch {
	case leaving == "":
		s.fault("%s ended before its time: %v", m.id, err)
		if s.cfg.Spawn == nil {
			s.hopeless()
		}
	case err != nil && !strings.HasSuffix(leaving, killed):
		s.fault("%s ended with an error: %v", m.id, err)
	}
}

// killed ends the cause of what follows when a worker is killed.
const killed = " was killed"

// leave notes why a member is about to go and returns the member, nil if there is none that stays.
func (s *Scene) leave(id, why string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.crew {
		if m.id != id || m.leaving != "" || m.gone {
			continue
		}
		m.leaving = id + why
		var read []stream.ShardID
		for _, sh := range s.shards {
			if sh.owner == id && sh.state != picture.Done {
				read = append(read, sh.id)
				sh.blame(m.leaving)
			}
		}
		text := m.leaving
		if m.status.Leading {
			text += "; it was the leader"
		}
		if len(read) > 0 {
			text += "; it read " + names(read)
		}
		s.tellLocked(false, "%s", text)
		return m
	}
	return nil
}

// await waits until a member is gone, and kills it if it takes too long or ctx ends.
func (s *Scene) await(ctx context.Context, m *member) {
	select {
	case <-m.done:
		return
	case <-time.After(drainTimeout + 5*time.Second):
		s.fault("%s does not end and is killed", m.id)
	case <-ctx.Done():
	}
	m.kill()
	<-m.done
}

// dismiss stops all members and waits for them.
func (s *Scene) dismiss(ctx context.Context) {
	s.mu.Lock()
	crew := append([]*member(nil), s.crew...)
	for _, m := range crew {
		if m.leaving == "" && !m.gone {
			m.leaving = m.id + " was stopped"
		}
	}
	s.mu.Unlock()
	for _, m := range crew {
		m.ask()
	}
	for _, m := range crew {
		s.await(ctx, m)
	}
}
