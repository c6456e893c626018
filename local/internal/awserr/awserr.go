// Package awserr is the shape in which the embedded services say no: an AWS error with its code, message, HTTP status
// and extra members.
package awserr

import (
	"fmt"
	"net/http"
)

// Error is an error as an AWS JSON service answers it.
type Error struct {
	Code    string         // the bare name, such as ResourceNotFoundException
	Message string         // what the client shows
	Status  int            // HTTP status; 400 for what the client did wrong, 500 for what the service did
	Fields  map[string]any // further members of the answer, such as Item or CancellationReasons
}

// New returns a client error (HTTP 400).
func New(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }
