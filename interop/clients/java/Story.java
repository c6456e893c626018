import static java.util.stream.Collectors.toList;

import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.KeyType;
import software.amazon.awssdk.services.dynamodb.model.ProjectionType;
import software.amazon.awssdk.services.dynamodb.model.ReturnValue;
import software.amazon.awssdk.services.dynamodb.model.ReturnValuesOnConditionCheckFailure;
import software.amazon.awssdk.services.dynamodb.model.ScalarAttributeType;
import software.amazon.awssdk.services.dynamodb.model.TransactWriteItem;
import software.amazon.awssdk.services.dynamodb.model.TransactionCanceledException;
import software.amazon.awssdk.services.dynamodb.model.UpdateItemRequest;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/**
 * Calls Kinesis and DynamoDB at the URLs in its arguments with the AWS SDK for Java 2, and prints for each, in a line, what it saw
 * (type saw of clients_test.go). The asynchronous Kinesis client speaks CBOR over HTTP/2: by prior knowledge where the URL is http.
 */
public final class Story {
    private static final String NAME = "orders", FAN = "fan", TABLE = "things";
    private static final String HALF = BigInteger.TWO.pow(127).toString(), QUARTER = BigInteger.TWO.pow(126).toString();

    private final URI url;
    private final KinesisAsyncClient kinesis;
    private final DynamoDbAsyncClient db;
    private final Map<String, Object> saw = new TreeMap<>();
    private final Map<String, Object> errors = new TreeMap<>();

    private Story(String url) throws Exception {
        this.url = URI.create(url);
        TrustManager[] trusted = trusted();
        kinesis = KinesisAsyncClient.builder().endpointOverride(this.url)
            .httpClientBuilder(NettyNioAsyncHttpClient.builder().tlsTrustManagersProvider(() -> trusted)).build();
        db = DynamoDbAsyncClient.builder().endpointOverride(this.url)
            .httpClientBuilder(NettyNioAsyncHttpClient.builder().tlsTrustManagersProvider(() -> trusted)).build();
    }

    public static void main(String[] urls) throws Exception {
        for (String url : urls) {
            Story story = new Story(url);
            story.ofKinesis();
            story.ofDynamoDb();
            story.saw.put("errors", story.errors);
            story.saw.put("sdk", "AWS SDK for Java " + VersionInfo.SDK_VERSION + ", Java " + System.getProperty("java.version"));
            System.out.println(json(story.saw));
            story.kinesis.close();
            story.db.close();
        }
    }

