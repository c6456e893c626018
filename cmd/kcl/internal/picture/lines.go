package picture

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Lines draws a frame for a terminal of so many columns and rows. No line is wider, and there are never more than height-1
// of them, so that the cursor has a line of its own.
func (f Frame) Lines(colors Colors, width, height int) []string {
	const leastEvents, mostEvents, mostRows = 3, 8, 12
	height-- // the cursor's
	shards := append(f.team(), f.table()...)
	room := height - 6 - len(shards) // title, sums and the blank lines between
	rows := min(max(room-leastEvents, 0), mostRows)
	lines := []line{f.head(width), nil}
	if rows >= 4 { // fewer tell nothing
		lines = append(append(lines, f.river(colors, width, rows)...), nil)
	}
	lines = append(lines, f.sums(), nil)
	lines = append(lines, shards...)
	lines = append(lines, nil)
	lines = append(lines, f.events(min(max(room-rows, 0), mostEvents))...)
	lines = lines[:min(len(lines), max(height, 0))]
	drawn := make([]string, len(lines))
	for i, l := range lines {
		drawn[i] = l.render(colors, width)
	}
	return drawn
}

// head is the title with a bar of the time gone.
func (f Frame) head(width int) line {
	const bar = 20
	left := line{plain(" "), strong(f.Title), tint(faint, "  %s", f.Where)}
	share := 0.0
	if f.Total > 0 {
		share = min(f.Elapsed.Seconds()/f.Total.Seconds(), 1)
	}
	full := int(math.Round(share * bar))
	right := line{
		tint(green, "%s  ", f.Phase), tint(green, "%s", strings.Repeat("━", full)), tint(faint, "%s", strings.Repeat("─", bar-full)),
		plain(" %s of %s", seconds(min(f.Elapsed, f.Total)), seconds(f.Total)),
	}
	return append(left.pad(width-right.width()-1), right...)
}

const (
	gutter = 8  // left of the river
	legend = 28 // right of it
)

// river draws the hash keys from top to bottom and the time from left to right, two hash keys to a cell.
func (f Frame) river(colors Colors, width, rows int) []line {
	columns := max(width-gutter-legend-1, 10)
	labels := f.labels(rows)
	lines := make([]line, rows)
	for row := range rows {
		l := line{tint(faint, " %*s ", gutter-2, scale(row, rows))}
		for x := range columns {
			l = l.join(f.cell(colors, x, columns, row, rows))
		}
		lines[row] = append(l, labels[row]...)
	}
	return lines
}

// scale labels the ends of the hash keys.
func scale(row, rows int) string {
	switch row {
	case 0:
		return "keys 0"
	case rows - 1:
		return "2^128"
	}
	return "│"
}

// cell is one character of the river: in colour an upper and a lower half, else a shade.
func (f Frame) cell(colors Colors, x, columns, row, rows int) span {
	moment := f.moment(x, columns)
	if moment == nil {
		return span{text: " "}
	}
	upper, hasUpper := moment.at(2*row, 2*rows)
	lower, hasLower := moment.at(2*row+1, 2*rows)
	if colors == NoColor {
		if !hasUpper {
			return span{text: "·"}
		}
		return span{text: string([]rune("█▒▓░")[upper.Shard%4])}
	}
	return span{text: "▀", fg: glow(upper, hasUpper), bg: glow(lower, hasLower)}
}

// glow is a band's colour: darker where less was done, nearly black where nobody reads.
func glow(b Band, read bool) rgb {
	if !read {
		return rgb{28, 30, 36, true}
	}
	return shardColor(b.Shard).dim(0.35 + 0.65*b.Glow)
}

// moment returns the column of history that belongs at x: the whole duration fits until it is over, then it scrolls.
func (f Frame) moment(x, columns int) Column {
	if len(f.River) == 0 || f.Total <= 0 {
		return nil
	}
	whole := int(float64(len(f.River)) * max(1, f.Total.Seconds()/max(f.Elapsed.Seconds(), 1e-3)))
	i := x * whole / columns
	if i >= len(f.River) {
		return nil
	}
	return f.River[i]
}

// at returns the band that covers slice n of so many.
func (c Column) at(n, slices int) (Band, bool) {
	middle := stream.HashKey{Hi: uint64((float64(n) + 0.5) / float64(slices) * (1 << 63) * 2)}
	for _, b := range c {
		if b.Keys.Contains(middle) {
			return b, true
		}
	}
	return Band{}, false
}

// labels name the shards that are read, each beside the middle of its band.
func (f Frame) labels(rows int) map[int]line {
	labels := map[int]line{}
	for i, s := range f.Shards {
		if s.State == Done || s.State == Free {
			continue
		}
		middle := (fraction(s.HashKeys.First) + fraction(s.HashKeys.Last)) / 2
		row := min(int(middle*float64(rows)), rows-1)
		if _, taken := labels[row]; taken {
			continue // more shards than rows: the table below names them all
		}
		labels[row] = line{
			tint(shardColor(i), " ◀ %s", Short(s.ID)),
			plain(" %4.0f/s", last(s.Rates)),
			tint(faint, " %s", behind(s)),
		}
	}
	return labels
}

