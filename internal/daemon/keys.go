package daemon

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/internal/props"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// setter puts the text of a value into the settings.
type setter func(s *Settings, v string) error

// key is one key that the Java daemon knows.
type key struct {
	set setter
	// note says why the key has no effect here; empty if it has.
	note string
}

const credentialsKey = "AwsCredentialsProvider"

// normal returns the key as it is listed: the credentials key may be spelt in any case up to its suffix.
func normal(k string) string {
	if len(k) >= len(credentialsKey) && strings.EqualFold(k[:len(credentialsKey)], credentialsKey) {
		return credentialsKey + k[len(credentialsKey):]
	}
	return k
}

// nested are the beans below which the Java daemon takes keys that also exist flat. Those it ignores silently, although they
// look right, are taken with a warning.
var nested = map[string]bool{
	"pollingConfig.": true, "gracefulLeaseHandoffConfigBean.": true, "workerUtilizationAwareAssignmentConfigBean.": true,
	"workerMetricStatsTableConfigBean.": true, "coordinatorStateTableConfigBean.": true,
	"gracefulLeaseHandoffConfig.": false, "workerUtilizationAwareAssignmentConfig.": false,
	"workerMetricsTableConfig.": false, "coordinatorStateTableConfig.": false,
}

// apply takes in one entry.
func (s *Settings) apply(e props.Entry) error {
	name := normal(e.Key)
	for prefix, java := range nested {
		if rest, ok := strings.CutPrefix(name, prefix); ok && keys[rest].set != nil {
			name = rest
			if !java {
				s.note(e.Line, e.Key, "is ignored by the Java daemon; it takes %s", rest)
			}
		}
	}
	value := strings.TrimRight(e.Value, " \t\f")
	if value != e.Value {
		s.note(e.Line, e.Key, "blanks behind the value are dropped; the Java daemon keeps them")
	}
	if known, err := s.applyClient(name, value); known || err != nil {
		s.used[name] = e.Line
		return err
	}
	k, known := keys[name]
	if !known {
		s.unknown(e)
		return nil
	}
	s.used[name] = e.Line
	if k.note != "" {
		s.note(e.Line, e.Key, "%s", k.note)
	}
	return k.set(s, value)
}

// unknown warns of a key that is none.
func (s *Settings) unknown(e props.Entry) {
	if why, old := formerKeys[e.Key]; old {
		s.note(e.Line, e.Key, "%s", why)
		return
	}
	near := nearest(e.Key)
	switch {
	case strings.EqualFold(near, e.Key):
		s.note(e.Line, e.Key, "is no key: upper and lower case count; did you mean %s?", near)
	case near != "":
		s.note(e.Line, e.Key, "is no key and has no effect; did you mean %s?", near)
	default:
		s.note(e.Line, e.Key, "is no key and has no effect")
	}
	s.notes[len(s.notes)-1].misspelt = near != ""
}

// formerKeys are of older generations; the Java daemon ignores them silently.
var formerKeys = map[string]string{
	"timestampAtInitialPositionInStream":  "has no effect since KCL 2: use initialPositionInStreamExtended, in epoch seconds",
	"skipShardSyncAtStartupIfLeasesExist": "has no effect since KCL 2: use skipShardSyncAtWorkerInitializationIfLeasesExist",
	"maxPendingProcessRecordsInput":       "cannot be set in a file",
	"maxCacheByteSize":                    "cannot be set in a file",
	"dataFetchingStrategy":                "has no effect since KCL 2",
	"maxRecordsCount":                     "cannot be set in a file",
	"idleMillisBetweenCalls":              "has no effect since KCL 2: use idleTimeBetweenReadsInMillis",
	"shardPrioritizationStrategy":         "has no effect since KCL 2",
	"userAgent":                           "has no effect since KCL 2",
	"kinesisClientConfig":                 "has no effect since KCL 2: use kinesisClient.*",
	"billingMode":                         "cannot be set in a file; a new lease table is on demand",
	"dynamoDbEndpoint":                    "is no key: it is spelt dynamoDBEndpoint",
	"RetrievalMode":                       "is no key, although the Java daemon advises it: it is spelt retrievalMode",
}

const (
	javaThreads = "steers Java's threads and has no effect here"
	noEffect    = "has no effect, as in the Java daemon"
	compat2x    = "concerns KCL 2.x compatibility and has no effect here"
	notNeeded   = "has no effect here: the engine finds its own pace"
	noMetrics   = "has no effect: no CloudWatch metrics are sent"
)

