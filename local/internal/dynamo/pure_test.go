package dynamo

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestNumber(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "00042": "42", "+7": "7", "1.0": "1", "3.1400": "3.14", ".5": "0.5", "5.": "5",
		"1.5E2": "150", "1e-3": "0.001", "-12e+2": "-1200", "1.0E-6": "0.000001", "123456789012345678": "123456789012345678",
		"99999999999999999999999999999999999999":       "99999999999999999999999999999999999999",
		"100000000000000000000000000000000000000":      "100000000000000000000000000000000000000",
		"9.9999999999999999999999999999999999999E+125": "99999999999999999999999999999999999999" + zeros(88),
		"1E-130": "0." + zeros(129) + "1",
		// not numbers
		"":        "The parameter cannot be converted to a numeric value",
		"abc":     "The parameter cannot be converted to a numeric value: abc",
		"1e":      "The parameter cannot be converted to a numeric value: 1e",
		"--1":     "The parameter cannot be converted to a numeric value: --1",
		".":       "The parameter cannot be converted to a numeric value: .",
		" 1":      "The parameter cannot be converted to a numeric value:  1",
		"NaN":     "The parameter cannot be converted to a numeric value: NaN",
		"1E126":   "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"-1E126":  "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"1E-131":  "Number underflow. Attempting to store a number with magnitude smaller than supported range",
		"1E99999": "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"123456789012345678901234567890123456789":   "Attempting to store more than 38 significant digits in a Number",
		"1e-99999999999999999999999999999999999999": "Number underflow. Attempting to store a number with magnitude smaller than supported range",
	} {
		got, err := plainNumber(in)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("plainNumber(%q) = %q, want %q", in, got, want)
		}
	}
}

func zeros(n int) string { return fmt.Sprintf("%0*d", n, 0) }

func TestAddNumbers(t *testing.T) {
	for _, test := range []struct{ a, b, sum, difference string }{
		{"1", "2", "3", "-1"},
		{"0", "0", "0", "0"},
		{"0.1", "0.2", "0.3", "-0.1"},
		{"-5", "5", "0", "-10"},
		{"99999999999999999999999999999999999999", "1", "100000000000000000000000000000000000000", "99999999999999999999999999999999999998"},
		{"999999999999999999", "999999999999999999", "1999999999999999998", "0"},
		{"100000000000000000000000000000000000000", "0.1", "Attempting to store more than 38 significant digits in a Number",
			"Attempting to store more than 38 significant digits in a Number"},
	} {
		for minus, want := range map[bool]string{false: test.sum, true: test.difference} {
			got, err := addNumbers(test.a, test.b, minus)
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("addNumbers(%s, %s, %v) = %s, want %s", test.a, test.b, minus, got, want)
			}
		}
	}
}

func TestNumberOrder(t *testing.T) {
	ascending := []string{"-1E125", "-123", "-12.5", "-12", "-10", "-2", "-1.5", "-1", "-0.11", "-0.1", "-1E-130", "0", "1E-130", "0.1", "0.11", "1", "1.5",
		"2", "10", "12", "12.5", "123", "1E125"}
	for i, x := range ascending {
		for j, y := range ascending {
			a, _ := plainNumber(x)
			b, _ := plainNumber(y)
			if got, want := compareNumbers(a, b), cmp.Compare(i, j); got != want {
				t.Errorf("compareNumbers(%s, %s) = %d, want %d", x, y, got, want)
			}
		}
	}
}

// FuzzNumber compares with exact rational arithmetic: value, order, sum, and that the canonical form is a fixed point.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1", "1.5E2", "00042", "1E-130", "-9.9999999999999999999999999999999999999E+125", "12.340e-7", ".", "+.5e+0"} {
		f.Add(s, "-12.5")
		f.Add("7e1", s)
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		a, err := plainNumber(x)
		if err != nil {
			return
		}
		if again, err := plainNumber(a); err != nil || again != a {
			t.Fatalf("%q is %q, which is %q, %v", x, a, again, err)
		}
		ra, ok := new(big.Rat).SetString(x)
		if rb, _ := new(big.Rat).SetString(a); !ok || ra.Cmp(rb) != 0 {
			t.Fatalf("%q became %q", x, a)
		}
		if n := numberSize(a); n < 1 || n > 22 {
			t.Fatalf("size of %s = %d", a, n)
		}
		b, err := plainNumber(y)
		if err != nil {
			return
		}
		rb, _ := new(big.Rat).SetString(b)
		if got, want := compareNumbers(a, b), ra.Cmp(rb); got != want {
			t.Fatalf("compareNumbers(%s, %s) = %d, want %d", a, b, got, want)
		}
		sum, err := addNumbers(a, b, false)
		if err != nil {
			return
		}
		if rs, _ := new(big.Rat).SetString(sum); rs.Cmp(ra.Add(ra, rb)) != 0 {
			t.Fatalf("%s + %s = %s", a, b, sum)
		}
	})
}

