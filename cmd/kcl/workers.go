package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/operate"
)

func (a *app) workersCommand() *cobra.Command {
	v := &viewing{lines: workerLines}
	cmd := &cobra.Command{
		Use:   "workers -application <name> [flags]",
		Short: "Show the workers, their load and whether they live",
		Long: `Show the workers of an application: those that report, that own a lease, or that lead.

A worker is "moving" if, while this command watched, it renewed a lease or the leader's lock or reported anew. "still" means
nothing yet, which for a worker without leases is normal: it reports each 15 s (Java: 30 s). "SILENT" means that none of its
leases was renewed for a whole lease duration. REPORT is the age of its latest report by its own clock and this machine's,
which may differ; LEASES are those it works on, COMING those on their way to it, ENDED rows of finished shards in its name.`,
		Example: `  kcl workers -application orders
  kcl workers -application orders -watch`,
	}
	v.add(cmd, 4*time.Second)
	return v.in(a, cmd)
}

func workerLines(v operate.View) []string {
	s := newSheet("WORKER", "LIFE", "LEADS", "REPORT", "CPU", "LEASES", "COMING", "ENDED", "KiB/s")
	for _, w := range v.Workers {
		report, cpu, leads := "none", "-", "-"
		if w.Reports {
			report = span(w.ReportAge) + " ago"
		}
		if w.CPU != nil {
			cpu = fmt.Sprintf("%.1f%%", *w.CPU)
		}
		if w.Leads {
			leads = "leads"
		}
		s.row(w.ID, lifeWord(w.Life), leads, report, cpu, fmt.Sprint(w.Leases), fmt.Sprint(w.Coming), fmt.Sprint(w.Ended), fmt.Sprintf("%.1f", w.KiBPerS))
	}
	lines := append(s.lines(), "", fmt.Sprintf("%s: %s; %s; %s", v.Application, count(len(v.Workers), "worker"), leaderLine(v), watchedLine(v)))
	return append(lines, problemLines(v)...)
}
