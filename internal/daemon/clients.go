package daemon

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/wholebody"
)

// namespaces are the keys under which the Java daemon calls any setter of a client's builder.
var namespaces = map[string]func(*Settings) *ClientSettings{
	"kinesisClient.":    func(s *Settings) *ClientSettings { return &s.Kinesis },
	"dynamoDbClient.":   func(s *Settings) *ClientSettings { return &s.DynamoDB },
	"cloudWatchClient.": func(s *Settings) *ClientSettings { return &s.CloudWatch },
}

var credentialNamespaces = map[string]func(*Settings) *ClientSettings{
	"kinesisCredentialsProvider.":    namespaces["kinesisClient."],
	"dynamoDBCredentialsProvider.":   namespaces["dynamoDbClient."],
	"cloudWatchCredentialsProvider.": namespaces["cloudWatchClient."],
}

// applyClient takes in a key below a client's namespace; known says that it is one. What is not supported there is an error: the
// Java daemon fails too where its builder has no such setter.
func (s *Settings) applyClient(name, v string) (known bool, err error) {
	for prefix, of := range namespaces {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		c := of(s)
		switch rest {
		case "region":
			c.Region = strings.TrimSpace(v)
		case "endpointOverride":
			err = endpoint(func(*Settings) *string { return &c.Endpoint })(s, v)
		case "dualstackEnabled":
			c.DualStack, err = yes(v)
		case "fipsEnabled":
			c.FIPS, err = yes(v)
		default:
			err = fmt.Errorf("clients take region, endpointOverride, dualstackEnabled and fipsEnabled here, not %s", rest)
		}
		return true, err
	}
	for prefix, of := range credentialNamespaces {
		rest, ok := strings.CutPrefix(name, prefix)
		switch {
		case !ok:
		case rest == "class":
			return true, providers(func(*Settings) *[]Provider { return &of(s).Credentials })(s, v)
		default:
			return true, fmt.Errorf("credentials take only class here, not %s; use %s", rest, credentialsKey)
		}
	}
	return false, nil
}

// kinesisAttempts is how often one request to Kinesis is sent: the worker paces itself and backs off, per shard.
const kinesisAttempts = 2

// Clients makes the AWS clients that the file describes. ctx bounds the look for configuration, not the clients' life.
func (s *Settings) Clients(ctx context.Context) (*kinesis.Client, *dynamodb.Client, error) {
	var options []func(*config.LoadOptions) error
	if s.Region != "" {
		options = append(options, config.WithRegion(s.Region))
	}
	base, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	base.HTTPClient = wholebody.New(base.HTTPClient)
	forKinesis, err := s.client(ctx, base, s.Kinesis, s.KinesisEndpoint)
	if err != nil {
		return nil, nil, err
	}
	if forKinesis.RetryMaxAttempts == 0 { // AWS_MAX_ATTEMPTS or the profile may say otherwise
		forKinesis.RetryMaxAttempts = kinesisAttempts
	}
	forDynamo, err := s.client(ctx, base, s.DynamoDB, s.DynamoDBEndpoint)
	if err != nil {
		return nil, nil, err
	}
	return kinesis.NewFromConfig(forKinesis), dynamodb.NewFromConfig(forDynamo), nil
}

// client returns the configuration of one client: its own settings beat those of the file, which beat the SDK's.
func (s *Settings) client(ctx context.Context, base aws.Config, c ClientSettings, endpoint string) (aws.Config, error) {
	cfg := base.Copy()
	if c.Region != "" {
		cfg.Region = c.Region
	}
	if cfg.Region == "" {
		return cfg, fmt.Errorf("which region? Set regionName in the file, or AWS_REGION")
	}
	if c.Endpoint != "" {
		endpoint = c.Endpoint
	}
	if endpoint != "" {
		cfg.BaseEndpoint = aws.String(endpoint)
	}
	if c.DualStack || c.FIPS {
		cfg.ConfigSources = append([]any{endpointFlavour(c)}, cfg.ConfigSources...)
	}
	var err error
	cfg.Credentials, err = credentials(ctx, cfg, c.Credentials)
	return cfg, err
}

// endpointFlavour tells the SDK's resolvers which endpoints to use.
type endpointFlavour ClientSettings

// GetUseDualStackEndpoint is looked up by the SDK.
func (f endpointFlavour) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	return aws.DualStackEndpointStateEnabled, f.DualStack, nil
}

// GetUseFIPSEndpoint is looked up by the SDK.
func (f endpointFlavour) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return aws.FIPSEndpointStateEnabled, f.FIPS, nil
}
