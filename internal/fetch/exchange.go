package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/decode"
)

// exchange is one GetRecords in the SDK's hands but for the two bodies: signing, endpoints, timeouts, errors and metadata
// are the SDK's.
type exchange struct {
	asked decode.Format // of the request
	got   decode.Format // of the answer, also of one that is an error; JSON if there was none

	decoded decode.Answer
	body    int // bytes that the records lie in

	sdk middleware.DeserializeMiddleware // which makes the errors
}

// exchangeRecords makes one call. The exchange is never nil.
func exchangeRecords(ctx context.Context, c *kinesis.Client, in *kinesis.GetRecordsInput, f decode.Format) (*exchange, error) {
	x := &exchange{asked: f}
	_, err := c.GetRecords(ctx, in, once, func(o *kinesis.Options) { o.APIOptions = append(o.APIOptions, x.takePart) })
	return x, err
}

// takePart puts the exchange into the stack of the operation. The names of the SDK's steps are those that smithy's code
// generators give in every service.
func (x *exchange) takePart(stack *middleware.Stack) (err error) {
	const serializer, deserializer = "OperationSerializer", "OperationDeserializer"
	if x.asked == decode.CBOR {
		encode := middleware.SerializeMiddlewareFunc("EncodeCBOR", x.encode)
		if err := stack.Serialize.Insert(encode, serializer, middleware.After); err != nil {
			return err
		}
	}
	x.sdk, err = stack.Deserialize.Swap(deserializer, middleware.DeserializeMiddlewareFunc(deserializer, x.decode))
	return err
}

// encode replaces the request's body, and what it is said to be. It is signed later.
func (x *exchange) encode(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (
	out middleware.SerializeOutput, metadata middleware.Metadata, err error,
) {
	request, ok := in.Request.(*smithyhttp.Request)
	input, known := in.Parameters.(*kinesis.GetRecordsInput)
	if !ok || !known {
		return out, metadata, &smithy.SerializationError{Err: fmt.Errorf("a request of type %T for %T", in.Request, in.Parameters)}
	}
	var b decode.Request
	b.Text("ShardIterator", aws.ToString(input.ShardIterator))
	b.Text("StreamARN", aws.ToString(input.StreamARN))
	b.Int("Limit", int64(aws.ToInt32(input.Limit)))
	request, err = request.SetStream(bytes.NewReader(b.Body()))
	if err != nil {
		return out, metadata, &smithy.SerializationError{Err: err}
	}
	request.Header.Set("Content-Type", decode.CBOR.ContentType())
	in.Request = request
	return next.HandleSerialize(ctx, in)
}

// decode reads the answer.
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
	body, err := readBody(res.Response)
	if err != nil {
		return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("read the answer: %w", err)}
	}
	x.got = decode.FormatOf(body)
	if res.StatusCode < 200 || res.StatusCode >= 300 {
		res.Body = io.NopCloser(bytes.NewReader(x.plain(body)))
		return x.sdk.HandleDeserialize(ctx, in, middleware.DeserializeHandlerFunc(
			func(context.Context, middleware.DeserializeInput) (middleware.DeserializeOutput, middleware.Metadata, error) {
				return out, metadata, nil
			}))
	}
	x.body = len(body)
	if x.decoded, err = decode.Records(body, x.got); err != nil {
		return out, metadata, &smithy.DeserializationError{Err: err}
	}
	out.Result = &kinesis.GetRecordsOutput{}
	return out, metadata, nil
}

// plain is a refusal in JSON, which the SDK reads. Of one that cannot be read, the headers have the code.
func (x *exchange) plain(body []byte) []byte {
	if x.got == decode.JSON {
		return body
	}
	r, err := decode.Refused(body)
	if err != nil {
		return []byte("{}")
	}
	out, err := json.Marshal(map[string]string{"__type": r.Code, "message": r.Message})
	if err != nil {
		return []byte("{}")
	}
	return out
}

func (x *exchange) answer() answer { return answerOf(x.decoded, x.body) }

// maxBody bounds what is read of an answer, in bytes: base64 of 10 MiB, and keys of 10,000 records all of which are escaped,
// take less than half of it.
const maxBody = 64 << 20

// readBody reads an answer into memory of just its size. The caller owns it.
func readBody(r *http.Response) ([]byte, error) {
	size := r.ContentLength
	if size > maxBody {
		return nil, fmt.Errorf("an answer of %d bytes, over %d", size, maxBody)
	}
	if size < 0 {
		size = 16 << 10 // it comes in chunks
	}
	body := make([]byte, size)
	n, err := io.ReadFull(r.Body, body)
	switch {
	case r.ContentLength < 0 && (err == io.EOF || err == io.ErrUnexpectedEOF):
		return body[:n], nil
	case err == io.EOF && size == 0:
		return nil, nil
	case err != nil:
		return nil, unexpected(err)
	}
	return readMore(r.Body, body)
}

// readMore reads what comes behind the n bytes that were expected, which is nothing unless they were a guess.
func readMore(r io.Reader, body []byte) ([]byte, error) {
	var probe [1]byte
	for {
		n, err := r.Read(probe[:])
		if n > 0 {
			break
		}
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
	body = append(body, probe[0])
	for {
		if len(body) > maxBody {
			return nil, fmt.Errorf("an answer of over %d bytes", maxBody)
		}
		if len(body) == cap(body) {
			body = append(make([]byte, 0, 2*cap(body)), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
