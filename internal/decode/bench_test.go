package decode_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/decode"
)

// shapes are answers like those that a shard far behind gives: 10,000 records or 10 MiB of data, whichever is less.
var shapes = []struct{ n, size int }{{10_000, 100}, {10_000, 1 << 10}, {100, 100 << 10}}

// BenchmarkDecode measures bytes of payload, not of the body. A body can be decoded only once; making a new one is not in
// the times of "kcl", and "copy" tells what it would cost. "sdk" is all of a GetRecords call of the AWS SDK but the network.
func BenchmarkDecode(b *testing.B) {
	for _, f := range []decode.Format{decode.JSON, decode.CBOR} {
		for _, s := range shapes {
			body := bodyOf(f, s.n, s.size)
			scratch := make([]byte, len(body))
			name := fmt.Sprintf("%v/%dB/", f, s.size)
			b.Run(name+"copy", func(b *testing.B) {
				report(b, s.n, s.size)
				for b.Loop() {
					copy(scratch, body)
				}
			})
			b.Run(name+"kcl", func(b *testing.B) {
				report(b, s.n, s.size)
				for b.Loop() {
					b.StopTimer()
					copy(scratch, body)
					b.StartTimer()
					a, err := decode.Records(scratch, f)
					if err != nil || len(a.Records) != s.n {
						b.Fatalf("%d records, %v", len(a.Records), err)
					}
				}
			})
			if f == decode.CBOR {
				continue
			}
			client := sdkClient(&fixed{body, f.ContentType()})
			b.Run(name+"sdk", func(b *testing.B) {
				report(b, s.n, s.size)
				for b.Loop() {
					if _, err := client.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: aws.String("i")}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func report(b *testing.B, n, size int) {
	b.SetBytes(int64(n * size))
	b.ReportAllocs()
	b.Cleanup(func() { b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s") })
}
