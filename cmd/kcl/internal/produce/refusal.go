package produce

import "github.com/aws/smithy-go"

// refusal is why one record of a batch was not taken. As a [smithy.APIError] it is classified like the errors of calls.
type refusal struct{ code, message string }

func (r *refusal) Error() string                 { return r.code + ": " + r.message }
func (r *refusal) ErrorCode() string             { return r.code }
func (r *refusal) ErrorMessage() string          { return r.message }
func (r *refusal) ErrorFault() smithy.ErrorFault { return smithy.FaultServer }
