package interop;

import java.lang.reflect.Method;
import java.net.URI;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker. Arguments are name=value; see options(). SIGTERM asks for a graceful shutdown; exit code 3 says that the
 * scheduler ended by itself.
 *
 * <p>Options that only some versions have are set by the name of their setter: lease.NAME and coordinator.NAME. So one source
 * serves 2.x and 3.x.
 */
public final class Main {
    private final Map<String, String> options;

    private Main(Map<String, String> options) {
        this.options = options;
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (String arg : args) {
            int at = arg.indexOf('=');
            options.put(arg.substring(0, at), arg.substring(at + 1));
        }
        new Main(options).run();
    }

    private String required(String name) {
        String value = options.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + "= is missing");
        }
        return value;
    }

    private void run() throws Exception {
        Scheduler scheduler = scheduler();
        Thread main = Thread.currentThread();
        boolean[] asked = {false};
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (!main.isAlive()) {
                return;
            }
            asked[0] = true;
            try {
                boolean clean = scheduler.startGracefulShutdown().get(60, TimeUnit.SECONDS);
                main.join(10_000);
                System.err.println("worker stopped, clean=" + clean);
            } catch (Exception e) {
                System.err.println("worker not stopped: " + e);
            }
        }));
        System.err.println("worker starts");
        scheduler.run();
        if (!asked[0]) {
            System.err.println("worker ended by itself");
            Runtime.getRuntime().halt(3);
        }
    }

    private Scheduler scheduler() throws Exception {
        String worker = required("worker");
        String stream = required("stream");
        KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(client(KinesisAsyncClient.builder()));
        DynamoDbAsyncClient dynamo = client(DynamoDbAsyncClient.builder()).build();
        CloudWatchAsyncClient watch = client(CloudWatchAsyncClient.builder()).build();
        SingleStreamTracker tracker = new SingleStreamTracker(
                stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
        Path dir = Path.of(required("deliveries"));
        ConfigsBuilder configs = new ConfigsBuilder(
                tracker, required("app"), kinesis, dynamo, watch, worker, () -> new Processor(dir, worker));

        long failover = Long.parseLong(options.getOrDefault("failover", "10000"));
        LeaseManagementConfig lease = configs.leaseManagementConfig()
                .failoverTimeMillis(failover)
                .shardSyncIntervalMillis(1000); // what the thread of the first shard sync sleeps afterwards
        CoordinatorConfig coordinator = configs.coordinatorConfig().parentShardPollIntervalMillis(1000);
        setAll("lease.", lease);
        setAll("coordinator.", coordinator);
        return new Scheduler(
                configs.checkpointConfig(),
                coordinator,
                lease,
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(retrieval(stream, kinesis)));
    }

    private RetrievalSpecificConfig retrieval(String stream, KinesisAsyncClient kinesis) {
        if (options.getOrDefault("retrieval", "polling").equals("fanout")) {
            return new FanOutConfig(kinesis).streamName(stream).applicationName(options.get("app"));
        }
        return new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(250).maxRecords(1000);
    }

    private <B extends AwsClientBuilder<B, C>, C> B client(B builder) {
        return builder.region(Region.US_EAST_1)
                .endpointOverride(URI.create(required("endpoint")))
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
                .overrideConfiguration(c -> c.putHeader("X-Local-Caller", required("worker")));
    }

    /** Sets each option below prefix on config by the setter of that name. A dot goes one level down. */
    private void setAll(String prefix, Object config) throws ReflectiveOperationException {
        for (Map.Entry<String, String> option : options.entrySet()) {
            if (option.getKey().startsWith(prefix)) {
                set(config, option.getKey().substring(prefix.length()), option.getValue());
            }
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void set(Object config, String name, String value) throws ReflectiveOperationException {
        int dot = name.indexOf('.');
        if (dot >= 0) {
            set(config.getClass().getMethod(name.substring(0, dot)).invoke(config), name.substring(dot + 1), value);
            return;
        }
        for (Method m : config.getClass().getMethods()) {
            if (!m.getName().equals(name) || m.getParameterCount() != 1) {
                continue;
            }
            Class<?> type = m.getParameterTypes()[0];
            if (type == long.class || type == Long.class) {
                m.invoke(config, Long.parseLong(value));
            } else if (type == int.class) {
                m.invoke(config, Integer.parseInt(value));
            } else if (type == boolean.class) {
                m.invoke(config, Boolean.parseBoolean(value));
            } else if (type.isEnum()) {
                m.invoke(config, Enum.valueOf((Class) type, value));
            } else {
                continue;
            }
            return;
        }
        throw new NoSuchMethodException(config.getClass().getSimpleName() + " has no setter " + name);
    }
}
