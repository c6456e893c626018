#!/usr/bin/env python3
"""Calls Kinesis and DynamoDB at the URLs in its arguments with boto3, and prints for each, in a line, what it saw (type saw of
clients_test.go)."""
import base64
import datetime
import json
import platform
import sys
import time

import boto3
from botocore.exceptions import ClientError

NAME, FAN, TABLE = "orders", "fan", "things"
HALF, QUARTER = str(2**127), str(2**126)


def code(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return ""


def seen(shard, r):
    return {
        "shard": shard, "seq": r["SequenceNumber"], "key": r["PartitionKey"], "data": base64.b64encode(r["Data"]).decode(),
        "at": int(r["ApproximateArrivalTimestamp"].timestamp() * 1000),
    }


def active(kinesis):
    while True:
        d = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]
        if d["StreamStatus"] == "ACTIVE":
            return d
        time.sleep(0.05)


def read(kinesis, shard, until_end):
    got = []
    it = kinesis.get_shard_iterator(StreamName=NAME, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    while True:
        out = kinesis.get_records(ShardIterator=it, Limit=100)
        got += [seen(shard, r) for r in out["Records"]]
        it = out.get("NextShardIterator")
        if it is None or not until_end and out["MillisBehindLatest"] == 0:
            return got, it, out.get("ChildShards", [])


def subscribe(kinesis, arn, shard, count):
    """Reads the shard's records as they are pushed, puts one more, splits the shard, and reads to the end of the stream."""
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=FAN)["Consumer"]["ConsumerARN"]
    while True:
        d = kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]
        if d["ConsumerStatus"] == "ACTIVE":
            break
        time.sleep(0.05)
    got, children, last = [], [], ""
    events = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
    put = split = False
    for event in events:
        e = event["SubscribeToShardEvent"]
        got += [seen(shard, r) for r in e["Records"]]
        children = [c["ShardId"] for c in e.get("ChildShards", [])]
        last = e.get("ContinuationSequenceNumber")
        if not put and len(got) == count:
            put = True
            kinesis.put_record(StreamName=NAME, PartitionKey="live", ExplicitHashKey="0", Data=b"live")
        if not split and len(got) == count + 1:
            split = True
            kinesis.split_shard(StreamName=NAME, ShardToSplit=shard, NewStartingHashKey=QUARTER)
    while True:
        names = [c["ConsumerName"] for c in kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]]
        if names != [FAN]:
            break
        code(kinesis.deregister_stream_consumer, ConsumerARN=consumer)
        time.sleep(0.05)
    return {"status": d["ConsumerStatus"], "records": got, "children": children, "ended": not last, "left": len(names)}


