package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/stream"
)

// Stream is a stream that workers of the application read, as the service describes it.
type Stream struct {
	// ID is how rows name the stream: "<account>:<name>:<creation epoch>", or empty in a table of one stream.
	ID   string
	Name string
	ARN  string

	// Start is where a shard is read from of which the application knows nothing, with StartAt if it is stream.AtTimestamp.
	Start   stream.Position
	StartAt time.Time
}

// ErrNoStream says that the service knows no such stream: it was deleted, or its name, account or region is wrong.
var ErrNoStream = errors.New("no such stream")

// noStream makes an error of the service one that is ErrNoStream too.
type noStream struct{ error }

func (e noStream) Unwrap() []error { return []error{ErrNoStream, e.error} }

// ErrNotReady says that a stream is being created or deleted. Trying again helps, or tells that it does not exist.
var ErrNotReady = errors.New("stream is not ready")

// FindStreams describes the streams named by names or ARNs. multi gives them the IDs that rows of a table of several streams
// carry. A stream that does not exist is an error that says so.
func FindStreams(ctx context.Context, client *kinesis.Client, names []string, multi bool) ([]Stream, error) {
	var found []Stream
	seen := map[string]bool{}
	for _, name := range names {
		s, err := Describe(ctx, client, name, multi)
		if err == nil {
			err = MayList(ctx, client, s)
		}
		if err != nil {
			return nil, err
		}
		if seen[s.ARN] {
			return nil, fmt.Errorf("stream %s is given twice", s.Name)
		}
		seen[s.ARN] = true
		found = append(found, s)
	}
	return found, nil
}

// describeTimeout is how long one call may take, with its retries, that asks whether a stream is there.
const describeTimeout = 20 * time.Second

// Describe asks the service for one stream, by name or ARN. The error wraps [ErrNoStream] where there is none, and [ErrNotReady]
// while it comes or goes.
func Describe(ctx context.Context, client *kinesis.Client, name string, multi bool) (Stream, error) {
	in := &kinesis.DescribeStreamSummaryInput{}
	if strings.HasPrefix(name, "arn:") {
		in.StreamARN = aws.String(name)
	} else {
		in.StreamName = aws.String(name)
	}
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	out, err := client.DescribeStreamSummary(ctx, in)
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return Stream{}, fmt.Errorf("stream %s does not exist in region %s: create it, or correct the name, the account or the region: %w",
			name, client.Options().Region, noStream{err})
	}
	if err != nil {
		return Stream{}, fmt.Errorf("describe stream %s: %w", name, Explain(err, name))
	}
	d := out.StreamDescriptionSummary
	if d.StreamStatus != types.StreamStatusActive && d.StreamStatus != types.StreamStatusUpdating {
		return Stream{}, fmt.Errorf("stream %s is %s: %w", name, d.StreamStatus, ErrNotReady)
	}
	s := Stream{Name: aws.ToString(d.StreamName), ARN: aws.ToString(d.StreamARN)}
	if multi {
		account, _, ok := ParseARN(s.ARN)
		if !ok {
			return Stream{}, fmt.Errorf("stream ARN %q has no account", s.ARN)
		}
		s.ID = lineage.StreamID{Account: account, Name: s.Name, CreatedAt: aws.ToTime(d.StreamCreationTimestamp)}.String()
	}
	return s, nil
}

// MayList tells whether this worker may list the shards of s. Only the leader does, and any worker may become it: who may not
// is told at once, not when the leader dies.
func MayList(ctx context.Context, client *kinesis.Client, s Stream) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	_, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamARN: aws.String(s.ARN), StreamName: aws.String(s.Name), MaxResults: aws.Int32(1)})
	if err != nil {
		return fmt.Errorf("list the shards of %s: %w", s.Name, Explain(err, s.Name))
	}
	return nil
}

// ParseARN returns the account and the name in a stream's ARN, arn:aws:kinesis:region:account:stream/name; false if it is none.
func ParseARN(arn string) (account, name string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[4] == "" {
		return "", "", false
	}
	name, ok = strings.CutPrefix(parts[5], "stream/")
	return parts[4], name, ok && name != ""
}
