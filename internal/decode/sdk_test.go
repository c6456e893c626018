package decode_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/stream"
)

// fixed is an HTTP client that gives one answer to everything.
type fixed struct {
	body        []byte
	contentType string
}

func (f *fixed) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {f.contentType}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(f.body)), ContentLength: int64(len(f.body)),
	}, nil
}

func sdkClient(h aws.HTTPClient) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "eu-west-1", HTTPClient: h, Retryer: aws.NopRetryer{}, BaseEndpoint: aws.String("http://sdk.invalid"),
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
}

var anySDK = sync.OnceValue(func() *kinesis.Client { return sdkClient(nil) })

// bySDK is what the SDK's own decoder makes of a body.
func bySDK(body []byte) (decode.Answer, error) {
	out, err := anySDK().GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: aws.String("i")}, func(o *kinesis.Options) {
		o.HTTPClient = &fixed{body, "application/x-amz-json-1.1"}
	})
	if err != nil {
		return decode.Answer{}, err
	}
	a, err := fromSDK(out.Records, out.ChildShards, out.MillisBehindLatest)
	a.Next = aws.ToString(out.NextShardIterator)
	return a, err
}

var errHashKeys = errors.New("hash keys that the SDK does not read as numbers")

func fromSDK(records []types.Record, children []types.ChildShard, behind *int64) (a decode.Answer, err error) {
	for _, r := range records {
		a.Records = append(a.Records, stream.Record{
			Data: r.Data, PartitionKey: aws.ToString(r.PartitionKey), Arrived: aws.ToTime(r.ApproximateArrivalTimestamp),
			Position: stream.Position{Sequence: stream.SequenceNumber(aws.ToString(r.SequenceNumber))},
		})
	}
	for _, c := range children {
		child := decode.Child{ID: stream.ShardID(aws.ToString(c.ShardId))}
		for _, p := range c.ParentShards {
			child.Parents = append(child.Parents, stream.ShardID(p))
		}
		if c.HashKeyRange != nil {
			child.HashKeys, err = stream.ParseHashKeyRange(aws.ToString(c.HashKeyRange.StartingHashKey), aws.ToString(c.HashKeyRange.EndingHashKey))
			if err != nil {
				return a, errHashKeys
			}
		}
		a.Children = append(a.Children, child)
	}
	if behind != nil {
		a.BehindKnown = true
		const most = int64(1<<63-1) / int64(time.Millisecond)
		a.Behind = time.Duration(min(max(*behind, -most), most)) * time.Millisecond
	}
	return a, nil
}
