package dynamo

import (
	"math/big"
	"strconv"
	"strings"
)

// DynamoDB's number: up to 38 significant digits, magnitudes from 1E-130 to 9.99…E+125 (developer guide, "Naming rules
// and data types").
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// number is an exact decimal: 0.digits × 10^point, negative if neg. Zero has no digits. digits neither starts nor ends
// with a zero, so equal numbers are equal values.
type number struct {
	neg    bool
	digits string
	point  int
}

type numberErrorKind uint8

const (
	numberMalformed numberErrorKind = iota
	numberTooLarge
	numberTooSmall
	numberTooPrecise
)

// numberError says why a text is no DynamoDB number, in DynamoDB's words.
type numberError struct {
	kind numberErrorKind
	text string
}

func (e *numberError) Error() string {
	switch e.kind {
	case numberTooLarge:
		return "Number overflow. Attempting to store a number with magnitude larger than supported range"
	case numberTooSmall:
		return "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	case numberTooPrecise:
		return "Attempting to store more than 38 significant digits in a Number"
	}
	if e.text == "" {
		return "The parameter cannot be converted to a numeric value"
	}
	return "The parameter cannot be converted to a numeric value: " + e.text
}

// parseNumber reads decimal and scientific notation.
func parseNumber(s string) (number, *numberError) {
	mantissa, exponent, ok := splitExponent(s)
	if !ok {
		return number{}, &numberError{numberMalformed, s}
	}
	neg := strings.HasPrefix(mantissa, "-")
	if neg || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return number{}, &numberError{numberMalformed, s}
	}
	digits := whole
	if fraction != "" {
		digits = whole + fraction
	}
	return newNumber(neg, digits, len(whole)+exponent)
}

func splitExponent(s string) (mantissa string, exponent int, ok bool) {
	at := strings.IndexAny(s, "eE")
	if at < 0 {
		return s, 0, true
	}
	text := s[at+1:]
	sign := 1
	if text != "" && (text[0] == '+' || text[0] == '-') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	if text == "" || !allDigits(text) {
		return "", 0, false
	}
	text = strings.TrimLeft(text, "0")
	if len(text) > 6 { // far outside the range whatever the mantissa
		return s[:at], sign * 1_000_000, true
	}
	e, _ := strconv.Atoi("0" + text)
	return s[:at], sign * e, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// newNumber makes 0.digits × 10^point, trimming zeros and checking the range.
func newNumber(neg bool, digits string, point int) (number, *numberError) {
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	n := number{neg: neg, digits: trimmed, point: point}
	switch {
	case trimmed == "":
		return number{}, nil
	case point-1 > maxExponent:
		return number{}, &numberError{kind: numberTooLarge}
	case point-1 < minExponent:
		return number{}, &numberError{kind: numberTooSmall}
	case len(trimmed) > maxDigits:
		return number{}, &numberError{kind: numberTooPrecise}
	}
	return n, nil
}

// String is the plain notation, which is also how DynamoDB answers a number.
func (n number) String() string {
	if n.digits == "" {
		return "0"
	}
	var b strings.Builder
	if n.neg {
		b.WriteByte('-')
	}
	switch {
	case n.point <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -n.point))
		b.WriteString(n.digits)
	case n.point >= len(n.digits):
		b.WriteString(n.digits)
		b.WriteString(strings.Repeat("0", n.point-len(n.digits)))
	default:
		b.WriteString(n.digits[:n.point])
		b.WriteByte('.')
		b.WriteString(n.digits[n.point:])
	}
	return b.String()
}

// plainNumber returns the canonical plain notation of s.
func plainNumber(s string) (string, *numberError) {
	if isPlainInteger(s) {
		return s, nil
	}
	n, err := parseNumber(s)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

// isPlainInteger reports whether s is canonical as it stands; most numbers of a lease are.
func isPlainInteger(s string) bool {
	if s == "" || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return false
	}
	return allDigits(s)
}

// compareNumbers orders two canonical texts.
func compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	return strings.Compare(numberKey(a), numberKey(b))
}

// numberKey encodes a canonical text so that the bytes sort as the numbers do: the sign, then the exponent, then the
// digits, all complemented for negative numbers.
func numberKey(s string) string {
	n, _ := parseNumber(s)
	if n.digits == "" {
		return "\x80"
	}
	b := make([]byte, 0, len(n.digits)+3)
	b = append(b, 0x81, byte((n.point+256)>>8), byte(n.point+256))
	b = append(b, n.digits...)
	if n.neg {
		for i := range b {
			b[i] = ^b[i]
		}
		b = append(b, 0xff) // a longer negative number with the same prefix is the smaller one
	}
	return string(b)
}

// addNumbers returns the canonical sum of two canonical texts, or their difference.
func addNumbers(a, b string, minus bool) (string, *numberError) {
	if isPlainInteger(a) && isPlainInteger(b) {
		x, _ := strconv.ParseInt(a, 10, 64)
		y, _ := strconv.ParseInt(b, 10, 64)
		if minus {
			y = -y
		}
		return strconv.FormatInt(x+y, 10), nil
	}
	x, err := parseNumber(a)
	if err != nil {
		return "", err
	}
	y, err := parseNumber(b)
	if err != nil {
		return "", err
	}
	y.neg = y.neg != minus
	scale := max(len(x.digits)-x.point, len(y.digits)-y.point, 0)
	sum := new(big.Int).Add(x.scaled(scale), y.scaled(scale))
	text := sum.Text(10)
	neg := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	out, err := newNumber(neg, text, len(text)-scale)
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

// scaled is n × 10^scale, which must be an integer.
func (n number) scaled(scale int) *big.Int {
	i := new(big.Int)
	if n.digits == "" {
		return i
	}
	i.SetString(n.digits+strings.Repeat("0", scale-(len(n.digits)-n.point)), 10)
	if n.neg {
		i.Neg(i)
	}
	return i
}

// numberSize is the storage DynamoDB counts for a number: about a byte for each two digits, and one more (developer
// guide, "DynamoDB item sizes and formats").
func numberSize(s string) int {
	n, _ := parseNumber(s)
	if n.digits == "" {
		return 1
	}
	size := 1 + (len(n.digits)+1)/2
	if len(n.digits)%2 == 0 && (n.point-1)%2 == 0 {
		size++
	}
	if n.neg {
		size++
	}
	return size
}
