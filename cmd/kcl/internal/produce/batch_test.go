package produce_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/produce"
)

// run puts records that arrive after the given pauses and returns the sizes of the batches.
func run(t *testing.T, records []produce.Record, pause func(i int) time.Duration) (sizes []int) {
	t.Helper()
	source := make(chan produce.Record)
	go func() {
		defer close(source)
		for i, r := range records {
			time.Sleep(pause(i))
			source <- r
		}
	}()
	err := produce.Run(t.Context(), source, 100*time.Millisecond, produce.PutLimits(), func(_ context.Context, batch []produce.Record) error {
		sizes = append(sizes, len(batch))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

func TestRunFillsBatches(t *testing.T) {
	atOnce := func(int) time.Duration { return 0 }
	small := make([]produce.Record, 1201)
	large := slices.Repeat([]produce.Record{{Key: "k", Data: make([]byte, 2<<20)}}, 5)
	huge := slices.Repeat([]produce.Record{{Key: "k", Data: make([]byte, 9<<20)}}, 2)
	tests := []struct {
		name    string
		records []produce.Record
		pause   func(int) time.Duration
		want    []int
	}{
		{"by number", small, atOnce, []int{500, 500, 201}},
		{"by bytes", large, atOnce, []int{2, 2, 1}},
		{"one alone over the limit", huge, atOnce, []int{1, 1}},
		{"by time", small[:4], func(i int) time.Duration { return []time.Duration{0, 50, 80, 10}[i] * time.Millisecond }, []int{2, 2}},
		{"nothing", nil, atOnce, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if diff := cmp.Diff(tt.want, run(t, tt.records, tt.pause)); diff != "" {
					t.Errorf("sizes of the batches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRunEndsWithPut(t *testing.T) {
	broken := errors.New("broken")
	source := make(chan produce.Record, 1)
	source <- produce.Record{Key: "k"}
	close(source)
	err := produce.Run(t.Context(), source, time.Second, produce.PutLimits(), func(context.Context, []produce.Record) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("Run = %v, want %v", err, broken)
	}
}

func TestGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		generate := func(g produce.Generator) (records []produce.Record, took time.Duration) {
			out, began := make(chan produce.Record), time.Now()
			go g.Run(t.Context(), out)
			for r := range out {
				records = append(records, r)
			}
			return records, time.Since(began)
		}
		counted, _ := generate(produce.Generator{Count: 50, Size: 30, Keys: 3, Seed: 7})
		if len(counted) != 50 {
			t.Errorf("Count 50 made %d records", len(counted))
		}
		for i, r := range counted {
			if len(r.Data) != 30 || !strings.HasPrefix(r.Key, "key-") {
				t.Errorf("record %d is %q with key %q", i, r.Data, r.Key)
			}
		}
		if again, _ := generate(produce.Generator{Count: 50, Size: 30, Keys: 3, Seed: 7}); !cmp.Equal(counted, again) {
			t.Error("one seed made different records")
		}
		paced, took := generate(produce.Generator{Rate: 200, Duration: 2 * time.Second, Keys: 1})
		if len(paced) < 396 || len(paced) > 400 || took != 2*time.Second {
			t.Errorf("200 a second for 2 s made %d records in %v", len(paced), took)
		}
	})
}

func TestLines(t *testing.T) {
	fixed := produce.Lines{Key: "k", MaxBytes: 10}
	field := produce.Lines{KeyField: "id", MaxBytes: 100}
	tests := []struct {
		name  string
		lines produce.Lines
		in    string
		want  []produce.Record
		err   string
	}{
		{"nothing", fixed, "", nil, ""},
		{"ends of lines", fixed, "a\nb\r\n\nc", records("k", "a", "b", "", "c"), ""},
		{"longest", fixed, "0123456789\n", records("k", "0123456789"), ""},
		{"too long", fixed, "a\n" + strings.Repeat("x", 11) + "\n", records("k", "a"), "stdin line 2: too long: over 10 bytes"},
		{"key of a field", field, `{"id":"x","n":1}` + "\n", records("x", `{"id":"x","n":1}`), ""},
		{"key of a number", field, `{"id":17}` + "\n", records("17", `{"id":17}`), ""},
		{"no such field", field, `{"ID":"x"}` + "\n", nil, `stdin line 1: no field "id"`},
		{"not an object", field, "[]\n", nil, "stdin line 1: not a JSON object: json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
		{"empty key", field, `{"id":""}` + "\n", nil, `stdin line 1: field "id" has 0 characters; a partition key has 1 to 256`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines, out := make(chan produce.Line, 10), make(chan produce.Record, 10)
			tt.lines.Read(strings.NewReader(tt.in), lines)
			err := tt.lines.Run(t.Context(), lines, out)
			if got := errorText(err); got != tt.err {
				t.Errorf("error = %q, want %q", got, tt.err)
			}
			var got []produce.Record
			for r := range out {
				got = append(got, r)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinesGiveRandomKeys(t *testing.T) {
	lines, out := make(chan produce.Line, 10), make(chan produce.Record, 10)
	l := produce.Lines{MaxBytes: 10}
	l.Read(strings.NewReader("a\nb\n"), lines)
	if err := l.Run(t.Context(), lines, out); err != nil {
		t.Fatal(err)
	}
	if a, b := <-out, <-out; a.Key == b.Key || a.Key == "" {
		t.Errorf("keys %q and %q", a.Key, b.Key)
	}
}

func records(key string, data ...string) []produce.Record {
	var all []produce.Record
	for _, d := range data {
		all = append(all, produce.Record{Key: key, Data: []byte(d)})
	}
	return all
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
