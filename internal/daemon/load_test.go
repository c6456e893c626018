package daemon_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/daemon"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

const minimal = "executableName = ./child\napplicationName = app\nstreamName = orders\nAwsCredentialsProvider = DefaultCredentialsProvider\n"

func load(t *testing.T, extra string) *daemon.Settings {
	t.Helper()
	s, err := daemon.Load("app.properties", []byte(minimal+extra))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return s
}

func notes(s *daemon.Settings) string {
	var lines []string
	for _, n := range s.Notes() {
		lines = append(lines, n.String())
	}
	return strings.Join(lines, "\n")
}

// refusals are lines added to a minimal file, and the exact error.
func refusals(t *testing.T, tests map[string]string) {
	t.Helper()
	for line, want := range tests {
		_, err := daemon.Load("app.properties", []byte(minimal+line))
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", line, err, want)
		}
	}
}

func TestD49_TrailingBlanksAreTrimmedWithAWarning(t *testing.T) {
	s := load(t, "isGracefulLeaseHandoffEnabled = true \n")
	if s.NoHandoff {
		t.Error("the value counts as false")
	}
	if want := "line 5: isGracefulLeaseHandoffEnabled: blanks behind the value are dropped; the Java daemon keeps them"; notes(s) != want {
		t.Errorf("notes: %s", notes(s))
	}
}

// TestD50_EveryKeyIsAccepted gives each key of the Java daemon a value that it takes.
func TestD50_EveryKeyIsAccepted(t *testing.T) {
	values := map[string]string{
		"timeoutInSeconds": "30", "shutdownGraceMillis": "1000", "processingLanguage": "go/1.26", "maxActiveThreads": "-1", "workerIdentifier": "w",
		"validateSequenceNumberBeforeCheckpointing": "true", "regionName": "eu-west-1", "kinesisEndpoint": "http://127.0.0.1:1",
		"dynamoDBEndpoint": "http://127.0.0.1:1", "cloudWatchClient.endpointOverride": "http://127.0.0.1:1", "initialPositionInStream": "trim_horizon",
		"failoverTimeMillis": "5000", "leaseAssignmentIntervalMillis": "1", "enablePriorityLeaseAssignment": "false", "leaseTableDeletionProtectionEnabled": "yes",
		"leaseTablePitrEnabled": "on", "shardSyncIntervalMillis": "1", "cleanupLeasesUponShardCompletion": "false", "ignoreUnexpectedChildShards": "true",
		"maxLeasesForWorker": "7", "maxLeasesToStealAtOneTime": "2", "initialLeaseTableReadCapacity": "1", "initialLeaseTableWriteCapacity": "1",
		"leaseTableScanTotalSegments": "4", "maxLeaseRenewalThreads": "1", "listShardsBackoffTimeInMillis": "1", "maxListShardsRetryAttempts": "1",
		"gracefulLeaseHandoffTimeoutMillis": "9000", "isGracefulLeaseHandoffEnabled": "n", "inMemoryWorkerMetricsCaptureFrequencyMillis": "1",
		"workerMetricsReporterFreqInMillis": "1", "noOfPersistedMetricsPerWorkerMetrics": "1", "disableWorkerMetrics": "false", "maxThroughputPerHostKBps": "1e3",
		"dampeningPercentage": "50", "reBalanceThresholdPercentage": "20", "allowThroughputOvershoot": "false", "varianceBalancingFrequency": "1",
		"workerMetricsEMAAlpha": "0.3", "staleWorkerMetricsEntryCleanupDuration": "pt12h", "workerMetricsTableName": "m", "coordinatorStateTableName": "c",
		"workerMetricsBillingMode": "provisioned", "coordinatorStateBillingMode": "PAY_PER_REQUEST", "workerMetricsReadCapacity": "1", "workerMetricsWriteCapacity": "1",
		"coordinatorStateReadCapacity": "1", "coordinatorStateWriteCapacity": "1", "workerMetricsPointInTimeRecoveryEnabled": "true",
		"coordinatorStatePointInTimeRecoveryEnabled": "true", "workerMetricsDeletionProtectionEnabled": "true", "coordinatorStateDeletionProtectionEnabled": "true",
		"workerMetricsTags": "a=b, c=d", "coordinatorStateTags": "a=b", "parentShardPollIntervalMillis": "1", "skipShardSyncAtWorkerInitializationIfLeasesExist": "true",
		"schedulerInitializationBackoffTimeMillis": "1", "clientVersionConfig": "client_version_config_3x", "migrateAllEntitiesToLeaseTable": "true",
		"tableMigrationCompleteBakeTimeSeconds": "7200", "callProcessRecordsEvenForEmptyRecordList": "true", "taskBackoffTimeMillis": "1",
		"logWarningForTaskAfterMillis": "60000", "metricsLevel": "summary", "metricsEnabledDimensions": "Operation, ShardId", "metricsBufferTimeMillis": "1",
		"metricsMaxQueueSize": "1", "retrievalMode": "polling", "maxRecords": "500", "idleTimeBetweenReadsInMillis": "300", "unpacedReads": "true",
		"millisBehindLatestThresholdForReducedTps": "1", "retryGetRecordsInSeconds": "1", "maxGetRecordsThreadPool": "1", "fanoutConfig.consumerArn": "arn",
		"fanoutConfig.consumerName": "n", "fanoutConfig.maxDescribeStreamSummaryRetries": "1", "fanoutConfig.maxDescribeStreamConsumerRetries": "1",
		"fanoutConfig.registerStreamConsumerRetries": "1", "fanoutConfig.retryBackoffMillis": "1",
	}
	var text strings.Builder
	for k, v := range values {
		fmt.Fprintf(&text, "%s = %s\n", k, v)
	}
	s := load(t, text.String())
	cfg := s.Worker(nil, nil, nil)
	if cfg.LeaseDuration != 5*time.Second || cfg.HandoffTimeout != 9*time.Second || cfg.DrainTimeout != time.Second || cfg.Start != stream.TrimHorizon ||
		!cfg.Balance.NoHandoff || !cfg.Balance.NoOvershoot || cfg.Balance.MaxLeases != 7 || cfg.Balance.Damping != 50 || cfg.Balance.Threshold != 20 ||
		cfg.Balance.MaxThroughput != 1000 || !cfg.KeepEndedLeases || !cfg.EmptyBatches || cfg.Reading.MaxRecords != 500 || cfg.Reading.Idle != 300*time.Millisecond || !cfg.Reading.Unpaced ||
		cfg.SlowAfter != time.Minute || cfg.ID != "w" {
		t.Errorf("worker: %+v", cfg)
	}
	l := s.Leases(nil, nil)
	if !l.DeletionProtection || !l.PointInTimeRecovery || l.CoordinatorTable != "c" || l.WorkerMetricsTable != "m" || l.Segments != 4 || !l.SingleTable {
		t.Errorf("leases: %+v", l)
	}
	if s.Metrics.Level != "SUMMARY" || len(s.Metrics.Dimensions) != 2 || s.ReplyTimeout != 30*time.Second {
		t.Errorf("settings: %+v", s)
	}
	if strings.Contains(notes(s), "is no key") {
		t.Errorf("a key is not known:\n%s", notes(s))
	}
}

