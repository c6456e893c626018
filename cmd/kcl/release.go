package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/stream"
)

type releaseFlags struct {
	app       appFlags
	shards    []string
	worker    string
	yes, json bool
}

func (a *app) releaseCommand() *cobra.Command {
	var f releaseFlags
	cmd := &cobra.Command{
		Use:   "release -application <name> (-shard <id>... | -worker <id>) [flags]",
		Short: "Take leases from their worker, so that they are assigned anew",
		Long: `Take one or more leases, or all of one worker, from who owns them; the leader assigns them anew, perhaps to the same worker. A lease
in handoff goes to the worker that was to follow. Without -yes nothing is changed: what would be is shown.

A live owner notices at its next renewal, within a third of the lease duration; until then it and the new owner may both be
at work, so that records are delivered twice. None is lost: what the old owner has not checkpointed comes again, and it cannot
checkpoint any more. A worker that is to stop is better sent SIGTERM: it finishes and passes its leases on.`,
		Example: `  kcl release -application orders -shard shardId-000000000002
  kcl release -application orders -worker host-7 -yes`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.app.add(flags)
	f.app.addStream(flags)
	flags.StringArrayVar(&f.shards, "shard", nil, "release the lease of this shard `id`; repeatable")
	flags.StringVar(&f.worker, "worker", "", "release all leases of the worker with this `id`")
	flags.BoolVar(&f.yes, "yes", false, "do it")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.app.aws.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.release(cmd.Context(), f) }
	return cmd
}

// releaseReport is what kcl release tells.
type releaseReport struct {
	Done     bool              `json:"done"` // false: this is what -yes would do
	Released []operate.Release `json:"released"`
	Left     []operate.Left    `json:"left"`
}

func (a *app) release(ctx context.Context, f releaseFlags) error {
	if (len(f.shards) > 0) == (f.worker != "") {
		return usagef("give either -shard or -worker")
	}
	application, err := f.app.open(ctx, a)
	if err != nil {
		return err
	}
	look, err := application.Look(ctx)
	if err != nil {
		return err
	}
	plan, left, err := operate.PlanRelease(look.Snapshot.Leases, operate.Selection{Shards: shardIDs(f.shards), Worker: f.worker})
	if err != nil {
		return err
	}
	report := releaseReport{Done: f.yes, Released: []operate.Release{}, Left: append([]operate.Left{}, left...)}
	failed := 0
	for _, r := range plan {
		if f.yes {
			if err := application.Release(ctx, r); err != nil {
				failed++
				report.Left = append(report.Left, operate.Left{Key: r.Key, Why: err.Error()})
				continue
			}
		}
		report.Released = append(report.Released, r)
	}
	if err := a.tellRelease(f, report); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%s not released", count(failed, "lease"))
	}
	return nil
}

func (a *app) tellRelease(f releaseFlags, r releaseReport) error {
	if f.json {
		return writeJSONLine(a.stdout, r)
	}
	s := newSheet("SHARD", "FROM", "TO")
	for _, l := range r.Released {
		s.row(l.Key, l.From, firstOf(l.To, "whom the leader chooses"))
	}
	for _, l := range r.Left {
		s.row(l.Key, "left", l.Why)
	}
	for _, line := range s.lines() {
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	if f.yes {
		fmt.Fprintf(a.stderr, "released %s\n", count(len(r.Released), "lease"))
	} else {
		fmt.Fprintf(a.stderr, "nothing is changed yet; -yes releases %s\n", count(len(r.Released), "lease"))
	}
	return nil
}

func shardIDs(names []string) []stream.ShardID {
	ids := make([]stream.ShardID, len(names))
	for i, n := range names {
		ids[i] = stream.ShardID(n)
	}
	return ids
}
