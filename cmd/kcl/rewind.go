package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/stream"
)

type rewindFlags struct {
	app       appFlags
	to        string
	shards    []string
	set       []string
	yes, json bool
}

func (a *app) rewindCommand() *cobra.Command {
	var f rewindFlags
	cmd := &cobra.Command{
		Use:   "rewind -application <name> -stream <name> -to <place> [-shard <id>...] [flags]",
		Short: "Read shards again from an earlier place, or skip ahead",
		Long: `Change from where shards are read: back, to process records again, or ahead, to skip some. Without -yes nothing is changed: each
shard is shown with the checkpoint it has and the one it would get, and the command that undoes it.

  -to oldest       from the oldest record that is retained
  -to latest       only what is put from now on
  -to <time>       from the first record that arrived then or later: RFC 3339, or how long ago, such as 15m
  -to <sequence>   from behind that record of the one -shard; with "/" and a number, from behind that part of an aggregate

This is safe while the fleet runs. Each lease is taken from its worker together with the change, so that nothing the worker still
writes can undo it; the leader assigns it anew. Until the worker notices, within a third of the lease duration, it may
deliver records that the new owner delivers too.

Order is kept. A finished shard that is read again takes its descendants back to their beginnings, where they wait for it: else
their newer records would have been delivered before its older ones. So does a shard whose lease was cleaned up already; it is
made again. Parents are written before children. Setting a checkpoint ahead skips records for good; the list says so.

-set <shard>=<checkpoint> sets single leases and nothing else, without regard to descendants. It is what undoing uses: the
checkpoint may also be TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END, as the lease table has them.`,
		Example: `  kcl rewind -application orders -stream orders -to 2026-03-01T12:00:00Z
  kcl rewind -application orders -stream orders -to 2h -yes
  kcl rewind -application orders -stream orders -to oldest -shard shardId-000000000002 -yes`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.app.add(flags)
	f.app.addStream(flags)
	flags.StringVar(&f.to, "to", "", "the `place` to read on from: oldest, latest, a time, or a sequence number")
	flags.StringArrayVar(&f.shards, "shard", nil, "only the shard with this `id`; repeatable (default: all)")
	flags.StringArrayVar(&f.set, "set", nil, "set one lease, as `shard=checkpoint`, and nothing else; repeatable")
	flags.BoolVar(&f.yes, "yes", false, "do it")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.app.aws.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.rewind(cmd.Context(), f) }
	return cmd
}

// rewindStep is one row in the report.
type rewindStep struct {
	operate.Step
	From  string `json:"from,omitempty"` // empty: the lease is made
	To    string `json:"to"`
	Skips bool   `json:"skips,omitempty"`
}

// rewindReport is what kcl rewind tells.
type rewindReport struct {
	Done  bool           `json:"done"` // false: this is what -yes would do
	Steps []rewindStep   `json:"steps"`
	Left  []operate.Left `json:"left"`
	Undo  string         `json:"undo,omitempty"` // the command that brings the checkpoints back
}

func (a *app) rewind(ctx context.Context, f rewindFlags) error {
	plan, err := f.check(time.Now())
	if err != nil {
		return err
	}
	application, err := f.app.open(ctx, a)
	if err != nil {
		return err
	}
	found, err := application.Find(ctx)
	if err != nil {
		return err
	}
	found.Chosen = shardIDs(f.shards)
	p, err := plan(ctx, application, found)
	if err != nil {
		return err
	}
	if !f.yes || len(p.Steps) == 0 {
		return a.tellRewind(f, report(f, p.Steps, p.Left))
	}
	// Before the first write, so that it is there whatever happens to this process.
	fmt.Fprintf(a.stderr, "to undo what is done now: %s\n", undo(f, p.Steps))
	made, err := application.Rewind(ctx, p)
	if tellErr := a.tellRewind(f, report(f, made, p.Left)); tellErr != nil {
		err = errors.Join(err, tellErr)
	}
	if err != nil && len(made) < len(p.Steps) {
		err = fmt.Errorf("%d of %s changed, then: %w", len(made), count(len(p.Steps), "lease"), err)
	}
	return err
}

// planner makes the plan that the flags ask for.
type planner func(context.Context, operate.App, operate.Rewind) (operate.Plan, error)

func (f rewindFlags) check(now time.Time) (planner, error) {
	if (f.to != "") == (len(f.set) > 0) {
		return nil, usagef("give either -to or -set")
	}
	if f.to != "" {
		to, err := operate.ParseTarget(f.to, now)
		if err != nil {
			return nil, usagef("-to %w", err)
		}
		if to.Position.IsNumber() && len(f.shards) != 1 {
			return nil, usagef("a sequence number belongs to one shard: give that -shard, and no other")
		}
		return func(ctx context.Context, application operate.App, in operate.Rewind) (operate.Plan, error) {
			return application.PlanTo(ctx, in, to)
		}, nil
	}
	if len(f.shards) > 0 {
		return nil, usagef("-shard is for -to; -set names its shards itself")
	}
	set := map[string]stream.Position{}
	for _, text := range f.set {
		shard, at, ok := strings.Cut(text, "=")
		position, err := operate.ParsePosition(at)
		switch {
		case !ok || shard == "":
			return nil, usagef("-set %q: want shard=checkpoint", text)
		case err != nil:
			return nil, usagef("-set %s: %w", shard, err)
		}
		if _, twice := set[shard]; twice {
			return nil, usagef("-set names %s twice", shard)
		}
		set[shard] = position
	}
	return func(_ context.Context, _ operate.App, in operate.Rewind) (operate.Plan, error) {
		return operate.PlanSet(in, set)
	}, nil
}

func report(f rewindFlags, steps []operate.Step, left []operate.Left) rewindReport {
	r := rewindReport{Done: f.yes, Steps: []rewindStep{}, Left: append([]operate.Left{}, left...), Undo: undo(f, steps)}
	for _, s := range steps {
		step := rewindStep{Step: s, To: s.To.String(), Skips: s.Skips()}
		if !s.Creates() {
			step.From = s.From.String()
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}

// undo returns the command that brings the checkpoints back; empty if there is nothing to bring back.
func undo(f rewindFlags, steps []operate.Step) string {
	set := operate.Undo(steps)
	if len(set) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("kcl rewind" + f.app.arguments())
	for _, s := range set {
		b.WriteString(" -set " + quoted(s))
	}
	b.WriteString(" -yes")
	return b.String()
}

func (a *app) tellRewind(f rewindFlags, r rewindReport) error {
	if f.json {
		return writeJSONLine(a.stdout, r)
	}
	s := newSheet("SHARD", "FROM", "TO", "TAKEN FROM", "REMARK")
	for _, step := range r.Steps {
		remark := step.Why
		if step.Skips {
			remark = strings.TrimPrefix(remark+"; SKIPS RECORDS", "; ")
		}
		s.row(step.Key, firstOf(step.From, "(no lease)"), step.To, dash(step.Worker), remark)
	}
	for _, l := range r.Left {
		s.row(l.Key, "left", "", "", l.Why)
	}
	for _, line := range s.lines() {
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	switch {
	case len(r.Steps) == 0:
		fmt.Fprintln(a.stderr, "there is nothing to change")
		return nil
	case !r.Done:
		fmt.Fprintf(a.stderr, "nothing is changed yet; -yes changes %s\n", count(len(r.Steps), "lease"))
	default:
		fmt.Fprintf(a.stderr, "changed %s\n", count(len(r.Steps), "lease"))
	}
	if r.Undo == "" {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "undo: %s\n", r.Undo)
	return err
}
