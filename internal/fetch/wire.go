package fetch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/internal/retry"
)

// Wire is how one client and its server exchange records: over which connections when polling, see the package, and in which
// format. That is CBOR, in which data is not base64, until the server turns out not to speak it. All readers of a client
// share one.
type Wire struct {
	speaks atomic.Int32
	once   sync.Once
	http   aws.HTTPClient // set by once

	spreads spreads
}

// What a server is known to speak.
const (
	unknownWire int32 = iota // asked in CBOR
	cborWire
	jsonWire
)

// NewWire returns a Wire that asks in CBOR first, or in JSON only.
func NewWire(jsonOnly bool) *Wire {
	w := new(Wire)
	if jsonOnly {
		w.speaks.Store(jsonWire)
	}
	return w
}

// via makes a call of polling use the connections for it.
func (w *Wire) via(o *kinesis.Options) {
	w.once.Do(func() { w.http = pollingClient(o.HTTPClient) })
	o.HTTPClient = w.http
}

// getRecords makes one call, or a second one in JSON where CBOR is in doubt. The answer is read when there is room for it.
func (p *poller) getRecords(ctx context.Context, in *kinesis.GetRecordsInput, r room) (*exchange, error) {
	var x *exchange
	w, log := p.Wire, p.Logger
	err := w.inEither(ctx, log, func(f decode.Format) (decode.Format, error) {
		x = &exchange{asked: f, room: r}
		err := x.getRecords(ctx, p.Client, in, w.via)
		return x.got, err
	})
	if err == nil && x.got == decode.CBOR {
		w.speaks.CompareAndSwap(unknownWire, cborWire)
	}
	if err == nil && x.asked == decode.CBOR && x.got == decode.JSON {
		w.settle(log, "server answers CBOR with JSON, asking in JSON from now on")
	}
	return x, err
}

// inEither makes a call in CBOR, unless the server does not speak it, and if CBOR may be why it failed, again in JSON.
// Where that succeeds, CBOR was.
func (w *Wire) inEither(ctx context.Context, log *slog.Logger, call func(decode.Format) (got decode.Format, err error)) error {
	speaks := w.speaks.Load()
	if speaks == jsonWire {
		_, err := call(decode.JSON)
		return err
	}
	got, err := call(decode.CBOR)
	if err == nil || ctx.Err() != nil || !doubtful(err, got, speaks) {
		return err
	}
	_, plainErr := call(decode.JSON)
	if plainErr == nil {
		w.settle(log, "server does not speak CBOR, asking in JSON from now on", "err", err)
	}
	return plainErr
}

// settle makes JSON the format, and says so once.
func (w *Wire) settle(log *slog.Logger, message string, attrs ...any) {
	if w.speaks.Swap(jsonWire) != jsonWire {
		log.Debug(message, attrs...)
	}
}

// doubtful says that a failure may be due to CBOR: that the answer could not be read, or that a server which has not
// answered in CBOR yet gave no reason that has to do with the call itself.
func doubtful(err error, got decode.Format, speaks int32) bool {
	if errors.Is(err, decode.ErrMalformed) {
		return got == decode.CBOR
	}
	if refusal, ok := errors.AsType[smithy.APIError](err); ok {
		switch refusal.ErrorCode() {
		case "SerializationException", "UnknownOperationException":
			return true
		}
	}
	res, ok := errors.AsType[*smithyhttp.ResponseError](err)
	refused := ok && res.HTTPStatusCode() >= 300 // and not: found nobody, or lost the answer on the way
	if !refused || speaks == cborWire || got == decode.CBOR {
		return false
	}
	switch retry.Classify(err) {
	case retry.Throttled, retry.Expired, retry.Gone, retry.Denied:
		return false
	}
	return true
}
