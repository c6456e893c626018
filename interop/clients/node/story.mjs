// Calls Kinesis and DynamoDB at the URLs in its arguments with the AWS SDK for JavaScript v3, and prints for each, in a line, what
// it saw (type saw of clients_test.go). For Kinesis the SDK speaks HTTP/2, by prior knowledge where the URL is http.
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const require = createRequire(`${process.env.STORY_MODULES}/`); // import does not look at NODE_PATH
const K = require('@aws-sdk/client-kinesis');
const D = require('@aws-sdk/client-dynamodb');

const NAME = 'orders', FAN = 'fan', TABLE = 'things';
const HALF = String(2n ** 127n), QUARTER = String(2n ** 126n);
const text = new TextEncoder();

async function code(call) {
  try {
    await call();
    return '';
  } catch (e) {
    return e.name;
  }
}

const seen = (shard, r) => ({
  shard, seq: r.SequenceNumber, key: r.PartitionKey, data: Buffer.from(r.Data).toString('base64'), at: r.ApproximateArrivalTimestamp.getTime(),
});

async function ofKinesis(endpoint, saw) {
  const client = new K.KinesisClient({ endpoint });
  const kinesis = (Command, input = {}) => client.send(new K[`${Command}Command`](input));
  const active = async () => {
    for (;;) {
      const d = (await kinesis('DescribeStreamSummary', { StreamName: NAME })).StreamDescriptionSummary;
      if (d.StreamStatus === 'ACTIVE') {
        return d;
      }
      await sleep(50);
    }
  };
  const read = async (shard, untilEnd) => {
    const got = [];
    let it = (await kinesis('GetShardIterator', { StreamName: NAME, ShardId: shard, ShardIteratorType: 'TRIM_HORIZON' })).ShardIterator;
    for (;;) {
      const out = await kinesis('GetRecords', { ShardIterator: it, Limit: 100 });
      got.push(...out.Records.map((r) => seen(shard, r)));
      it = out.NextShardIterator;
      if (it == null || (!untilEnd && out.MillisBehindLatest === 0)) {
        return { got, it, children: out.ChildShards ?? [] };
      }
    }
  };
  // subscribe reads the shard's records as they are pushed, puts one more, splits the shard, and reads to the end of the stream.
  const subscribe = async (arn, shard, count) => {
    const { Consumer } = await kinesis('RegisterStreamConsumer', { StreamARN: arn, ConsumerName: FAN });
    const consumer = Consumer.ConsumerARN;
    let status;
    while (status !== 'ACTIVE') {
      status = (await kinesis('DescribeStreamConsumer', { ConsumerARN: consumer })).ConsumerDescription.ConsumerStatus;
    }
    const got = [];
    let children = [], last, put = false, split = false;
    const { EventStream } = await kinesis('SubscribeToShard', { ConsumerARN: consumer, ShardId: shard, StartingPosition: { Type: 'TRIM_HORIZON' } });
    for await (const { SubscribeToShardEvent: e } of EventStream) {
      got.push(...e.Records.map((r) => seen(shard, r)));
      children = (e.ChildShards ?? []).map((c) => c.ShardId);
      last = e.ContinuationSequenceNumber;
      if (!put && got.length === count) {
        put = true;
        await kinesis('PutRecord', { StreamName: NAME, PartitionKey: 'live', ExplicitHashKey: '0', Data: text.encode('live') });
      }
      if (!split && got.length === count + 1) {
        split = true;
        await kinesis('SplitShard', { StreamName: NAME, ShardToSplit: shard, NewStartingHashKey: QUARTER });
      }
    }
    let left = 1;
    while (left > 0) {
      await code(() => kinesis('DeregisterStreamConsumer', { ConsumerARN: consumer }));
      left = (await kinesis('ListStreamConsumers', { StreamARN: arn })).Consumers.length;
    }
    return { status, records: got, children, ended: !last, left };
  };

  await kinesis('CreateStream', { StreamName: NAME, ShardCount: 2 });
  const d = await active();
  saw.stream = {
    status: d.StreamStatus, shards: d.OpenShardCount, arn: d.StreamARN, hours: d.RetentionPeriodHours, created: d.StreamCreationTimestamp.getTime(),
  };
  saw.streams = (await kinesis('ListStreams')).StreamNames;
  const records = Array.from({ length: 300 }, (_, i) => ({
    PartitionKey: `key-${i % 7}`, Data: Buffer.concat([text.encode(`record ${i}`), Buffer.from([0, 255])]),
  }));
  const taken = (r) => ({ shard: r.ShardId, seq: r.SequenceNumber });
  saw.put = (await kinesis('PutRecords', { StreamName: NAME, Records: records })).Records.map(taken);
  saw.put.push(taken(await kinesis('PutRecord', { StreamName: NAME, PartitionKey: 'key-x', ExplicitHashKey: HALF, Data: text.encode('explicit') })));
  saw.listed = [];
  for (let page = { StreamName: NAME }; ;) {
    const out = await kinesis('ListShards', { ...page, MaxResults: 1 });
    saw.listed.push(...out.Shards.map((s) => `${s.ShardId} ${s.HashKeyRange.StartingHashKey}-${s.HashKeyRange.EndingHashKey}`));
    if (!out.NextToken) {
      break;
    }
    page = { NextToken: out.NextToken };
  }
  const shards = saw.listed.map((line) => line.split(' ')[0]);
  saw.got = [];
  for (const shard of shards) {
    saw.got.push(...(await read(shard, false)).got);
  }
  const { ShardIterator } = await kinesis('GetShardIterator', {
    StreamName: NAME, ShardId: shards[1], ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(Date.now() - 3600_000),
  });
  saw.sinceAnHour = (await kinesis('GetRecords', { ShardIterator, Limit: 10 })).Records.length;
  saw.errors['describe none'] = await code(() => kinesis('DescribeStreamSummary', { StreamName: 'none' }));
  saw.errors['create again'] = await code(() => kinesis('CreateStream', { StreamName: NAME, ShardCount: 1 }));
  saw.errors['bad iterator'] = await code(() => kinesis('GetRecords', { ShardIterator: 'rubbish' }));
  saw.errors['no such shard'] = await code(() => kinesis('GetShardIterator', {
    StreamName: NAME, ShardId: 'shardId-000000000009', ShardIteratorType: 'LATEST',
  }));
  saw.subscribed = await subscribe(d.StreamARN, shards[0], saw.got.filter((r) => r.shard === shards[0]).length);
  await active();
  await kinesis('MergeShards', { StreamName: NAME, ShardToMerge: 'shardId-000000000002', AdjacentShardToMerge: 'shardId-000000000003' });
  await active();
  const { got, it, children } = await read(shards[0], true);
  saw.shardEnd = { records: got.length, ended: it == null, children: children.map((c) => `${c.ShardId} of ${c.ParentShards.join(' ')}`) };
  saw.open = (await kinesis('ListShards', { StreamName: NAME, ShardFilter: { Type: 'AT_LATEST' } })).Shards.map((s) => s.ShardId);
  await kinesis('DeleteStream', { StreamName: NAME, EnforceConsumerDeletion: true });
  client.destroy();
}

