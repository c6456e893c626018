package decode_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// FuzzGetRecordsJSON says that what the SDK refuses we refuse, that what both accept is the same, and that what only we
// refuse is one of the cases that the package names.
func FuzzGetRecordsJSON(f *testing.F) {
	for _, b := range bodies() {
		if len(b) < 2000 {
			f.Add([]byte(b))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		compare(t, body)
	})
}

// loose reports whether a body is one of those that only the SDK accepts.
func loose(body []byte) bool {
	if _, err := bySDK(body); err == errHashKeys {
		return true
	}
	d := json.NewDecoder(bytes.NewReader(body))
	var first json.RawMessage
	if err := d.Decode(&first); err != nil {
		return err == io.EOF // nothing but white space
	}
	if rest, _ := io.ReadAll(io.MultiReader(d.Buffered(), bytes.NewReader(body[d.InputOffset():]))); len(bytes.TrimSpace(rest)) > 0 {
		return true
	}
	return repeats(json.NewDecoder(bytes.NewReader(first)))
}

// repeats reports whether the next value holds an object with two members of one name.
func repeats(d *json.Decoder) bool {
	token, err := d.Token()
	if err != nil {
		return false
	}
	delim, _ := token.(json.Delim)
	found := false
	seen := map[string]bool{}
	for (delim == '{' || delim == '[') && d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return found
			}
			s, _ := name.(string)
			found = found || seen[s]
			seen[strings.Clone(s)] = true
		}
		found = repeats(d) || found
	}
	if delim == '{' || delim == '[' {
		_, _ = d.Token()
	}
	return found
}

// FuzzGetRecordsCBOR says that what a library reads as CBOR and as an answer we read the same, and that neither reads what
// is no CBOR.
func FuzzGetRecordsCBOR(f *testing.F) {
	for _, b := range cborBodies() {
		if len(b) < 2000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		compareCBOR(t, body)
	})
}
