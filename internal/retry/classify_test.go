package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/retry"
)

// Every code that the models of both services list, and those that AWS adds to every service (spec
// retrieval-and-lifecycle.md 1.9).
func TestClassifyCodes(t *testing.T) {
	for class, errs := range map[retry.Class][]error{
		retry.Throttled: {
			&kinesistypes.ProvisionedThroughputExceededException{}, &kinesistypes.LimitExceededException{},
			&kinesistypes.KMSThrottlingException{}, &dynamotypes.ProvisionedThroughputExceededException{},
			&dynamotypes.RequestLimitExceeded{}, &dynamotypes.ThrottlingException{}, &dynamotypes.LimitExceededException{},
			code("Throttling"), code("TooManyRequestsException"), code("SlowDown"), code("RequestThrottled"),
		},
		retry.Transient: {
			&kinesistypes.InternalFailureException{}, &dynamotypes.InternalServerError{}, code("InternalFailure"),
			code("ServiceUnavailable"), code("RequestTimeout"), &dynamotypes.TransactionConflictException{},
			&dynamotypes.TransactionInProgressException{}, &dynamotypes.ReplicatedWriteConflictException{},
			code("RequestExpired"), &smithy.GenericAPIError{Code: "New", Fault: smithy.FaultServer},
		},
		retry.Expired: {&kinesistypes.ExpiredIteratorException{}, &kinesistypes.ExpiredNextTokenException{}},
		retry.Gone: {
			&kinesistypes.ResourceNotFoundException{}, &dynamotypes.ResourceNotFoundException{},
			&dynamotypes.TableNotFoundException{}, &dynamotypes.IndexNotFoundException{},
		},
		retry.Denied: {
			&kinesistypes.AccessDeniedException{}, code("UnrecognizedClientException"), code("InvalidSignatureException"),
			code("ExpiredTokenException"), code("ExpiredToken"), code("MissingAuthenticationTokenException"),
			code("IncompleteSignatureException"), code("InvalidClientTokenId"), code("OptInRequired"),
			&kinesistypes.KMSAccessDeniedException{}, &kinesistypes.KMSDisabledException{},
			&kinesistypes.KMSInvalidStateException{}, &kinesistypes.KMSNotFoundException{}, &kinesistypes.KMSOptInRequired{},
		},
		retry.Conflict: {
			&kinesistypes.ResourceInUseException{}, &dynamotypes.ResourceInUseException{},
			&dynamotypes.TableInUseException{}, &dynamotypes.TableAlreadyExistsException{},
			&dynamotypes.TransactionCanceledException{}, &dynamotypes.ContinuousBackupsUnavailableException{},
		},
		retry.Conditional: {&dynamotypes.ConditionalCheckFailedException{}},
		retry.Invalid: {
			&kinesistypes.InvalidArgumentException{}, &kinesistypes.ValidationException{}, code("ValidationException"),
			code("SerializationException"), code("UnknownOperationException"), code("MissingParameter"),
			&dynamotypes.ItemCollectionSizeLimitExceededException{}, &dynamotypes.DuplicateItemException{},
		},
		retry.Unknown: {code("SomethingNewException"), &smithy.GenericAPIError{Code: "New", Fault: smithy.FaultClient}},
	} {
		for _, err := range errs {
			wrapped := fmt.Errorf("renew: %w", &smithy.OperationError{ServiceID: "S", OperationName: "O", Err: err})
			if got := retry.Classify(wrapped); got != class {
				t.Errorf("Classify(%v) = %v, want %v", wrapped, got, class)
			}
		}
	}
}

func code(c string) error { return &smithy.GenericAPIError{Code: c, Message: "text"} }

func status(s int, err error) error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: s}}, Err: err}
}

func TestClassifyOthers(t *testing.T) {
	refused := &smithyhttp.RequestSendError{Err: &url.Error{Op: "Post", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}}
	for _, c := range []struct {
		name string
		err  error
		want retry.Class
	}{
		{"nil", nil, retry.None},
		{"cancelled by the caller", &smithy.CanceledError{Err: context.Canceled}, retry.Canceled},
		{"deadline", &smithy.CanceledError{Err: context.DeadlineExceeded}, retry.Transient},
		{"connection refused", refused, retry.Transient},
		{"no such host", &smithyhttp.RequestSendError{Err: &net.DNSError{IsNotFound: true}}, retry.Transient},
		{"end of file", fmt.Errorf("read: %w", io.EOF), retry.Transient},
		{"half an answer", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), retry.Transient},
		{"closed connection", net.ErrClosed, retry.Transient},
		{"a proxy's page", &smithy.DeserializationError{Err: errors.New("invalid character '<'")}, retry.Transient},
		{"500 without a code", status(500, code("UnknownError")), retry.Transient},
		{"502 without an API error", status(502, errors.New("body")), retry.Transient},
		{"503", status(503, code("")), retry.Transient},
		{"504", status(504, code("")), retry.Transient},
		{"429", status(429, code("")), retry.Throttled},
		{"403 without a code", status(403, code("")), retry.Denied},
		{"400 without a code", status(400, code("")), retry.Unknown},
		{"the code beats the status", status(500, &dynamotypes.ConditionalCheckFailedException{}), retry.Conditional},
		{"no region", &aws.MissingRegionError{}, retry.Invalid},
		{"missing parameter", smithy.InvalidParamsError{}, retry.Invalid},
		{"missing parameter, wrapped", fmt.Errorf("x: %w", smithy.InvalidParamsError{}), retry.Invalid},
		{"anything", errors.New("anything"), retry.Unknown},
	} {
		if got := retry.Classify(c.err); got != c.want {
			t.Errorf("%s: Classify(%v) = %v, want %v", c.name, c.err, got, c.want)
		}
	}
}

// What the SDK itself says when there are no credentials: found by making a call.
func TestClassifyCredentials(t *testing.T) {
	noService := credentials.StaticCredentialsProvider{}
	broken := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("exit status 1")
	})
	down := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &smithy.OperationError{ServiceID: "STS", Err: status(503, errors.New("body"))}
	})
	throttled := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &smithy.OperationError{ServiceID: "STS", Err: code("Throttling")}
	})
	for _, c := range []struct {
		name string
		from aws.CredentialsProvider
		want retry.Class
	}{
		{"none", noService, retry.Denied},
		{"provider broken", broken, retry.Denied},
		{"provider's service down", down, retry.Transient},
		{"provider's service throttled", throttled, retry.Throttled},
	} {
		client := dynamodb.New(dynamodb.Options{Region: "eu-west-1", Credentials: aws.NewCredentialsCache(c.from), RetryMaxAttempts: 1})
		_, err := client.ListTables(t.Context(), nil)
		if got := retry.Classify(err); got != c.want {
			t.Errorf("%s: Classify(%v) = %v, want %v", c.name, err, got, c.want)
		}
	}
}
