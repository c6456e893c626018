package retry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class is what an error of an AWS call means to its caller.
type Class int

const (
	// Unknown is an error that none of the others describes. Treat it as [Transient] where nothing better is known.
	Unknown Class = iota
	// None is the class of a nil error.
	None
	// Canceled: the caller's context was cancelled. It says nothing about the service.
	Canceled
	// Throttled: the service refused for want of capacity and did nothing. Try the same again after a second or more.
	Throttled
	// Transient: the service failed, or could not be reached, or did not answer in time. What was asked may have happened.
	Transient
	// Expired: the iterator or page token is too old. Ask for a new one; the same request never succeeds.
	Expired
	// Gone: the stream, shard, consumer, table or index is not there.
	Gone
	// Denied: no permission, no valid credentials, or no use of the encryption key. Only an operator can help; when that
	// happened the same request succeeds.
	Denied
	// Conflict: the resource is in a state that forbids this now: being created, changed or used by another.
	Conflict
	// Conditional: the condition of a write did not hold; nothing was written.
	Conditional
	// Invalid: the request itself is wrong, and never succeeds as it is.
	Invalid
)

// String returns the class in one lower-case word.
func (c Class) String() string {
	names := [...]string{"unknown", "none", "canceled", "throttled", "transient", "expired", "gone", "denied", "conflict",
		"conditional", "invalid"}
	if c < 0 || int(c) >= len(names) {
		return "unknown"
	}
	return names[c]
}

// Classify tells what err, an error of any Kinesis or DynamoDB call or of an event stream, means. It never looks at text
// where the SDK has a type. A deadline that has passed is [Transient], whoever set it.
func Classify(err error) Class {
	if err == nil {
		return None
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if c := ofCode(api.ErrorCode()); c != Unknown {
			return c
		}
		if c := ofStatus(err); c != Unknown {
			return c
		}
		return ofFault(api.ErrorFault())
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Transient
	case isCredentials(err):
		if c := ofStatus(err); c == Transient || c == Throttled {
			return c // the credentials' own service is in trouble
		}
		return Denied
	}
	if c := ofStatus(err); c != Unknown {
		return c
	}
	return ofTransport(err)
}

// ofTransport judges errors that no service sent.
func ofTransport(err error) Class {
	var (
		params   smithy.InvalidParamsError
		encode   *smithy.SerializationError
		region   *aws.MissingRegionError
		endpoint *aws.EndpointNotFoundError
		decode   *smithy.DeserializationError
		conn     interface{ ConnectionError() bool }
		netErr   net.Error
	)
	switch {
	case errors.As(err, &params), errors.As(err, &encode), errors.As(err, &region), errors.As(err, &endpoint):
		return Invalid
	case errors.As(err, &decode), // half an answer, or a proxy's page
		errors.As(err, &conn) && conn.ConnectionError(),
		errors.As(err, &netErr),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return Transient
	}
	return Unknown
}

// isCredentials reports whether the call was never sent because no credentials could be had.
func isCredentials(err error) bool {
	// Each generated client wraps the failure in fmt.Errorf("get identity: %w"): there is no type to ask for
	// (service/*/auth.go, getIdentityMiddleware), and what a credentials provider returns below it is often plain text.
	return strings.Contains(err.Error(), "get identity: ")
}

// ofCode judges the error codes of both services, and those that every AWS service may send.
func ofCode(code string) Class {
	switch code {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException", "Throttling",
		"ThrottledException", "RequestThrottledException", "RequestThrottled", "RequestLimitExceeded",
		"TooManyRequestsException", "BandwidthLimitExceeded", "SlowDown", "KMSThrottlingException":
		return Throttled
	case "InternalFailure", "InternalFailureException", "InternalServerError", "InternalServerException", "InternalError",
		"ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException",
		"TransactionInProgressException", "TransactionConflictException", "ReplicatedWriteConflictException",
		// The clocks differ; Kinesis and DynamoDB say InvalidSignatureException instead.
		"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed":
		return Transient
	case "ExpiredIteratorException", "ExpiredNextTokenException":
		return Expired
	case "ResourceNotFoundException", "TableNotFoundException", "IndexNotFoundException":
		return Gone
	case "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidSignatureException",
		"SignatureDoesNotMatch", "IncompleteSignatureException", "IncompleteSignature", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "InvalidClientTokenId", "AuthFailure", "ExpiredToken",
		"ExpiredTokenException", "TokenRefreshRequired", "UnauthorizedException", "NotAuthorized", "OptInRequired",
		"SubscriptionRequiredException", "KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException",
		"KMSNotFoundException", "KMSOptInRequired":
		return Denied
	case "ResourceInUseException", "TableInUseException", "TableAlreadyExistsException", "TransactionCanceledException",
		"IdempotentParameterMismatchException", "ContinuousBackupsUnavailableException":
		return Conflict
	case "ConditionalCheckFailedException":
		return Conditional
	case "ValidationException", "InvalidArgumentException", "SerializationException", "InvalidAction",
		"InvalidParameterValue", "InvalidParameterCombination", "InvalidQueryParameter", "MissingAction",
		"MissingParameter", "MalformedQueryString", "UnknownOperationException", "ItemCollectionSizeLimitExceededException",
		"DuplicateItemException", "DryRunOperationException", "InvalidEndpointException":
		return Invalid
	}
	return Unknown
}

// ofStatus judges the HTTP status of an answer whose code says nothing.
func ofStatus(err error) Class {
	res, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || res.Response == nil {
		return Unknown
	}
	switch s := res.HTTPStatusCode(); {
	case s >= 500, s == http.StatusRequestTimeout:
		return Transient
	case s == http.StatusTooManyRequests:
		return Throttled
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return Denied
	}
	return Unknown
}

// ofFault judges an error, of an event stream for instance, by whose fault the service says it is.
func ofFault(f smithy.ErrorFault) Class {
	if f == smithy.FaultServer {
		return Transient
	}
	return Unknown
}