// FuzzExpression parses anything as every kind of expression, with every placeholder defined, and applies it.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{
		"a = :s", "NOT (a.b[0] <> :n) AND size(#p) >= :n OR #p IN (:s, :n)", "a BETWEEN :n AND :n", "((a = :s))", "contains(l, :s)",
		"attribute_not_exists(m.x) AND begins_with(a, :s)", "attribute_type(a, :s)", "SET a = if_not_exists(b, :n) + :n, m.x = :s REMOVE l[1], l[0] ADD c :n DELETE d :set",
		"SET l = list_append(l, :l)", "a, m.x, l[2].y", "SET a = ", "!!! INVALID !!!", "a = :s AND", "(a) = (:s)", "size(size(a)) = :n", "REMOVE m.x.y",
	} {
		f.Add(s)
	}
	leaf := func() value { return value{kind: kindM, attrs: item{{"x", value{kind: kindS, text: "t"}}}} }
	fresh := func() item {
		return item{{"a", value{kind: kindS, text: "text"}}, {"c", value{kind: kindN, text: "5"}}, {"d", value{kind: kindSS, set: []string{"e", "f"}}},
			{"l", value{kind: kindL, list: []value{leaf(), leaf(), {kind: kindNULL, yes: true}}}}, {"m", leaf()}}
	}
	f.Fuzz(func(t *testing.T, src string) {
		p := &placeholders{
			names: []named{{key: "#p", text: "l"}, {key: "#q", text: "m"}},
			values: []named{{key: ":s", val: value{kind: kindS, text: "S"}}, {key: ":n", val: value{kind: kindN, text: "2"}},
				{key: ":set", val: value{kind: kindSS, set: []string{"e"}}}, {key: ":l", val: value{kind: kindL, list: []value{leaf()}}}},
		}
		it := fresh()
		for _, k := range []exprKind{conditionKind, updateKind, projectionKind} {
			b, err := p.bind("Expression", k, parseExpr(k, src))
			if err != nil {
				if err.Message == "" {
					t.Fatal("an error without a message")
				}
				continue
			}
			switch k {
			case conditionKind:
				b.holds(b.root, it)
				b.holds(b.root, nil)
				_, _ = keyComparisons(b)
			case projectionKind:
				b.projection(b.paths).of(it)
			case updateKind:
				out, err := b.apply(it)
				if err == nil && !slices.IsSortedFunc(out, func(a, b attr) int { return compareStrings(a.name, b.name) }) {
					t.Fatalf("attributes out of order: %v", out)
				}
			}
		}
		if !it.equal(fresh()) {
			t.Fatalf("%q changed a stored item", src)
		}
	})
}

func compareStrings(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// TestOrdered compares with a map, through enough rows for several blocks.
func TestOrdered(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	var o ordered
	twin := map[rowKey]*row{}
	for range 20000 {
		k := rowKey{hash: r.Uint64N(40), pk: string(rune('a' + r.IntN(3))), sk: fmt.Sprint(r.IntN(50))}
		if r.IntN(3) == 0 {
			o.remove(k)
			delete(twin, k)
			continue
		}
		twin[k] = &row{rowKey: k, size: r.IntN(9)}
		o.put(twin[k])
	}
	want := slices.SortedFunc(maps.Values(twin), func(a, b *row) int { return a.compare(b.rowKey) })
	var got, back []*row
	for p := (place{}); o.row(p) != nil; p = o.next(p) {
		got = append(got, o.row(p))
	}
	for p := o.prev(place{len(o.blocks), 0}); o.row(p) != nil; p = o.prev(p) {
		back = append(back, o.row(p))
	}
	slices.Reverse(back)
	bytes := 0
	for _, w := range want {
		bytes += w.size
		if o.get(w.rowKey) != w {
			t.Fatalf("seed %d: get(%v) is not the row", seed, w.rowKey)
		}
	}
	if !slices.Equal(got, want) || !slices.Equal(back, want) || o.count != len(want) || o.bytes != bytes || len(o.blocks) < 3 {
		t.Errorf("seed %d: %d rows forward, %d back, count %d, bytes %d in %d blocks; want %d rows of %d bytes", seed,
			len(got), len(back), o.count, o.bytes, len(o.blocks), len(want), bytes)
	}
}
