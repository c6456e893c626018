package awswire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// Format is the encoding of a request and of its answer.
type Format int

// The formats of the Kinesis service. The zero value is JSON.
const (
	JSON Format = iota
	CBOR
)

// FormatOf returns the format that a Content-Type header asks for: CBOR where it says so, otherwise JSON.
func FormatOf(contentType string) Format {
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && (media == "application/x-amz-cbor-1.1" || media == "application/cbor") {
		return CBOR
	}
	return JSON
}

// ContentType returns the media type of an answer in this format.
func (f Format) ContentType() string {
	if f == CBOR {
		return "application/x-amz-cbor-1.1"
	}
	return "application/x-amz-json-1.1"
}

// String returns the name of the format.
func (f Format) String() string {
	if f == CBOR {
		return "CBOR"
	}
	return "JSON"
}

// Decode reads body into v, a pointer to a struct with json tags. An empty body is an empty structure. Unknown members
// are ignored. The error is an *awserr.Error with the code SerializationException.
func (f Format) Decode(body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	var err error
	if f == CBOR {
		err = cbor.Unmarshal(body, v)
	} else {
		err = json.Unmarshal(body, v)
	}
	if err == nil {
		return nil
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return Malformed("%s value can not be converted to %s at %q", mismatch.Value, mismatch.Type, mismatch.Field)
	}
	return Malformed("the request body is not valid %s: %v", f, err)
}

// Encode returns v in this format. v is built by the server from types that always encode, so Encode panics if it does
// not.
func (f Format) Encode(v any) []byte {
	var out []byte
	var err error
	if f == CBOR {
		out, err = cbor.Marshal(v)
	} else {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err = e.Encode(v)
		out = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	}
	if err != nil {
		panic(fmt.Sprintf("awswire: encode %T: %v", v, err))
	}
	return out
}

// Malformed returns the error of a request body that cannot be read.
func Malformed(format string, args ...any) *awserr.Error {
	return awserr.New("SerializationException", format, args...)
}

// Blob is binary data: base64 text in JSON, a byte string in CBOR, where base64 text is accepted too.
type Blob []byte

// UnmarshalCBOR implements cbor.Unmarshaler.
func (b *Blob) UnmarshalCBOR(data []byte) error {
	const textString = 3 // major type
	if len(data) > 0 && data[0]>>5 == textString {
		var text string
		if err := cbor.Unmarshal(data, &text); err != nil {
			return err
		}
		raw, err := json.Marshal(text)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, (*[]byte)(b))
	}
	return cbor.Unmarshal(data, (*[]byte)(b))
}

// Time is a point in time with the millisecond precision of the service.
type Time struct{ time.Time }

// At returns t cut to milliseconds.
func At(t time.Time) Time { return Time{time.UnixMilli(t.UnixMilli())} }

// AppendSeconds appends milliseconds since the epoch as JSON seconds with three decimals and no exponent: the AWS SDK
// for Java reads no exponents (aws-sdk-java-v2 #1021).
func AppendSeconds(b []byte, milli int64) []byte {
	if milli < 0 {
		b, milli = append(b, '-'), -milli
	}
	b = strconv.AppendInt(b, milli/1000, 10)
	rest := milli % 1000
	return append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return AppendSeconds(nil, t.UnixMilli()), nil }

// UnmarshalJSON implements json.Unmarshaler. It accepts seconds with a fraction, and RFC 3339 text.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		var at time.Time
		if err := json.Unmarshal(data, &at); err != nil {
			return err
		}
		*t = At(at)
		return nil
	}
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("%s is not a timestamp", data)
	}
	return t.setMilli(seconds * 1000)
}

// MarshalCBOR implements cbor.Marshaler.
func (t Time) MarshalCBOR() ([]byte, error) { return AppendCBORTime(nil, t.UnixMilli()), nil }

// UnmarshalCBOR implements cbor.Unmarshaler. A whole number, tagged or not, is milliseconds, as the AWS SDK for Java
// sends it (aws-sdk-java-v2 #4661); a fraction is seconds, as RFC 8949 has it, unless it is too large to be.
func (t *Time) UnmarshalCBOR(data []byte) error {
	if len(data) > 0 && data[0] == 0xc1 {
		data = data[1:]
	}
	var v any
	if err := cbor.Unmarshal(data, &v); err != nil {
		return err
	}
	const largestSeconds = 1e11 // the year 5138; as milliseconds 1973
	switch n := v.(type) {
	case nil:
		return nil
	case uint64:
		return t.setMilli(float64(n))
	case int64:
		return t.setMilli(float64(n))
	case float64:
		if math.Abs(n) < largestSeconds {
			n *= 1000
		}
		return t.setMilli(n)
	}
	return fmt.Errorf("%T is not a timestamp", v)
}

func (t *Time) setMilli(milli float64) error {
	const limit = 253402300800000 // the year 10000
	if math.IsNaN(milli) || math.Abs(milli) > limit {
		return errors.New("timestamp out of range")
	}
	*t = Time{time.UnixMilli(int64(math.Round(milli)))}
	return nil
}
