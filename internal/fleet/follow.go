package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// followInterval is about how often a worker that does not lead looks whether the leader does its work. A lock that is held and
// renewed by somebody who assigns nothing would else silence shards without anybody saying so (the Java KCL's zombie
// leader, issue 1804 there). Rare, because it reads the whole table.
const followInterval = 5 * time.Minute

// follower is what a worker that does not lead remembers of the table. It is used by one goroutine.
type follower struct {
	next time.Time
	rows map[string]row // of the last look
}

// row is what changes when somebody works on a lease.
type row struct {
	owner, checkpointOwner string
	counter                int64
}

// follow names the leases that have not moved between two looks: nobody works on them, and the leader leaves it at that.
func (l *Leader) follow(ctx context.Context, f *follower) {
	now := time.Now()
	if f.next.IsZero() {
		f.next = now.Add(followInterval/2 + rand.N(followInterval/2))
	}
	if now.Before(f.next) {
		return
	}
	f.next = now.Add(followInterval*3/4 + rand.N(followInterval/4))
	snap, err := l.cfg.Store.Glance(ctx)
	if err != nil {
		return // no worker works then; the other loops say so
	}
	var problems []Problem
	rows := make(map[string]row, len(snap.Leases))
	listing := l.known()
	for _, s := range snap.Leases {
		if !listing.reads(s.StreamID) {
			continue
		}
		is := row{s.Owner, s.CheckpointOwner, s.Counter}
		rows[s.Key] = is
		if was, known := f.rows[s.Key]; known && was == is && !s.Ended() {
			problems = append(problems, l.problem(s.Key, now, fmt.Sprintf("nobody works on the lease, and %s does not assign it", l.whoLeads())))
		}
	}
	f.rows = rows
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = problems
}

func (l *Leader) whoLeads() string {
	if id := l.Leader(); id != "" {
		return fmt.Sprintf("the leader %q", id)
	}
	return "the leader, who is not known,"
}

// problem is one that concerns the lease of key.
func (l *Leader) problem(key string, since time.Time, what string) Problem {
	id, shard := SplitKey(key)
	p := Problem{Stream: id, Shard: shard, What: what, Since: since}
	for _, s := range l.streams() {
		if s.ID == id {
			p.Stream = s.Name
		}
	}
	return p
}

// SplitKey returns the stream's id, empty in a table of one stream, and the shard that a lease's key is made of.
func SplitKey(key string) (streamID string, shard stream.ShardID) {
	i := strings.LastIndexByte(key, ':')
	return key[:max(i, 0)], stream.ShardID(key[i+1:])
}
