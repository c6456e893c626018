package kinesis

import (
	"math/big"
	"testing"
	"time"
)

func TestHashVectors(t *testing.T) {
	for key, want := range map[string]string{ // spec retrieval-and-lifecycle.md 1.6
		"a":    "16955237001963240173058271559858726497",
		"b":    "195289424170611159128911017612795795343",
		"pk-0": "318996840767547934070577442296912359277",
		"pk-1": "273922656776327812788301823748127981641",
		"é":    "136732923097551493579404309126273812335",
	} {
		if got := hashOf([]byte(key)).String(); got != want {
			t.Errorf("hash of %q = %s, want %s", key, got, want)
		}
	}
}

func TestHashKeyText(t *testing.T) {
	for _, text := range []string{"0", "1", "18446744073709551615", "18446744073709551616", "340282366920938463463374607431768211455"} {
		h, ok := parseHashKey(text)
		if !ok || h.String() != text {
			t.Errorf("%s became %s, %v", text, h, ok)
		}
		if ok && h.next().previous() != h {
			t.Errorf("%s: next and previous differ", text)
		}
	}
	for _, text := range []string{"", "-1", "01", "1x", "340282366920938463463374607431768211456", "1e3", " 1"} {
		if h, ok := parseHashKey(text); ok {
			t.Errorf("%q was accepted as %s", text, h)
		}
	}
}

func TestUniformBoundary(t *testing.T) {
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, n := range []int{1, 2, 3, 4, 7, 10000} {
		for _, i := range []int{0, 1, n / 2, n - 1} {
			if i >= n {
				continue
			}
			want := new(big.Int).Div(new(big.Int).Mul(space, big.NewInt(int64(i))), big.NewInt(int64(n))).String()
			if got := uniformBoundary(i, n).String(); got != want {
				t.Errorf("boundary %d of %d = %s, want %s", i, n, got, want)
			}
		}
	}
}

// TestSequenceSample takes apart a number that AWS printed in its documentation.
func TestSequenceSample(t *testing.T) {
	const text = "49590338271490256608559692538361571095921575989136588898"
	s, ok := parseSequence(text)
	if !ok || s.String() != text {
		t.Fatalf("%s became %s, %v", text, s, ok)
	}
	created, put := time.Unix(s.created, 0).UTC().Format(time.RFC3339), time.Unix(s.at, 0).UTC().Format(time.RFC3339)
	if created != "2018-11-21T04:57:38Z" || put != "2018-12-17T22:10:50Z" || s.shard != 6 {
		t.Errorf("created %s, put %s, shard %d", created, put, s.shard)
	}
}

func TestSequenceOrder(t *testing.T) {
	rising := []sequence{
		{created: 946684800, shard: 7, index: 0, at: 946684800}, // the first second of a synctest bubble
		{created: 946684800, shard: 7, index: 1, at: 946684800},
		{created: 946684800, shard: 7, index: 2, at: 946684800},
		{created: 946684800, shard: 7, index: 1<<62 + 5, at: 946684801},
		{created: 946684801, shard: 16, index: 0, at: 946684801}, // a child
		{created: 1<<36 - 1, shard: 1<<32 - 1, index: 1<<63 - 1, at: 1<<36 - 1},
	}
	for i, s := range rising {
		text := s.String()
		if back, ok := parseSequence(text); !ok || back != s || len(text) != 56 {
			t.Errorf("%+v became %s and then %+v, %v", s, text, back, ok)
		}
		if i > 0 && text <= rising[i-1].String() {
			t.Errorf("%+v is not after %+v", s, rising[i-1])
		}
	}
}

func FuzzParseSequence(f *testing.F) {
	for _, text := range []string{"", "0", "49590338271490256608559692538361571095921575989136588898",
		"4959033827149025660855969253836157109592157598913658889", "99999999999999999999999999999999999999999999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := parseSequence(text); ok && s.String() != text {
			t.Errorf("%q became %+v and then %s", text, s, s)
		}
		if n, ok := parseWide(text); ok && n.String() != text {
			t.Errorf("%q became %s", text, n)
		}
	})
}

func FuzzParseIterator(f *testing.F) {
	f.Add("")
	f.Add("AAAAAAAAAAE=")
	f.Add(iterator{"orders", 1, 2, 3, 4}.token())
	f.Fuzz(func(t *testing.T, token string) {
		if it, ok := parseIterator(token); ok {
			if again, ok := parseIterator(it.token()); !ok || again != it {
				t.Errorf("%q became %+v and then %+v", token, it, again)
			}
		}
	})
}

func TestIteratorRejectsChanges(t *testing.T) {
	token := []byte(iterator{"orders", 1700000000, 2, 3, 1700000000000}.token())
	for i := range token {
		changed := append([]byte(nil), token...)
		changed[i] ^= 1
		if it, ok := parseIterator(string(changed)); ok && it != (iterator{"orders", 1700000000, 2, 3, 1700000000000}) {
			t.Errorf("a change at byte %d was accepted: %+v", i, it)
		}
	}
}
