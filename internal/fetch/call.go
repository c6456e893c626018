package fetch

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/decode"
)

// call makes one GetRecords.
func (p *poller) call(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	x, err := p.Wire.getRecords(ctx, p.Client, &kinesis.GetRecordsInput{
		ShardIterator: aws.String(p.iterator), Limit: aws.Int32(int32(p.MaxRecords)), StreamARN: nonEmpty(p.Shard.StreamARN),
	}, p.Logger)
	if err != nil {
		return answer{}, err
	}
	return x.answer(), nil
}

// answerOf makes an answer of a decoded one, whose records lie in a body of so many bytes.
func answerOf(d decode.Answer, body int) answer {
	a := answer{records: d.Records, next: d.Next, behind: d.Behind, unknown: !d.BehindKnown, body: int64(body)}
	for _, c := range d.Children {
		a.children = append(a.children, Child(c))
	}
	return a
}
