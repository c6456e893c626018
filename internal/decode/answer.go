package decode

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/kinesis-go/kcl/stream"
)

// Format is how an answer is encoded.
type Format int

// The formats that Kinesis speaks.
const (
	JSON Format = iota // application/x-amz-json-1.1
	CBOR               // application/x-amz-cbor-1.1
)

// String returns the name of the format.
func (f Format) String() string {
	if f == CBOR {
		return "CBOR"
	}
	return "JSON"
}

// ContentType returns the media type of the format.
func (f Format) ContentType() string {
	if f == CBOR {
		return "application/x-amz-cbor-1.1"
	}
	return "application/x-amz-json-1.1"
}

// Answer is what one GetRecords call, or one event of a subscription, brought. Its records lie in the body it was
// decoded from; everything else has memory of its own.
type Answer struct {
	// Records are as they were put, aggregates whole. One without a sequence number was null, or broken in that way.
	Records []stream.Record
	// Next is where to go on: the iterator, or the sequence number of a subscription; empty at the end of the shard.
	Next     string
	Children []Child
	// Behind is from the tip of the shard, and 0 if BehindKnown is false.
	Behind      time.Duration
	BehindKnown bool
}

// Child is a shard that continues an ended one.
type Child struct {
	ID       stream.ShardID
	Parents  []stream.ShardID
	HashKeys stream.HashKeyRange // unknown if it was left out
}

// ErrMalformed says that bytes are not what they should be. The text says where and why.
var ErrMalformed = errors.New("malformed answer")

// call is what tells GetRecords and SubscribeToShard apart.
type call string

const (
	getRecords       call = "NextShardIterator"
	subscribeToShard call = "ContinuationSequenceNumber"
)

// Records decodes the body of a GetRecords answer, and takes it over: it is changed, even if the answer is an error.
func Records(body []byte, f Format) (Answer, error) { return decode(body, f, getRecords) }

// Event decodes the payload of a SubscribeToShardEvent, and takes it over: it is changed, even if the answer is an error.
func Event(payload []byte, f Format) (Answer, error) { return decode(payload, f, subscribeToShard) }

func decode(body []byte, f Format, c call) (Answer, error) {
	var a Answer
	var err error
	if f == CBOR {
		err = (&cborScanner{b: body}).answer(&a, c)
	} else {
		err = (&jsonScanner{b: body}).answer(&a, c)
	}
	if err != nil {
		return Answer{}, err
	}
	return a, nil
}

// malformed says what is wrong at a byte of the body.
func malformed(f Format, at int, format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %d: %s", ErrMalformed, f, at, fmt.Sprintf(format, args...))
}

// maxDepth bounds the nesting of values, as encoding/json does.
const maxDepth = 10_000

// setBehind takes milliseconds; what does not fit a Duration is the nearest one that does.
func (a *Answer) setBehind(milli int64) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	a.Behind, a.BehindKnown = time.Duration(min(max(milli, -most), most))*time.Millisecond, true
}

// records collects records without knowing how many will come.
type records struct {
	few  [16]stream.Record // the first, until their size tells how many more to expect
	n    int               // of few
	list []stream.Record
}

// next returns the place of the next record, which is zero. used is how much of the body the records before it took, and
// left how much there is behind them.
func (r *records) next(used, left int) *stream.Record {
	if r.list == nil {
		if r.n < len(r.few) {
			r.n++
			return &r.few[r.n-1]
		}
		r.list = append(make([]stream.Record, 0, expected(r.n, used, left)), r.few[:]...)
	}
	if len(r.list) == cap(r.list) {
		grown := make([]stream.Record, len(r.list), max(expected(len(r.list), used, left), len(r.list)*5/4))
		copy(grown, r.list)
		r.list = grown
	}
	r.list = r.list[:len(r.list)+1]
	return &r.list[len(r.list)-1]
}

// expected is how many records there will be if the rest are like the n so far, and some to spare. The service sends no
// more than 10,000 (GetRecords API reference); what makes a body look like many more is not trusted.
func expected(n, used, left int) int {
	more := left*n/max(used, 1) + 1
	return n + min(more+more/32, 10_000)
}

// take returns the records and forgets them.
func (r *records) take() []stream.Record {
	list := r.list
	if list == nil && r.n > 0 {
		list = append(make([]stream.Record, 0, r.n), r.few[:r.n]...)
	}
	*r = records{}
	return list
}

// text is a string over b, which must not change any more.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
