package kinesis

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// Limits and defaults of streams.
const (
	defaultRetention    = 24 * time.Hour
	longestRetention    = 8760 * time.Hour
	onDemandShards      = 4     // of a new on-demand stream
	mostShards          = 10000 // of a stream, by one call
	largestRecordKiB    = 10240
	streamsPerAccount   = 50 // on-demand streams, as DescribeLimits says
	shardsPerAccount    = 20000
	defaultListStreams  = 100
	mostListStreams     = 10000
	defaultDescribePage = 100
)

type modeDetails struct{ StreamMode string }

type createStreamInput struct {
	StreamName         string
	ShardCount         *int
	StreamModeDetails  *modeDetails
	MaxRecordSizeInKiB *int
	Tags               map[string]string
}

func (e *Engine) createStream(in *createStreamInput) (*none, error) {
	mode := modeProvisioned
	if in.StreamModeDetails != nil {
		mode = in.StreamModeDetails.StreamMode
	}
	var bad problems
	bad.requiredName("streamName", in.StreamName)
	bad.oneOf("streamModeDetails.streamMode", mode, modeProvisioned, modeOnDemand)
	bad.within("shardCount", in.ShardCount, 1, mostShards)
	bad.within("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, defaultRecordKiB, largestRecordKiB)
	checkTags(&bad, in.Tags)
	if mode == modeProvisioned && in.ShardCount == nil {
		bad.missing("shardCount")
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	shards := onDemandShards
	switch {
	case mode == modeProvisioned:
		shards = *in.ShardCount
	case in.ShardCount != nil:
		return nil, awserr.New("ValidationException", "ShardCount must not be specified for a stream in mode ON_DEMAND.")
	}
	maxRecord := defaultRecordKiB
	if in.MaxRecordSizeInKiB != nil {
		maxRecord = *in.MaxRecordSizeInKiB
	}
	return nil, e.Create(in.StreamName, shards, mode, maxRecord, in.Tags)
}

// CreateShards creates a provisioned stream.
func (e *Engine) CreateShards(name string, shards int) error {
	_, err := e.createStream(&createStreamInput{StreamName: name, ShardCount: &shards})
	return err
}

// Create makes a stream from checked values.
func (e *Engine) Create(name string, shards int, mode string, maxRecordKiB int, tags map[string]string) error {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.streams[name]; old != nil && old.state(now) != "" {
		return awserr.New("ResourceInUseException", "Stream %s under account %s already exists.", name, e.o.AccountID)
	}
	birth := max(now.Unix(), e.lastBirth+1)
	e.lastBirth = birth
	s := &stream{
		name: name, arn: e.arn(name), created: now, birth: birth, gone: make(chan struct{}),
		activeAt: now.Add(e.o.CreateDelay), retention: defaultRetention, mode: mode, maxRecord: maxRecordKiB,
		tags: maps.Clone(tags), consumers: map[string]*consumer{}, firstClose: math.MaxInt64,
	}
	if s.tags == nil {
		s.tags = map[string]string{}
	}
	for i := range shards {
		to := maxHashKey()
		if i < shards-1 {
			to = uniformBoundary(i+1, shards).previous()
		}
		s.addShardLocked(birth, now.UnixMilli(), uniformBoundary(i, shards), to)
	}
	s.open = slices.Clone(s.shards)
	e.streams[name] = s
	return nil
}

type deleteStreamInput struct {
	target
	EnforceConsumerDeletion bool
}

func (e *Engine) deleteStream(in *deleteStreamInput) (*none, error) {
	s, err := e.find(in.target)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.deletedAt.IsZero() {
		return nil, awserr.New("ResourceInUseException", "Stream %s under account %s is being deleted.", s.name, e.o.AccountID)
	}
	if len(s.consumers) > 0 && !in.EnforceConsumerDeletion {
		return nil, awserr.New("ResourceInUseException",
			"Stream %s under account %s has %d registered consumers. Set EnforceConsumerDeletion or deregister them.",
			s.name, e.o.AccountID, len(s.consumers))
	}
	s.deletedAt = now.Add(e.o.CreateDelay)
	close(s.gone)
	if e.o.CreateDelay == 0 {
		delete(e.streams, s.name)
	}
	return nil, nil
}

// wireShard is a shard as DescribeStream and ListShards show it.
type wireShard struct {
	ShardId               string
	ParentShardId         string `json:",omitempty"`
	AdjacentParentShardId string `json:",omitempty"`
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceRange
}

type sequenceRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

func (s *shard) wire() wireShard {
	_, ending := s.closing()
	w := wireShard{
		ShardId: s.id, HashKeyRange: s.hashKeys(),
		SequenceNumberRange: sequenceRange{s.startingNumber(), ending},
	}
	if len(s.parents) > 0 {
		w.ParentShardId = s.parents[0].id
	}
	if len(s.parents) > 1 {
		w.AdjacentParentShardId = s.parents[1].id
	}
	return w
}

// wireShards shows a list of shards; it is never nil.
func wireShards(shards []*shard) []wireShard {
	out := make([]wireShard, 0, len(shards))
	for _, s := range shards {
		out = append(out, s.wire())
	}
	return out
}

type monitoring struct{ ShardLevelMetrics []string }

// description holds what DescribeStream and DescribeStreamSummary both show.
type description struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       modeDetails
	StreamCreationTimestamp awswire.Time
	RetentionPeriodHours    int
	EncryptionType          string
	KeyId                   string `json:",omitempty"`
	EnhancedMonitoring      []monitoring
}

func (s *stream) describe() description {
	state := s.state(time.Now())
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := description{
		StreamName: s.name, StreamARN: s.arn, StreamStatus: state, StreamModeDetails: modeDetails{s.mode},
		StreamCreationTimestamp: awswire.At(s.created), RetentionPeriodHours: int(s.retention / time.Hour),
		EncryptionType: "NONE", EnhancedMonitoring: []monitoring{{append([]string{}, s.metrics...)}},
	}
	if s.keyID != "" {
		d.EncryptionType, d.KeyId = "KMS", s.keyID
	}
	return d
}

type describeStreamInput struct {
	target
	Limit                 *int
	ExclusiveStartShardId string
}

type streamDescription struct {
	description
	Shards        []wireShard
	HasMoreShards bool
}

type describeStreamOutput struct{ StreamDescription streamDescription }

func (e *Engine) describeStream(in *describeStreamInput) (*describeStreamOutput, error) {
	var bad problems
	bad.within("limit", in.Limit, 1, 10000)
	bad.name("exclusiveStartShardId", in.ExclusiveStartShardId)
	if err := bad.err(); err != nil {
		return nil, err
	}
	s, err := e.find(in.target)
	if err != nil {
		return nil, err
	}
	out := streamDescription{description: s.describe(), Shards: []wireShard{}}
	if out.StreamStatus != stateCreating { // the service shows no shards before a stream is ACTIVE
		shards, more := pageOf(after(s.listed(), in.ExclusiveStartShardId), in.Limit, defaultDescribePage)
		out.Shards, out.HasMoreShards = wireShards(shards), more
	}
	return &describeStreamOutput{out}, nil
}

// after returns the shards whose ID is greater than id.
func after(shards []*shard, id string) []*shard {
	i, _ := slices.BinarySearchFunc(shards, id+"\x00", func(s *shard, id string) int { return cmp.Compare(s.id, id) })
	return shards[i:]
}

// pageOf returns the first items, as many as asked for or the default, and whether there are more.
func pageOf[T any](items []T, limit *int, normal int) ([]T, bool) {
	n := normal
	if limit != nil {
		n = *limit
	}
	if len(items) <= n {
		return items, false
	}
	return items[:n], true
}

type summary struct {
	description
	OpenShardCount     int
	ConsumerCount      int
	MaxRecordSizeInKiB int
}

type describeSummaryOutput struct{ StreamDescriptionSummary summary }

func (e *Engine) describeSummary(in *target) (*describeSummaryOutput, error) {
	s, err := e.find(*in)
	if err != nil {
		return nil, err
	}
	d := s.describe()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &describeSummaryOutput{summary{d, len(s.open), len(s.consumers), s.maxRecord}}, nil
}

type listStreamsInput struct {
	Limit                    *int
	ExclusiveStartStreamName string
	NextToken                string
}

type streamSummary struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       modeDetails
	StreamCreationTimestamp awswire.Time
}

