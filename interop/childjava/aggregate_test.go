//go:build interop

package childjava_test

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/stream"
)

// aggregated is count user records, numbered from first, in one Kinesis record: the KPL's magic, its protobuf message
// AggregatedRecord and an MD5 (aggregation-format.md of the KPL).
func aggregated(first, count int) []byte {
	field := func(dst []byte, number int, value []byte) []byte {
		dst = binary.AppendUvarint(append(dst, byte(number<<3|2)), uint64(len(value)))
		return append(dst, value...)
	}
	message := field(nil, 1, []byte("key")) // the table of partition keys
	for n := first; n < first+count; n++ {
		record := []byte{1 << 3, 0} // partition key 0
		message = field(message, 3, field(record, 3, []byte(strconv.Itoa(n))))
	}
	sum := md5.Sum(message)
	return append(append([]byte{0xF3, 0x89, 0x9A, 0xC2}, message...), sum[:]...)
}

// feedAggregated puts user records, numbered from 0, each of them in one Kinesis record with others.
func (s *scene) feedAggregated(records, each int) {
	s.Helper()
	for i := range records {
		_, err := s.kinesis.PutRecord(s.Context(), &kinesis.PutRecordInput{StreamName: aws.String(streamName),
			PartitionKey: aws.String("key"), Data: aggregated(i*each, each)})
		s.must(err)
	}
}

// numbers returns the numbers of the user records that were delivered, for each assignment in the order of time.
func (s *scene) numbers() [][]int {
	s.Helper()
	var all [][]int
	for _, text := range readAll(s.T, filepath.Join(s.dir, "*.jsonl")) {
		var of []int
		for line := range strings.Lines(text) {
			var got stagetest.Delivery
			if !strings.HasSuffix(line, "\n") {
				break // still being written
			}
			s.must(json.Unmarshal([]byte(line), &got))
			n, err := strconv.Atoi(string(got.Data))
			s.must(err)
			of = append(of, n)
		}
		all = append(all, of)
	}
	return all
}

// waitNumber waits until the last assignment has delivered number n.
func (s *scene) waitNumber(n int) {
	s.Helper()
	stagetest.Eventually(s.T, patience, fmt.Sprintf("user record %d is delivered", n), func() bool {
		all := s.numbers()
		if len(all) == 0 {
			return false
		}
		last := all[len(all)-1]
		return len(last) > 0 && last[len(last)-1] == n
	})
}

// judgeAggregated checks that each assignment got its records in order without a gap, the last one from behind the
// checkpoint, and all together each of count; it returns how many came again.
func (s *scene) judgeAggregated(count, each int, at stream.Position) (duplicates int64) {
	s.Helper()
	seen := make([]bool, count)
	all := s.numbers()
	for i, of := range all {
		for j, n := range of {
			if j > 0 && n != of[j-1]+1 {
				s.Errorf("assignment %d: record %d behind %d", i, n, of[j-1])
			}
			if seen[n] {
				duplicates++
			}
			seen[n] = true
		}
	}
	for n, ok := range seen {
		if !ok {
			s.Errorf("user record %d was not delivered", n)
		}
	}
	if last := all[len(all)-1]; int64(last[0]%each) != (at.Sub+1)%int64(each) {
		s.Errorf("the last assignment began with record %d, although sub-sequence number %d was checkpointed", last[0], at.Sub)
	}
	return duplicates
}