func fraction(k stream.HashKey) float64 { return float64(k.Hi) / (1 << 63) / 2 }

func last(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return values[len(values)-1]
}

// team names the workers, those who are gone too.
func (f Frame) team() []line {
	if len(f.Workers) == 0 {
		return nil
	}
	held := map[string]int{}
	for _, s := range f.Shards {
		if s.State != Done {
			held[s.Owner]++
		}
	}
	l := line{plain(" ")}
	for _, w := range f.Workers {
		switch {
		case w.Gone:
			l = append(l, tint(faint, "✗ %s  ", w.ID))
			continue
		case w.Leaving:
			l = append(l, tint(red, "▼ "))
		case w.Leads:
			l = append(l, tint(green, "★ "))
		default:
			l = append(l, tint(green, "● "))
		}
		l = append(l, strong(w.ID), tint(faint, " reads %d  ", held[w.ID]))
	}
	return []line{l, nil}
}

// owner is who reads a shard, or for how long nobody has although records wait.
func owner(s Shard) string {
	if s.State == Free && s.Waits > 0 {
		return "waits " + seconds(s.Waits)
	}
	return s.Owner
}

// table lists all shards.
func (f Frame) table() []line {
	lines := []line{{tint(faint, " %-6s %-9s %-9s %-12s %9s %9s %5s  %s", "shard", "from", "state", "worker", "put", "delivered", "twice", "records/s")}}
	for i, s := range f.Shards {
		c := shardColor(i)
		state, mark := span{text: fmt.Sprintf("%-9s", s.State)}, "●"
		switch s.State {
		case Done:
			state.fg, mark = faint, "✓"
		case Free:
			state.fg, mark = faint, "○"
		case Failing:
			state.fg, mark = red, "!"
		}
		lines = append(lines, line{
			tint(c, " %s %-4s", mark, Short(s.ID)),
			tint(faint, " %-9s ", parents(s.Parents)),
			state,
			plain(" %-12.12s %9s %9s %5s  ", owner(s), Thousands(s.Put), Thousands(s.Delivered), Thousands(s.Duplicates)),
			tint(c, "%s", sparkline(s.Rates)),
		})
	}
	return lines
}

func parents(ids []stream.ShardID) string {
	if len(ids) == 0 {
		return "–"
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = Short(id)
	}
	return strings.Join(names, "+")
}

// sparkline draws values as bars, on one scale of their own.
func sparkline(values []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range values {
		level := 0
		if top > 0 {
			level = int(v / top * 7.99)
		}
		b.WriteRune([]rune(bars)[level])
	}
	return b.String()
}

// events are the last of what happened.
func (f Frame) events(most int) []line {
	recent := f.Events[max(len(f.Events)-most, 0):]
	lines := make([]line, 0, len(recent))
	for _, e := range recent {
		text := plain("%s", e.What)
		if e.Bad {
			text.fg = red
		}
		lines = append(lines, line{tint(faint, " %7s  ", seconds(e.At)), text})
	}
	return lines
}

// sums are the counts over all shards.
func (f Frame) sums() line {
	count := func(c rgb, name string, n int64) []span {
		return []span{tint(faint, "%s ", name), {text: Thousands(n), fg: c, bold: true}, plain("  ")}
	}
	bad := green
	if f.OutOfOrder > 0 {
		bad = red
	}
	l := line{plain(" ")}
	l = append(l, count(rgb{}, "put", f.Put)...)
	l = append(l, count(rgb{}, "delivered", f.Delivered)...)
	l = append(l, count(rgb{}, "on the way", max(f.Put-f.Delivered, 0))...)
	l = append(l, count(rgb{}, "twice", f.Duplicates)...)
	l = append(l, count(bad, "out of order", f.OutOfOrder)...)
	return append(l, tint(faint, "%.0f records/s, %.2f MB/s", f.RecordsPerSecond, f.BytesPerSecond/1e6))
}

// Short is the part of a shard's id that tells it from others: its number.
func Short(id stream.ShardID) string {
	number := strings.TrimLeft(strings.TrimPrefix(string(id), "shardId-"), "0")
	if number == "" {
		return "#0"
	}
	return "#" + number
}

func behind(s Shard) string {
	switch {
	case !s.BehindKnown:
		return ""
	case s.Behind < 10*time.Millisecond:
		return "at the tip"
	case s.Behind < time.Second:
		return fmt.Sprintf("%d ms behind", s.Behind.Milliseconds())
	}
	return seconds(s.Behind) + " behind"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// Thousands writes a number with commas.
func Thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