func TestD51_CaseVariantsAreWarnedOf(t *testing.T) {
	if got, want := notes(load(t, "FailoverTimeMillis = 1\n")), "line 5: FailoverTimeMillis: is no key: upper and lower case count; did you mean failoverTimeMillis?"; got != want {
		t.Errorf("notes: %s", got)
	}
}

func TestD52_CredentialsKeyInAnyCase(t *testing.T) {
	text := strings.Replace(minimal, "AwsCredentialsProvider", "AWSCREDENTIALSPROVIDER", 1)
	if _, err := daemon.Load("f", []byte(text)); err != nil {
		t.Error(err)
	}
	refusals(t, map[string]string{
		"AWSCredentialsProvider = DefaultCredentialsProvider\n": "app.properties:5: AWSCredentialsProvider: the same setting is on line 4 as AwsCredentialsProvider: keep one",
	})
	if s := load(t, "awscredentialsproviderDynamoDB = AnonymousCredentialsProvider\n"); s.DynamoDB.Credentials[0].Name != "AnonymousCredentialsProvider" {
		t.Errorf("DynamoDB: %+v", s.DynamoDB)
	}
}

func TestD53_UnknownKeys(t *testing.T) {
	s := load(t, "failoverTimeMilis = 1\nsomethingElseAltogether = 1\ntimestampAtInitialPositionInStream = 1\nfanoutConfig.bogus = 1\n")
	want := "line 5: failoverTimeMilis: is no key and has no effect; did you mean failoverTimeMillis?\n" +
		"line 6: somethingElseAltogether: is no key and has no effect\n" +
		"line 7: timestampAtInitialPositionInStream: has no effect since KCL 2: use initialPositionInStreamExtended, in epoch seconds\n" +
		"line 8: fanoutConfig.bogus: is no key and has no effect"
	if got := notes(s); !strings.HasPrefix(got, want) {
		t.Errorf("notes:\n%s", got)
	}
	refusals(t, map[string]string{
		"kinesisClient.bogus = 1\n": "app.properties:5: kinesisClient.bogus: clients take region, endpointOverride, dualstackEnabled and fipsEnabled here, not bogus",
	})
}

