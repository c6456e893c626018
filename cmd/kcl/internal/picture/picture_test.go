package picture_test

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/stream"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// part returns the n-th of so many equal parts of the hash keys.
func part(n, of uint64) stream.HashKeyRange {
	size := math.MaxUint64/of + 1
	r := stream.HashKeyRange{First: stream.HashKey{Hi: n * size}, Last: stream.HashKey{Hi: (n+1)*size - 1, Lo: math.MaxUint64}}
	if n == of-1 {
		r.Last = stream.MaxHashKey
	}
	return r
}

// example is a stream of four shards, of which #1 was split into #4 and #5.
func example() picture.Frame {
	rates := []float64{10, 40, 60, 90, 100, 102, 99}
	f := picture.Frame{
		Title: "kcl demo", Where: "http://127.0.0.1:4567", Phase: "records flow", Elapsed: 10 * time.Second, Total: 20 * time.Second,
		Shards: []picture.Shard{
			{ID: "shardId-000000000000", HashKeys: part(0, 4), State: picture.Reading, Owner: "worker-1", Put: 1000, Delivered: 998, BehindKnown: true, Rates: rates},
			{ID: "shardId-000000000001", HashKeys: part(1, 4), State: picture.Done, Owner: "worker-1", Put: 500, Delivered: 500, Rates: rates[:3]},
			{ID: "shardId-000000000002", HashKeys: part(2, 4), State: picture.Reading, Owner: "worker-1", Put: 1001, Delivered: 1001, Duplicates: 7, Behind: 320 * time.Millisecond, BehindKnown: true, Rates: rates},
			{ID: "shardId-000000000003", HashKeys: part(3, 4), State: picture.Failing, Owner: "worker-1", Put: 1002, Delivered: 900, Behind: 3 * time.Second, BehindKnown: true, Rates: rates},
			{ID: "shardId-000000000004", HashKeys: part(2, 8), Parents: []stream.ShardID{"shardId-000000000001"}, State: picture.Reading, Owner: "worker-1", Put: 250, Delivered: 250, Rates: rates[4:]},
			{ID: "shardId-000000000005", HashKeys: part(3, 8), Parents: []stream.ShardID{"shardId-000000000001"}, State: picture.Free, Put: 12000},
		},
		Events: []picture.Event{
			{At: 5 * time.Second, What: "split #1 into #4 and #5"},
			{At: 8 * time.Second, What: "#3 failed and starts again: disk full", Bad: true},
		},
		Put: 15753, Delivered: 3649, Duplicates: 7, RecordsPerSecond: 400, BytesPerSecond: 400 * 256,
	}
	for i := range 100 {
		column := picture.Column{{Shard: 0, Keys: part(0, 4), Glow: 1}, {Shard: 2, Keys: part(2, 4), Glow: 0.5}, {Shard: 3, Keys: part(3, 4), Glow: 0}}
		switch {
		case i < 50:
			column = append(column, picture.Band{Shard: 1, Keys: part(1, 4), Glow: 1})
		case i >= 55:
			column = append(column, picture.Band{Shard: 4, Keys: part(2, 8), Glow: 1})
		}
		f.River = append(f.River, column)
	}
	return f
}

func TestLinesGolden(t *testing.T) {
	for name, colors := range map[string]picture.Colors{"plain": picture.NoColor, "256": picture.Color256, "exact": picture.ColorExact} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(example().Lines(colors, 100, 34), "\n") + "\n"
			golden := filepath.Join("testdata", "frame-"+name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites):\n%s", golden, diff)
			}
		})
	}
}

var control = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestLinesFitAnyTerminal(t *testing.T) {
	for _, colors := range []picture.Colors{picture.NoColor, picture.Color256, picture.ColorExact} {
		for width := 1; width < 160; width += 17 {
			for height := 2; height < 60; height += 7 {
				lines := example().Lines(colors, width, height)
				if len(lines) > height-1 {
					t.Fatalf("%d lines for a terminal of %dx%d", len(lines), width, height)
				}
				for _, l := range lines {
					if n := utf8.RuneCountInString(control.ReplaceAllString(l, "")); n > width {
						t.Fatalf("a line of %d cells for a terminal of %dx%d: %q", n, width, height, l)
					}
				}
			}
		}
	}
}

func TestEmptyFrame(t *testing.T) {
	if lines := (picture.Frame{}).Lines(picture.ColorExact, 80, 24); len(lines) == 0 {
		t.Error("an empty frame has no lines")
	}
}

func TestScreenDrawsOverTheFrameBefore(t *testing.T) {
	var out bytes.Buffer
	s := picture.NewScreen(&out)
	for _, lines := range [][]string{{"one", "two", "three"}, {"ONE"}} {
		if err := s.Paint(lines); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[?2026h\x1b[?25l\rone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[K\r\n\x1b[J\x1b[?2026l" +
		"\x1b[?2026h\x1b[?25l\r\x1b[A\x1b[A\x1b[AONE\x1b[K\r\n\x1b[J\x1b[?2026l" + "\x1b[?25h"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

func TestColorsOf(t *testing.T) {
	tests := []struct {
		env  map[string]string
		want picture.Colors
	}{
		{map[string]string{"TERM": "xterm-256color", "COLORTERM": "truecolor"}, picture.ColorExact},
		{map[string]string{"TERM": "xterm-256color"}, picture.Color256},
		{map[string]string{"TERM": "xterm", "NO_COLOR": "1", "COLORTERM": "truecolor"}, picture.NoColor},
		{map[string]string{"TERM": "dumb"}, picture.NoColor},
		{nil, picture.NoColor},
	}
	for _, tt := range tests {
		if got := picture.ColorsOf(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("ColorsOf(%v) = %v, want %v", tt.env, got, tt.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := picture.Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
