package fleet

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kcl/internal/retry"
)

// Explain adds the remedy to an error of a Kinesis call on a stream that a person has to mend; others it returns as they are.
func Explain(err error, stream string) error {
	call := "the call"
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		call = "kinesis:" + op.Operation()
	}
	if retry.Classify(err) == retry.Denied {
		return fmt.Errorf("%w: check the credentials and the clock, and allow %s on stream %s", err, call, stream)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Errorf("%w: there is no such endpoint: check the region and the endpoint's URL", err)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: nothing listens there: check the endpoint's URL", err)
	}
	return err
}
