package checkup

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// checkStream looks whether a stream can be read.
func (s Subject) checkStream(ctx context.Context, r *report, name string) {
	about := "stream " + name
	in := &kinesis.DescribeStreamSummaryInput{}
	if strings.HasPrefix(name, "arn:") {
		in.StreamARN = &name
	} else {
		in.StreamName = &name
	}
	out, err := s.Kinesis.DescribeStreamSummary(ctx, in)
	if err != nil {
		r.refuse(about, "kinesis:DescribeStreamSummary", about, err)
		return
	}
	r.seeClock(middleware.GetAttemptSkew(out.ResultMetadata))
	d := out.StreamDescriptionSummary
	if d.StreamStatus != types.StreamStatusActive && d.StreamStatus != types.StreamStatusUpdating {
		r.add(Failure, about, "it is "+string(d.StreamStatus), "wait until it is ACTIVE")
		return
	}
	mode := ""
	if d.StreamModeDetails != nil {
		mode = ", " + strings.ToLower(strings.ReplaceAll(string(d.StreamModeDetails.StreamMode), "_", "-"))
	}
	r.add(OK, about, fmt.Sprintf("%s, %d open %s, keeps records for %d hours%s", d.StreamStatus, aws.ToInt32(d.OpenShardCount),
		plural(int(aws.ToInt32(d.OpenShardCount)), "shard"), aws.ToInt32(d.RetentionPeriodHours), mode), "")
	if aws.ToInt32(d.RetentionPeriodHours) <= 24 {
		r.add(Note, about, "records are kept for a day only: who stands still over a weekend loses some", "consider a longer retention period")
	}
	if d.EncryptionType == types.EncryptionTypeKms {
		r.add(Note, about, "it is encrypted with the key "+aws.ToString(d.KeyId), "readers need kms:Decrypt on that key")
	}
	s.checkReading(ctx, r, about, d)
	s.checkConsumers(ctx, r, about, d)
	if s.FanOut != nil {
		s.checkFanOut(ctx, r, about, d)
	}
}

// checkReading makes the calls of a reader on one shard.
func (s Subject) checkReading(ctx context.Context, r *report, about string, d *types.StreamDescriptionSummary) {
	arn, name := d.StreamARN, d.StreamName
	list, err := s.Kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamARN: arn, StreamName: name, MaxResults: aws.Int32(1)})
	if err != nil {
		r.refuse(about, "kinesis:ListShards", about, err)
		return
	}
	if len(list.Shards) == 0 {
		r.add(Failure, about, "it has no shards", "wait until it is ACTIVE")
		return
	}
	it, err := s.Kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamARN: arn, StreamName: name, ShardId: list.Shards[0].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		r.refuse(about, "kinesis:GetShardIterator", about, err)
		return
	}
	if _, err = s.Kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{StreamARN: arn, ShardIterator: it.ShardIterator, Limit: aws.Int32(1)}); err != nil {
		r.refuse(about, "kinesis:GetRecords", about, err)
		return
	}
	r.add(OK, about, "its records can be read", "")
}

// checkConsumers tells who else reads, as far as the service knows: readers that poll are not registered anywhere.
func (s Subject) checkConsumers(ctx context.Context, r *report, about string, d *types.StreamDescriptionSummary) {
	if n := aws.ToInt32(d.ConsumerCount); n > 0 {
		r.add(Note, about, fmt.Sprintf("%d registered fan-out %s %s throughput of their own; others that poll share 5 reads a second and 2 MB/s of each shard with this application, and cannot be seen",
			n, plural(int(n), "consumer"), map[bool]string{true: "has", false: "have"}[n == 1]), "")
	}
	if s.FanOut != nil { // then its consumer is looked at more closely, and a worker does not list them
		return
	}
	out, err := s.Kinesis.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: d.StreamARN})
	if err != nil {
		what, remedy := refusal("kinesis:ListStreamConsumers", about, err)
		r.add(Note, about, what+" (only reading by fan-out needs it)", remedy)
		return
	}
	for _, c := range out.Consumers {
		if aws.ToString(c.ConsumerName) == s.Application {
			r.add(Note, about, fmt.Sprintf("this application has a registered consumer, which is %s", c.ConsumerStatus), "")
		}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
