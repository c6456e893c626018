package wire

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// AppendInitialize appends the message that opens a conversation, with its line feed. from is the last checkpoint or a
// sentinel; the zero Position gives null for both of its keys.
func AppendInitialize(dst []byte, shard stream.ShardID, from stream.Position) []byte {
	dst = append(dst, `{"action":"initialize","shardId":`...)
	dst = appendString(dst, string(shard))
	dst = append(dst, `,"sequenceNumber":`...)
	if from.IsZero() {
		return append(dst, "null,\"subSequenceNumber\":null}\n"...)
	}
	dst = appendString(dst, string(from.Sequence))
	dst = append(dst, `,"subSequenceNumber":`...)
	dst = strconv.AppendInt(dst, from.Sub, 10)
	return append(dst, "}\n"...)
}

// recordBytes bounds what a record takes beside its data, partition key and sequence number: keys, quotes, two numbers of
// up to 20 digits.
const recordBytes = 160

// AppendProcessRecords appends one batch, with its line feed. It grows dst at most once for all plain keys.
//
// An arrival time is never null, because the Python child cannot read that: the zero Time is written as 0, which
// [DecodeForChild] gives back as the zero Time. nil data is written as the empty string. millisBehindLatest is null where
// the service did not tell.
func AppendProcessRecords(dst []byte, b *stream.Batch) []byte {
	need := 80
	for i := range b.Records {
		r := &b.Records[i]
		need += base64.StdEncoding.EncodedLen(len(r.Data)) + len(r.PartitionKey) + len(r.Position.Sequence) + recordBytes
	}
	dst = slices.Grow(dst, need)
	dst = append(dst, `{"action":"processRecords","records":[`...)
	for i := range b.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRecord(dst, &b.Records[i])
	}
	dst = append(dst, `],"millisBehindLatest":`...)
	if b.BehindUnknown {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, b.Behind.Milliseconds(), 10)
	}
	return append(dst, "}\n"...)
}

func appendRecord(dst []byte, r *stream.Record) []byte {
	dst = append(dst, `{"data":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, r.Data)
	dst = append(dst, `","partitionKey":`...)
	dst = appendString(dst, r.PartitionKey)
	dst = append(dst, `,"sequenceNumber":`...)
	dst = appendString(dst, string(r.Position.Sequence))
	dst = append(dst, `,"approximateArrivalTimestamp":`...)
	dst = strconv.AppendInt(dst, millis(r.Arrived), 10)
	dst = append(dst, `,"subSequenceNumber":`...)
	dst = strconv.AppendInt(dst, r.Position.Sub, 10)
	return append(dst, `,"action":"record"}`...)
}

// millis returns milliseconds since 1970, and 0 for the zero Time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// AppendCheckpointAnswer appends the answer to one checkpoint request, with its line feed. seq and sub are the request's
// own values, nil where it had none. errName is the simple name of a Java exception, or empty for success.
func AppendCheckpointAnswer(dst []byte, seq *string, sub *int64, errName string) []byte {
	dst = append(dst, `{"action":"checkpoint","sequenceNumber":`...)
	if seq == nil {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, *seq)
	}
	dst = append(dst, `,"subSequenceNumber":`...)
	if sub == nil {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, *sub, 10)
	}
	dst = append(dst, `,"error":`...)
	if errName == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, errName)
	}
	return append(dst, "}\n"...)
}

// AppendAction appends a message that has no keys but its action, with its line feed: shutdownRequested, leaseLost or
// shardEnded.
func AppendAction(dst []byte, a Action) []byte {
	dst = append(dst, `{"action":`...)
	dst = appendString(dst, string(a))
	return append(dst, "}\n"...)
}

// AppendStatus appends the child's answer to an action, with a line feed before and after it: a print of the application
// that has no line feed of its own must not glue itself to the message.
func AppendStatus(dst []byte, responseFor Action) []byte {
	dst = append(dst, "\n{\"action\":\"status\",\"responseFor\":"...)
	dst = appendASCII(dst, string(responseFor))
	return append(dst, "}\n"...)
}

// AppendCheckpoint appends the child's request for a checkpoint, with a line feed before and after it. The zero Position
// gives a null sequenceNumber. subSequenceNumber is written only if it is not 0: without it the parent takes 0, and the
// children that came before this one never sent the key.
func AppendCheckpoint(dst []byte, at stream.Position) []byte {
	dst = append(dst, "\n{\"action\":\"checkpoint\",\"sequenceNumber\":"...)
	if at.IsZero() {
		return append(dst, "null}\n"...)
	}
	dst = appendASCII(dst, string(at.Sequence))
	if at.Sub != 0 {
		dst = append(dst, `,"subSequenceNumber":`...)
		dst = strconv.AppendInt(dst, at.Sub, 10)
	}
	return append(dst, "}\n"...)
}
