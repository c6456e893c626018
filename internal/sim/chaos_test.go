package sim_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/stream"
)

// chaos lets things happen for a while.
func (w *world) chaos() {
	until := time.Now().Add(w.plan.span)
	for {
		wait := 500*time.Millisecond + time.Duration(w.r.Int64N(int64(w.plan.every)))
		if time.Now().Add(wait).After(until) {
			time.Sleep(time.Until(until))
			return
		}
		time.Sleep(wait)
		w.happen()
	}
}

// happen is one thing that happens.
func (w *world) happen() {
	n := w.pick()
	if n == nil {
		w.add(w.newID())
		return
	}
	switch w.r.IntN(24) {
	case 0, 1:
		n.kill("now")
	case 2, 3: // between any two requests, or between a request and its reply
		w.ledger.note("%s has a fuse", n)
		fuse := 1 + w.r.IntN(40)
		n.net.set(func(net *network) { net.fuse = fuse })
	case 4: // a restart under the same id, with requests of the old process still on their way
		n.kill("to be started anew")
		w.add(n.id)
	case 5, 6: // a rolling restart
		if w.r.IntN(2) == 0 {
			w.layOut()
		}
		w.leave(n)
		w.add(w.newID())
	case 7, 8:
		w.cut(n)
	case 9, 10:
		if d := time.Duration(2+w.r.IntN(35)) * time.Second; n.frozen() == nil {
			n.freeze(d)
		}
	case 11:
		w.storm()
	case 12, 13, 14:
		w.reshard()
	case 15, 16: // whoever ends a shard next dies at it
		a := &ambush{at: w.r.IntN(3), fate: []fate{diesBefore, diesAfter}[w.r.IntN(2)]}
		w.ledger.note("ambush: %s", a)
		w.ambush.Store(a)
		w.reshard()
	case 17:
		if w.plan.streams > 1 && len(w.reading()) > 1 {
			w.deleteStream()
		}
	case 18, 19: // whoever takes a lease next freezes before anybody else sees that it has
		w.layOut()
		for _, other := range w.running() {
			if !other.leads.Load() {
				n = other
			}
		}
		w.leave(n) // somebody takes its leases, under the eyes of the leader
		w.add(w.newID())
	case 20:
		w.changeList()
	default:
		if w.births < w.plan.most {
			w.add(w.newID())
		}
	}
}

// leave asks a worker to stop.
func (w *world) leave(n *node) {
	w.disturbed(n, "is to leave", 0)
	n.stop()
	w.lay(n)
}

// cut separates one worker from the services for a while, or from one of them. Every other time its replies become slow first.
func (w *world) cut(n *node) {
	slow := 10 * time.Second * time.Duration(w.r.IntN(2))
	d := slow + time.Duration(1+w.r.IntN(30))*time.Second
	only := []string{"", "", dynamo, streams}[w.r.IntN(4)]
	w.disturbed(n, fmt.Sprintf("has slow replies for %v and is then cut off from %s until %v have passed", slow, cmp.Or(only, "both services"), d), d)
	n.disturb.Store(true)
	now := time.Now()
	n.net.set(func(net *network) {
		net.slowFrom, net.cutFrom, net.cutUntil, net.cutOnly = now, now.Add(slow), now.Add(d), only
	})
}

// snare freezes the next worker that takes a lease although it has others. These expire first, so that it seems to be dead while it
// trusts the one that it took. It does not lead: the leader is to look on.
type snare struct{ after, d time.Duration }

func (w *world) layOut() {
	s := &snare{after: time.Duration(w.r.IntN(600)) * time.Millisecond, d: time.Duration(9+w.r.IntN(9)) * time.Second}
	w.ledger.note("snare: %v after a lease is taken, for %v", s.after, s.d)
	w.snare.Store(s)
}

// spring is called when a worker has taken a lease.
func (w *world) spring(n *node) {
	s := w.snare.Load()
	if s == nil || n.isDead() || n.leads.Load() {
		return
	}
	others := slices.ContainsFunc(slices.Collect(maps.Values(w.ledger.believed(n))), func(d time.Duration) bool { return d > leaseDuration/3 })
	if !others || !w.snare.CompareAndSwap(s, nil) {
		return
	}
	w.ledger.note("the snare catches %s", n)
	go func() { // ends by itself
		time.Sleep(s.after)
		if !n.isDead() && n.frozen() == nil {
			n.freeze(s.d)
		}
	}()
}

// mostStreams bounds how many are created.
const mostStreams = 5

// changeList creates a stream, or takes one out of the list for a while.
func (w *world) changeList() {
	if !w.plan.listed {
		return
	}
	w.mu.Lock()
	all, hidden := len(w.named), len(w.hidden)
	w.mu.Unlock()
	open := w.reading()
	switch name := open[w.r.IntN(len(open))]; {
	case hidden > 0:
		w.listAgain()
	case all < mostStreams && w.r.IntN(2) == 0:
		name = fmt.Sprintf("s%d", all)
		w.disturbed(nil, fmt.Sprintf("stream %s is created", name), w.plan.create+2*listInterval)
		w.createStream(name)
	default:
		w.mu.Lock()
		w.hidden = append(w.hidden, name)
		w.mu.Unlock()
		w.ledger.note("stream %s is not listed any more", name)
	}
}

