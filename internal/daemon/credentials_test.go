package daemon_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/daemon"
)

func TestD67_Providers(t *testing.T) {
	s := load(t, "AwsCredentialsProviderCloudWatch = com.example.Mine, software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider|dev , AnonymousCredentialsProvider\n")
	if c := s.CloudWatch.Credentials; len(c) != 2 || c[0].Name != "ProfileCredentialsProvider" || c[0].Args[0] != "dev" || c[1].Name != "AnonymousCredentialsProvider" {
		t.Errorf("%+v", c)
	}
	if want := `credentials providers "com.example.Mine" are not known here and are left out`; notes(s) != want {
		t.Errorf("notes: %s", notes(s))
	}
	refusals(t, map[string]string{
		"AwsCredentialsProviderDynamoDB = com.example.Mine\n": `app.properties:5: AwsCredentialsProviderDynamoDB: no credentials provider can be made of "com.example.Mine"; ` +
			"known are DefaultCredentialsProvider, ProfileCredentialsProvider, EnvironmentVariableCredentialsProvider, InstanceProfileCredentialsProvider, " +
			"ContainerCredentialsProvider, WebIdentityTokenFileCredentialsProvider, AnonymousCredentialsProvider, StsAssumeRoleCredentialsProvider",
		"AwsCredentialsProviderDynamoDB = DefaultCredentialsProvider|x\n": `app.properties:5: AwsCredentialsProviderDynamoDB: DefaultCredentialsProvider takes no argument`,
	})
}

func TestD68_AssumeRole(t *testing.T) {
	where := "app.properties:5: AwsCredentialsProviderDynamoDB: "
	refusals(t, map[string]string{
		"AwsCredentialsProviderDynamoDB = StsAssumeRoleCredentialsProvider|arn\n":                     where + "StsAssumeRoleCredentialsProvider wants |<role ARN>|<session name>",
		"AwsCredentialsProviderDynamoDB = KclStsAssumeRoleCredentialsProvider|arn|s|externalId=a=b\n": where + "StsAssumeRoleCredentialsProvider: externalId must not contain =; the Java daemon would drop it and assume the role without",
		"AwsCredentialsProviderDynamoDB = StsAssumeRoleCredentialsProvider|arn|s|endpoint=host\n":     where + "StsAssumeRoleCredentialsProvider: endpoint wants <host>^<signing region>",
		"AwsCredentialsProviderDynamoDB = StsAssumeRoleCredentialsProvider|arn|s|extrnalId=a\n":       where + `StsAssumeRoleCredentialsProvider: no setting "extrnalId"; known are endpointRegion, endpoint and externalId`,
		"AwsCredentialsProviderDynamoDB = StsAssumeRoleCredentialsProvider|arn|s|x\n":                 where + "StsAssumeRoleCredentialsProvider: argument 3 is not of the form key=value",
	})
}

// TestD68_TheRoleIsAssumed asks an STS of our own and signs with what it gives.
func TestD68_TheRoleIsAssumed(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "outer")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		asked = r.Form.Encode()
		w.Header().Set("Content-Type", "text/xml")
		w.Write([]byte(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>inner</AccessKeyId>` +
			`<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`))
	}))
	defer srv.Close()
	s, err := daemon.Load("f", []byte("executableName=x\napplicationName=app\nstreamName=s\nregionName=us-east-1\n"+
		"AwsCredentialsProvider=StsAssumeRoleCredentialsProvider|arn:aws:iam::123456789012:role/reader|me|externalId=ext|endpoint="+srv.URL+"^eu-west-1\n"))
	if err != nil {
		t.Fatal(err)
	}
	k, _, err := s.Clients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := k.Options().Credentials.Retrieve(t.Context())
	if err != nil || creds.AccessKeyID != "inner" {
		t.Fatalf("credentials %+v, %v", creds, err)
	}
	for _, part := range []string{"ExternalId=ext", "RoleSessionName=me", "role%2Freader"} {
		if !strings.Contains(asked, part) {
			t.Errorf("the request %s lacks %s", asked, part)
		}
	}
}

func TestD69_D70_Clients(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	s := load(t, "regionName = eu-west-1\nkinesisEndpoint = http://127.0.0.1:1\ndynamoDBEndpoint = http://127.0.0.1:2\ndynamoDbClient.region = us-west-2\n"+
		"AwsCredentialsProviderCloudWatch = AnonymousCredentialsProvider\n")
	if s.DynamoDB.Credentials[0].Name != "DefaultCredentialsProvider" || s.CloudWatch.Credentials[0].Name != "AnonymousCredentialsProvider" {
		t.Errorf("credentials: %+v, %+v", s.DynamoDB, s.CloudWatch)
	}
	k, d, err := s.Clients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o := k.Options(); o.Region != "eu-west-1" || *o.BaseEndpoint != "http://127.0.0.1:1" {
		t.Errorf("kinesis: %s %s", o.Region, *o.BaseEndpoint)
	}
	if o := d.Options(); o.Region != "us-west-2" || *o.BaseEndpoint != "http://127.0.0.1:2" {
		t.Errorf("dynamodb: %s %s", o.Region, *o.BaseEndpoint)
	}
}

// TestChainStaysWithTheFirstThatAnswers: the environment has none, so the next is asked.
func TestD67_ChainInOrder(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
	s, err := daemon.Load("f", []byte("executableName=x\napplicationName=app\nstreamName=s\nregionName=us-east-1\n"+
		"AwsCredentialsProvider=EnvironmentVariableCredentialsProvider,ContainerCredentialsProvider\n"))
	if err != nil {
		t.Fatal(err)
	}
	k, _, err := s.Clients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Options().Credentials.Retrieve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "EnvironmentVariableCredentialsProvider: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set\n"+
		"ContainerCredentialsProvider: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set") {
		t.Errorf("Retrieve = %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	if creds, err := k.Options().Credentials.Retrieve(t.Context()); err != nil || creds.AccessKeyID != "a" {
		t.Errorf("credentials %+v, %v", creds, err)
	}
}

// TestD73_RefusalsDoNotTellArguments: errors are logged, and arguments may be secrets.
func TestD73_RefusalsDoNotTellArguments(t *testing.T) {
	for _, value := range []string{
		"DefaultCredentialsProvider|hush", "ProfileCredentialsProvider|dev|hush", "StsAssumeRoleCredentialsProvider|arn|s|externalId:hush",
		"StsAssumeRoleCredentialsProvider|arn|s|externalId=hush=", "StsAssumeRoleCredentialsProvider|arn|s|endpoint=hush", "StaticCredentialsProvider|id|hush",
	} {
		_, err := daemon.Load("f", []byte(minimal+"AwsCredentialsProviderDynamoDB = "+value+"\n"))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// TestKinesisClientHasFewRetries: the worker paces itself, unless the environment says otherwise.
func TestKinesisClientHasFewRetries(t *testing.T) {
	for env, want := range map[string]int{"": 2, "7": 7} {
		t.Setenv("AWS_MAX_ATTEMPTS", env)
		k, _, err := load(t, "regionName = eu-west-1\n").Clients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Options().RetryMaxAttempts; got != want {
			t.Errorf("AWS_MAX_ATTEMPTS=%s: %d attempts, want %d", env, got, want)
		}
	}
}
