package local

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

// Services, as Call and Rule name them.
const (
	Kinesis    = "kinesis"
	DynamoDB   = "dynamodb"
	CloudWatch = "cloudwatch"
	STS        = "sts"
)

const (
	dynamoContentType = "application/x-amz-json-1.0"
	queryContentType  = "text/xml"
	rpcContentType    = "application/cbor"
)

// route is what a request asks for, and how the answer must look.
type route struct {
	service   string // empty if unknown
	operation string
	format    awswire.Format
	query     bool // AWS Query protocol: form in, XML out
	rpc       bool // Smithy RPC v2 CBOR
}

// routeOf finds out what a request is. The body matters for the Query protocol only.
func routeOf(r *http.Request, body []byte) route {
	rt := route{format: awswire.FormatOf(r.Header.Get("Content-Type"))}
	if version, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		rt.operation = operation
		switch {
		case strings.HasPrefix(version, "Kinesis_"):
			rt.service = Kinesis
		case strings.HasPrefix(version, "DynamoDB_"):
			rt.service = DynamoDB
		case version == "GraniteServiceVersion20100801":
			rt.service = CloudWatch
		}
		return rt
	}
	if path := strings.Split(r.URL.Path, "/"); len(path) == 5 && path[1] == "service" && path[3] == "operation" {
		rt.rpc, rt.operation = true, path[4]
		if path[2] == "GraniteServiceVersion20100801" {
			rt.service = CloudWatch
		}
		return rt
	}
	rt.query = true
	switch rt.operation = action(r, body); rt.operation {
	case "PutMetricData":
		rt.service = CloudWatch
	case "GetCallerIdentity":
		rt.service = STS
	}
	return rt
}

// action is the operation of a request in the Query protocol.
func action(r *http.Request, body []byte) string {
	if a := r.URL.Query().Get("Action"); a != "" {
		return a
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return ""
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return ""
		}
		if body, err = io.ReadAll(io.LimitReader(z, maxBody)); err != nil {
			return ""
		}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	return form.Get("Action")
}

// writeError says no in the form of the service.
func (rt route) writeError(w http.ResponseWriter, err error) {
	namespace, contentType := "", ""
	switch {
	case rt.query:
		writeQueryError(w, err)
		return
	case rt.service == DynamoDB:
		namespace, contentType = dynamoNamespace(err), dynamoContentType
	}
	awswire.WriteError(w, err, namespace, contentType, rt.format)
}

// dynamoNamespace is what precedes the code of an error in its type. Errors that the service's front end makes have
// another than those of the service itself.
func dynamoNamespace(err error) string {
	e, ok := err.(*awserr.Error)
	if ok && (e.Code == "ValidationException" || e.Code == "SerializationException" || e.Code == "UnknownOperationException" ||
		e.Code == "AccessDeniedException") {
		return "com.amazon.coral.validate#"
	}
	return "com.amazonaws.dynamodb.v20120810#"
}

// readInto appends all of r to b; size is how much is expected, or negative.
func readInto(b []byte, r io.Reader, size int64) ([]byte, error) {
	const smallest = 512
	want := smallest
	if size > 0 && size <= maxBody {
		want = int(size) + 1 // one more, to see the end without growing
	}
	if cap(b) < want {
		b = make([]byte, 0, want)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