// listAgain puts the streams that were taken out of the list into it again.
func (w *world) listAgain() {
	w.mu.Lock()
	hidden := w.hidden
	w.hidden = nil
	w.mu.Unlock()
	if len(hidden) > 0 {
		w.disturbed(nil, fmt.Sprintf("streams %v are listed again", hidden), 2*listInterval)
	}
}

// storm throttles the whole table for a while, for everybody.
func (w *world) storm() {
	d := time.Duration(2+w.r.IntN(20)) * time.Second
	w.disturbed(nil, fmt.Sprintf("the table is throttled for %v", d), d)
	w.stormUntil.Store(time.Now().Add(d).UnixNano())
}

func (w *world) stormy() bool { return time.Now().UnixNano() < w.stormUntil.Load() }

func (w *world) deleteStream() {
	open := w.reading()
	name := open[w.r.IntN(len(open))]
	w.ledger.note("stream %s is deleted", name)
	w.mu.Lock()
	w.deleted = append(w.deleted, name)
	w.mu.Unlock()
	_, err := w.kin.DeleteStream(w.t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String(name), EnforceConsumerDeletion: aws.Bool(true)})
	if w.busy(err) {
		w.mu.Lock()
		w.deleted = slices.DeleteFunc(w.deleted, func(d string) bool { return d == name })
		w.mu.Unlock()
		return
	}
	w.must(err)
	w.ledger.wasDeleted(name)
}

// reshard splits an open shard or merges two neighbours, whichever comes.
func (w *world) reshard() {
	streams := w.reading()
	name := streams[w.r.IntN(len(streams))]
	shards := w.openShards(name)
	if len(shards) > 1 && w.r.IntN(2) == 0 {
		for _, a := range shards {
			for _, b := range shards {
				if next(aws.ToString(a.HashKeyRange.EndingHashKey)) == aws.ToString(b.HashKeyRange.StartingHashKey) {
					w.merge(name, a, b)
					return
				}
			}
		}
	}
	if len(shards) > 0 {
		w.split(name, shards[w.r.IntN(len(shards))])
	}
}

func (w *world) openShards(name string) []types.Shard {
	in := &kinesis.ListShardsInput{StreamName: aws.String(name), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}}
	var all []types.Shard
	for {
		out, err := w.kin.ListShards(w.t.Context(), in)
		if w.busy(err) { // the stream is being created
			return nil
		}
		w.must(err)
		all = append(all, out.Shards...)
		if out.NextToken == nil {
			return all
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

func (w *world) merge(name string, a, b types.Shard) {
	w.ledger.note("merge %s %s and %s", name, *a.ShardId, *b.ShardId)
	_, err := w.kin.MergeShards(w.t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String(name),
		ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId})
	if w.busy(err) {
		return
	}
	w.must(err)
	w.closed(name, a, b)
}

func (w *world) split(name string, s types.Shard) {
	w.ledger.note("split %s %s", name, *s.ShardId)
	_, err := w.kin.SplitShard(w.t.Context(), &kinesis.SplitShardInput{StreamName: aws.String(name), ShardToSplit: s.ShardId,
		NewStartingHashKey: aws.String(middle(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey))})
	if w.busy(err) {
		return
	}
	w.must(err)
	w.closed(name, s)
}

// closed tells the ledger of a reshard.
func (w *world) closed(name string, parents ...types.Shard) {
	ids := make([]shardID, len(parents))
	for i, p := range parents {
		ids[i] = shardID{name, stream.ShardID(*p.ShardId)}
	}
	w.ledger.wereClosed(ids)
	for _, s := range w.openShards(name) {
		var of []stream.ShardID
		for _, id := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			if id != nil {
				of = append(of, stream.ShardID(*id))
			}
		}
		w.ledger.wasBorn(shardID{name, stream.ShardID(*s.ShardId)}, of...)
	}
}

// busy reports whether a reshard was refused because the one before is still under way.
func (w *world) busy(err error) bool {
	var inUse *types.ResourceInUseException
	return errorsAs(err, &inUse)
}

// next returns the key after one; nothing follows the last.
func next(key string) string {
	k, _ := stream.ParseHashKey(key)
	if k == stream.MaxHashKey {
		return ""
	}
	return k.Next().String()
}

// middle returns a key between two, which are at least two apart.
func middle(a, b string) string {
	first, _ := stream.ParseHashKey(a)
	last, _ := stream.ParseHashKey(b)
	hi, lo := first.Hi/2+last.Hi/2, first.Lo/2+last.Lo/2
	if hi == first.Hi && lo <= first.Lo {
		return last.String()
	}
	return stream.HashKey{Hi: hi, Lo: lo}.String()
}
