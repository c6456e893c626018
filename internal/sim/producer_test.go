package sim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/stream"
)

// producer puts records, plain ones and aggregates, as the Kinesis Producer Library does: what belongs to one shard shares a
// record, as far as it knows the shards; what a reshard has made strays is put again.
type producer struct {
	w     *world
	r     *rand.Rand
	count int                        // of records so far
	open  map[string][]shardKeys     // the shards that it thinks are open
	again map[string][]stream.Record // the strays of each stream
}

type shardKeys struct {
	id   stream.ShardID
	keys stream.HashKeyRange
	open bool
}

// parcel is a record of the service.
type parcel struct {
	record stream.Record   // as it is put
	at     string          // the explicit hash key, if any
	users  []stream.Record // what it holds; nil if it is delivered as it is
}

func newProducer(w *world) *producer {
	return &producer{w: w, r: w.rand(1_000_000), open: map[string][]shardKeys{}, again: map[string][]stream.Record{}}
}

// run puts records until stop, a few at a time.
func (p *producer) run(stop <-chan struct{}) {
	w := p.w
	time.Sleep(w.plan.create)
	for i := range w.plan.burst {
		w.put(w.plan.names()[0], []parcel{{record: stream.Record{Data: make([]byte, 256<<10), PartitionKey: fmt.Sprint(i)}}})
	}
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(100+p.r.IntN(900)) * time.Millisecond):
		}
		streams := w.reading()
		name := streams[p.r.IntN(len(streams))]
		if w.ledger.closed() {
			continue
		}
		var parcels []parcel
		for range 1 + p.r.IntN(w.plan.rate) {
			parcels = append(parcels, p.parcel(name))
		}
		for i, on := range w.put(name, parcels) {
			p.landed(name, parcels[i], on)
		}
	}
}

func (p *producer) record() stream.Record {
	p.count++
	return stream.Record{PartitionKey: fmt.Sprint(p.r.IntN(1000)), Data: fmt.Appendf(nil, "%0*d", p.w.plan.size, p.count)}
}

// parcel makes the next record of the service: every fourth is an aggregate.
func (p *producer) parcel(name string) parcel {
	if p.open[name] == nil {
		p.open[name] = slices.DeleteFunc(p.w.shards(name), func(s shardKeys) bool { return !s.open })
	}
	strays := p.again[name]
	if len(p.open[name]) == 0 || len(strays) == 0 && p.r.IntN(4) != 0 {
		return parcel{record: p.record()}
	}
	home := p.open[name][p.r.IntN(len(p.open[name]))]
	if len(strays) > 0 {
		for _, s := range p.open[name] {
			if s.keys.Contains(hashKeyOf(strays[0])) {
				home = s
			}
		}
	}
	careless := p.r.IntN(8) == 0 // it does not look where its records belong
	var users []stream.Record
	p.again[name] = slices.DeleteFunc(strays, func(r stream.Record) bool {
		fits := len(users) < 4 && home.keys.Contains(hashKeyOf(r))
		if fits {
			users = append(users, r)
		}
		return fits
	})
	for tries := 0; tries < 1000 && len(users) < 2+tries%4; tries++ {
		r := p.record()
		if p.r.IntN(4) == 0 {
			r.ExplicitHashKey = []stream.HashKey{home.keys.First, home.keys.Last}[p.r.IntN(2)].String()
		}
		if careless || home.keys.Contains(hashKeyOf(r)) {
			users = append(users, r)
		}
	}
	out := parcel{record: stream.Record{Data: aggregate.Append(nil, users), PartitionKey: "a"}, at: home.keys.First.String(), users: users}
	if p.r.IntN(16) == 0 { // damaged on the way: delivered whole
		out.record.Data[len(out.record.Data)-1-p.r.IntN(len(out.record.Data)-4)] ^= 1
		p.again[name] = append(p.again[name], users...)
		out.users = nil
	}
	return out
}

