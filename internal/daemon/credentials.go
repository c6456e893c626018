package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Provider is one entry of a credentials setting: a class name with arguments, ClassName|argument|….
type Provider struct {
	Name string // the class without its package
	Args []string
}

// stsName is the class of the multilang package that assumes a role; its two other names mean the same.
const stsName = "StsAssumeRoleCredentialsProvider"

// providerNames are the classes that have an equivalent here.
var providerNames = []string{
	"DefaultCredentialsProvider", "ProfileCredentialsProvider", "EnvironmentVariableCredentialsProvider",
	"InstanceProfileCredentialsProvider", "ContainerCredentialsProvider", "WebIdentityTokenFileCredentialsProvider",
	"AnonymousCredentialsProvider", stsName,
}

// packages of classes that may stand before a name.
var packages = []string{
	"software.amazon.awssdk.auth.credentials.", "software.amazon.awssdk.services.sts.auth.", "software.amazon.kinesis.multilang.auth.",
}

// providers reads a credentials setting. Names that are not known are left out with a note if another one is.
func providers(field func(*Settings) *[]Provider) setter {
	return func(s *Settings, v string) error {
		var found []Provider
		var unknown []string
		for part := range strings.SplitSeq(v, ",") {
			fields := strings.Split(strings.TrimSpace(part), "|")
			p := Provider{Name: bare(fields[0]), Args: fields[1:]}
			if !isKnown(p.Name) {
				unknown = append(unknown, fmt.Sprintf("%q", fields[0]))
				continue
			}
			if err := p.check(); err != nil {
				return err
			}
			found = append(found, p)
		}
		if len(found) == 0 {
			return fmt.Errorf("no credentials provider can be made of %s; known are %s", strings.Join(unknown, ", "), strings.Join(providerNames, ", "))
		}
		if len(unknown) > 0 {
			s.note(0, "", "credentials providers %s are not known here and are left out", strings.Join(unknown, ", "))
		}
		*field(s) = found
		return nil
	}
}

func bare(name string) string {
	name = strings.TrimSpace(name)
	for _, p := range packages {
		name = strings.TrimPrefix(name, p)
	}
	if name == "Kcl"+stsName {
		return stsName
	}
	return name
}

func isKnown(name string) bool {
	for _, n := range providerNames {
		if n == name {
			return true
		}
	}
	return false
}

// check says what is wrong with the arguments, without telling them: they may be secrets.
func (p Provider) check() error {
	switch {
	case p.Name == stsName:
		_, err := p.role()
		return err
	case p.Name == "ProfileCredentialsProvider" && len(p.Args) <= 1, len(p.Args) == 0:
		return nil
	}
	if p.Name == "ProfileCredentialsProvider" {
		return fmt.Errorf("%s takes one argument, the profile", p.Name)
	}
	return fmt.Errorf("%s takes no argument", p.Name)
}

// role is what StsAssumeRoleCredentialsProvider|arn|session|key=value… says.
type role struct{ arn, session, externalID, region, endpoint string }

func (p Provider) role() (role, error) {
	if len(p.Args) < 2 || p.Args[0] == "" || p.Args[1] == "" {
		return role{}, fmt.Errorf("%s wants |<role ARN>|<session name>", p.Name)
	}
	r := role{arn: p.Args[0], session: p.Args[1]}
	for i, arg := range p.Args[2:] {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			return r, fmt.Errorf("%s: argument %d is not of the form key=value", p.Name, i+3)
		case name == "externalId" && strings.Contains(value, "="):
			return r, fmt.Errorf("%s: externalId must not contain =; the Java daemon would drop it and assume the role without", p.Name)
		case name == "externalId":
			r.externalID = value
		case name == "endpointRegion":
			r.region = value
		case name == "endpoint":
			host, region, ok := strings.Cut(value, "^")
			if !ok || strings.Contains(region, "^") {
				return r, fmt.Errorf("%s: endpoint wants <host>^<signing region>", p.Name)
			}
			if !strings.Contains(host, "://") {
				host = "https://" + host
			}
			r.endpoint, r.region = host, region
		default:
			return r, fmt.Errorf("%s: no setting %q; known are endpointRegion, endpoint and externalId", p.Name, name)
		}
	}
	return r, nil
}

