// Package local is Amazon Kinesis and DynamoDB in one Go package, as far as the Kinesis Client Libraries use them, for
// tests, demos and laptops. It needs no account, no Docker and no network.
//
// # In a test
//
// Start serves on a loopback port until the test ends, and AWSConfig points an SDK client at it:
//
//	func TestConsumer(t *testing.T) {
//		srv := local.Start(t)
//		client := kinesis.NewFromConfig(srv.AWSConfig())
//		srv.CreateStream("orders", 4)
//		...
//	}
//
// New makes a server that listens nowhere. Its HTTPClient calls it directly, without sockets, so it also works inside a
// testing/synctest bubble, where time is fake: iterators expire, records leave the retention period and throughput
// limits refill without waiting.
//
//	srv := local.New(local.Config{EnforceLimits: true})
//	client := kinesis.NewFromConfig(srv.AWSConfig())
//
// A Server is an http.Handler. Serve and ServeTLS put it on a listener with HTTP/1.1 and HTTP/2, in plain text by prior
// knowledge or under TLS, which the AWS SDKs for Java and JavaScript need.
//
// # What is served
//
// Every request goes to the same path; X-Amz-Target says what it is.
//
//   - Kinesis in JSON and in CBOR, which the SDK for Java uses by default: streams (provisioned and on-demand), shards
//     with ListShards and its filters, splits, merges and UpdateShardCount, PutRecord and PutRecords, all kinds of shard
//     iterators, GetRecords, tags, retention, encryption by name only, enhanced monitoring by name only, registered
//     consumers, and SubscribeToShard as an event stream.
//   - DynamoDB in JSON: tables, secondary indexes that may lag, items with expressions and with the legacy conditions
//     that the Java library writes, queries, scans, transactions.
//   - CloudWatch PutMetricData, which is accepted and forgotten, and STS GetCallerIdentity.
//
// Signatures and permissions are not checked: any credentials will do. Everything is in memory; records are kept for
// the stream's retention period, 24 hours unless changed, so a long-running server needs memory for what is put in that
// time.
//
// # Faithfulness
//
// Sequence numbers have the layout of the service: 56 digits, increasing within a shard, greater in a child than in its
// parent. A split or merge closes the parents in the same instant in which the children open. GetRecords ends a shard
// exactly as the service does: no next iterator, and child shards that name their parents, in the answer that reaches
// the end, and in no other. MillisBehindLatest is zero only at the tip. A sequence number that has left the retention
// period counts as the trim horizon. Errors carry the code and HTTP status of the service.
//
// With Config.EnforceLimits each shard takes 1,000 records and 1 MiB a second, and gives 5 answers and 2 MiB a second,
// as the service does; otherwise there are no limits, and the server is made to be faster than its clients.
//
// # Faults
//
// Intercept makes chosen calls fail: with an error, late, without an answer though the work was done, or not until
// released. A Rule can single out one caller by its application ID, so one worker of several can be cut off:
//
//	heal := srv.Intercept(local.Rule{Caller: "worker-2", Effect: local.Effect{LoseRequest: true}})
//	defer heal()
//
// # Concurrency
//
// All methods may be called at any time from any goroutine. A Server starts no goroutine of its own, except while Serve
// or ServeTLS run, and one for each request made through HTTPClient.
package local
