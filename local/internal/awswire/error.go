package awswire

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// ErrorBody returns the answer that says e: its type, its message and its further fields. namespace precedes the code
// in the type, as DynamoDB has it; for Kinesis it is empty.
func ErrorBody(e *awserr.Error, namespace string, f Format) []byte {
	body := make(map[string]any, len(e.Fields)+2)
	for name, v := range e.Fields {
		body[name] = v
	}
	body["__type"] = namespace + e.Code
	body["message"] = e.Message
	return f.Encode(body)
}

// WriteError answers err: an *awserr.Error as it is, anything else as an internal failure (HTTP 500). contentType, when
// not empty, replaces the media type of f.
func WriteError(w http.ResponseWriter, err error, namespace, contentType string, f Format) {
	var e *awserr.Error
	if !errors.As(err, &e) {
		e = &awserr.Error{Code: "InternalFailure", Message: err.Error(), Status: http.StatusInternalServerError}
	}
	if contentType == "" {
		contentType = f.ContentType()
	}
	body := ErrorBody(e, namespace, f)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-ErrorType", e.Code)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone; there is nobody left to tell
}