const item = (i) => ({
  id: { S: `item-${String(i).padStart(2, '0')}` }, n: { N: String(i) }, owner: { S: `o${i % 3}` }, payload: { B: Uint8Array.from([0, 255]) },
  tags: { SS: ['a', 'b'] }, deep: { M: { list: { L: [{ N: '1.5' }, { S: 'x' }, { BOOL: true }, { NULL: true }] } } },
});

async function ofDynamoDB(endpoint, saw) {
  const client = new D.DynamoDBClient({ endpoint });
  const db = (Command, input) => client.send(new D[`${Command}Command`]({ TableName: TABLE, ...input }));
  const transact = (TransactItems) => client.send(new D.TransactWriteItemsCommand({ TransactItems }));
  await db('CreateTable', {
    BillingMode: 'PAY_PER_REQUEST', KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }, { AttributeName: 'owner', AttributeType: 'S' }],
    GlobalSecondaryIndexes: [{
      IndexName: 'byOwner', Projection: { ProjectionType: 'ALL' },
      KeySchema: [{ AttributeName: 'owner', KeyType: 'HASH' }, { AttributeName: 'id', KeyType: 'RANGE' }],
    }],
  });
  await D.waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1 }, { TableName: TABLE });
  const { Table } = await db('DescribeTable');
  saw.table = { status: Table.TableStatus, index: Table.GlobalSecondaryIndexes[0].IndexStatus };
  for (let i = 0; i < 20; i++) {
    await db('PutItem', { Item: item(i) });
  }
  const got = (await db('GetItem', { Key: { id: { S: 'item-01' } }, ConsistentRead: true })).Item;
  const list = got.deep.M.list.L;
  saw.item = {
    n: got.n.N, payload: Buffer.from(got.payload.B).toString('base64'), tags: got.tags.SS.sort(),
    deep: [list[0].N, list[1].S, list[2].BOOL, list[3].NULL],
  };
  const Key = { id: { S: 'item-00' } };
  try {
    await db('PutItem', { Item: item(0), ConditionExpression: 'attribute_not_exists(id)', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' });
  } catch (e) {
    saw.refused = { code: e.name, old: e.Item.n.N };
  }
  const change = {
    Key, ReturnValues: 'ALL_NEW', ConditionExpression: '#n = :was',
    UpdateExpression: 'SET #n = #n + :one, seen = if_not_exists(seen, :zero) + :one REMOVE payload ADD tags :more',
    ExpressionAttributeNames: { '#n': 'n' },
    ExpressionAttributeValues: { ':was': { N: '0' }, ':one': { N: '1' }, ':zero': { N: '0' }, ':more': { SS: ['c'] } },
  };
  const now = (await db('UpdateItem', change)).Attributes;
  saw.updated = { n: now.n.N, seen: now.seen.N, tags: now.tags.SS.sort(), payload: 'payload' in now };
  saw.errors['update again'] = await code(() => db('UpdateItem', change));
  saw.queried = [];
  for await (const page of D.paginateQuery({ client, pageSize: 3 }, {
    TableName: TABLE, IndexName: 'byOwner', KeyConditionExpression: '#o = :o', ExpressionAttributeNames: { '#o': 'owner' },
    ExpressionAttributeValues: { ':o': { S: 'o1' } },
  })) {
    saw.queried.push(...page.Items.map((i) => i.id.S));
  }
  saw.scanned = 0;
  for (const Segment of [0, 1]) {
    saw.scanned += (await db('Scan', { Segment, TotalSegments: 2 })).Count;
  }
  const filtered = await db('Scan', { FilterExpression: 'n >= :n', ExpressionAttributeValues: { ':n': { N: '10' } } });
  saw.filtered = [filtered.Count, filtered.ScannedCount];
  const put = (id) => ({ Put: { TableName: TABLE, Item: { id: { S: id } } } });
  const check = (ConditionExpression) => ({ ConditionCheck: { TableName: TABLE, Key, ConditionExpression } });
  await transact([put('both'), check('attribute_exists(id)')]);
  try {
    await transact([put('neither'), check('attribute_not_exists(id)')]);
  } catch (e) {
    saw.cancelled = [e.name, ...e.CancellationReasons.map((r) => r.Code)];
  }
  saw.transacted = [];
  for (const id of ['both', 'neither']) {
    saw.transacted.push((await db('GetItem', { Key: { id: { S: id } } })).Item !== undefined);
  }
  saw.deleted = (await db('DeleteItem', { Key, ReturnValues: 'ALL_OLD' })).Attributes.n.N;
  saw.errors['no such table'] = await code(() => db('GetItem', { TableName: 'none', Key }));
  saw.errors['bad expression'] = await code(() => db('Scan', { FilterExpression: 'n >' }));
  await db('DeleteTable');
  client.destroy();
}

for (const endpoint of process.argv.slice(2)) {
  const saw = { sdk: `AWS SDK for JavaScript ${require('@aws-sdk/client-kinesis/package.json').version}, Node ${process.version}`, errors: {} };
  await ofKinesis(endpoint, saw);
  await ofDynamoDB(endpoint, saw);
  console.log(JSON.stringify(saw));
}