// provider makes the SDK's equivalent. base is the SDK's own configuration, for what it finds by itself.
func (p Provider) provider(ctx context.Context, base aws.Config) (aws.CredentialsProvider, error) {
	switch p.Name {
	case "ProfileCredentialsProvider":
		var name string
		if len(p.Args) == 1 {
			name = p.Args[0]
		}
		cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(name), config.WithRegion(base.Region))
		return cfg.Credentials, err
	case "EnvironmentVariableCredentialsProvider":
		return aws.CredentialsProviderFunc(fromEnvironment), nil
	case "InstanceProfileCredentialsProvider":
		return ec2rolecreds.New(), nil
	case "ContainerCredentialsProvider":
		return fromContainer()
	case "WebIdentityTokenFileCredentialsProvider":
		return fromTokenFile(base)
	case "AnonymousCredentialsProvider":
		return aws.AnonymousCredentials{}, nil
	case stsName:
		r, err := p.role()
		if err != nil {
			return nil, err
		}
		return r.provider(base), nil
	}
	return base.Credentials, nil
}

func fromEnvironment(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "EnvironmentVariableCredentialsProvider",
	}
	if !c.HasKeys() {
		return c, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	}
	return c, nil
}

// fromContainer follows the variables that ECS and EKS set (AWS SDKs reference guide, "Container credential provider").
func fromContainer() (aws.CredentialsProvider, error) {
	uri := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if rel := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); rel != "" {
		uri = "http://169.254.170.2" + rel
	}
	if uri == "" {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set")
		}), nil
	}
	return endpointcreds.New(uri, func(o *endpointcreds.Options) { o.AuthorizationToken = os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN") }), nil
}

func fromTokenFile(base aws.Config) (aws.CredentialsProvider, error) {
	file, arn := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), os.Getenv("AWS_ROLE_ARN")
	if file == "" || arn == "" {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not set")
		}), nil
	}
	return stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(base), arn, stscreds.IdentityTokenFile(file),
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = os.Getenv("AWS_ROLE_SESSION_NAME") }), nil
}

func (r role) provider(base aws.Config) aws.CredentialsProvider {
	client := sts.NewFromConfig(base, func(o *sts.Options) {
		if r.region != "" {
			o.Region = r.region
		}
		if r.endpoint != "" {
			o.BaseEndpoint = aws.String(r.endpoint)
		}
	})
	return stscreds.NewAssumeRoleProvider(client, r.arn, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = r.session
		if r.externalID != "" {
			o.ExternalID = aws.String(r.externalID)
		}
	})
}

// chain asks its providers in turn and stays with the first that answers, as the Java SDK's AwsCredentialsProviderChain does.
type chain struct {
	names     []string
	providers []aws.CredentialsProvider

	mu   sync.Mutex
	last aws.CredentialsProvider
}

// Retrieve implements aws.CredentialsProvider.
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if last != nil {
		return last.Retrieve(ctx)
	}
	var errs []error
	for i, p := range c.providers {
		creds, err := p.Retrieve(ctx)
		if err == nil {
			c.mu.Lock()
			c.last = p
			c.mu.Unlock()
			return creds, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", c.names[i], err))
	}
	return aws.Credentials{}, fmt.Errorf("no credentials: %w", errors.Join(errs...))
}

// credentials makes the provider of one client.
func credentials(ctx context.Context, base aws.Config, list []Provider) (aws.CredentialsProvider, error) {
	c := &chain{}
	for _, p := range list {
		made, err := p.provider(ctx, base)
		if err != nil {
			return nil, fmt.Errorf("credentials provider %s: %w", p.Name, err)
		}
		c.names, c.providers = append(c.names, p.Name), append(c.providers, made)
	}
	if _, anonymous := c.providers[0].(aws.AnonymousCredentials); anonymous && len(c.providers) == 1 {
		return c.providers[0], nil // the SDK must see that there is nothing to sign with
	}
	return aws.NewCredentialsCache(c), nil
}