type listStreamsOutput struct {
	StreamNames     []string
	StreamSummaries []streamSummary
	HasMoreStreams  bool
	NextToken       string `json:",omitempty"`
}

func (e *Engine) listStreams(in *listStreamsInput) (*listStreamsOutput, error) {
	var bad problems
	bad.within("limit", in.Limit, 1, mostListStreams)
	bad.name("exclusiveStartStreamName", in.ExclusiveStartStreamName)
	bad.name("nextToken", in.NextToken) // a token is the name of the stream it follows
	if err := bad.err(); err != nil {
		return nil, err
	}
	from := max(in.ExclusiveStartStreamName, in.NextToken)
	streams := e.all()
	streams = slices.DeleteFunc(streams, func(s *stream) bool { return s.name <= from })
	page, more := pageOf(streams, in.Limit, defaultListStreams)
	out := &listStreamsOutput{StreamNames: []string{}, StreamSummaries: []streamSummary{}, HasMoreStreams: more}
	for _, s := range page {
		d := s.describe()
		out.StreamNames = append(out.StreamNames, s.name)
		out.StreamSummaries = append(out.StreamSummaries,
			streamSummary{d.StreamName, d.StreamARN, d.StreamStatus, d.StreamModeDetails, d.StreamCreationTimestamp})
	}
	if more {
		out.NextToken = page[len(page)-1].name
	}
	return out, nil
}

