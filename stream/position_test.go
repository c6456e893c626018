package stream_test

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/stream"
)

// ascending are positions in their order, each above the one before.
var ascending = []stream.Position{
	{},
	{Sequence: "-1"},
	{Sequence: "garbage"},
	stream.AtTimestamp,
	stream.TrimHorizon,
	stream.Latest,
	{Sequence: "0"},
	{Sequence: "0", Sub: 1},
	{Sequence: "9"},
	{Sequence: "10"},
	{Sequence: "99999999999999999999"}, // 20 digits
	{Sequence: "49377645732217506908044047272549985430631841077374484498"}, // 56 digits
	{Sequence: "49377645732217506908044047272549985430631841077374484498", Sub: 7},
	stream.ShardEnd,
}

func TestPositionOrder(t *testing.T) {
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
		}
	}
	if (stream.Position{Sequence: "007"}).Compare(stream.Position{Sequence: "7"}) != 0 {
		t.Error("leading zeros count")
	}
}

func TestPositionIsValid(t *testing.T) {
	for p, want := range map[stream.Position]bool{
		{}: false, {Sequence: "7"}: true, {Sequence: "7", Sub: 3}: true, {Sequence: "7", Sub: -1}: false, {Sequence: "7x"}: false,
		{Sequence: "-7"}: false, {Sequence: "latest"}: false, stream.Latest: true, stream.ShardEnd: true,
	} {
		if p.Valid() != want {
			t.Errorf("%v.Valid() = %v", p, !want)
		}
	}
}

func TestPositionString(t *testing.T) {
	for p, want := range map[stream.Position]string{
		{}: "(all delivered)", {Sequence: "7"}: "7", {Sequence: "7", Sub: 3}: "7/3", stream.TrimHorizon: "TRIM_HORIZON",
	} {
		if got := p.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
	if got := stream.EndReason(9).String(); got != "EndReason(9)" {
		t.Errorf("String = %q", got)
	}
}

// FuzzSequenceNumber compares with a slow twin, and in both directions.
func FuzzSequenceNumber(f *testing.F) {
	for _, a := range ascending {
		f.Add(string(a.Sequence), "10")
	}
	f.Add("0010", "9")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := stream.SequenceNumber(a), stream.SequenceNumber(b)
		if x.Compare(y) != -y.Compare(x) || x.Compare(x) != 0 {
			t.Fatalf("%q and %q do not compare both ways", a, b)
		}
		m, isNumber := new(big.Int).SetString(a, 10)
		n, isNumberToo := new(big.Int).SetString(b, 10)
		if x.IsNumber() && y.IsNumber() && isNumber && isNumberToo && x.Compare(y) != m.Cmp(n) {
			t.Fatalf("%q.Compare(%q) = %d", a, b, x.Compare(y))
		}
	})
}

// FuzzHashKey reads and writes every key, and compares with a slow twin.
func FuzzHashKey(f *testing.F) {
	for _, s := range []string{"0", "00", "9", "18446744073709551616", stream.MaxHashKey.String(), "340282366920938463463374607431768211456", "", "-1", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := stream.ParseHashKey(s)
		n, ok := new(big.Int).SetString(s, 10)
		digits := s != "" && strings.Trim(s, "0123456789") == ""
		if ok = ok && digits && len(s) <= 39 && n.BitLen() <= 128; ok != (err == nil) {
			t.Fatalf("ParseHashKey(%q): %v", s, err)
		}
		if !ok {
			return
		}
		if k.String() != n.String() {
			t.Fatalf("ParseHashKey(%q) = %s", s, k)
		}
		next := new(big.Int).And(n.Add(n, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
		if k.Next().String() != next.String() || k != stream.MaxHashKey && k.Compare(k.Next()) != -1 {
			t.Fatalf("Next of %s is %s", k, k.Next())
		}
	})
}

func TestHashKeyRange(t *testing.T) {
	for _, test := range []struct{ first, last, want, err string }{
		{"", "", "unknown", ""},
		{"0", "170141183460469231731687303715884105727", "0-170141183460469231731687303715884105727", ""},
		{"5", "5", "5-5", ""},
		{"7", "5", "", "hash key range 7 to 5: the first is above the last"},
		{"", "5", "", `hash key "": want 1 to 39 decimal digits`},
		{"0", "x", "", `hash key "x": want 1 to 39 decimal digits`},
		{"0", "340282366920938463463374607431768211456", "", `hash key "340282366920938463463374607431768211456": over 2^128 - 1`},
	} {
		r, err := stream.ParseHashKeyRange(test.first, test.last)
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("ParseHashKeyRange(%q, %q) = %v, want %s", test.first, test.last, err, test.err)
			}
			continue
		}
		if err != nil || r.String() != test.want {
			t.Errorf("ParseHashKeyRange(%q, %q) = %s, %v; want %s", test.first, test.last, r, err, test.want)
		}
		if r.Contains(r.First) != r.IsKnown() || r.Contains(r.Last) != r.IsKnown() || r.Contains(stream.MaxHashKey) {
			t.Errorf("%s contains the wrong keys", r)
		}
	}
}

// TestFunc: a function checkpoints at the end of a shard, and not at another end.
func TestFunc(t *testing.T) {
	failure := errors.New("poison")
	p, err := stream.Func(func(context.Context, *stream.Batch, stream.Checkpointer) error { return failure })(t.Context(), stream.Assignment{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Process(t.Context(), &stream.Batch{}, nil); err != failure {
		t.Errorf("Process = %v", err)
	}
	for why, want := range map[stream.EndReason]int{stream.LeaseLost: 0, stream.ShardEnded: 1, stream.ShutdownRequested: 0} {
		var c calls
		if err := p.Close(t.Context(), why, &c); err != nil || int(c) != want {
			t.Errorf("Close with %v: %d checkpoints, %v", why, c, err)
		}
	}
}

type calls int

func (c *calls) Checkpoint(_ context.Context, at stream.Position) error {
	if *c++; !at.IsZero() {
		return errors.New("not the zero position")
	}
	return nil
}
