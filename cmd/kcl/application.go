package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/pflag"

	"github.com/kinesis-go/kcl/internal/operate"
	"github.com/kinesis-go/kcl/lease/dynamolease"
)

// appFlags say which application a command is about.
type appFlags struct {
	aws                awsFlags
	application, table string
	stream             string
}

func (f *appFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.application, "application", "", "the application's `name`; required, unless -table is given")
	flags.StringVar(&f.table, "table", "", "the lease table's `name` (default: the application's)")
}

func (f *appFlags) addStream(flags *pflag.FlagSet) {
	flags.StringVar(&f.stream, "stream", "", "the stream's `name` or ARN; a table of one stream does not name it, in one of several it chooses one")
}

// config returns the SDK's configuration and the store's.
func (f *appFlags) config(ctx context.Context, log *slog.Logger) (aws.Config, dynamolease.Config, error) {
	if f.application == "" && f.table == "" {
		return aws.Config{}, dynamolease.Config{}, usagef("which application? Give -application")
	}
	cfg, err := f.aws.config(ctx)
	if err != nil {
		return cfg, dynamolease.Config{}, err
	}
	return cfg, dynamolease.Config{
		Client: dynamodb.NewFromConfig(cfg, quiet), Application: firstOf(f.application, f.table), Table: f.table,
		RequestTimeout: 5 * time.Second, // nobody's lease hangs on it, and an operator may be far away
		Logger:         log,
	}, nil
}

// quiet keeps the SDK from warning at each answer of a server that sends no checksum, as AWS does but others need not.
func quiet(o *dynamodb.Options) { o.DisableValidateResponseChecksum = o.BaseEndpoint != nil }

func (f *appFlags) open(ctx context.Context, a *app) (operate.App, error) {
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg, leases, err := f.config(ctx, log)
	if err != nil {
		return operate.App{}, err
	}
	store, err := dynamolease.New(leases)
	if err != nil {
		return operate.App{}, usageError{err}
	}
	return operate.App{Name: leases.Application, Store: store, Kinesis: kinesis.NewFromConfig(cfg), Stream: f.stream}, nil
}

// arguments are the flags as a person types them, for commands to be run later.
func (f *appFlags) arguments() string {
	var b strings.Builder
	for _, arg := range []struct{ name, value string }{
		{"application", f.application}, {"table", f.table}, {"stream", f.stream}, {"endpoint", f.aws.endpoint}, {"region", f.aws.region},
	} {
		if arg.value != "" {
			fmt.Fprintf(&b, " -%s %s", arg.name, quoted(arg.value))
		}
	}
	return b.String()
}

// quoted makes one word of the shell of a text.
func quoted(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/=@,+%", r)
	}
	if s != "" && strings.TrimFunc(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// sheet is a table of text whose columns are aligned.
type sheet struct {
	text strings.Builder
	tab  *tabwriter.Writer
}

func newSheet(columns ...string) *sheet {
	s := &sheet{}
	s.tab = tabwriter.NewWriter(&s.text, 0, 0, 2, ' ', 0)
	s.row(columns...)
	return s
}

func (s *sheet) row(cells ...string) {
	fmt.Fprintln(s.tab, strings.Join(cells, "\t"))
}

// lines returns the rows, without spaces at their ends.
func (s *sheet) lines() []string {
	s.tab.Flush() // into memory: never fails
	lines := strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return lines
}

// dash is what a cell shows that has nothing to show.
func dash(s string) string { return firstOf(s, "-") }

// span writes a duration for people.
func span(d operate.Span) string {
	t := time.Duration(d)
	switch {
	case t < 10*time.Second:
		return t.Round(100 * time.Millisecond).String()
	case t < time.Hour:
		return t.Round(time.Second).String()
	}
	return strings.TrimSuffix(t.Round(time.Minute).String(), "0s")
}
