package kinesis

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net"
	"strconv"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// iterator is what a shard iterator says. It carries everything itself: the engine keeps none.
type iterator struct {
	stream string
	birth  int64 // of the stream, so that an iterator does not survive it
	shard  uint32
	index  uint64
	issued int64 // milliseconds
}

const (
	iteratorVersion = 1
	iteratorFixed   = 1 + 8 + 4 + 8 + 8 // bytes before the stream's name
	checksumLength  = 4
)

// token is the opaque form of it.
func (it iterator) token() string {
	b := make([]byte, 0, iteratorFixed+len(it.stream)+checksumLength)
	b = append(b, iteratorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(it.birth))
	b = binary.BigEndian.AppendUint32(b, it.shard)
	b = binary.BigEndian.AppendUint64(b, it.index)
	b = binary.BigEndian.AppendUint64(b, uint64(it.issued))
	b = append(b, it.stream...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.StdEncoding.EncodeToString(b)
}

// parseIterator reads the opaque form.
func parseIterator(token string) (iterator, bool) {
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(b) < iteratorFixed+checksumLength || b[0] != iteratorVersion {
		return iterator{}, false
	}
	body, sum := b[:len(b)-checksumLength], b[len(b)-checksumLength:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return iterator{}, false
	}
	return iterator{
		birth:  int64(binary.BigEndian.Uint64(b[1:])),
		shard:  binary.BigEndian.Uint32(b[9:]),
		index:  binary.BigEndian.Uint64(b[13:]),
		issued: int64(binary.BigEndian.Uint64(b[21:])),
		stream: string(body[iteratorFixed:]),
	}, true
}

// IteratorTarget returns the stream and shard that a shard iterator points into, for those who watch calls.
func IteratorTarget(token string) (stream, shard string, ok bool) {
	it, ok := parseIterator(token)
	if !ok {
		return "", "", false
	}
	return it.stream, shardID(it.shard), true
}

type getShardIteratorInput struct {
	target
	ShardId                string
	ShardIteratorType      string
	StartingSequenceNumber string
	Timestamp              *awswire.Time
}

type getShardIteratorOutput struct{ ShardIterator string }

func (e *Engine) getShardIterator(in *getShardIteratorInput) (*getShardIteratorOutput, error) {
	var bad problems
	bad.requiredName("shardId", in.ShardId)
	if in.ShardIteratorType == "" {
		bad.missing("shardIteratorType")
	}
	bad.oneOf("shardIteratorType", in.ShardIteratorType, startTypes()...)
	if err := bad.err(); err != nil {
		return nil, err
	}
	s, err := e.readable(in.target)
	if err != nil {
		return nil, err
	}
	sh := s.shard(in.ShardId)
	if sh == nil {
		return nil, e.noShard(in.ShardId, s)
	}
	now := time.Now()
	if e.o.EnforceLimits && !sh.allowIterator(now) {
		return nil, e.throughput(sh, s)
	}
	at := start{in.ShardIteratorType, in.StartingSequenceNumber, in.Timestamp}
	index, err := e.resolve(s, sh, at, "GetShardIterator")
	if err != nil {
		return nil, err
	}
	return &getShardIteratorOutput{iterator{s.name, s.birth, sh.number, index, now.UnixMilli()}.token()}, nil
}

// start is a place to start reading, as GetShardIterator and SubscribeToShard name it.
type start struct {
	kind      string
	sequence  string
	timestamp *awswire.Time
}

const (
	atSequence    = "AT_SEQUENCE_NUMBER"
	afterSequence = "AFTER_SEQUENCE_NUMBER"
	atTimestamp   = "AT_TIMESTAMP"
	trimHorizon   = "TRIM_HORIZON"
	latest        = "LATEST"
)

func startTypes() []string {
	return []string{afterSequence, latest, atTimestamp, atSequence, trimHorizon}
}

// resolve turns a place into the index of the first record to read. A sequence number that was trimmed counts as the
// trim horizon: the index lies before the log, and reading starts at what is left.
func (e *Engine) resolve(s *stream, sh *shard, at start, operation string) (uint64, error) {
	switch at.kind {
	case trimHorizon:
		return 1, nil
	case latest:
		return sh.tip(), nil
	case atTimestamp:
		if at.timestamp == nil {
			return 0, invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
		}
		milli, now := at.timestamp.UnixMilli(), time.Now().UnixMilli()
		if milli > now {
			return 0, invalid("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: %d, currentTimestampInMillis: %d", milli, now)
		}
		return sh.since(milli), nil
	}
	if at.sequence == "" {
		return 0, invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and no StartingSequenceNumber.", at.kind)
	}
	seq, ok := parseSequence(at.sequence)
	if !ok {
		return 0, invalid("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid.",
			at.sequence, operation, sh.id, s.name, e.o.AccountID)
	}
	if seq.shard != sh.number || seq.created != sh.birth {
		return 0, e.wrongShard(at.sequence, seq, sh, s, operation)
	}
	if closed, _ := sh.closing(); seq.index > sh.tip() || seq.index == sh.tip() && closed == 0 {
		return 0, invalid("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid because it was not issued yet.",
			at.sequence, operation, sh.id, s.name, e.o.AccountID)
	}
	if at.kind == afterSequence {
		seq.index++
	}
	return max(seq.index, 1), nil
}

// wrongShard is the error of a sequence number that another shard, or another stream of the same name, has issued.
func (e *Engine) wrongShard(text string, seq sequence, sh *shard, s *stream, operation string) error {
	other := s.shard(shardID(seq.shard))
	if other == nil || other.birth != seq.created || other == sh {
		return invalid("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid because it did not come from this stream.",
			text, operation, sh.id, s.name, e.o.AccountID)
	}
	return invalid("Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a shard with %s", other.id, sh.id)
}

// getRequest is the body of GetRecords.
type getRequest struct {
	iterator string
	limit    int
	arn      string
}

func parseGet(c call) (getRequest, error) {
	r := getRequest{limit: recordsPerCall}
	if c.format == awswire.CBOR {
		in := struct {
			ShardIterator, StreamARN string
			Limit                    *int
		}{}
		err := c.format.Decode(c.body, &in)
		if in.Limit != nil {
			r.limit = *in.Limit
		}
		r.iterator, r.arn = in.ShardIterator, in.StreamARN
		return r, err
	}
	if len(c.body) == 0 {
		return r, nil
	}
	s := awswire.Scan(c.body)
	s.Object(func(name []byte) {
		switch {
		case s.Null():
		case string(name) == "ShardIterator":
			r.iterator = string(s.String())
		case string(name) == "StreamARN":
			r.arn = string(s.String())
		case string(name) == "Limit":
			r.limit = int(s.Int())
		default:
			s.Skip()
		}
	})
	s.End()
	return r, s.Err()
}

func (e *Engine) getRecords(c call) (Answer, error) {
	r, err := parseGet(c)
	if err != nil {
		return Answer{}, err
	}
	s, sh, it, err := e.open(r)
	if err != nil {
		return Answer{}, err
	}
	now := time.Now()
	if e.o.EnforceLimits && !sh.allowRead(now) {
		return Answer{}, e.throughput(sh, s)
	}
	p := sh.read(it.index, r.limit, readBytesPerCall, s.horizon())
	if every := e.o.EmptyPageEvery; every > 0 && len(p.entries) > 0 && e.pages.Add(1)%int64(every) == 0 {
		p.withhold()
	}
	if e.o.EnforceLimits {
		_, size := cut(p.entries, len(p.entries), readBytesPerCall)
		sh.chargeRead(now, size)
	}
	it.index, it.issued = p.next, now.UnixMilli()
	if c.format == awswire.CBOR {
		return Answer{Body: pageCBOR(p, sh, it)}, nil
	}
	b := e.memory(jsonSize(p.entries) + pageRest)
	*b = pageJSON((*b)[:0], p, sh, it)
	return Answer{Body: net.Buffers{*b}, Free: func() { e.answers.Put(b) }}, nil
}

// open finds what the iterator of r points at.
func (e *Engine) open(r getRequest) (*stream, *shard, iterator, error) {
	if r.iterator == "" {
		var bad problems
		bad.missing("shardIterator")
		return nil, nil, iterator{}, bad.err()
	}
	if r.limit > recordsPerCall {
		return nil, nil, iterator{}, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to %d", r.limit, recordsPerCall)
	}
	var bad problems
	bad.within("limit", &r.limit, 1, recordsPerCall)
	if err := bad.err(); err != nil {
		return nil, nil, iterator{}, err
	}
	it, ok := parseIterator(r.iterator)
	if !ok {
		return nil, nil, it, invalid("Invalid ShardIterator.")
	}
	if r.arn != "" && r.arn != e.arn(it.stream) {
		return nil, nil, it, invalid("StreamARN %s is not that of the stream of the ShardIterator, %s.", r.arn, it.stream)
	}
	s, err := e.readable(target{StreamName: it.stream})
	if err != nil {
		return nil, nil, it, err
	}
	if s.birth != it.birth {
		return nil, nil, it, e.noStream(it.stream)
	}
	now, issued := time.Now(), time.UnixMilli(it.issued)
	if now.Sub(issued) > e.o.IteratorLife {
		const layout = "Mon Jan 02 15:04:05 UTC 2006"
		return nil, nil, it, awserr.New("ExpiredIteratorException",
			"Iterator expired. The iterator was created at time %s while right now it is %s which is further in the future than the tolerated delay of %d milliseconds.",
			issued.UTC().Format(layout), now.UTC().Format(layout), e.o.IteratorLife.Milliseconds())
	}
	sh := s.shard(shardID(it.shard))
	if sh == nil {
		return nil, nil, it, e.noShard(shardID(it.shard), s)
	}
	return s, sh, it, nil
}

// pageRest is what an answer usually takes beside its records.
const pageRest = 512

// memory returns n bytes for an answer, which are zero or those of an earlier one. A large answer in fresh memory costs more in
// page faults than in encoding.
func (e *Engine) memory(n int) *[]byte {
	if b, ok := e.answers.Get().(*[]byte); ok && cap(*b) >= n {
		return b
	}
	b := make([]byte, 0, n)
	return &b
}

// pageJSON appends the answer of GetRecords. The end of a shard is exact: no next iterator, and child shards with parents.
func pageJSON(b []byte, p page, sh *shard, it iterator) []byte {
	b = append(b, `{"Records":[`...)
	b = appendJSON(b, p.entries)
	if p.ended {
		b = append(b, `],"ChildShards":`...)
		b = append(b, awswire.JSON.Encode(sh.childShards())...)
	} else {
		b = append(b, `],"NextShardIterator":"`...)
		b = append(b, it.token()...)
		b = append(b, '"')
	}
	b = append(b, `,"MillisBehindLatest":`...)
	b = strconv.AppendInt(b, p.behind, 10)
	return append(b, '}')
}

func pageCBOR(p page, sh *shard, it iterator) net.Buffers {
	parts := recordsCBOR(p.entries)
	var b []byte
	if p.ended {
		b = awswire.AppendCBORText(b, "ChildShards")
		b = append(b, awswire.CBOR.Encode(sh.childShards())...)
	} else {
		b = awswire.AppendCBORText(b, "NextShardIterator")
		b = awswire.AppendCBORText(b, it.token())
	}
	b = awswire.AppendCBORText(b, "MillisBehindLatest")
	return append(parts, awswire.AppendCBORInt(b, p.behind))
}

// recordsCBOR begins a map of three members with the records.
func recordsCBOR(entries []entry) net.Buffers {
	b := awswire.AppendCBORMap(make([]byte, 0, 16), 3)
	b = awswire.AppendCBORText(b, "Records")
	return cborOf(entries, net.Buffers{awswire.AppendCBORArray(b, len(entries))})
}

// hashKeyRange is a range of hash keys as the API shows it.
type hashKeyRange struct{ StartingHashKey, EndingHashKey string }

// childShard is a child as GetRecords and SubscribeToShard announce it.
type childShard struct {
	ShardId      string
	ParentShards []string
	HashKeyRange hashKeyRange
}

func (s *shard) hashKeys() hashKeyRange { return hashKeyRange{s.from.String(), s.to.String()} }

// childShards are the children of a closed shard.
func (s *shard) childShards() []childShard {
	s.mu.Lock()
	children := s.children
	s.mu.Unlock()
	out := make([]childShard, 0, len(children))
	for _, c := range children {
		parents := make([]string, 0, len(c.parents))
		for _, p := range c.parents {
			parents = append(parents, p.id)
		}
		out = append(out, childShard{c.id, parents, c.hashKeys()})
	}
	return out
}

// Record is one stored record, for those who look into the service from the same process.
type Record struct {
	Shard, Sequence, PartitionKey string
	Data                          []byte
	Arrived                       time.Time
}

// Records returns copies of everything a stream still holds, shard by shard, in order.
func (e *Engine) Records(name string) ([]Record, error) {
	s, err := e.named(name)
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, sh := range s.listed() {
		for _, entry := range sh.read(1, int(^uint(0)>>1), int64(^uint64(0)>>1), s.horizon()).entries {
			data := append([]byte(nil), entry.data()...)
			out = append(out, Record{sh.id, string(entry.sequenceNumber()), string(entry.key()), data, time.UnixMilli(entry.arrived)})
		}
	}
	return out, nil
}

// Put stores one record without a request around it.
func (e *Engine) Put(name, partitionKey string, data []byte) (shard, sequenceNumber string, err error) {
	s, err := e.readable(target{StreamName: name})
	if err != nil {
		return "", "", err
	}
	_, maxRecord := s.encryption()
	r := putRequest{entries: []putEntry{{data: data, raw: true, hasData: true, key: []byte(partitionKey), hasKey: true}}}
	records, err := r.check("", maxRecord)
	if err != nil {
		return "", "", err
	}
	result := e.store(s, records)[0]
	if result.err != nil {
		return "", "", e.throughput(result.shard, s)
	}
	return result.shard.id, result.seq.String(), nil
}