def of_kinesis(kinesis, saw):
    kinesis.create_stream(StreamName=NAME, ShardCount=2)
    d = active(kinesis)
    saw["stream"] = {
        "status": d["StreamStatus"], "shards": d["OpenShardCount"], "arn": d["StreamARN"], "hours": d["RetentionPeriodHours"],
        "created": int(d["StreamCreationTimestamp"].timestamp() * 1000),
    }
    saw["streams"] = kinesis.list_streams()["StreamNames"]
    out = kinesis.put_records(StreamName=NAME, Records=[
        {"PartitionKey": "key-%d" % (i % 7), "Data": b"record %d" % i + b"\x00\xff"} for i in range(300)])
    saw["put"] = [{"shard": r["ShardId"], "seq": r["SequenceNumber"]} for r in out["Records"]]
    out = kinesis.put_record(StreamName=NAME, PartitionKey="key-x", ExplicitHashKey=HALF, Data=b"explicit")
    saw["put"].append({"shard": out["ShardId"], "seq": out["SequenceNumber"]})
    listed, page = [], kinesis.list_shards(StreamName=NAME, MaxResults=1)
    while True:
        listed += ["%s %s-%s" % (s["ShardId"], s["HashKeyRange"]["StartingHashKey"], s["HashKeyRange"]["EndingHashKey"]) for s in page["Shards"]]
        if "NextToken" not in page:
            break
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=1)
    saw["listed"] = listed
    shards = [line.split(" ")[0] for line in listed]
    saw["got"] = sum((read(kinesis, shard, False)[0] for shard in shards), [])
    it = kinesis.get_shard_iterator(
        StreamName=NAME, ShardId=shards[1], ShardIteratorType="AT_TIMESTAMP",
        Timestamp=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1))["ShardIterator"]
    saw["sinceAnHour"] = len(kinesis.get_records(ShardIterator=it, Limit=10)["Records"])
    saw["errors"].update({
        "describe none": code(kinesis.describe_stream_summary, StreamName="none"),
        "create again": code(kinesis.create_stream, StreamName=NAME, ShardCount=1),
        "bad iterator": code(kinesis.get_records, ShardIterator="rubbish"),
        "no such shard": code(kinesis.get_shard_iterator, StreamName=NAME, ShardId="shardId-000000000009", ShardIteratorType="LATEST"),
    })
    in_first = sum(r["shard"] == shards[0] for r in saw["got"])
    saw["subscribed"] = subscribe(kinesis, d["StreamARN"], shards[0], in_first)
    active(kinesis)
    kinesis.merge_shards(StreamName=NAME, ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000003")
    active(kinesis)
    got, it, children = read(kinesis, shards[0], True)
    saw["shardEnd"] = {"records": len(got), "ended": it is None, "children": ["%s of %s" % (c["ShardId"], " ".join(c["ParentShards"])) for c in children]}
    saw["open"] = [s["ShardId"] for s in kinesis.list_shards(StreamName=NAME, ShardFilter={"Type": "AT_LATEST"})["Shards"]]
    kinesis.delete_stream(StreamName=NAME, EnforceConsumerDeletion=True)


def item(i):
    return {
        "id": {"S": "item-%02d" % i}, "n": {"N": str(i)}, "owner": {"S": "o%d" % (i % 3)}, "payload": {"B": b"\x00\xff"},
        "tags": {"SS": ["a", "b"]}, "deep": {"M": {"list": {"L": [{"N": "1.5"}, {"S": "x"}, {"BOOL": True}, {"NULL": True}]}}},
    }


def of_dynamodb(db, saw):
    db.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "owner", "AttributeType": "S"}],
        GlobalSecondaryIndexes=[{
            "IndexName": "byOwner", "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
        }])
    db.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})
    table = db.describe_table(TableName=TABLE)["Table"]
    saw["table"] = {"status": table["TableStatus"], "index": table["GlobalSecondaryIndexes"][0]["IndexStatus"]}
    for i in range(20):
        db.put_item(TableName=TABLE, Item=item(i))
    got = db.get_item(TableName=TABLE, Key={"id": {"S": "item-01"}}, ConsistentRead=True)["Item"]
    deep = got["deep"]["M"]["list"]["L"]
    saw["item"] = {
        "n": got["n"]["N"], "payload": base64.b64encode(got["payload"]["B"]).decode(), "tags": sorted(got["tags"]["SS"]),
        "deep": [deep[0]["N"], deep[1]["S"], deep[2]["BOOL"], deep[3]["NULL"]],
    }
    first = {"id": {"S": "item-00"}}
    try:
        db.put_item(TableName=TABLE, Item=item(0), ConditionExpression="attribute_not_exists(id)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    except ClientError as e:
        saw["refused"] = {"code": e.response["Error"]["Code"], "old": e.response["Item"]["n"]["N"]}
    change = {
        "TableName": TABLE, "Key": first, "ReturnValues": "ALL_NEW", "ConditionExpression": "#n = :was",
        "UpdateExpression": "SET #n = #n + :one, seen = if_not_exists(seen, :zero) + :one REMOVE payload ADD tags :more",
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":was": {"N": "0"}, ":one": {"N": "1"}, ":zero": {"N": "0"}, ":more": {"SS": ["c"]}},
    }
    new = db.update_item(**change)["Attributes"]
    saw["updated"] = {"n": new["n"]["N"], "seen": new["seen"]["N"], "tags": sorted(new["tags"]["SS"]), "payload": "payload" in new}
    saw["errors"]["update again"] = code(db.update_item, **change)
    saw["queried"] = []
    for page in db.get_paginator("query").paginate(
            TableName=TABLE, IndexName="byOwner", KeyConditionExpression="#o = :o", ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":o": {"S": "o1"}}, Limit=3):
        saw["queried"] += [i["id"]["S"] for i in page["Items"]]
    saw["scanned"] = sum(db.scan(TableName=TABLE, Segment=s, TotalSegments=2)["Count"] for s in range(2))
    out = db.scan(TableName=TABLE, FilterExpression="n >= :n", ExpressionAttributeValues={":n": {"N": "10"}})
    saw["filtered"] = [out["Count"], out["ScannedCount"]]
    check = {"TableName": TABLE, "Key": first, "ConditionExpression": "attribute_exists(id)"}
    db.transact_write_items(TransactItems=[{"Put": {"TableName": TABLE, "Item": {"id": {"S": "both"}}}}, {"ConditionCheck": check}])
    check["ConditionExpression"] = "attribute_not_exists(id)"
    try:
        db.transact_write_items(TransactItems=[{"Put": {"TableName": TABLE, "Item": {"id": {"S": "neither"}}}}, {"ConditionCheck": check}])
    except ClientError as e:
        saw["cancelled"] = [e.response["Error"]["Code"]] + [r["Code"] for r in e.response["CancellationReasons"]]
    saw["transacted"] = ["Item" in db.get_item(TableName=TABLE, Key={"id": {"S": name}}) for name in ("both", "neither")]
    saw["deleted"] = db.delete_item(TableName=TABLE, Key=first, ReturnValues="ALL_OLD")["Attributes"]["n"]["N"]
    saw["errors"]["no such table"] = code(db.get_item, TableName="none", Key=first)
    saw["errors"]["bad expression"] = code(db.scan, TableName=TABLE, FilterExpression="n >")
    db.delete_table(TableName=TABLE)


for url in sys.argv[1:]:
    saw = {"sdk": "boto3 %s, Python %s" % (boto3.__version__, platform.python_version()), "errors": {}}
    of_kinesis(boto3.client("kinesis", endpoint_url=url), saw)
    of_dynamodb(boto3.client("dynamodb", endpoint_url=url), saw)
    print(json.dumps(saw))