var keys = map[string]key{
	// process and identity
	"executableName":      {set: text(func(s *Settings) *string { return &s.Executable })},
	"executableQuoting":   {set: boolean(func(s *Settings) *bool { return &s.Quoting })},
	"onProcessorFailure":  {set: onFailure},
	"processingLanguage":  {set: anything, note: noEffect},
	"maxActiveThreads":    {set: anyWhole, note: javaThreads},
	"applicationName":     {set: text(func(s *Settings) *string { return &s.Application })},
	"streamName":          {set: text(func(s *Settings) *string { return &s.StreamName })},
	"streamArn":           {set: text(func(s *Settings) *string { return &s.StreamARN })},
	"tableName":           {set: text(func(s *Settings) *string { return &s.Table })},
	"workerIdentifier":    {set: text(func(s *Settings) *string { return &s.WorkerID })},
	"workerId":            {set: text(func(s *Settings) *string { return &s.WorkerID })},
	"timeoutInSeconds":    {set: replyTimeout},
	"shutdownGraceMillis": {set: millis(func(s *Settings) *time.Duration { return &s.ShutdownGrace })},
	"validateSequenceNumberBeforeCheckpointing": {set: boolean(nil), note: noEffect},

	// AWS
	"regionName":                  {set: required(text(func(s *Settings) *string { return &s.Region }))},
	"kinesisEndpoint":             {set: endpoint(func(s *Settings) *string { return &s.KinesisEndpoint })},
	"dynamoDBEndpoint":            {set: endpoint(func(s *Settings) *string { return &s.DynamoDBEndpoint })},
	credentialsKey:                {set: providers(func(s *Settings) *[]Provider { return &s.Kinesis.Credentials })},
	credentialsKey + "DynamoDB":   {set: providers(func(s *Settings) *[]Provider { return &s.DynamoDB.Credentials })},
	credentialsKey + "CloudWatch": {set: providers(func(s *Settings) *[]Provider { return &s.CloudWatch.Credentials })},

	// start
	"initialPositionInStream":         {set: startPosition},
	"initialPositionInStreamExtended": {set: startAt},

	// leases
	"failoverTimeMillis":                  {set: millis(func(s *Settings) *time.Duration { return &s.Failover })},
	"leaseAssignmentIntervalMillis":       {set: millis(nil), note: notNeeded},
	"enablePriorityLeaseAssignment":       {set: boolean(nil), note: compat2x},
	"leaseTableDeletionProtectionEnabled": {set: boolean(func(s *Settings) *bool { return &s.DeletionProtection })},
	"leaseTablePitrEnabled":               {set: boolean(func(s *Settings) *bool { return &s.PITR })},
	"shardSyncIntervalMillis":             {set: millis(nil), note: notNeeded},
	"cleanupLeasesUponShardCompletion":    {set: cleanUp},
	"ignoreUnexpectedChildShards":         {set: boolean(nil), note: "has no effect here: such shards are looked at again later"},
	"maxLeasesForWorker":                  {set: count(func(s *Settings) *int { return &s.MaxLeases })},
	"maxLeasesToStealAtOneTime":           {set: count(nil), note: compat2x},
	"initialLeaseTableReadCapacity":       {set: count(nil), note: "has no effect, as in the Java daemon: a new table is on demand"},
	"initialLeaseTableWriteCapacity":      {set: count(nil), note: "has no effect, as in the Java daemon: a new table is on demand"},
	"leaseTableScanTotalSegments":         {set: count(func(s *Settings) *int { return &s.ScanSegments })},
	"maxLeaseRenewalThreads":              {set: count(nil), note: javaThreads},
	"listShardsBackoffTimeInMillis":       {set: millis(nil), note: notNeeded},
	"maxListShardsRetryAttempts":          {set: count(nil), note: notNeeded},
	"gracefulLeaseHandoffTimeoutMillis":   {set: millis(func(s *Settings) *time.Duration { return &s.HandoffTimeout })},
	"isGracefulLeaseHandoffEnabled":       {set: inverse(func(s *Settings) *bool { return &s.NoHandoff })},

	// assignment by utilization
	"inMemoryWorkerMetricsCaptureFrequencyMillis": {set: millis(nil), note: notNeeded},
	"workerMetricsReporterFreqInMillis":           {set: millis(nil), note: notNeeded},
	"noOfPersistedMetricsPerWorkerMetrics":        {set: count(nil), note: notNeeded},
	"disableWorkerMetrics":                        {set: boolean(nil), note: "has no effect here"},
	"maxThroughputPerHostKBps":                    {set: throughput},
	"dampeningPercentage":                         {set: count(func(s *Settings) *int { return &s.Damping })},
	"reBalanceThresholdPercentage":                {set: count(func(s *Settings) *int { return &s.Threshold })},
	"allowThroughputOvershoot":                    {set: inverse(func(s *Settings) *bool { return &s.NoOvershoot })},
	"varianceBalancingFrequency":                  {set: count(nil), note: notNeeded},
	"workerMetricsEMAAlpha":                       {set: number, note: notNeeded},
	"staleWorkerMetricsEntryCleanupDuration":      {set: isoDuration, note: "has no effect here: a day"},

	// the tables of 3.0 to 3.4
	"workerMetricsTableName":                     {set: text(func(s *Settings) *string { return &s.WorkerMetricsTable })},
	"coordinatorStateTableName":                  {set: text(func(s *Settings) *string { return &s.CoordinatorTable })},
	"workerMetricsBillingMode":                   {set: enum("PROVISIONED", "PAY_PER_REQUEST"), note: neverCreated},
	"coordinatorStateBillingMode":                {set: enum("PROVISIONED", "PAY_PER_REQUEST"), note: neverCreated},
	"workerMetricsReadCapacity":                  {set: count(nil), note: neverCreated},
	"workerMetricsWriteCapacity":                 {set: count(nil), note: neverCreated},
	"coordinatorStateReadCapacity":               {set: count(nil), note: neverCreated},
	"coordinatorStateWriteCapacity":              {set: count(nil), note: neverCreated},
	"workerMetricsPointInTimeRecoveryEnabled":    {set: boolean(nil), note: neverCreated},
	"coordinatorStatePointInTimeRecoveryEnabled": {set: boolean(nil), note: neverCreated},
	"workerMetricsDeletionProtectionEnabled":     {set: boolean(nil), note: neverCreated},
	"coordinatorStateDeletionProtectionEnabled":  {set: boolean(nil), note: neverCreated},
	"workerMetricsTags":                          {set: tags, note: neverCreated},
	"coordinatorStateTags":                       {set: tags, note: neverCreated},

	// coordinator
	"parentShardPollIntervalMillis":                    {set: millis(nil), note: notNeeded},
	"skipShardSyncAtWorkerInitializationIfLeasesExist": {set: boolean(nil), note: notNeeded},
	"schedulerInitializationBackoffTimeMillis":         {set: millis(nil), note: notNeeded},
	"clientVersionConfig":                              {set: clientVersion},
	"migrateAllEntitiesToLeaseTable":                   {set: boolean(func(s *Settings) *bool { return &s.SingleTable })},
	"tableMigrationCompleteBakeTimeSeconds":            {set: bakeTime},
	"shardPrioritization":                              {set: refuse("no value can be given: the Java daemon does not start with one either")},

	// processing, metrics
	"callProcessRecordsEvenForEmptyRecordList": {set: boolean(func(s *Settings) *bool { return &s.EmptyBatches })},
	"taskBackoffTimeMillis":                    {set: millis(nil), note: notNeeded},
	"logWarningForTaskAfterMillis":             {set: millis(func(s *Settings) *time.Duration { return &s.SlowAfter })},
	"metricsLevel":                             {set: metricsLevel},
	"metricsEnabledDimensions":                 {set: func(s *Settings, v string) error { s.Metrics.Dimensions = words(v); return nil }, note: noMetrics},
	"metricsBufferTimeMillis":                  {set: millis(func(s *Settings) *time.Duration { return &s.Metrics.Buffer }), note: noMetrics},
	"metricsMaxQueueSize":                      {set: count(func(s *Settings) *int { return &s.Metrics.MaxQueue }), note: noMetrics},

	// retrieval
	"retrievalMode":                {set: retrieval},
	"maxRecords":                   {set: selectsPolling(maxRecords)},
	"idleTimeBetweenReadsInMillis": {set: selectsPolling(idle)},
	"unpacedReads":                 {set: boolean(func(s *Settings) *bool { return &s.Unpaced })},
	"millisBehindLatestThresholdForReducedTps":      {set: selectsPolling(millis(nil)), note: notNeeded},
	"retryGetRecordsInSeconds":                      {set: selectsPolling(count(nil)), note: javaThreads},
	"maxGetRecordsThreadPool":                       {set: selectsPolling(count(nil)), note: javaThreads},
	"fanoutConfig.consumerArn":                      {set: text(func(s *Settings) *string { return &s.FanOut.ConsumerARN })},
	"fanoutConfig.consumerName":                     {set: text(func(s *Settings) *string { return &s.FanOut.ConsumerName })},
	"fanoutConfig.maxDescribeStreamSummaryRetries":  {set: count(nil), note: notNeeded},
	"fanoutConfig.maxDescribeStreamConsumerRetries": {set: count(nil), note: notNeeded},
	"fanoutConfig.registerStreamConsumerRetries":    {set: count(nil), note: notNeeded},
	"fanoutConfig.retryBackoffMillis":               {set: millis(nil), note: notNeeded},
}