func TestD54_NestedNames(t *testing.T) {
	s := load(t, "pollingConfig.maxRecords = 5\ngracefulLeaseHandoffConfigBean.gracefulLeaseHandoffTimeoutMillis = 7\ngracefulLeaseHandoffConfig.isGracefulLeaseHandoffEnabled = false\n")
	if s.MaxRecords != 5 || s.HandoffTimeout != 7*time.Millisecond || !s.NoHandoff || s.Retrieval != daemon.PollingRetrieval {
		t.Errorf("%+v", s)
	}
	if want := "line 7: gracefulLeaseHandoffConfig.isGracefulLeaseHandoffEnabled: is ignored by the Java daemon; it takes isGracefulLeaseHandoffEnabled"; notes(s) != want {
		t.Errorf("notes: %s", notes(s))
	}
}

func TestD55_BooleanWords(t *testing.T) {
	for word, want := range map[string]bool{"true": true, "YES": true, "y": true, "on": true, "1": true, "false": false, "no": false, "N": false, "off": false, "0": false} {
		if got := load(t, "leaseTablePitrEnabled = "+word+"\n").PITR; got != want {
			t.Errorf("%s counts as %v", word, got)
		}
	}
}

func TestD56_D59_UnreadableValues(t *testing.T) {
	refusals(t, map[string]string{
		"failoverTimeMillis = ten\n":      `app.properties:5: failoverTimeMillis: "ten" is not a whole number`,
		"failoverTimeMillis = -1\n":       "app.properties:5: failoverTimeMillis: -1 is not a number of milliseconds",
		"leaseTablePitrEnabled = maybe\n": `app.properties:5: leaseTablePitrEnabled: "maybe" is neither true nor false`,
		"metricsLevel = ALL\n":            `app.properties:5: metricsLevel: "ALL" is none of NONE, SUMMARY and DETAILED`,
		"retrievalMode =\n":               `app.properties:5: retrievalMode: "" is none of DEFAULT, FANOUT and POLLING`,
		"shardPrioritization = x\n":       "app.properties:5: shardPrioritization: no value can be given: the Java daemon does not start with one either",
		"onProcessorFailure = ignore\n":   `app.properties:5: onProcessorFailure: "ignore" is neither restart nor exit`,
		"clientVersionConfig = CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X\n": `app.properties:5: clientVersionConfig: "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X": ` +
			"only CLIENT_VERSION_CONFIG_3X is possible: workers of KCL 2.x cannot share an application with this one",
		"kinesisEndpoint = localhost:4567\n":                `app.properties:5: kinesisEndpoint: "localhost:4567" is not a URL such as https://kinesis.us-east-1.amazonaws.com`,
		"staleWorkerMetricsEntryCleanupDuration = 2 days\n": `app.properties:5: staleWorkerMetricsEntryCleanupDuration: "2 days" is not a duration such as PT12H or P2D`,
		"workerMetricsTags = a\n":                           `app.properties:5: workerMetricsTags: "a" is not of the form key=value`,
		"a = \\u12\n":                                       `app.properties:5: malformed \u escape: want four hexadecimal digits`,
	})
}

func TestD57_ZeroIsTheDefault(t *testing.T) {
	if cfg := load(t, "failoverTimeMillis = 0\nmaxLeasesForWorker = 0\nmaxRecords = 0\n").Worker(nil, nil, nil); cfg.LeaseDuration != 0 || cfg.Balance.MaxLeases != 0 || cfg.Reading.MaxRecords != 0 {
		t.Errorf("%+v", cfg)
	}
}

func TestD58_CleanUpFalseIsHonoured(t *testing.T) {
	if !load(t, "cleanupLeasesUponShardCompletion = false\n").KeepEndedLeases {
		t.Error("it is ignored, as in Java")
	}
}

