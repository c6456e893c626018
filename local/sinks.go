package local

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// sink answers the services of which only one operation is served, and everything unknown.
func (s *Server) sink(rt route) reply {
	switch {
	case rt.service == CloudWatch && rt.operation == "PutMetricData":
		return putMetricData(rt)
	case rt.service == STS:
		const form = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
			`<Arn>arn:aws:iam::%[1]s:root</Arn><UserId>%[1]s</UserId><Account>%[1]s</Account></GetCallerIdentityResult>` +
			`<ResponseMetadata><RequestId>%[2]s</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
		return reply{contentType: queryContentType, parts: net.Buffers{fmt.Appendf(nil, form, s.cfg.AccountID, requestID())}}
	}
	return reply{err: awserr.New("UnknownOperationException", "this server does not know the operation %q", rt.operation)}
}

func putMetricData(rt route) reply {
	switch {
	case rt.rpc:
		const emptyMap = 0xa0
		return reply{contentType: rpcContentType, parts: net.Buffers{{emptyMap}}}
	case rt.query:
		const form = `<PutMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">` +
			`<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></PutMetricDataResponse>`
		return reply{contentType: queryContentType, parts: net.Buffers{fmt.Appendf(nil, form, requestID())}}
	}
	return reply{contentType: dynamoContentType, parts: net.Buffers{[]byte(`{}`)}}
}

func writeQueryError(w http.ResponseWriter, err error) {
	var e *awserr.Error
	if !errors.As(err, &e) {
		e = &awserr.Error{Code: "InternalFailure", Message: err.Error(), Status: http.StatusInternalServerError}
	}
	type wire struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Type    string   `xml:"Error>Type"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
	}
	side := "Sender"
	if e.Status >= http.StatusInternalServerError {
		side = "Receiver"
	}
	out, xmlErr := xml.Marshal(wire{Type: side, Code: e.Code, Message: e.Message})
	if xmlErr != nil {
		panic("local: encode an error: " + xmlErr.Error())
	}
	w.Header().Set("Content-Type", queryContentType)
	w.WriteHeader(e.Status)
	_, _ = w.Write(out) // the client may have gone
}

// serveHealth answers those who only want to know whether the server is there.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "healthy: kinesis and dynamodb, region %s, account %s\n", s.cfg.Region, s.cfg.AccountID)
}