// landed takes in where an aggregate came to.
func (p *producer) landed(name string, sent parcel, on shardKeys) {
	if sent.users == nil {
		return
	}
	if !slices.ContainsFunc(p.open[name], func(s shardKeys) bool { return s.id == on.id }) {
		p.open[name] = nil // it has learned that the stream was resharded
	}
	for _, r := range sent.users {
		if !on.keys.Contains(hashKeyOf(r)) {
			p.again[name] = append(p.again[name], r)
		}
	}
}

// put puts records of the service, notes what is to be delivered, and returns the shard that each came to; none if the stream
// is not there.
func (w *world) put(name string, parcels []parcel) []shardKeys {
	in := &kinesis.PutRecordsInput{StreamName: aws.String(name)}
	for _, p := range parcels {
		e := types.PutRecordsRequestEntry{Data: p.record.Data, PartitionKey: aws.String(p.record.PartitionKey)}
		if p.at != "" {
			e.ExplicitHashKey = aws.String(p.at)
		}
		in.Records = append(in.Records, e)
	}
	out, err := w.kin.PutRecords(w.t.Context(), in)
	var absent *types.ResourceNotFoundException
	if err != nil && !slices.Contains(w.reading(), name) || w.plan.listed && errorsAs(err, &absent) {
		return nil // deleted at this moment, or being created
	}
	w.must(err)
	var on []shardKeys
	for i, rec := range out.Records {
		s := shardKeys{id: stream.ShardID(aws.ToString(rec.ShardId))}
		if parcels[i].users != nil {
			var ok bool
			if s, ok = w.shard(name, s.id); !ok {
				return nil // deleted at this moment
			}
		}
		on = append(on, s)
		records, strays := parcels[i].arrived(s, stream.SequenceNumber(aws.ToString(rec.SequenceNumber)))
		w.ledger.wasPut(shardID{name, s.id}, records, strays)
	}
	return on
}

// arrived returns what processors are to get of a record, and what not.
func (p parcel) arrived(on shardKeys, seq stream.SequenceNumber) (records, strays []stream.Record) {
	p.record.Position.Sequence = seq
	if p.users == nil {
		return []stream.Record{p.record}, nil
	}
	for i, r := range p.users {
		r.Position = stream.Position{Sequence: seq, Sub: int64(i)}
		if on.keys.Contains(hashKeyOf(r)) {
			records = append(records, r)
		} else {
			strays = append(strays, r)
		}
	}
	return records, strays
}

// hashKeyOf is where a record belongs.
func hashKeyOf(r stream.Record) stream.HashKey {
	if k, err := stream.ParseHashKey(r.ExplicitHashKey); err == nil {
		return k
	}
	return stream.HashKeyOf(r.PartitionKey)
}

// shard returns what is known of a shard; nothing if its stream is not there any more.
func (w *world) shard(name string, id stream.ShardID) (shardKeys, bool) {
	w.mu.Lock()
	s, ok := w.keys[shardID{name, id}]
	w.mu.Unlock()
	if ok {
		return s, true
	}
	w.shards(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok = w.keys[shardID{name, id}]
	return s, ok
}

// shards lists the shards of a stream, open and closed; none while there is no such stream.
func (w *world) shards(name string) (list []shardKeys) {
	in := &kinesis.ListShardsInput{StreamName: aws.String(name)}
	for {
		out, err := w.kin.ListShards(w.t.Context(), in)
		var absent *types.ResourceNotFoundException
		if w.busy(err) || errors.As(err, &absent) {
			return nil
		}
		w.must(err)
		for _, s := range out.Shards {
			keys, err := stream.ParseHashKeyRange(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
			w.must(err)
			sk := shardKeys{stream.ShardID(*s.ShardId), keys, s.SequenceNumberRange.EndingSequenceNumber == nil}
			w.mu.Lock()
			w.keys[shardID{name, sk.id}] = sk
			w.mu.Unlock()
			list = append(list, sk)
		}
		if out.NextToken == nil {
			return list
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}
