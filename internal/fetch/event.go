package fetch

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kcl/internal/decode"
)

// convert decodes the payload of a SubscribeToShardEvent, and takes it over: the records lie in it. The next of the answer is
// the continuation, instead of an iterator.
func convert(payload []byte, f decode.Format) (answer, error) {
	d, err := decode.Event(payload, f)
	if err != nil {
		return answer{}, fmt.Errorf("%w: event: %w", errBroken, err)
	}
	return answerOf(d, len(payload)), nil
}

// failure is the error that a frame of another kind than event stands for.
func (f *frame) failure() error {
	e := &smithy.GenericAPIError{Code: f.exception, Message: f.message}
	if i := strings.LastIndexByte(e.Code, '#'); i >= 0 {
		e.Code = e.Code[i+1:]
	}
	if message := f.explanation(); message != "" {
		e.Message = message
	}
	if e.Code == "" {
		return fmt.Errorf("%w: a message of type %q", errBroken, f.kind)
	}
	return fmt.Errorf("in the event stream: %w", e)
}

// explanation is the message in the payload of an exception; empty if there is none.
func (f *frame) explanation() string {
	if decode.FormatOf(f.payload) == decode.CBOR {
		r, _ := decode.Refused(f.payload)
		return r.Message
	}
	var body struct{ Message string }
	_ = json.Unmarshal(f.payload, &body) // what cannot be read explains nothing
	return body.Message
}
