// Package dynamolease keeps leases in DynamoDB, in the format of the Java KCL 3.5: workers in Go and in Java may share one
// application and one table, take over from each other and hand shards to each other.
//
//	store, err := dynamolease.New(dynamolease.Config{Client: dynamodb.NewFromConfig(cfg), Application: "orders"})
//
// [Store] implements [lease.Store] for package worker. [Store.Setup] creates what a new application needs; a tool that only
// looks at an application goes without.
//
// # The table
//
// There is one table for each application, with the string leaseKey as its key. It holds several families of items, which
// entityType tells apart:
//
//	item               leaseKey                       entityType                there is
//	lease              shard id, or stream id:shard   LEASE, or none at all     one for each shard
//	leader's lock      Leader                         LEADER                    one while somebody leads
//	worker's report    the worker's name              WORKER_METRIC_STATS       one for each worker
//	client version     Migration3.0                   CLIENT_VERSION_MIGRATION  one
//	single-table state TableMigration3.5              TABLE_MIGRATION           only after a move from KCL 3.0 to 3.4
//	stream             stream id                      STREAM                    written by Java workers on request
//
// Items of types that this version does not know are left alone, and so are attributes.
//
// The attributes of a lease:
//
//	leaseOwner                    worker that owns it, or the next one during a handoff; absent: unassigned
//	checkpointOwner               during a handoff, the worker that finishes
//	leaseCounter                  rises with each sign of life; expired is what has not risen for the lease duration
//	ownerSwitchesSinceCheckpoint  for people to look at
//	checkpoint                    sequence number from behind which to read on, or TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END
//	checkpointSubSequenceNumber   the place inside an aggregated record
//	pendingCheckpoint…            a checkpoint that was prepared and not completed, with the application's bytes
//	parentShardId, childShardIds  the lineage of the shard
//	startingHashKey, endingHashKey
//	throughputKBps                smoothed KiB per second
//	streamName, shardId           in a table of several streams; streamName is "account:stream:creation time"
//
// Do not edit rows by hand while workers run. A row that cannot be read is reported, and left as it is.
//
// The index LeaseOwnerToLeaseKeyIndex tells workers what they own. Nobody waits for it: until it is active, and where it may
// not be created, a worker reads the table instead.
//
// # Writes
//
// All writes are conditional and each is sent once: repeating a write whose reply was lost would be refused by its own
// effect, and look like a lost lease. The SDK's retries serve reads only, which are consistent but for the index.
//
// # Permissions
//
// On the table, and on table/<name>/index/* for Query:
//
//	dynamodb:DescribeTable GetItem PutItem UpdateItem DeleteItem Scan Query    always
//	dynamodb:CreateTable UpdateTable                                           unless table and index are there already
//	dynamodb:UpdateContinuousBackups                                           with Config.PointInTimeRecovery
//	dynamodb:TagResource                                                       with Config.Tags
//
// DescribeTable also on the tables "<application>-CoordinatorState" and "<application>-WorkerMetricStats", which need not
// exist. Where they do, from KCL 3.0 to 3.4, workers need GetItem, PutItem, UpdateItem and DeleteItem on the first and Scan,
// UpdateItem and DeleteItem on the second.
//
// # Cost
//
// A lease is less than 1 KB unless a pending checkpoint carries more, so each of these costs one write unit: a renewal, a
// checkpoint, a worker's report, a heartbeat of the leader. A write that is refused costs the same. Changing the owner costs
// one or two more in the index; renewals and checkpoints cost nothing there. A shard whose lease is renewed every 3.3 s
// takes 1,090 write units an hour.
//
// Reading the table costs one read unit for each 4 KB, that is for about nine leases; looking in the index half a unit.
//
// # Neighbours
//
// Setup refuses, with [lease.ErrUnusable] and a remedy, what it must not join: a table of another kind, an application that
// is on KCL 2.x or on its way from there, a half-deleted set of tables. It never starts or advances a migration. While an
// application moves from the three tables of KCL 3.0 to 3.4 to one, everything is read and written where Java workers expect
// it. A worker must call [Store.Check] each minute, because an operator may roll the application back.
package dynamolease
