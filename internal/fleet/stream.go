package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/lineage"
)

// Stream is a stream that workers of the application read, as the service describes it.
type Stream struct {
	// ID is how rows name the stream: "<account>:<name>:<creation epoch>", or empty in a table of one stream.
	ID   string
	Name string
	ARN  string
}

// ErrNotReady says that a stream is being created or deleted. Trying again helps, or tells that it does not exist.
var ErrNotReady = errors.New("stream is not ready")

// FindStreams describes the streams named by names or ARNs. multi gives them the IDs that rows of a table of several streams
// carry. A stream that does not exist is an error that says so.
func FindStreams(ctx context.Context, client *kinesis.Client, names []string, multi bool) ([]Stream, error) {
	var found []Stream
	seen := map[string]bool{}
	for _, name := range names {
		s, err := describe(ctx, client, name, multi)
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

func describe(ctx context.Context, client *kinesis.Client, name string, multi bool) (Stream, error) {
	in := &kinesis.DescribeStreamSummaryInput{}
	if strings.HasPrefix(name, "arn:") {
		in.StreamARN = aws.String(name)
	} else {
		in.StreamName = aws.String(name)
	}
	out, err := client.DescribeStreamSummary(ctx, in)
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return Stream{}, fmt.Errorf("stream %s does not exist in region %s: create it, or correct the name, the account or the region: %w",
			name, client.Options().Region, err)
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
		account, err := accountOf(s.ARN)
		if err != nil {
			return Stream{}, err
		}
		s.ID = lineage.StreamID{Account: account, Name: s.Name, CreatedAt: aws.ToTime(d.StreamCreationTimestamp)}.String()
	}
	// Only the leader lists shards, and any worker may become it: who may not is told now, not when the leader dies.
	if _, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamARN: d.StreamARN, MaxResults: aws.Int32(1)}); err != nil {
		return Stream{}, fmt.Errorf("list the shards of %s: %w", s.Name, Explain(err, s.Name))
	}
	return s, nil
}

// accountOf returns the account in an ARN: arn:aws:kinesis:region:account:stream/name.
func accountOf(arn string) (string, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[4] == "" {
		return "", fmt.Errorf("stream ARN %q has no account", arn)
	}
	return parts[4], nil
}
