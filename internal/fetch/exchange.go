package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/decode"
)

// The steps of an operation that have to do with its bodies, by the names that smithy's code generators give them in every
// service.
const (
	serializer   = "OperationSerializer"
	deserializer = "OperationDeserializer"
)

// exchange is one call that is in the SDK's hands but for its bodies: signing, endpoints, timeouts, errors and metadata are
// the SDK's.
type exchange struct {
	asked decode.Format // of the request
	got   decode.Format // of an answer that was read whole, or of a refusal; JSON if there was none

	decoded decode.Answer // of GetRecords
	body    int           // bytes that its records lie in
	room    room          // for the answer to GetRecords

	sdk middleware.DeserializeMiddleware // makes the errors of GetRecords
}

// room waits until there is room for an answer of so many bytes, or one of unknownSize. Its error is that of the call.
type room func(ctx context.Context, n int64) error

// getRecords makes the call.
func (x *exchange) getRecords(ctx context.Context, c *kinesis.Client, in *kinesis.GetRecordsInput, via func(*kinesis.Options)) error {
	_, err := c.GetRecords(ctx, in, once, via, x.bodies, func(o *kinesis.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) (err error) {
			x.sdk, err = stack.Deserialize.Swap(deserializer, middleware.DeserializeMiddlewareFunc(deserializer, x.decode))
			return err
		})
	})
	return err
}

func (x *exchange) answer() answer { return answerOf(x.decoded, x.body) }

// bodies makes the request one in x.asked, and lets the SDK read refusals in either format.
func (x *exchange) bodies(o *kinesis.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		refused := middleware.DeserializeMiddlewareFunc("TranslateRefusal", x.translate)
		if err := stack.Deserialize.Insert(refused, deserializer, middleware.After); err != nil || x.asked == decode.JSON {
			return err
		}
		return stack.Serialize.Insert(middleware.SerializeMiddlewareFunc("EncodeCBOR", encode), serializer, middleware.After)
	})
}

// encode replaces the request's body by one in CBOR. It is signed later.
func encode(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (
	out middleware.SerializeOutput, metadata middleware.Metadata, err error,
) {
	request, ok := in.Request.(*smithyhttp.Request)
	var b decode.Request
	switch p := in.Parameters.(type) {
	case *kinesis.GetRecordsInput:
		b.Text("ShardIterator", aws.ToString(p.ShardIterator))
		b.Text("StreamARN", aws.ToString(p.StreamARN))
		b.Int("Limit", int64(aws.ToInt32(p.Limit)))
	case *kinesis.SubscribeToShardInput:
		var at decode.Request
		at.Text("Type", string(p.StartingPosition.Type))
		at.Text("SequenceNumber", aws.ToString(p.StartingPosition.SequenceNumber))
		at.Time("Timestamp", aws.ToTime(p.StartingPosition.Timestamp))
		b.Text("ConsumerARN", aws.ToString(p.ConsumerARN))
		b.Text("ShardId", aws.ToString(p.ShardId))
		b.Map("StartingPosition", at)
	default:
		ok = false
	}
	if !ok {
		return out, metadata, &smithy.SerializationError{Err: fmt.Errorf("a request of type %T for %T", in.Request, in.Parameters)}
	}
	if request, err = request.SetStream(bytes.NewReader(b.Body())); err != nil {
		return out, metadata, &smithy.SerializationError{Err: err}
	}
	request.Header.Set("Content-Type", decode.CBOR.ContentType())
	in.Request = request
	return next.HandleSerialize(ctx, in)
}

// translate makes a refusal in CBOR one in JSON, which the SDK reads. Of one that cannot be read, the headers have the code.
func (x *exchange) translate(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	res, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || succeeded(res) {
		return out, metadata, err
	}
	body, err := readBody(res.Response)
	if err != nil {
		return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("read the refusal: %w", err)}
	}
	if x.got = decode.FormatOf(body); x.got == decode.CBOR {
		var plain struct {
			Type    string `json:"__type,omitempty"`
			Message string `json:"message,omitempty"`
		}
		if r, err := decode.Refused(body); err == nil {
			plain.Type, plain.Message = r.Code, r.Message
		}
		if body, err = json.Marshal(plain); err != nil {
			return out, metadata, &smithy.DeserializationError{Err: err}
		}
	}
	res.Body = &readAlready{bytes.NewReader(body), res.Body}
	return out, metadata, nil
}

func succeeded(r *smithyhttp.Response) bool { return r.StatusCode >= 200 && r.StatusCode < 300 }

// readAlready is a body that was read; closing it closes the one it was read from.
type readAlready struct {
	*bytes.Reader
	io.Closer
}

// decode reads the answer to a GetRecords.
func (x *exchange) decode(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	out, metadata, err = next.HandleDeserialize(ctx, in)
	if err != nil {
		return out, metadata, err
	}
	res, ok := out.RawResponse.(*smithyhttp.Response)
	if !ok {
		return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("a response of type %T", out.RawResponse)}
	}
	if !succeeded(res) {
		return x.sdk.HandleDeserialize(ctx, in, middleware.DeserializeHandlerFunc(
			func(context.Context, middleware.DeserializeInput) (middleware.DeserializeOutput, middleware.Metadata, error) {
				return out, metadata, nil
			}))
	}
	body, err := receive(ctx, res.Response, x.room)
	if err != nil {
		return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("read the answer: %w", err)}
	}
	x.got, x.body = decode.FormatOf(body), len(body)
	if x.decoded, err = decode.Records(body, x.got); err != nil {
		return out, metadata, &smithy.DeserializationError{Err: err}
	}
	out.Result = &kinesis.GetRecordsOutput{}
	return out, metadata, nil
}
