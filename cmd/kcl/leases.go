package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/operate"
)

func (a *app) leasesCommand() *cobra.Command {
	v := &viewing{lines: leaseLines}
	cmd := &cobra.Command{
		Use:   "leases -application <name> [flags]",
		Short: "Show who owns which shard, and up to where it is read",
		Long: `Show the leases of an application: who owns each shard, its checkpoint, and what is wrong.

A lease holds no time, only a counter that its owner raises. That an owner lives, and since when it owns the lease, can
therefore only be seen by watching: one look knows neither. -for watches for a while first, -watch until Ctrl-C. "still" means
not renewed yet since watching began; "SILENT", not for a whole lease duration. Since ">9s" means for at least so long.

A checkpoint is the last record that is done. Each look reads the whole lease table.`,
		Example: `  kcl leases -application orders
  kcl leases -application orders -watch
  kcl leases -application orders -check || page-someone`,
	}
	v.add(cmd, 0)
	return v.in(a, cmd)
}

func leaseLines(v operate.View) []string {
	s := newSheet("SHARD", "STATE", "WORKER", "LIFE", "SINCE", "CHECKPOINT", "KiB/s")
	ended := 0
	for _, l := range v.Leases {
		worker := dash(l.Worker)
		if l.Next != "" {
			worker += " > " + l.Next
		}
		if l.State == operate.Ended {
			ended++
		}
		rate := "-"
		if l.KiBPerS != nil {
			rate = fmt.Sprintf("%.1f", *l.KiBPerS)
		}
		s.row(shardName(l), string(l.State), worker, lifeWord(l.Life), since(v, l), l.Checkpoint, rate)
	}
	lines := append(s.lines(), "", fmt.Sprintf("%s: %s, %d ended; %s; %s", v.Application, count(len(v.Leases), "lease"), ended, leaderLine(v), watchedLine(v)))
	return append(lines, problemLines(v)...)
}

func shardName(l operate.Lease) string {
	if l.Stream == "" {
		return string(l.Shard)
	}
	return l.Stream + " " + string(l.Shard)
}

// lifeWord makes what matters stand out.
func lifeWord(l operate.Life) string {
	switch l {
	case operate.Silent:
		return "SILENT"
	case operate.Unknown:
		return "-"
	}
	return string(l)
}

func since(v operate.View, l operate.Lease) string {
	switch {
	case v.Watched == 0 || l.Worker == "" && l.AtLeast:
		return "-"
	case l.AtLeast:
		return ">" + span(l.Since)
	}
	return span(l.Since)
}
