package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/stream"
)

// writeVerdict tells a person how the demo went.
func writeVerdict(w io.Writer, r scene.Report, colors picture.Colors) error {
	var b strings.Builder
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "shard\tput\tdelivered\ttwice\tmissing\tout of order\tlongest gap\t")
	gaps := map[stream.ShardID]scene.Gap{}
	for _, g := range r.Gaps {
		gaps[g.Shard] = g
	}
	for _, s := range r.Verdict.Shards {
		row(t, picture.Short(s.Shard), s.Counts, gap(gaps[s.Shard]))
	}
	row(t, "all", r.Verdict.Total, "")
	if err := t.Flush(); err != nil {
		return err
	}
	v := r.Verdict
	fmt.Fprintf(&b, "\n%s bytes in %.1f s; from put to processor: median %v, 99%% within %v, all within %v\n",
		picture.Thousands(v.Total.Bytes), r.Seconds, ms(v.Delay.Median), ms(v.Delay.P99), ms(v.Delay.Max))
	writeGaps(&b, r.Causes)
	if v.Total.Altered > 0 {
		fmt.Fprintf(&b, "delivered with other data than was put: %s\n", picture.Thousands(v.Total.Altered))
	}
	if v.Total.Unknown > 0 {
		fmt.Fprintf(&b, "delivered, but the producer was never told that they were taken: %s\n", picture.Thousands(v.Total.Unknown))
	}
	for _, fault := range r.Faults {
		fmt.Fprintf(&b, "fault: %s\n", fault)
	}
	fmt.Fprintf(&b, "%s (seed %d)\n", judgement(r, colors), r.Seed)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeGaps tells for how long records waited while none was read, for each reason.
func writeGaps(w io.Writer, causes []scene.Gap) {
	if len(causes) == 0 {
		return
	}
	fmt.Fprintln(w, "the longest gaps, in which records waited and none was read:")
	for _, g := range causes {
		fmt.Fprintf(w, "%8s on %s: %s\n", gap(g), picture.Short(g.Shard), g.Why)
	}
}

func gap(g scene.Gap) string { return fmt.Sprintf("%.2f s", g.Seconds) }

func row(w io.Writer, name string, c ledger.Counts, gap string) {
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, picture.Thousands(c.Put), picture.Thousands(c.Delivered),
		picture.Thousands(c.Duplicates), picture.Thousands(c.Missing), picture.Thousands(c.OutOfOrder), gap)
}

func judgement(r scene.Report, colors picture.Colors) string {
	v := r.Verdict
	if r.Good {
		return fmt.Sprintf("%s all %s records were delivered, in order within each of %d shards and %s partition keys",
			picture.Good(colors, "good:"), picture.Thousands(v.Total.Put), len(v.Shards), picture.Thousands(int64(v.Keys)))
	}
	return fmt.Sprintf("%s %s missing, %s out of order in their shard, %s out of order in their partition key, %s altered, %d %s",
		picture.Bad(colors, "BAD:"), picture.Thousands(v.Total.Missing), picture.Thousands(v.Total.OutOfOrder),
		picture.Thousands(v.KeyOutOfOrder), picture.Thousands(v.Total.Altered), len(r.Faults), plural(len(r.Faults), "fault"))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
