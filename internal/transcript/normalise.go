package transcript

import (
	"fmt"
	"regexp"
	"slices"
)

var (
	numbers  = regexp.MustCompile(`\b9?(49\d{54})\b`)
	arrivals = regexp.MustCompile(`("approximateArrivalTimestamp":)\d+`)
)

// Normalise takes out of a recorded text what differs each time: sequence numbers become small, in the same order, and arrival
// times a millisecond apart. Numbers of 57 digits that a child made up from a sequence number by a leading 9 stay so.
func Normalise(text string) string {
	var all []string
	for _, m := range numbers.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all) // of equal length, so by value
	all = slices.Compact(all)
	text = numbers.ReplaceAllStringFunc(text, func(s string) string {
		nine := s[:len(s)-len(all[0])]
		at, _ := slices.BinarySearch(all, s[len(nine):])
		return fmt.Sprintf("%s4965%052d", nine, at+1)
	})
	arrived := 1_760_000_000_000
	return arrivals.ReplaceAllStringFunc(text, func(s string) string {
		arrived++
		return arrivals.ReplaceAllString(s, fmt.Sprintf("${1}%d", arrived))
	})
}
