package fetch

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/decode"
)

// Sizes that room is reserved for, in bytes.
const (
	leastRoom   = 2 * firstRead // holds the answers at a tip where little is put
	leastRecord = 100           // of an answer that one record takes, with the names of its members
	// mostRoom is for an answer whose size is not known: the largest, in base64, with keys.
	mostRoom = maxAnswer*4/3 + maxRecords*(recordSize+2*leastRecord)
)

// call makes one GetRecords, for which held becomes what the answer takes.
func (p *poller) call(ctx context.Context, held *hold) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p.needed = 0
	x, err := p.getRecords(ctx, &kinesis.GetRecordsInput{
		ShardIterator: aws.String(p.iterator), Limit: aws.Int32(int32(p.MaxRecords)), StreamARN: nonEmpty(p.Shard.StreamARN),
	}, func(ctx context.Context, n int64) error {
		p.needed = roomFor(n, p.MaxRecords)
		return held.grow(ctx, p.needed)
	})
	if err != nil {
		return answer{}, err
	}
	p.needed = roomFor(int64(x.body), p.MaxRecords)
	return x.answer(), nil
}

// roomFor is what an answer of n bytes takes with its records, of which there are so many at most.
func roomFor(n int64, most int) int64 {
	if n == unknownSize {
		return mostRoom
	}
	return n + min(int64(most), n/leastRecord)*recordSize
}

// expect says what to reserve for the next call, after one that brought an answer: a little more than for the last one, and
// after a large one no less than half as much as was reserved.
func (p *poller) expect() {
	p.likely = max(leastRoom, min(p.needed+p.needed/4, mostRoom), p.likely/2)
}

// crowdedOut notes an answer that was not read for want of room. The same is asked for again when there is room for all of it,
// as far as that is known, and at the service's pace, which counts it as read.
func (p *poller) crowdedOut() {
	p.reads.called(time.Now(), min(p.needed, maxAnswer))
	p.likely, p.due = max(p.needed, p.likely), time.Time{}
	p.Logger.Debug("no room for the answer, asked for again later", "bytes", p.needed)
}

// answerOf makes an answer of a decoded one, whose records lie in a body of so many bytes.
func answerOf(d decode.Answer, body int) answer {
	a := answer{records: d.Records, next: d.Next, behind: d.Behind, unknown: !d.BehindKnown, body: int64(body)}
	for _, c := range d.Children {
		a.children = append(a.children, Child(c))
	}
	return a
}