const neverCreated = "has no effect here: that table is used where it exists, and never created"

func anything(*Settings, string) error { return nil }

// anyWhole only checks the value: 0 and less mean no limit to the Java daemon.
func anyWhole(_ *Settings, v string) error {
	_, err := whole(v)
	return err
}

func refuse(why string) setter {
	return func(*Settings, string) error { return fmt.Errorf("%s", why) }
}

func onFailure(s *Settings, v string) error {
	switch {
	case strings.EqualFold(v, "restart"):
		s.OnFailure = worker.RestartShard
	case strings.EqualFold(v, "exit"):
		s.OnFailure = worker.ExitWorker
	default:
		return fmt.Errorf("%q is neither restart nor exit", v)
	}
	return nil
}

// replyTimeout refuses what makes the Java daemon halt at its first message.
func replyTimeout(s *Settings, v string) error {
	n, err := whole(v)
	if err != nil {
		return err
	}
	if n <= 0 {
		return fmt.Errorf("%d is not over 0; leave the key out for no limit", n)
	}
	if n > math.MaxInt32 {
		return fmt.Errorf("%d is over %d", n, math.MaxInt32)
	}
	s.ReplyTimeout = time.Duration(n) * time.Second
	return nil
}

func startPosition(s *Settings, v string) error {
	switch {
	case strings.EqualFold(v, "LATEST"), strings.EqualFold(v, "TRIM_HORIZON"):
		if s.Start != stream.AtTimestamp { // initialPositionInStreamExtended beats it
			s.Start.Sequence = stream.SequenceNumber(strings.ToUpper(v))
		}
		return nil
	case strings.EqualFold(v, "AT_TIMESTAMP"):
		return fmt.Errorf("a time is given with initialPositionInStreamExtended, in epoch seconds, and without this key")
	}
	return fmt.Errorf("%q is neither LATEST nor TRIM_HORIZON", v)
}