// all returns the streams that exist, by name.
func (e *Engine) all() []*stream {
	now := time.Now()
	e.mu.RLock()
	defer e.mu.RUnlock()
	var out []*stream
	for _, name := range slices.Sorted(maps.Keys(e.streams)) {
		if s := e.streams[name]; s.state(now) != "" {
			out = append(out, s)
		}
	}
	return out
}

type describeLimitsOutput struct {
	ShardLimit, OpenShardCount, OnDemandStreamCount, OnDemandStreamCountLimit int
}

func (e *Engine) describeLimits(*none) (*describeLimitsOutput, error) {
	out := &describeLimitsOutput{ShardLimit: shardsPerAccount, OnDemandStreamCountLimit: streamsPerAccount}
	for _, s := range e.all() {
		s.mu.RLock()
		out.OpenShardCount += len(s.open)
		if s.mode == modeOnDemand {
			out.OnDemandStreamCount++
		}
		s.mu.RUnlock()
	}
	return out, nil
}

type updateModeInput struct {
	StreamARN         string
	StreamModeDetails modeDetails
}

func (e *Engine) updateStreamMode(in *updateModeInput) (*none, error) {
	var bad problems
	if in.StreamModeDetails.StreamMode == "" {
		bad.missing("streamModeDetails.streamMode")
	}
	bad.oneOf("streamModeDetails.streamMode", in.StreamModeDetails.StreamMode, modeProvisioned, modeOnDemand)
	if err := bad.err(); err != nil {
		return nil, err
	}
	return nil, e.change(target{StreamARN: in.StreamARN}, func(s *stream) error {
		s.mode = in.StreamModeDetails.StreamMode
		return nil
	})
}

type updateMaxRecordInput struct {
	StreamARN          string
	StreamId           string
	MaxRecordSizeInKiB *int
}

func (e *Engine) updateMaxRecordSize(in *updateMaxRecordInput) (*none, error) {
	var bad problems
	if in.MaxRecordSizeInKiB == nil {
		bad.missing("maxRecordSizeInKiB")
	}
	bad.within("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, defaultRecordKiB, largestRecordKiB)
	if err := bad.err(); err != nil {
		return nil, err
	}
	return nil, e.change(target{StreamARN: in.StreamARN}, func(s *stream) error {
		s.maxRecord = *in.MaxRecordSizeInKiB
		return nil
	})
}

// change runs f on an ACTIVE stream, under its lock, and makes it UPDATING for a while.
func (e *Engine) change(t target, f func(*stream) error) error {
	s, err := e.active(t)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := f(s); err != nil {
		return err
	}
	s.updatedAt = time.Now().Add(e.o.CreateDelay)
	return nil
}

type encryptionInput struct {
	target
	EncryptionType string
	KeyId          string
}

func (in *encryptionInput) check() error {
	var bad problems
	if in.EncryptionType == "" {
		bad.missing("encryptionType")
	}
	if in.KeyId == "" {
		bad.missing("keyId")
	}
	bad.oneOf("encryptionType", in.EncryptionType, "NONE", "KMS")
	return bad.err()
}

func (e *Engine) startEncryption(in *encryptionInput) (*none, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.EncryptionType != "KMS" {
		return nil, invalid("EncryptionType must be KMS to start encryption.")
	}
	return nil, e.change(in.target, func(s *stream) error { s.keyID = in.KeyId; return nil })
}

func (e *Engine) stopEncryption(in *encryptionInput) (*none, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, e.change(in.target, func(s *stream) error { s.keyID = ""; return nil })
}
