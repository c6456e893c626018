package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Message is one message from the parent. Its fields are set by the action that has them and zero otherwise. Reuse one
// Message for all lines of a conversation: it keeps what it needs for reading.
type Message struct {
	Action Action

	Shard stream.ShardID  // initialize; empty if missing
	From  stream.Position // initialize: the last checkpoint or a sentinel, unchecked; zero if missing

	// Batch is the records of processRecords, never nil there. All its memory is fresh: one slice of records, one piece
	// for their data, one for their strings. It belongs to the receiver.
	Batch *stream.Batch

	Sequence *string // checkpoint: what was asked for, nil for null
	Sub      *int64  // checkpoint: what was asked for, nil for null
	Error    string  // checkpoint: the simple name of a Java exception, or empty for success

	Reason string // shutdown: ZOMBIE or LEASE_LOST, TERMINATE or SHARD_END

	raw []rawRecord // reused from one batch to the next
}

// DecodeForChild reads one line that a parent wrote, without its terminator, into m. After an error m means nothing.
//
// Keys may come in any order, and unknown ones are ignored. The error of a line that is not JSON is a [*SyntaxError]; an
// unknown or missing action is an error too. line is not kept.
func DecodeForChild(line []byte, m *Message) error {
	d := childDecoder{scanner: scanner{b: line}, raw: m.raw[:0]}
	err := d.object(d.member)
	if err == nil {
		if d.space(); d.i < len(line) {
			err = d.fail("text behind the message")
		}
	}
	*m = Message{raw: d.raw}
	if err != nil {
		return fmt.Errorf("malformed message: %w", err)
	}
	return d.finish(m)
}

// childDecoder holds the values of a message until its action, which may come last, is known.
type childDecoder struct {
	scanner
	action, shard, sequence, errorName, reason []byte

	sub, behind       int64
	hasSub, hasBehind bool
	raw               []rawRecord
	dataBytes         int // decoded length of all data
	textBytes         int // length of all strings that are kept
}

// rawRecord is a record whose data and strings still lie in the line. Keeping these first makes every slice that the
// application gets exactly as large as it must be.
type rawRecord struct {
	data, partitionKey, sequence []byte
	arrived, sub                 int64
}

func (d *childDecoder) member(key []byte) (err error) {
	switch string(key) {
	case "action":
		d.action, err = d.scalar()
	case "shardId":
		d.shard, err = d.scalar()
	case "sequenceNumber":
		d.sequence, err = d.scalar()
	case "subSequenceNumber":
		d.sub, d.hasSub, err = d.integer()
	case "records":
		err = d.records()
	case "millisBehindLatest":
		d.behind, d.hasBehind, err = d.integer()
	case "error":
		d.errorName, err = d.scalar()
	case "reason":
		d.reason, err = d.scalar()
	default:
		err = d.skip()
	}
	return err
}

func (d *childDecoder) finish(m *Message) error {
	a, ok := actionOf(d.action)
	switch {
	case d.action == nil:
		return errors.New("no action in the message")
	case !ok || a == Status:
		return fmt.Errorf("unknown action %s", quoted(d.action))
	}
	m.Action = a
	switch a {
	case Initialize:
		m.Shard = stream.ShardID(d.shard)
		m.From = stream.Position{Sequence: stream.SequenceNumber(d.sequence), Sub: d.sub}
	case ProcessRecords:
		return d.batch(m)
	case Checkpoint:
		if d.sequence != nil {
			s := string(d.sequence)
			m.Sequence = &s
		}
		if d.hasSub {
			sub := d.sub
			m.Sub = &sub
		}
		m.Error = string(d.errorName)
	case Shutdown:
		m.Reason = string(d.reason)
	}
	return nil
}

// quoted shows at most the beginning of an unknown word.
func quoted(word []byte) string {
	if len(word) > 40 {
		return strconv.QuoteToASCII(string(word[:40])) + "…"
	}
	return strconv.QuoteToASCII(string(word))
}

