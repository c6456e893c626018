// Package fetch reads one shard from a position, in order and without gaps, as fast as the service and the receiver allow.
//
//	iterator ─► pace ─► budget ─► GetRecords ─► budget ─► body ─► split aggregates ─► drop up to the checkpoint ─► channel
//	    ▲                 ▲                        │                                                       │
//	    │                 └── no room: not read ◄──┘                                                       │
//	    └── expired or refused: opened again behind the last page sent ◄───────────────────────────────────┘
//
// Guarantees of [Poll], and of [Subscribe], which reads by enhanced fan-out:
//
//   - What it sends is every record behind [Config.From] that the shard holds, each once, in order, whatever fails on the way.
//     Before the first record it reads again AT the checkpoint, or from the time when LATEST was first asked for.
//   - One page waits while the receiver works on another, and no more than that. The channel need not be buffered.
//   - The record data that is being received, waits, or is worked on is counted in a [Budget] that all shards of a process
//     share. No answer is read before there is room for all of it.
//   - Sub-records of aggregates that belong to other shards are left out, because their producer sends them again (the Java
//     KCL drops the whole aggregate in that case), but only once the service has said that the stream's records are distributed
//     by their keys at all: with strategy AUTO, and in doubt, everything is delivered.
//   - Every failure is told to [Config.Failed], and tried again at a pace that fits it. Only a stream that is gone ends it.
//   - The end of a shard is a property of one answer: no next iterator, together with children that name their parents.
//     Where a server leaves the children out, and does so again, they are taken from the list of shards instead, in which
//     an open shard has none. That a shard is not found is its end only where the list lacks it, too.
//
// # Pace
//
// A shard gives 5 answers and 2 MiB a second to all who read it. While it is behind, Poll keeps just within both; at the
// tip it reads each [Config.Idle], and while it finds nothing there each wait is a tenth longer than the last, up to one
// second: with the default of 250 ms a shard that is silent for 10 s is read once a second, and a single record put then
// is seen after half a second on average. The first record brings the short wait back. All waits have up to a tenth of
// jitter, so that many shards do not ask in step.
//
// # Many shards
//
// Before a call, room is reserved for what its answer will probably take: a little more than the last one did, at least 8 KiB,
// which holds the answers at a quiet tip. So the shards at the tip do not wait for one another, a thousand of them take 8 MiB
// of the budget, and a thousand that are far behind as many whole answers at a time as fit. When an answer begins, the rest of
// what it takes is reserved, before its body is read. If there is no room, the body stays where it is: for 5 s, and of up to
// 16 shards at a time. What does not get room by then is given up with its connection, and asked for again when there is room
// for all of it; the service has counted it against the shard's 2 MiB a second, and so does the pace. A worker that starts
// far behind on hundreds of shards does that once with most of them.
//
// So blocked receivers hold pages within the budget, and beside it 16 times what a connection buffers: 512 KiB by HTTP/2,
// 4 KiB and the kernel's buffers by HTTP/1.1.
//
// Where the Client has the SDK's own kind of HTTP client, polling has connections of its own, of the same settings: by HTTP/2
// one for as many calls as the server allows on it, usually 100 or more; by HTTP/1.1 up to 128, each for one call at a time,
// which are kept until they are idle for 90 s. That is enough for 1,000 shards at the tip while calls take under 100 ms.
//
// # Subscriptions
//
//	consumer ─► subscribe ─► prelude of a frame ─► budget ─► rest of it ─► as above ─► channel
//	               ▲                                                        │
//	               ├── renewed at 4½ minutes: the new one takes over, what both bring is dropped once
//	               └── ended, broken, silent, taken away, not taken: again behind what was delivered ◄──┘
//
// One goroutine reads a subscription, frame by frame, and only what there is room for. It begins AT the checkpoint until
// something behind it came, then behind the last record or the continuation number, whichever is further; that number moves
// on idle shards, too. Calls for one shard are a second apart, and five behind one that succeeded, as the service demands
// of all readers with one consumer. A subscription that is taken away waits longer each time, so that the former owner
// of a shard does not fight with the new one.
//
// A page that nobody takes, or for which there is no room, costs the subscription after [FanOut.Patience]: what the service
// has sent ahead is given up and comes again. So blocked receivers hold pages within the budget and nothing else.
//
// Where fan-out is refused for good, Subscribe goes on as Poll from where it stands. See [Consumers].
//
// # What is elsewhere
//
// This package does not decide what becomes of records, and knows nothing of leases. Answers are decoded by package decode,
// not by the SDK, which still signs and sends the requests and reads refusals; so are the events of subscriptions, and what is
// made of them does not depend on how they came. The memory that an answer was received in is the one its records lie in, and
// is in the budget as a whole.
package fetch
