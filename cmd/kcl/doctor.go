package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/operate/checkup"
	"github.com/kinesis-go/kcl/lease/dynamolease"
)

type doctorFlags struct {
	app     appFlags
	streams []string
	json    bool
}

func (a *app) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor -application <name> -stream <name>... [flags]",
		Short: "Check whether a worker could start here",
		Long: `Check what a worker needs, with the credentials, region and endpoint that this command has: the streams and their state, the
lease table, its format and the state of its migrations, the index, permissions, the clock. Each finding that is not all
right comes with a remedy. The exit code is 1 if a worker would not start.

Nothing is changed. Permissions are tried: one record is read, and writes are sent to the lease table with a condition that no item
meets, which costs a few write units.`,
		Example: `  kcl doctor -application orders -stream orders`,
		Args:    noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.app.add(flags)
	flags.StringArrayVar(&f.streams, "stream", nil, "a stream's `name` or ARN; repeatable; required")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.app.aws.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), f) }
	return cmd
}

// diagnosis is what kcl doctor tells.
type diagnosis struct {
	Starts   bool              `json:"starts"`
	Findings []checkup.Finding `json:"findings"`
}

func (a *app) doctor(ctx context.Context, f doctorFlags) error {
	if len(f.streams) == 0 {
		return usagef("which stream? Give -stream")
	}
	cfg, leases, err := f.app.config(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	store, err := dynamolease.New(leases)
	if err != nil {
		return usageError{err}
	}
	findings := checkup.Run(ctx, checkup.Subject{
		AWS: cfg, Kinesis: kinesis.NewFromConfig(cfg), DynamoDB: leases.Client, Store: store,
		Application: leases.Application, Table: firstOf(leases.Table, leases.Application),
		Coordinator: leases.Application + "-CoordinatorState", Metrics: leases.Application + "-WorkerMetricStats", // as dynamolease has them
		Streams: f.streams,
	})
	d := diagnosis{Starts: checkup.Starts(findings), Findings: findings}
	if f.json {
		err = writeJSONLine(a.stdout, d)
	} else {
		err = a.tellDiagnosis(d)
	}
	if err == nil && !d.Starts {
		err = quietError{errors.New("a worker would not start")}
	}
	return err
}

func (a *app) tellDiagnosis(d diagnosis) error {
	for _, f := range d.Findings {
		if _, err := fmt.Fprintf(a.stdout, "%-8s %s: %s\n", f.Level, f.About, f.What); err != nil {
			return err
		}
		if f.Remedy != "" {
			if _, err := fmt.Fprintf(a.stdout, "         → %s\n", f.Remedy); err != nil {
				return err
			}
		}
	}
	verdict := "a worker would start"
	if !d.Starts {
		verdict = "a worker would NOT start"
	}
	_, err := fmt.Fprintln(a.stdout, verdict)
	return err
}
