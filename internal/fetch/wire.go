package fetch

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kinesis-go/kcl/internal/decode"
	"github.com/kinesis-go/kcl/internal/retry"
)

// Wire is the format in which one client and its server exchange records: CBOR, in which data is not base64, until the
// server turns out not to speak it. All readers of a client share one.
type Wire struct {
	speaks atomic.Int32
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

// getRecords makes one call, or a second one in JSON where CBOR is in doubt.
func (w *Wire) getRecords(ctx context.Context, c *kinesis.Client, in *kinesis.GetRecordsInput, log *slog.Logger) (*exchange, error) {
	speaks := w.speaks.Load()
	if speaks == jsonWire {
		return exchangeRecords(ctx, c, in, decode.JSON)
	}
	x, err := exchangeRecords(ctx, c, in, decode.CBOR)
	if err == nil && x.got == decode.CBOR {
		w.speaks.CompareAndSwap(unknownWire, cborWire)
		return x, nil
	}
	if err == nil {
		w.settle(log, speaks, "server answers CBOR with JSON, asking in JSON from now on")
		return x, nil
	}
	if ctx.Err() != nil || !doubtful(err, x.got, speaks) {
		return x, err
	}
	plain, plainErr := exchangeRecords(ctx, c, in, decode.JSON)
	if plainErr == nil {
		w.settle(log, speaks, "server does not speak CBOR, asking in JSON from now on", "err", err)
	}
	return plain, plainErr
}

// settle makes JSON the format, and says so once.
func (w *Wire) settle(log *slog.Logger, from int32, message string, attrs ...any) {
	if w.speaks.CompareAndSwap(from, jsonWire) {
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
	answered := ok && res.HTTPStatusCode() > 0 // what the SDK makes of a request that found no answer has none
	if !answered || speaks == cborWire || got == decode.CBOR {
		return false
	}
	switch retry.Classify(err) {
	case retry.Throttled, retry.Expired, retry.Gone, retry.Denied:
		return false
	}
	return true
}
