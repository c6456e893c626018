package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/wholebody"
)

// awsFlags are the flags of commands that call AWS.
type awsFlags struct{ endpoint, region string }

func (f *awsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "URL of the service (default: $AWS_ENDPOINT_URL, else AWS itself)")
	cmd.Flags().StringVar(&f.region, "region", "", "AWS region (default: $AWS_REGION or the profile's)")
}

// config loads the SDK's configuration: flags beat the environment beats files.
func (f *awsFlags) config(ctx context.Context) (aws.Config, error) {
	var options []func(*config.LoadOptions) error
	endpoint := f.endpoint
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return aws.Config{}, usagef("-endpoint %q is not a URL such as http://127.0.0.1:4567", endpoint)
		}
		options = append(options, config.WithBaseEndpoint(endpoint))
	} else {
		endpoint = firstOf(os.Getenv("AWS_ENDPOINT_URL_KINESIS"), os.Getenv("AWS_ENDPOINT_URL"))
	}
	if f.region != "" {
		options = append(options, config.WithRegion(f.region))
	}
	local := isLocal(endpoint)
	if local && os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" && local {
		cfg.Region = "us-east-1"
	}
	if cfg.Region == "" {
		return cfg, usagef("which region? Give -region, or set AWS_REGION")
	}
	cfg.HTTPClient = wholebody.New(cfg.HTTPClient)
	return cfg, nil
}

func (f *awsFlags) kinesis(ctx context.Context) (*kinesis.Client, error) {
	cfg, err := f.config(ctx)
	if err != nil {
		return nil, err
	}
	return kinesis.NewFromConfig(cfg), nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// isLocal reports whether the endpoint is on this machine, where AWS cannot be.
func isLocal(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
