// Package dynamo is the DynamoDB half of the embedded services: tables, items, indexes and transactions in memory,
// with the API, the error texts and the capacity arithmetic of DynamoDB's 2012-08-10 protocol.
//
// # Flow
//
//	JSON body ──parse──▶ node ──decode──▶ request ──check──▶ plan ──under the table's lock──▶ rows, indexes ──▶ JSON
//	                                                    │
//	                             expressions (cached AST + this request's names and values)
//
// [Engine.Handle] takes one operation from its JSON body to its JSON answer. Reading the body and checking it happen
// without any lock; a table's own lock is held only while rows are read or replaced. A transaction locks its tables in
// the order of their names.
//
// # What it promises
//
//   - An item is never changed in place: a write replaces the row's item by a new one, so an answer may be encoded
//     after the lock is gone and no reader sees half a write.
//   - A conditional write is atomic, and every condition form of the API is understood: ConditionExpression, Expected
//     with and without ComparisonOperator, and ReturnValuesOnConditionCheckFailure with either of them.
//   - Numbers are exact decimals of 38 digits; they are answered in plain notation.
//   - A global index trails its table by [Options.IndexLag]. Nothing runs in the background for it: each change carries
//     the time of its write, and a read applies those that are old enough. Time comes from time.Now, so a
//     testing/synctest bubble moves it.
//   - Tables and indexes stay CREATING for [Options.CreateDelay], judged the same way, on demand.
//   - Consumed capacity is computed as AWS documents it: writes in units of 1 KiB of the larger of the old and the new
//     item, plus what each index needs; reads in units of 4 KiB, half when eventually consistent, double in
//     transactions.
//
// # What it does not do
//
// PartiQL, streams, backups and restore, global tables, imports and exports, Kinesis destinations, and deletion of
// expired items (the time-to-live settings are kept and answered). Provisioned throughput is recorded and never
// enforced; the façade injects throttling. CONFORMANCE.md in this directory lists what the public conformance suite
// says about it.
package dynamo
