package daemon

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// whole reads an integer with an optional sign and blanks around it.
func whole(v string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", v)
	}
	return n, nil
}

func float(v string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", v)
	}
	return f, nil
}

// yes reads the words that commons-beanutils takes for a boolean.
func yes(v string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true", "yes", "y", "on", "1":
		return true, nil
	case "false", "no", "n", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", v)
}

func text(field func(*Settings) *string) setter {
	return func(s *Settings, v string) error {
		*field(s) = strings.TrimSpace(v)
		return nil
	}
}

func required(set setter) setter {
	return func(s *Settings, v string) error {
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("is empty: leave the key out for the default")
		}
		return set(s, v)
	}
}

// count reads a number that is not negative; 0 keeps the default. A nil field only checks the value.
func count(field func(*Settings) *int) setter {
	return func(s *Settings, v string) error {
		n, err := whole(v)
		switch {
		case err != nil:
			return err
		case n < 0 || n > math.MaxInt32:
			return fmt.Errorf("%d is not within 0 to %d", n, math.MaxInt32)
		case field != nil && n != 0:
			*field(s) = int(n)
		}
		return nil
	}
}

// millis reads milliseconds; 0 keeps the default.
func millis(field func(*Settings) *time.Duration) setter {
	return func(s *Settings, v string) error {
		n, err := whole(v)
		switch {
		case err != nil:
			return err
		case n < 0 || n > math.MaxInt64/int64(time.Millisecond):
			return fmt.Errorf("%d is not a number of milliseconds", n)
		case field != nil && n != 0:
			*field(s) = time.Duration(n) * time.Millisecond
		}
		return nil
	}
}

func boolean(field func(*Settings) *bool) setter {
	return func(s *Settings, v string) error {
		b, err := yes(v)
		if field != nil {
			*field(s) = b
		}
		return err
	}
}

// inverse sets a field that says no where the key says yes.
func inverse(field func(*Settings) *bool) setter {
	return func(s *Settings, v string) error {
		b, err := yes(v)
		*field(s) = !b
		return err
	}
}

func number(_ *Settings, v string) error {
	_, err := float(v)
	return err
}

func enum(names ...string) setter {
	return func(_ *Settings, v string) error {
		for _, n := range names {
			if strings.EqualFold(n, v) {
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", v, strings.Join(names, ", "))
	}
}

func endpoint(field func(*Settings) *string) setter {
	return func(s *Settings, v string) error {
		u, err := url.Parse(strings.TrimSpace(v))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%q is not a URL such as https://kinesis.us-east-1.amazonaws.com", v)
		}
		*field(s) = u.String()
		return nil
	}
}

// isoForm: java.time.Duration, days to seconds, without signs.
var isoForm = regexp.MustCompile(`(?i)^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,9})?)S)?)?$`)

// isoDuration reads a duration such as PT12H or P2D.
func isoDuration(_ *Settings, v string) error {
	m := isoForm.FindStringSubmatch(strings.TrimSpace(v))
	if m == nil || strings.Join(m[1:], "") == "" || strings.HasSuffix(strings.ToUpper(v), "T") {
		return fmt.Errorf("%q is not a duration such as PT12H or P2D", v)
	}
	return nil
}

// tags reads k=v pairs.
func tags(_ *Settings, v string) error {
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part != "" && strings.Count(part, "=") != 1 {
			return fmt.Errorf("%q is not of the form key=value", part)
		}
	}
	return nil
}

var separators = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// words splits a list at commas, blanks and whatever else is no letter, digit, dot or hyphen.
func words(v string) []string {
	var out []string
	for _, w := range separators.Split(v, -1) {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// nearest returns the known key that is least edits away, if it is near enough to be meant.
func nearest(name string) string {
	best, least := "", len(name)/3+1
	for k := range keys {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least || d == least && k < best {
			best, least = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