func (d *childDecoder) records() error {
	d.raw, d.dataBytes, d.textBytes = d.raw[:0], 0, 0 // of two keys with this name the last one counts
	if d.space() == 'n' {
		return d.word("null")
	}
	if err := d.take('[', "an array of records"); err != nil {
		return err
	}
	if d.space() == ']' {
		d.i++
		return nil
	}
	for {
		if err := d.record(); err != nil {
			return err
		}
		switch d.space() {
		case ',':
			d.i++
		case ']':
			d.i++
			return nil
		default:
			return d.fail("want , or ] behind a record")
		}
	}
}

func (d *childDecoder) record() error {
	d.raw = append(d.raw, rawRecord{})
	r := &d.raw[len(d.raw)-1]
	err := d.object(func(key []byte) (err error) {
		switch string(key) {
		case "data":
			r.data, err = d.data()
		case "partitionKey":
			r.partitionKey, err = d.scalar()
		case "sequenceNumber":
			r.sequence, err = d.scalar()
		case "approximateArrivalTimestamp":
			r.arrived, _, err = d.integer()
		case "subSequenceNumber":
			r.sub, _, err = d.integer()
		default:
			err = d.skip()
		}
		return err
	})
	d.dataBytes += decodedLen(r.data)
	d.textBytes += len(r.partitionKey) + len(r.sequence)
	return err
}

// data reads the base64 text of a record; nil for null. The end of the string is looked for without looking at what is
// in it: what is not base64, an escape for instance, comes out when it is decoded.
func (d *childDecoder) data() ([]byte, error) {
	if d.space() != '"' {
		return d.scalar()
	}
	rest := d.b[d.i+1:]
	n := bytes.IndexByte(rest, '"')
	if n < 0 {
		return nil, d.fail("string without end")
	}
	if bytes.IndexByte(rest[:n], '\\') < 0 {
		d.i += n + 2
		return rest[:n:n], nil
	}
	return d.str()
}

// decodedLen returns how many bytes the padded base64 text b stands for, if it is correct.
func decodedLen(b []byte) int {
	n := len(b) / 4 * 3
	if k := len(b); k >= 4 && b[k-1] == '=' {
		n--
		if b[k-2] == '=' {
			n--
		}
	}
	return n
}

// decode fills dst, which is decodedLen(text) long, and reports whether text is padded base64 and nothing else.
func decode(dst, text []byte) bool {
	if len(text)%4 != 0 {
		return false // Decode may write more than dst holds before it sees that
	}
	n, err := base64.StdEncoding.Decode(dst, text)
	return err == nil && n == len(dst) // Decode skips CR and LF, and finds less then
}

// batch turns the raw records into the application's.
func (d *childDecoder) batch(m *Message) error {
	b := &stream.Batch{Records: make([]stream.Record, len(d.raw)), BehindUnknown: !d.hasBehind, Behind: duration(d.behind)}
	data := make([]byte, d.dataBytes)
	var text strings.Builder
	text.Grow(d.textBytes)
	for i := range d.raw {
		raw, r := &d.raw[i], &b.Records[i]
		if raw.data != nil {
			n := decodedLen(raw.data)
			if !decode(data[:n], raw.data) {
				return fmt.Errorf("malformed message: data of record %d is not base64", i)
			}
			r.Data, data = data[:n:n], data[n:]
		}
		r.PartitionKey = keep(&text, raw.partitionKey)
		r.Position.Sequence = stream.SequenceNumber(keep(&text, raw.sequence))
		r.Position.Sub = raw.sub
		if raw.arrived != 0 {
			r.Arrived = time.UnixMilli(raw.arrived).UTC()
		}
	}
	m.Batch = b
	return nil
}

// keep copies b behind what text holds and returns the copy, which shares text's memory.
func keep(text *strings.Builder, b []byte) string {
	start := text.Len()
	text.Write(b)
	return text.String()[start:]
}

func duration(millis int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(millis, 0), most)) * time.Millisecond
}
