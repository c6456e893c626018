package fetch

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// This test is in the package because frames cannot be fuzzed through Subscribe: each broken one costs it seconds.

// FuzzFrame compares what is read of a frame with what the SDK's own reader makes of it. Neither panics; where the SDK reads a
// message, so do we, and the same.
func FuzzFrame(f *testing.F) {
	encode := func(m eventstream.Message) []byte {
		var b bytes.Buffer
		if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	text := func(pairs ...string) (h eventstream.Headers) {
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], eventstream.StringValue(pairs[i+1]))
		}
		return h
	}
	f.Add(encode(eventstream.Message{Headers: text(":message-type", "event", ":event-type", "SubscribeToShardEvent"), Payload: []byte("{}")}))
	f.Add(encode(eventstream.Message{Headers: text(":message-type", "exception", ":exception-type", "X")}))
	f.Add(encode(eventstream.Message{Headers: text(":message-type", "error", ":error-code", "X", ":error-message", "y")}))
	f.Add(encode(eventstream.Message{Headers: eventstream.Headers{
		{Name: "a", Value: eventstream.BoolValue(true)}, {Name: "b", Value: eventstream.Int8Value(1)}, {Name: "c", Value: eventstream.Int16Value(1)},
		{Name: "d", Value: eventstream.Int32Value(1)}, {Name: "e", Value: eventstream.Int64Value(1)}, {Name: "f", Value: eventstream.BytesValue("xyz")},
		{Name: "g", Value: eventstream.TimestampValue(time.Unix(1, 0))}, {Name: "h", Value: eventstream.UUIDValue{1}},
	}}))
	f.Add([]byte{0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := one(b)
		want, ok := theirs(b)
		if !ok {
			return // the SDK may refuse what we do not look at
		}
		if err != nil {
			t.Fatalf("readFrame = %v, but the SDK reads it", err)
		}
		header := func(names ...string) (last string) {
			for _, h := range want.Headers {
				for _, name := range names {
					if s, ok := h.Value.(eventstream.StringValue); ok && h.Name == name {
						last = string(s)
					}
				}
			}
			return last
		}
		if !allStrings(want.Headers) {
			return
		}
		if got.kind != header(":message-type") || got.event != header(":event-type") || got.message != header(":error-message") ||
			got.exception != header(":exception-type", ":error-code") || !bytes.Equal(got.payload, want.Payload) {
			t.Errorf("read %+v, want %+v", got, want)
		}
	})
}

// theirs is what the SDK reads, if it does. It panics at header types that it does not know.
func theirs(b []byte) (m eventstream.Message, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	m, err := eventstream.NewDecoder().Decode(bytes.NewReader(b), nil)
	return m, err == nil
}

// one reads the frame that b begins with.
func one(b []byte) (frame, error) {
	var p prelude
	r := bytes.NewReader(b)
	if _, err := io.ReadFull(r, p[:]); err != nil {
		return frame{}, err
	}
	if err := p.check(); err != nil {
		return frame{}, err
	}
	if p.total() > 1<<20 {
		return frame{}, io.ErrUnexpectedEOF
	}
	return readFrame(r, &p, make([]byte, p.total()))
}

func allStrings(headers eventstream.Headers) bool {
	for _, h := range headers {
		if _, ok := h.Value.(eventstream.StringValue); !ok && h.Name[0] == ':' {
			return false
		}
	}
	return true
}
