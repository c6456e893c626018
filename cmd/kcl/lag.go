package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/operate"
)

func (a *app) lagCommand() *cobra.Command {
	v := &viewing{lines: lagLines, lag: true}
	cmd := &cobra.Command{
		Use:   "lag -application <name> -stream <name> [flags]",
		Short: "Show how far behind each shard is, in its records' age",
		Long: `Show how far behind the checkpoints of an application are.

For each lease one record is read behind the checkpoint: its age is how far behind the shard is (by "record"). The record may be
in a processor's hands already. Where the service sends no record although there is one, its own distance from the tip is
shown (by "tip"). "none" means that nothing is behind the checkpoint.

Each measurement takes one of the 5 reads a second that a shard allows all who poll it; -watch measures each 5 s.`,
		Example: `  kcl lag -application orders -stream orders
  kcl lag -application orders -stream orders -check -for 0 -max-age 5m`,
	}
	v.add(cmd, 0)
	cmd.Flags().DurationVar(&v.maxAge, "max-age", 0, "a record that is older and not checkpointed is a problem (default: no bound)")
	return v.in(a, cmd)
}

func lagLines(v operate.View) []string {
	s := newSheet("SHARD", "WORKER", "CHECKPOINT", "BEHIND", "BY")
	for _, l := range v.Leases {
		behind, by := "?", "not measured"
		if b := l.Behind; b != nil {
			by = string(b.By)
			switch b.By {
			case operate.NotKnown:
				by = b.Why
			case operate.AtEnd:
				behind = "-"
			default:
				behind = span(b.Age)
			}
		}
		s.row(shardName(l), dash(l.Worker), l.Checkpoint, behind, by)
	}
	lines := append(s.lines(), "", v.Application+": "+behindLine(v))
	return append(lines, problemLines(v)...)
}

// behindLine sums up how far behind the application is.
func behindLine(v operate.View) string {
	var oldest *operate.Lease
	caughtUp, unknown, measured := 0, 0, 0
	for i, l := range v.Leases {
		switch b := l.Behind; {
		case b == nil || b.By == operate.NotKnown:
			unknown++
		case b.By == operate.AtEnd:
		case b.By == operate.CaughtUp:
			caughtUp++
			measured++
		default:
			measured++
			if oldest == nil || b.Age > oldest.Behind.Age {
				oldest = &v.Leases[i]
			}
		}
	}
	if measured == 0 && unknown > 0 {
		return count(unknown, "shard") + " not known"
	}
	text := fmt.Sprintf("%d of %s caught up", caughtUp, count(measured, "shard"))
	if oldest != nil {
		text += fmt.Sprintf("; furthest behind is %s by %s", shardName(*oldest), span(oldest.Behind.Age))
	}
	if unknown > 0 {
		text += fmt.Sprintf("; %d not known", unknown)
	}
	return text
}
