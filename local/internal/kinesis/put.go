package kinesis

import (
	"encoding/base64"
	"fmt"
	"net"
	"time"
	"unicode/utf8"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// Limits of PutRecord and PutRecords.
const (
	recordsPerPut     = 500
	bytesPerPut       = 10 << 20 // 5 MiB before 2025
	longestKey        = 256      // characters
	defaultRecordKiB  = 1024
	throughputCode    = "ProvisionedThroughputExceededException"
	throughputMessage = "Rate exceeded for shard %s in stream %s under account %s."
)

// putEntry is one record as it was sent. Its slices alias the request body or are its own.
type putEntry struct {
	data     []byte // base64 text, or bytes if raw
	raw      bool
	hasData  bool
	key      []byte
	hasKey   bool
	explicit []byte // explicit hash key, decimal; nil if not sent
}

// putRequest is the body of PutRecord or PutRecords.
type putRequest struct {
	target
	entries  []putEntry
	ordering string // SequenceNumberForOrdering of PutRecord
}

// putResult says where one record went, or why it did not.
type putResult struct {
	shard *shard
	seq   sequence
	err   error
}

// cborPut is the body of both operations in CBOR.
type cborPut struct {
	target
	cborEntry
	SequenceNumberForOrdering string
	Records                   []cborEntry
}

type cborEntry struct {
	Data            *awswire.Blob
	PartitionKey    *string
	ExplicitHashKey *string
}

func (c cborEntry) entry() putEntry {
	e := putEntry{raw: true}
	if c.Data != nil {
		e.data, e.hasData = *c.Data, true
	}
	if c.PartitionKey != nil {
		e.key, e.hasKey = []byte(*c.PartitionKey), true
	}
	if c.ExplicitHashKey != nil {
		e.explicit = []byte(*c.ExplicitHashKey)
	}
	return e
}

// parsePut reads the body of PutRecords, or, if single, of PutRecord.
func parsePut(c call, single bool) (putRequest, error) {
	if c.format == awswire.CBOR {
		return parseCBORPut(c, single)
	}
	var r putRequest
	if len(c.body) == 0 {
		return r, nil
	}
	s := awswire.Scan(c.body)
	var one putEntry
	s.Object(func(name []byte) {
		switch {
		case s.Null():
		case string(name) == "StreamName":
			r.StreamName = string(s.String())
		case string(name) == "StreamARN":
			r.StreamARN = string(s.String())
		case single && string(name) == "SequenceNumberForOrdering":
			r.ordering = string(s.String())
		case !single && string(name) == "Records":
			s.Array(func() { r.entries = append(r.entries, parseEntry(s)) })
		case single:
			one.member(s, name)
		default:
			s.Skip()
		}
	})
	s.End()
	if single {
		r.entries = []putEntry{one}
	}
	return r, s.Err()
}

func parseEntry(s *awswire.Scanner) putEntry {
	var e putEntry
	s.Object(func(name []byte) {
		if !s.Null() {
			e.member(s, name)
		}
	})
	return e
}

// member reads one member of an entry.
func (e *putEntry) member(s *awswire.Scanner, name []byte) {
	switch string(name) {
	case "Data":
		e.data, e.hasData = s.String(), true
	case "PartitionKey":
		e.key, e.hasKey = s.String(), true
	case "ExplicitHashKey":
		e.explicit = s.String()
	default:
		s.Skip()
	}
}

func parseCBORPut(c call, single bool) (putRequest, error) {
	var in cborPut
	if err := c.format.Decode(c.body, &in); err != nil {
		return putRequest{}, err
	}
	r := putRequest{target: in.target, ordering: in.SequenceNumberForOrdering}
	if single {
		r.entries = []putEntry{in.entry()}
		return r, nil
	}
	for _, one := range in.Records {
		r.entries = append(r.entries, one.entry())
	}
	return r, nil
}

// placed is a checked record and where it belongs.
type placed struct {
	record
	hash hashKey
}

// check turns the entries into records.
func (r *putRequest) check(prefix string, maxRecord int) ([]placed, error) {
	var bad problems
	out := make([]placed, len(r.entries))
	total := 0
	for i := range r.entries {
		in := &r.entries[i]
		member := func(name string) string {
			if prefix == "" {
				return name
			}
			return fmt.Sprintf("%s.%d.member.%s", prefix, i+1, name)
		}
		if !in.hasData {
			bad.missing(member("data"))
			continue
		}
		if !in.hasKey {
			bad.missing(member("partitionKey"))
			continue
		}
		if n := utf8.RuneCount(in.key); n < 1 || n > longestKey {
			bad.add(string(in.key), member("partitionKey"), "Member must have length between 1 and 256")
			continue
		}
		var err error
		out[i].key = in.key
		if out[i].data, err = in.bytes(); err != nil {
			return nil, err
		}
		if out[i].hash, err = in.place(); err != nil {
			return nil, err
		}
		if size := out[i].size(); size > maxRecord<<10 {
			bad.add(fmt.Sprintf("<%d bytes>", size), member("data"),
				fmt.Sprintf("Member must have length less than or equal to %d", maxRecord<<10))
		}
		total += out[i].size()
	}
	if total > bytesPerPut && len(out) > 1 {
		return nil, invalid("Records size exceeds 10 MB limit")
	}
	return out, bad.err()
}

// bytes returns the data, in memory of its own or that of the request.
func (e *putEntry) bytes() ([]byte, error) {
	if e.raw {
		return e.data, nil
	}
	data, err := base64.StdEncoding.AppendDecode(nil, e.data)
	if err != nil {
		return nil, awswire.Malformed("the data of a record is not base64: %v", err)
	}
	return data, nil
}

// place returns the record's hash key.
func (e *putEntry) place() (hashKey, error) {
	if e.explicit == nil {
		return hashOf(e.key), nil
	}
	h, ok := parseHashKey(string(e.explicit))
	if !ok {
		return hashKey{}, invalid("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "+
			"Specified value was %s", e.explicit)
	}
	return h, nil
}

// store appends the records to their shards.
func (e *Engine) store(s *stream, records []placed) []putResult {
	now := time.Now()
	results := make([]putResult, len(records))
	s.mu.RLock() // held so that no shard closes under a record
	defer s.mu.RUnlock()
	for i, r := range records {
		sh := s.routeLocked(r.hash)
		seq, err := sh.put(r.record, now, e.o.EnforceLimits, s.keyID != "")
		results[i] = putResult{sh, seq, err}
	}
	return results
}

func (e *Engine) throughput(sh *shard, s *stream) *awserr.Error {
	return awserr.New(throughputCode, throughputMessage, sh.id, s.name, e.o.AccountID)
}

// encryption is the type of encryption that answers name, empty for none.
func (s *stream) encryption() (kind string, maxRecord int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keyID != "" {
		kind = "KMS"
	}
	return kind, s.maxRecord
}

func (e *Engine) putRecord(c call) (Answer, error) {
	r, err := parsePut(c, true)
	if err != nil {
		return Answer{}, err
	}
	s, err := e.readable(r.target)
	if err != nil {
		return Answer{}, err
	}
	if r.ordering != "" {
		if _, ok := parseSequence(r.ordering); !ok {
			return Answer{}, invalid("ExclusiveMinimumSequenceNumber %s used in PutRecord on stream %s under account %s is invalid.",
				r.ordering, s.name, e.o.AccountID)
		}
	}
	kind, maxRecord := s.encryption()
	records, err := r.check("", maxRecord)
	if err != nil {
		return Answer{}, err
	}
	result := e.store(s, records)[0]
	if result.err != nil {
		return Answer{}, e.throughput(result.shard, s)
	}
	var b []byte
	if c.format == awswire.CBOR {
		b = appendCBORStrings(b, "ShardId", result.shard.id, "SequenceNumber", result.seq.String(), "EncryptionType", kind)
	} else {
		b = append(result.appendJSON(b), '}')
		if kind != "" {
			b = append(b[:len(b)-1], `,"EncryptionType":"KMS"}`...)
		}
	}
	return Answer{Body: net.Buffers{b}}, nil
}

func (e *Engine) putRecords(c call) (Answer, error) {
	r, err := parsePut(c, false)
	if err != nil {
		return Answer{}, err
	}
	s, err := e.readable(r.target)
	if err != nil {
		return Answer{}, err
	}
	if n := len(r.entries); n == 0 || n > recordsPerPut {
		var bad problems
		bad.add(fmt.Sprintf("[%d records]", n), "records", "Member must have length between 1 and 500")
		return Answer{}, bad.err()
	}
	kind, maxRecord := s.encryption()
	records, err := r.check("records", maxRecord)
	if err != nil {
		return Answer{}, err
	}
	results := e.store(s, records)
	if c.format == awswire.CBOR {
		return Answer{Body: net.Buffers{e.resultsCBOR(results, s, kind)}}, nil
	}
	return Answer{Body: net.Buffers{e.resultsJSON(results, s, kind)}}, nil
}

func failures(results []putResult) (n int64) {
	for _, r := range results {
		if r.err != nil {
			n++
		}
	}
	return n
}

// appendJSON appends the members of a successful result with the opening brace and without the closing one.
func (r putResult) appendJSON(b []byte) []byte {
	b = append(b, jsonSequence...)
	b = r.seq.append(b)
	b = append(b, `","ShardId":"`...)
	b = append(b, r.shard.id...)
	return append(b, '"')
}

func (e *Engine) resultsJSON(results []putResult, s *stream, kind string) []byte {
	const perResult = 128
	b := make([]byte, 0, 64+perResult*len(results))
	b = append(b, `{"FailedRecordCount":`...)
	b = fmt.Append(b, failures(results))
	if kind != "" {
		b = append(b, `,"EncryptionType":"KMS"`...)
	}
	b = append(b, `,"Records":[`...)
	for i, r := range results {
		if i > 0 {
			b = append(b, ',')
		}
		if r.err != nil {
			b = append(b, `{"ErrorCode":"`+throughputCode+`","ErrorMessage":"`...)
			b = append(b, e.throughput(r.shard, s).Message...)
			b = append(b, `"}`...)
			continue
		}
		b = append(r.appendJSON(b), '}')
	}
	return append(b, `]}`...)
}

func (e *Engine) resultsCBOR(results []putResult, s *stream, kind string) []byte {
	b := awswire.AppendCBORMap(nil, 3)
	b = awswire.AppendCBORText(b, "FailedRecordCount")
	b = awswire.AppendCBORInt(b, failures(results))
	b = awswire.AppendCBORText(b, "EncryptionType")
	if kind == "" {
		kind = "NONE"
	}
	b = awswire.AppendCBORText(b, kind)
	b = awswire.AppendCBORText(b, "Records")
	b = awswire.AppendCBORArray(b, len(results))
	for _, r := range results {
		if r.err != nil {
			b = appendCBORStrings(b, "ErrorCode", throughputCode, "ErrorMessage", e.throughput(r.shard, s).Message)
			continue
		}
		b = appendCBORStrings(b, "SequenceNumber", r.seq.String(), "ShardId", r.shard.id)
	}
	return b
}

// appendCBORStrings appends a map of strings; pairs with an empty value are left out.
func appendCBORStrings(b []byte, pairs ...string) []byte {
	n := 0
	for i := 1; i < len(pairs); i += 2 {
		if pairs[i] != "" {
			n++
		}
	}
	b = awswire.AppendCBORMap(b, n)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b = awswire.AppendCBORText(awswire.AppendCBORText(b, pairs[i]), pairs[i+1])
		}
	}
	return b
}
