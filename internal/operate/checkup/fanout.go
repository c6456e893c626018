package checkup

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// FanOut says how a worker would read by enhanced fan-out.
type FanOut struct {
	Consumer string // name; registered by the worker if there is none
	ARN      string // of a consumer that must exist; instead of Consumer
	Required bool   // the worker does not poll instead
}

// mostConsumers of a stream (Kinesis service quota).
const mostConsumers = 20

// checkFanOut asks for the consumer. Registering and subscribing are not tried: the one would leave a consumer behind that costs
// money, and the other take a shard away from whoever reads it.
func (s Subject) checkFanOut(ctx context.Context, r *report, about string, d *types.StreamDescriptionSummary) {
	const untried = "whether a worker may also call %s cannot be checked without doing it"
	f := s.FanOut
	level, instead := Warning, "; a worker would poll instead"
	if f.Required {
		level, instead = Failure, ""
	}
	consumer, in := "consumer "+f.Consumer, &kinesis.DescribeStreamConsumerInput{StreamARN: d.StreamARN, ConsumerName: aws.String(f.Consumer)}
	if f.ARN != "" {
		consumer, in = "consumer "+f.ARN, &kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String(f.ARN)}
	}
	out, err := s.Kinesis.DescribeStreamConsumer(ctx, in)
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing) && f.ARN != "":
		r.add(Failure, about, consumer+" does not exist", "correct the ARN, or let the worker register a consumer by name")
	case errors.As(err, &missing) && aws.ToInt32(d.ConsumerCount) >= mostConsumers:
		r.add(level, about, fmt.Sprintf("%s is not registered, and the stream has %d, as many as it may%s", consumer, *d.ConsumerCount, instead), "deregister one that nobody uses")
	case errors.As(err, &missing):
		r.add(Note, about, consumer+" is not registered yet, a worker does that; "+fmt.Sprintf(untried, "kinesis:RegisterStreamConsumer and SubscribeToShard"), "")
	case err != nil:
		what, remedy := refusal("kinesis:DescribeStreamConsumer", consumer, err)
		r.add(level, about, what+instead, remedy)
	default:
		s.tellConsumer(r, about, consumer, out.ConsumerDescription)
		r.add(Note, about, fmt.Sprintf(untried, "kinesis:SubscribeToShard"), "")
	}
}

func (s Subject) tellConsumer(r *report, about, consumer string, c *types.ConsumerDescription) {
	switch {
	case c == nil:
		r.add(Warning, about, consumer+" was described with nothing", "")
	case c.ConsumerStatus == types.ConsumerStatusDeleting:
		r.add(Warning, about, consumer+" is being deleted: a worker waits, and registers it again", "")
	case c.ConsumerStatus == types.ConsumerStatusActive:
		r.add(OK, about, consumer+" is ACTIVE", "")
	default:
		r.add(Note, about, fmt.Sprintf("%s is %s: a worker waits until it is ACTIVE", consumer, c.ConsumerStatus), "")
	}
}