    /** trusted trusts the certificate in the file that STORY_CA names. */
    private static TrustManager[] trusted() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream pem = Files.newInputStream(Path.of(System.getenv("STORY_CA")))) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    private void ofKinesis() throws Exception {
        kinesis.createStream(r -> r.streamName(NAME).shardCount(2)).join();
        StreamDescriptionSummary d = active();
        saw.put("stream", Map.of("status", d.streamStatusAsString(), "shards", d.openShardCount(), "arn", d.streamARN(),
            "hours", d.retentionPeriodHours(), "created", d.streamCreationTimestamp().toEpochMilli()));
        saw.put("streams", kinesis.listStreams().join().streamNames());
        List<Object> put = new ArrayList<>();
        kinesis.putRecords(r -> r.streamName(NAME).records(IntStream.range(0, 300).mapToObj(Story::entry).collect(toList()))).join()
            .records().forEach(r -> put.add(Map.of("shard", r.shardId(), "seq", r.sequenceNumber())));
        var explicit = kinesis.putRecord(r -> r.streamName(NAME).partitionKey("key-x").explicitHashKey(HALF)
            .data(SdkBytes.fromUtf8String("explicit"))).join();
        put.add(Map.of("shard", explicit.shardId(), "seq", explicit.sequenceNumber()));
        saw.put("put", put);
        List<String> shards = listed();
        List<Map<String, Object>> got = new ArrayList<>();
        for (String shard : shards) {
            read(shard, false, got);
        }
        saw.put("got", got);
        String it = kinesis.getShardIterator(r -> r.streamName(NAME).shardId(shards.get(1)).shardIteratorType(ShardIteratorType.AT_TIMESTAMP)
            .timestamp(Instant.now().minus(Duration.ofHours(1)))).join().shardIterator();
        saw.put("sinceAnHour", kinesis.getRecords(r -> r.shardIterator(it).limit(10)).join().records().size());
        errors.put("describe none", code(() -> kinesis.describeStreamSummary(r -> r.streamName("none")).join()));
        errors.put("create again", code(() -> kinesis.createStream(r -> r.streamName(NAME).shardCount(1)).join()));
        errors.put("bad iterator", code(() -> kinesis.getRecords(r -> r.shardIterator("rubbish")).join()));
        errors.put("no such shard", code(() -> kinesis.getShardIterator(r -> r.streamName(NAME).shardId("shardId-000000000009")
            .shardIteratorType(ShardIteratorType.LATEST)).join()));
        synchronously(shards.get(0));
        String first = shards.get(0);
        saw.put("subscribed", subscribe(d.streamARN(), first, (int) got.stream().filter(r -> r.get("shard").equals(first)).count()));
        active();
        kinesis.mergeShards(r -> r.streamName(NAME).shardToMerge("shardId-000000000002").adjacentShardToMerge("shardId-000000000003")).join();
        active();
        List<Map<String, Object>> all = new ArrayList<>();
        List<ChildShard> children = read(first, true, all);
        saw.put("shardEnd", Map.of("records", all.size(), "ended", true, "children",
            children.stream().map(c -> c.shardId() + " of " + String.join(" ", c.parentShards())).collect(toList())));
        saw.put("open", kinesis.listShards(r -> r.streamName(NAME).shardFilter(f -> f.type(ShardFilterType.AT_LATEST))).join()
            .shards().stream().map(s -> s.shardId()).collect(toList()));
        kinesis.deleteStream(r -> r.streamName(NAME).enforceConsumerDeletion(true)).join();
    }

    private static PutRecordsRequestEntry entry(int i) {
        byte[] text = ("record " + i + "\0\0").getBytes(StandardCharsets.US_ASCII);
        text[text.length - 1] = (byte) 255;
        return PutRecordsRequestEntry.builder().partitionKey("key-" + i % 7).data(SdkBytes.fromByteArray(text)).build();
    }

    private StreamDescriptionSummary active() throws InterruptedException {
        for (;;) {
            StreamDescriptionSummary d = kinesis.describeStreamSummary(r -> r.streamName(NAME)).join().streamDescriptionSummary();
            if (d.streamStatusAsString().equals("ACTIVE")) {
                return d;
            }
            Thread.sleep(50);
        }
    }

    private List<String> listed() {
        List<String> lines = new ArrayList<>();
        var page = kinesis.listShards(r -> r.streamName(NAME).maxResults(1)).join();
        for (;;) {
            page.shards().forEach(s -> lines.add(s.shardId() + " " + s.hashKeyRange().startingHashKey() + "-" + s.hashKeyRange().endingHashKey()));
            String token = page.nextToken();
            if (token == null) {
                break;
            }
            page = kinesis.listShards(r -> r.nextToken(token).maxResults(1)).join();
        }
        saw.put("listed", lines);
        return lines.stream().map(line -> line.split(" ")[0]).collect(toList());
    }

    private List<ChildShard> read(String shard, boolean untilEnd, List<Map<String, Object>> got) {
        String it = kinesis.getShardIterator(r -> r.streamName(NAME).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).join()
            .shardIterator();
        for (;;) {
            String now = it;
            var out = kinesis.getRecords(r -> r.shardIterator(now).limit(100)).join();
            out.records().forEach(r -> got.add(seen(shard, r)));
            it = out.nextShardIterator();
            if (it == null || !untilEnd && out.millisBehindLatest() == 0) {
                return out.childShards();
            }
        }
    }

    /** synchronously reads a shard with the other client, which speaks CBOR over HTTP/1.1. */
    private void synchronously(String shard) {
        if (url.getScheme().equals("https")) {
            return; // it would have to be told of the certificate in yet another way
        }
        try (KinesisClient client = KinesisClient.builder().endpointOverride(url).httpClient(UrlConnectionHttpClient.create()).build()) {
            String it = client.getShardIterator(r -> r.streamName(NAME).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
            saw.put("overHTTP1", client.getRecords(r -> r.shardIterator(it)).records().size());
        }
    }

    /** subscribe reads the shard's records as they are pushed, puts one more, splits the shard, and reads to the end of the stream. */
    private Map<String, Object> subscribe(String arn, String shard, int count) throws InterruptedException {
        String consumer = kinesis.registerStreamConsumer(r -> r.streamARN(arn).consumerName(FAN)).join().consumer().consumerARN();
        String status = "";
        while (!status.equals("ACTIVE")) {
            status = kinesis.describeStreamConsumer(r -> r.consumerARN(consumer)).join().consumerDescription().consumerStatusAsString();
        }
        List<Map<String, Object>> got = new ArrayList<>();
        List<SubscribeToShardEvent> last = new ArrayList<>();
        boolean[] done = new boolean[2];
        SubscribeToShardResponseHandler handler = SubscribeToShardResponseHandler.builder()
            .subscriber(SubscribeToShardResponseHandler.Visitor.builder().onSubscribeToShardEvent(e -> {
                e.records().forEach(r -> got.add(seen(shard, r)));
                last.add(e);
                if (!done[0] && got.size() == count) { // calls from here must not be waited for: this is the connection's thread
                    done[0] = true;
                    kinesis.putRecord(r -> r.streamName(NAME).partitionKey("live").explicitHashKey("0").data(SdkBytes.fromUtf8String("live")));
                }
                if (!done[1] && got.size() == count + 1) {
                    done[1] = true;
                    kinesis.splitShard(r -> r.streamName(NAME).shardToSplit(shard).newStartingHashKey(QUARTER));
                }
            }).build()).build();
        kinesis.subscribeToShard(r -> r.consumerARN(consumer).shardId(shard).startingPosition(p -> p.type(ShardIteratorType.TRIM_HORIZON)), handler).join();
        SubscribeToShardEvent end = last.get(last.size() - 1);
        int left = 1;
        while (left > 0) {
            code(() -> kinesis.deregisterStreamConsumer(r -> r.consumerARN(consumer)).join());
            left = kinesis.listStreamConsumers(r -> r.streamARN(arn)).join().consumers().size();
        }
        return Map.of("status", status, "records", got, "children", end.childShards().stream().map(ChildShard::shardId).collect(toList()),
            "ended", end.continuationSequenceNumber() == null, "left", left);
    }

    private static Map<String, Object> seen(String shard, Record r) {
        return Map.of("shard", shard, "seq", r.sequenceNumber(), "key", r.partitionKey(), "data", base64(r.data()),
            "at", r.approximateArrivalTimestamp().toEpochMilli());
    }

    private static AttributeValue s(String text) {
        return AttributeValue.fromS(text);
    }

    private static AttributeValue n(String number) {
        return AttributeValue.fromN(number);
    }

    private static Map<String, AttributeValue> item(int i) {
        return Map.of("id", s(String.format("item-%02d", i)), "n", n(String.valueOf(i)), "owner", s("o" + i % 3),
            "payload", AttributeValue.fromB(SdkBytes.fromByteArray(new byte[] {0, (byte) 255})), "tags", AttributeValue.fromSs(List.of("a", "b")),
            "deep", AttributeValue.fromM(Map.of("list", AttributeValue.fromL(List.of(n("1.5"), s("x"), AttributeValue.fromBool(true), AttributeValue.fromNul(true))))));
    }

    private void ofDynamoDb() {
        db.createTable(r -> r.tableName(TABLE).billingMode(BillingMode.PAY_PER_REQUEST).keySchema(k -> k.attributeName("id").keyType(KeyType.HASH))
            .attributeDefinitions(a -> a.attributeName("id").attributeType(ScalarAttributeType.S), a -> a.attributeName("owner").attributeType(ScalarAttributeType.S))
            .globalSecondaryIndexes(g -> g.indexName("byOwner").projection(p -> p.projectionType(ProjectionType.ALL))
                .keySchema(k -> k.attributeName("owner").keyType(KeyType.HASH), k -> k.attributeName("id").keyType(KeyType.RANGE)))).join();
        var table = db.waiter().waitUntilTableExists(r -> r.tableName(TABLE)).join().matched().response().orElseThrow().table();
        saw.put("table", Map.of("status", table.tableStatusAsString(), "index", table.globalSecondaryIndexes().get(0).indexStatusAsString()));
        for (int i = 0; i < 20; i++) {
            Map<String, AttributeValue> item = item(i);
            db.putItem(r -> r.tableName(TABLE).item(item)).join();
        }
        var got = db.getItem(r -> r.tableName(TABLE).key(Map.of("id", s("item-01"))).consistentRead(true)).join().item();
        var deep = got.get("deep").m().get("list").l();
        saw.put("item", Map.of("n", got.get("n").n(), "payload", base64(got.get("payload").b()), "tags", sorted(got.get("tags").ss()),
            "deep", List.of(deep.get(0).n(), deep.get(1).s(), deep.get(2).bool(), deep.get(3).nul())));
        Map<String, AttributeValue> first = Map.of("id", s("item-00"));
        try {
            db.putItem(r -> r.tableName(TABLE).item(item(0)).conditionExpression("attribute_not_exists(id)")
                .returnValuesOnConditionCheckFailure(ReturnValuesOnConditionCheckFailure.ALL_OLD)).join();
        } catch (CompletionException e) {
            ConditionalCheckFailedException refused = (ConditionalCheckFailedException) e.getCause();
            saw.put("refused", Map.of("code", refused.awsErrorDetails().errorCode(), "old", refused.item().get("n").n()));
        }
        UpdateItemRequest change = UpdateItemRequest.builder().tableName(TABLE).key(first).returnValues(ReturnValue.ALL_NEW).conditionExpression("#n = :was")
            .updateExpression("SET #n = #n + :one, seen = if_not_exists(seen, :zero) + :one REMOVE payload ADD tags :more")
            .expressionAttributeNames(Map.of("#n", "n"))
            .expressionAttributeValues(Map.of(":was", n("0"), ":one", n("1"), ":zero", n("0"), ":more", AttributeValue.fromSs(List.of("c")))).build();
        var now = db.updateItem(change).join().attributes();
        saw.put("updated", Map.of("n", now.get("n").n(), "seen", now.get("seen").n(), "tags", sorted(now.get("tags").ss()), "payload", now.containsKey("payload")));
        errors.put("update again", code(() -> db.updateItem(change).join()));
        List<String> queried = new ArrayList<>();
        db.queryPaginator(r -> r.tableName(TABLE).indexName("byOwner").keyConditionExpression("#o = :o").expressionAttributeNames(Map.of("#o", "owner"))
            .expressionAttributeValues(Map.of(":o", s("o1"))).limit(3)).subscribe(page -> page.items().forEach(i -> queried.add(i.get("id").s()))).join();
        saw.put("queried", queried);
        saw.put("scanned", Stream.of(0, 1).mapToInt(part -> db.scan(r -> r.tableName(TABLE).segment(part).totalSegments(2)).join().count()).sum());
        var filtered = db.scan(r -> r.tableName(TABLE).filterExpression("n >= :n").expressionAttributeValues(Map.of(":n", n("10")))).join();
        saw.put("filtered", List.of(filtered.count(), filtered.scannedCount()));
        transact("both", "attribute_exists(id)", first);
        try {
            transact("neither", "attribute_not_exists(id)", first);
        } catch (CompletionException e) {
            TransactionCanceledException cancelled = (TransactionCanceledException) e.getCause();
            List<String> codes = new ArrayList<>(List.of(cancelled.awsErrorDetails().errorCode()));
            cancelled.cancellationReasons().forEach(r -> codes.add(r.code()));
            saw.put("cancelled", codes);
        }
        saw.put("transacted", Stream.of("both", "neither").map(id -> db.getItem(r -> r.tableName(TABLE).key(Map.of("id", s(id)))).join().hasItem()).collect(toList()));
        saw.put("deleted", db.deleteItem(r -> r.tableName(TABLE).key(first).returnValues(ReturnValue.ALL_OLD)).join().attributes().get("n").n());
        errors.put("no such table", code(() -> db.getItem(r -> r.tableName("none").key(first)).join()));
        errors.put("bad expression", code(() -> db.scan(r -> r.tableName(TABLE).filterExpression("n >")).join()));
        db.deleteTable(r -> r.tableName(TABLE)).join();
    }

    private void transact(String id, String condition, Map<String, AttributeValue> first) {
        db.transactWriteItems(r -> r.transactItems(
            TransactWriteItem.builder().put(p -> p.tableName(TABLE).item(Map.of("id", s(id)))).build(),
            TransactWriteItem.builder().conditionCheck(c -> c.tableName(TABLE).key(first).conditionExpression(condition)).build())).join();
    }

    private static String code(Supplier<?> call) {
        try {
            call.get();
            return "";
        } catch (CompletionException e) {
            return ((AwsServiceException) e.getCause()).awsErrorDetails().errorCode();
        }
    }

    private static List<String> sorted(List<String> words) {
        return words.stream().sorted().collect(toList());
    }

    private static String base64(SdkBytes data) {
        return Base64.getEncoder().encodeToString(data.asByteArray());
    }

    /** json writes maps, lists, ASCII text without quotes, numbers and truth values. */
    private static String json(Object o) {
        if (o instanceof Map<?, ?> m) {
            return m.entrySet().stream().map(e -> "\"" + e.getKey() + "\":" + json(e.getValue())).collect(java.util.stream.Collectors.joining(",", "{", "}"));
        }
        if (o instanceof List<?> l) {
            return l.stream().map(Story::json).collect(java.util.stream.Collectors.joining(",", "[", "]"));
        }
        return o instanceof String ? "\"" + o + "\"" : String.valueOf(o);
    }
}