func TestD60_RetrievalMode(t *testing.T) {
	for text, want := range map[string]daemon.Retrieval{
		"": daemon.FanOutRetrieval, "maxRecords = 0\n": daemon.FanOutRetrieval, "maxRecords = 10\n": daemon.PollingRetrieval,
		"retryGetRecordsInSeconds = 1\n": daemon.PollingRetrieval, "retrievalMode = fanout\nmaxRecords = 10\n": daemon.FanOutRetrieval,
		"retrievalMode = Polling\n": daemon.PollingRetrieval,
	} {
		if got := load(t, text).Retrieval; got != want {
			t.Errorf("%q selects %s, want %s", text, got, want)
		}
	}
}

// FANOUT by name means fan-out or nothing, as in Java; by default a worker may poll instead.
func TestD60_FanOutOfTheWorker(t *testing.T) {
	of := func(text string) *worker.FanOut {
		return load(t, text).Worker(nil, nil, slog.New(slog.DiscardHandler)).Reading.FanOut
	}
	const arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/c:1"
	for text, want := range map[string]*worker.FanOut{
		"retrievalMode = POLLING\n":          nil,
		"maxRecords = 10\n":                  nil,
		"":                                   {ConsumerName: "app"},
		"retrievalMode = FANOUT\n":           {ConsumerName: "app", Required: true},
		"fanoutConfig.consumerName = mine\n": {ConsumerName: "mine"},
		"fanoutConfig.consumerArn = " + arn + "\n":                {ConsumerName: "app", ConsumerARNs: []string{arn}},
		"retrievalMode = DEFAULT\nretryGetRecordsInSeconds = 0\n": {ConsumerName: "app"},
	} {
		if diff := cmp.Diff(want, of(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestD61_PollingBounds(t *testing.T) {
	refusals(t, map[string]string{"maxRecords = 10001\n": "app.properties:5: maxRecords: 10001 is not within 1 to 10000"})
	s := load(t, "idleTimeBetweenReadsInMillis = 50\n")
	if s.Idle != 200*time.Millisecond || notes(s) != "line 5: idleTimeBetweenReadsInMillis: 50 is raised to 200: five reads a second are allowed" {
		t.Errorf("%v; %s", s.Idle, notes(s))
	}
}

func TestD62_StartPosition(t *testing.T) {
	if s := load(t, ""); s.Start != stream.Latest {
		t.Errorf("default is %v", s.Start)
	}
	for _, text := range []string{"initialPositionInStreamExtended = 1700000000\ninitialPositionInStream = LATEST\n", "initialPositionInStream = LATEST\ninitialPositionInStreamExtended = 1700000000\n"} {
		if s := load(t, text); s.Start != stream.AtTimestamp || s.StartAt.Unix() != 1_700_000_000 {
			t.Errorf("%q starts at %v %v", text, s.Start, s.StartAt)
		}
	}
	refusals(t, map[string]string{
		"initialPositionInStream = AT_TIMESTAMP\n":                                         "app.properties:5: initialPositionInStream: a time is given with initialPositionInStreamExtended, in epoch seconds, and without this key",
		"initialPositionInStream = OLDEST\n":                                               `app.properties:5: initialPositionInStream: "OLDEST" is neither LATEST nor TRIM_HORIZON`,
		"initialPositionInStreamExtended = 1700000000\ninitialPositionInStream = OLDEST\n": `app.properties:6: initialPositionInStream: "OLDEST" is neither LATEST nor TRIM_HORIZON`,
		"initialPositionInStreamExtended = soon\n":                                         `app.properties:5: initialPositionInStreamExtended: "soon" is not a whole number: want epoch seconds`,
	})
}

func TestD63_D64_StreamARN(t *testing.T) {
	arn := "arn:aws:kinesis:us-east-1:123456789012:stream/returns"
	s := load(t, "streamArn = "+arn+"\n")
	if got := s.Worker(nil, nil, nil).Streams; len(got) != 1 || got[0] != arn {
		t.Errorf("streams: %v", got)
	}
	refusals(t, map[string]string{
		"streamArn = arn:aws:kinesis:us-east-1:1234:stream/x\n": `app.properties:5: streamArn: "arn:aws:kinesis:us-east-1:1234:stream/x" is not of the form arn:aws:kinesis:<region>:<12 digits>:stream/<name>`,
	})
}

// TestD65_WhatIsRequired names everything at once.
func TestD65_WhatIsRequired(t *testing.T) {
	_, err := daemon.Load("app.properties", []byte("failoverTimeMillis = x\n"))
	want := `app.properties:1: failoverTimeMillis: "x" is not a whole number
app.properties: executableName is required: the command that starts a record processor
app.properties: applicationName is required: it names the lease table, too
app.properties: streamName or streamArn is required
app.properties: AwsCredentialsProvider is required: DefaultCredentialsProvider finds them as the AWS CLI does`
	if err == nil || err.Error() != want {
		t.Errorf("Load = %v", err)
	}
}

func TestD66_EmptyWorkerID(t *testing.T) {
	if s := load(t, "workerId =\n"); s.Worker(nil, nil, nil).ID != "" {
		t.Error("an empty id counts")
	}
}

func TestD71_KeysWithoutEffectAreNamedOnce(t *testing.T) {
	s := load(t, "maxActiveThreads = 0\nprocessingLanguage = go\n")
	want := "line 5: maxActiveThreads: steers Java's threads and has no effect here\nline 6: processingLanguage: has no effect, as in the Java daemon"
	if notes(s) != want {
		t.Errorf("notes: %s", notes(s))
	}
	s = load(t, "metricsLevel = SUMMARY\nmetricsBufferTimeMillis = 1000\nmetricsMaxQueueSize = 5\nmetricsEnabledDimensions = ALL\n")
	for i, line := range strings.Split(notes(s), "\n") {
		if !strings.HasPrefix(line, fmt.Sprintf("line %d: metrics", 5+i)) || !strings.HasSuffix(line, ": has no effect: no CloudWatch metrics are sent") {
			t.Errorf("note %s", line)
		}
	}
	if n := strings.Count(notes(s), "no CloudWatch metrics"); n != 4 {
		t.Errorf("%d notes of metrics, want 4", n)
	}
	if s := load(t, "metricsLevel = none\n"); notes(s) != "" {
		t.Errorf("notes: %s", notes(s))
	}
}

func TestD73_SecretsAreNotDescribed(t *testing.T) {
	s := load(t, "AwsCredentialsProviderDynamoDB = StsAssumeRoleCredentialsProvider|arn:aws:iam::1:role/r|session|externalId=hush\n")
	for _, line := range s.Describe() {
		if strings.Contains(line[0]+line[1], "hush") {
			t.Errorf("%v tells the external id", line)
		}
	}
}

func TestD79_BakeTimeIsClamped(t *testing.T) {
	if got := notes(load(t, "tableMigrationCompleteBakeTimeSeconds = 60\n")); got != "line 5: tableMigrationCompleteBakeTimeSeconds: 60 counts as 3600" {
		t.Errorf("notes: %s", got)
	}
}

func TestD80_LegacyTableNamesFollowTheApplication(t *testing.T) {
	if l := load(t, "").Leases(nil, nil); l.CoordinatorTable != "" || l.WorkerMetricsTable != "" || l.Application != "app" {
		t.Errorf("%+v", l) // empty selects <app>-CoordinatorState and <app>-WorkerMetricStats in dynamolease
	}
}

func TestD37_FailurePolicy(t *testing.T) {
	if load(t, "").OnFailure != worker.ExitWorker || load(t, "onProcessorFailure = Restart\n").OnFailure != worker.RestartShard {
		t.Error("the policy is not exit by default, or restart when asked for")
	}
}

func TestD44_ShutdownGrace(t *testing.T) {
	if d := load(t, "").Worker(nil, nil, nil).DrainTimeout; d != 5*time.Second {
		t.Errorf("default grace is %v", d)
	}
}

func TestD35_ReplyTimeout(t *testing.T) {
	refusals(t, map[string]string{
		"timeoutInSeconds = 0\n":          "app.properties:5: timeoutInSeconds: 0 is not over 0; leave the key out for no limit",
		"timeoutInSeconds = soon\n":       `app.properties:5: timeoutInSeconds: "soon" is not a whole number`,
		"timeoutInSeconds = 9999999999\n": "app.properties:5: timeoutInSeconds: 9999999999 is over 2147483647",
	})
}

func TestD40_SplittingTheCommand(t *testing.T) {
	for text, want := range map[string][]string{
		"executableName = python3  -u \"my app.py\"\n":                             {"python3", "-u", `"my`, `app.py"`},
		"executableName = a\\tb c\n":                                               {"a\tb", "c"},
		"executableName = python3 -u \"my app.py\" ''\nexecutableQuoting = true\n": {"python3", "-u", "my app.py", ""},
	} {
		c := load(t, text).Command(nil)
		if got := append([]string{c.Path}, c.Args...); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
	refusals(t, map[string]string{
		"executableName = a 'b\nexecutableQuoting = true\n": "app.properties:5: executableName: has a quote ' that is not closed",
	})
}
