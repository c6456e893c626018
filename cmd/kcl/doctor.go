package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/daemon"
	"github.com/kinesis-go/kcl/internal/operate/checkup"
	"github.com/kinesis-go/kcl/lease/dynamolease"
)

type doctorFlags struct {
	app     appFlags
	streams []string
	file    string
	json    bool
}

func (a *app) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor -application <name> -stream <name>... | -properties <file> [flags]",
		Short: "Check whether a worker could start here",
		Long: `Check what a worker needs, with the credentials, region and endpoint that this command has: the streams and their state, the
lease table, its format and the state of its migrations, the index, permissions, the clock. Each finding that is not all
right comes with a remedy. The exit code is 1 if a worker would not start.

With -properties it is what kcl run would work with: application, table, stream, region, endpoints and credentials of the file, and
the consumer if it reads by enhanced fan-out.

Nothing is changed. Permissions are tried: one record is read, and writes are sent to the lease table with a condition that no item
meets, which costs a few write units. Registering a consumer and subscribing to a shard are not tried.`,
		Example: `  kcl doctor -application orders -stream orders
  kcl doctor -properties app.properties`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.app.add(flags)
	flags.StringArrayVar(&f.streams, "stream", nil, "a stream's `name` or ARN; repeatable; required, or -properties")
	flags.StringVar(&f.file, "properties", "", "check for this properties `file`")
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
	subject, err := f.subject(ctx)
	if err != nil {
		return err
	}
	findings := checkup.Run(ctx, subject)
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

// subject is what to check.
func (f doctorFlags) subject(ctx context.Context) (s checkup.Subject, err error) {
	if f.file != "" {
		if f.app != (appFlags{}) || len(f.streams) > 0 {
			return s, usagef("-properties says all: leave -application, -table, -stream, -endpoint and -region out")
		}
		return f.fromFile(ctx)
	}
	if len(f.streams) == 0 {
		return s, usagef("which stream? Give -stream")
	}
	cfg, leases, err := f.app.config(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return s, err
	}
	s, err = subjectOf(leases)
	s.AWS, s.Kinesis, s.Streams = cfg, kinesis.NewFromConfig(cfg), f.streams
	return s, err
}

// fromFile makes a subject of a properties file.
func (f doctorFlags) fromFile(ctx context.Context) (s checkup.Subject, err error) {
	text, err := os.ReadFile(f.file)
	if err != nil {
		return s, usageError{err}
	}
	settings, err := daemon.Load(f.file, text)
	if err != nil {
		return s, usageError{err}
	}
	client, db, err := settings.Clients(ctx)
	if err != nil {
		return s, err
	}
	log := slog.New(slog.DiscardHandler)
	if s, err = subjectOf(settings.Leases(db, log)); err != nil {
		return s, err
	}
	w := settings.Worker(client, s.Store, log)
	s.AWS = aws.Config{Region: client.Options().Region, Credentials: client.Options().Credentials}
	s.Kinesis, s.Streams = client, w.Streams
	if fan := w.Reading.FanOut; fan != nil {
		s.FanOut = &checkup.FanOut{Consumer: firstOf(fan.ConsumerName, w.Application), Required: fan.Required}
		if len(fan.ConsumerARNs) > 0 {
			s.FanOut.ARN = fan.ConsumerARNs[0]
		}
	}
	return s, nil
}

// subjectOf fills in what concerns the tables; the names are those that dynamolease chooses.
func subjectOf(leases dynamolease.Config) (s checkup.Subject, err error) {
	store, err := dynamolease.New(leases)
	if err != nil {
		return s, usageError{err}
	}
	return checkup.Subject{
		DynamoDB: leases.Client, Store: store, Application: leases.Application, Table: firstOf(leases.Table, leases.Application),
		Coordinator: firstOf(leases.CoordinatorTable, leases.Application+"-CoordinatorState"),
		Metrics:     firstOf(leases.WorkerMetricsTable, leases.Application+"-WorkerMetricStats"),
	}, nil
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
