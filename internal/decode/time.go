package decode

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// seconds reads a time that JSON has as seconds since the epoch, with a fraction or an exponent; null is no time.
func (s *jsonScanner) seconds() (time.Time, error) {
	if s.peek() == 'n' {
		return time.Time{}, s.literal("null")
	}
	at := s.i
	digits, err := s.number()
	if err != nil {
		return time.Time{}, err
	}
	if milli, ok := wholeMillis(digits); ok {
		return time.UnixMilli(milli).UTC(), nil
	}
	f, err := strconv.ParseFloat(text(digits), 64)
	if err != nil {
		s.i = at
		return time.Time{}, s.fail("ApproximateArrivalTimestamp %s is out of range", strings.Clone(text(digits)))
	}
	return sdkTime(f), nil
}

// wholeMillis reads a number of seconds that is a whole number of milliseconds, of November 2004 to January 2038. There,
// and not everywhere, the floating-point arithmetic of the SDK gives that very number: the error of seconds below 2^31, at
// most 2^-23, times 1,000 is less than half of the 2^-12 that lie between neighbouring numbers of milliseconds from 2^40 on.
func wholeMillis(number []byte) (milli int64, ok bool) {
	const least, most = 1 << 40, 1<<31*1000 - 1
	scale, i := 3, 0 // power of ten that makes the digits milliseconds
	for fraction := false; i < len(number); i++ {
		switch c := number[i]; {
		case c-'0' <= 9:
			if milli > most {
				return 0, false
			}
			milli = milli*10 + int64(c-'0')
			if fraction {
				scale--
			}
			continue
		case c == '.':
			fraction = true
			continue
		case c == '-':
			return 0, false
		}
		break
	}
	if i < len(number) { // the exponent
		exponent, err := strconv.Atoi(text(number[i+1:]))
		if err != nil {
			return 0, false
		}
		scale += exponent
	}
	if scale < 0 || scale > 12 {
		return 0, false
	}
	for ; scale > 0 && milli <= most; scale-- {
		milli *= 10
	}
	return milli, milli >= least && milli <= most
}

// sdkTime is what smithy-go (time.ParseEpochSeconds) makes of seconds, down to its overflow.
func sdkTime(seconds float64) time.Time {
	milli := math.Trunc(seconds * 1000)
	var n int64
	switch {
	case milli >= math.MaxInt64:
		n = math.MaxInt64
	case milli <= math.MinInt64:
		n = math.MinInt64
	default:
		n = int64(milli)
	}
	return time.Unix(0, n*1e6).UTC()
}