func startAt(s *Settings, v string) error {
	n, err := whole(v)
	if err != nil {
		return fmt.Errorf("%w: want epoch seconds", err)
	}
	s.Start, s.StartAt = stream.AtTimestamp, time.Unix(n, 0)
	return nil
}

func cleanUp(s *Settings, v string) error {
	clean, err := yes(v)
	s.KeepEndedLeases = !clean
	return err
}

func throughput(s *Settings, v string) error {
	f, err := float(v)
	if err == nil && (f < 0 || math.IsNaN(f)) {
		return fmt.Errorf("%v is negative", f)
	}
	s.MaxThroughput = f
	return err
}

func clientVersion(_ *Settings, v string) error {
	if !strings.EqualFold(v, "CLIENT_VERSION_CONFIG_3X") {
		return fmt.Errorf("%q: only CLIENT_VERSION_CONFIG_3X is possible: workers of KCL 2.x cannot share an application with this one", v)
	}
	return nil
}

// bakeTime is clamped in Java; migrations are never advanced here.
func bakeTime(s *Settings, v string) error {
	n, err := whole(v)
	if err == nil && n != 0 && (n < 3600 || n > 604_800) {
		s.note(s.used["tableMigrationCompleteBakeTimeSeconds"], "tableMigrationCompleteBakeTimeSeconds", "%d counts as %d", n, min(max(n, 3600), 604_800))
	}
	return err
}

func metricsLevel(s *Settings, v string) error {
	for _, level := range []string{"NONE", "SUMMARY", "DETAILED"} {
		if strings.EqualFold(v, level) {
			if s.Metrics.Level = level; level != "NONE" {
				s.note(s.used["metricsLevel"], "metricsLevel", "%s", noMetrics)
			}
			return nil
		}
	}
	return fmt.Errorf("%q is none of NONE, SUMMARY and DETAILED", v)
}

func retrieval(s *Settings, v string) error {
	for _, mode := range []Retrieval{DefaultRetrieval, FanOutRetrieval, PollingRetrieval} {
		if strings.EqualFold(v, string(mode)) {
			s.Retrieval = mode
			return nil
		}
	}
	return fmt.Errorf("%q is none of DEFAULT, FANOUT and POLLING", v)
}

// selectsPolling notes that a key of polling has another value than 0, which makes polling the default.
func selectsPolling(set setter) setter {
	return func(s *Settings, v string) error {
		if n, err := whole(v); err == nil && n != 0 {
			s.polling = true
		}
		return set(s, v)
	}
}

func maxRecords(s *Settings, v string) error {
	n, err := whole(v)
	if err == nil && (n < 0 || n > 10_000) {
		return fmt.Errorf("%d is not within 1 to 10000", n)
	}
	s.MaxRecords = int(n)
	return err
}

func idle(s *Settings, v string) error {
	n, err := whole(v)
	if err == nil && n < 0 {
		return fmt.Errorf("%d is negative", n)
	}
	if err == nil && n > 0 && n < 200 {
		s.note(s.used["idleTimeBetweenReadsInMillis"], "idleTimeBetweenReadsInMillis", "%d is raised to 200: five reads a second are allowed", n)
		n = 200
	}
	s.Idle = time.Duration(n) * time.Millisecond
	return err
}
