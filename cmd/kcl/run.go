package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/daemon"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/worker"
)

// runFlags are the command line of kcl run, which includes that of the Java MultiLangDaemon.
type runFlags struct {
	properties once
	logback    string
	level      string
	json       bool
	version    bool
}

const (
	runUse   = "run <app.properties> [flags]"
	runUsage = "kcl run [-p] <app.properties> [-l <logback.xml>]; kcl run -help tells more"
)

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   runUse,
		Short: "Run a MultiLang program in any language, without a JVM",
		Long: `Run the program that a properties file names, one process for each shard, as Amazon's MultiLangDaemon does: the same properties
file, the same command line, the same protocol on the program's stdin and stdout, the same lease table. There is no JVM.

The first SIGTERM or Ctrl-C drains: programs are told to shut down, may checkpoint within shutdownGraceMillis, and their
shards pass to other workers. The second one ends at once. The exit code is 0 after a clean stop, where the Java daemon has
143; it is 1 for every failure, mistakes in the command line too, as there. The log goes to stderr, and stdout stays empty.`,
		Example: `  kcl run app.properties
  kcl run --properties-file app.properties --log-configuration logback.xml`,
		Args: cobra.ArbitraryArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.VarP(&f.properties, "properties-file", "p", "the properties `file`; the same as an argument, and stronger")
	flags.StringVarP(&f.logback, "log-configuration", "l", "", "a logback `file`; the level of its root is used, the rest is not")
	flags.StringVar(&f.level, "log-level", "", "debug, info, warn or error (default info)")
	flags.BoolVar(&f.json, "json", false, "log in JSON")
	flags.BoolVar(&f.version, "version", false, "tell the version")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.version {
			_, err := fmt.Fprintln(a.stdout, ownVersion())
			return err
		}
		return a.runDaemon(cmd.Context(), f, args)
	}
	return cmd
}

// argumentFiles puts the lines of a file in place of each argument @file of kcl run, as the Java daemon does.
func argumentFiles(args []string) ([]string, error) {
	if len(args) == 0 || args[0] != "run" {
		return args, nil
	}
	var out []string
	for _, arg := range args {
		name, isFile := strings.CutPrefix(arg, "@")
		if !isFile {
			out = append(out, arg)
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return args, usagef("read the arguments: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
	}
	return out, nil
}

// once is a flag that may be given once.
type once struct{ value string }

func (o *once) String() string { return o.value }
func (o *once) Type() string   { return "string" }

// Set implements pflag.Value.
func (o *once) Set(value string) error {
	if o.value != "" {
		return errors.New("given twice")
	}
	if value == "" {
		return errors.New("empty")
	}
	o.value = value
	return nil
}

// file tells which properties file is meant, and warns if another one was named too.
func (f runFlags) file(args []string) (path, warning string, err error) {
	switch {
	case len(args) > 1:
		return "", "", usagef("one properties file, not %d: %s", len(args), strings.Join(args, ", "))
	case f.properties.value != "" && len(args) == 1:
		return f.properties.value, fmt.Sprintf("%s is ignored, because -p names another file", args[0]), nil
	case f.properties.value != "":
		return f.properties.value, "", nil
	case len(args) == 1:
		return args[0], "", nil
	}
	return "", "", usagef("which properties file? Give it as an argument, or with -p")
}

// rootLevel finds the level of the root logger in a logback configuration.
var rootLevel = regexp.MustCompile(`(?is)<root\b[^>]*\blevel\s*=\s*["']\s*(\w+)\s*["']`)

// logLevel says what is logged. A logback file that cannot be used is a warning: the records matter more.
func (f runFlags) logLevel() (level slog.Level, warning string, err error) {
	if f.level != "" {
		if err := level.UnmarshalText([]byte(f.level)); err != nil {
			return level, "", usagef("-log-level %q is none of debug, info, warn and error", f.level)
		}
		return level, "", nil
	}
	if f.logback == "" {
		return slog.LevelInfo, "", nil
	}
	text, err := os.ReadFile(f.logback)
	if err != nil {
		return slog.LevelInfo, "log configuration not read, the level is info: " + err.Error(), nil
	}
	found := rootLevel.FindSubmatch(text)
	if found == nil {
		return slog.LevelInfo, "log configuration " + f.logback + " names no level for its root, so it is info", nil
	}
	switch strings.ToUpper(string(found[1])) {
	case "ALL", "TRACE", "DEBUG":
		return slog.LevelDebug, "", nil
	case "WARN":
		return slog.LevelWarn, "", nil
	case "ERROR", "OFF":
		return slog.LevelError, "", nil
	}
	return slog.LevelInfo, "", nil
}

func (f runFlags) logger(a *app, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if f.json {
		return slog.New(slog.NewJSONHandler(a.stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}

// outliveLogReader keeps this process from ending, and its programs with it, when whoever reads its log is gone: the records matter
// more, and a JVM goes on, too. It holds until the process ends. To ignore the signal instead would make the programs ignore it.
func outliveLogReader() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

func (a *app) runDaemon(ctx context.Context, f runFlags, args []string) error {
	path, warning, err := f.file(args)
	if err != nil {
		return err
	}
	level, levelWarning, err := f.logLevel()
	if err != nil {
		return err
	}
	outliveLogReader()
	ended := make(chan error, 1)
	go func() { // at the second signal it is left behind, wherever it is: the process ends, and the kernel ends its children
		ended <- serveDaemon(ctx, path, f.logger(a, level), warning, levelWarning)
	}()
	select {
	case err := <-ended:
		return err
	case <-a.forced:
		return errForced
	}
}

// serveDaemon runs the worker until ctx ends and it has drained.
func serveDaemon(ctx context.Context, path string, log *slog.Logger, warnings ...string) error {
	for _, w := range warnings {
		if w != "" {
			log.Warn(w)
		}
	}
	w, err := prepare(ctx, path, log)
	if err != nil {
		return err
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped cleanly")
	return nil
}

// prepare makes the worker that a properties file describes.
func prepare(ctx context.Context, path string, log *slog.Logger) (*worker.Worker, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the properties file: %w", err)
	}
	s, err := daemon.Load(path, text)
	if err != nil {
		return nil, err
	}
	for _, n := range s.Notes() {
		log.Warn("properties file "+path, "note", n.String())
	}
	var effective []any
	for _, line := range s.Describe() {
		effective = append(effective, line[0], line[1])
	}
	log.Info("settings", effective...)
	// Now, and not when the first lease is taken: no table is made for a program that cannot start.
	if _, err := exec.LookPath(s.Command(log).Path); err != nil {
		return nil, fmt.Errorf("%s: executableName: %w", path, err)
	}
	kinesis, dynamo, err := s.Clients(ctx)
	if err != nil {
		return nil, err
	}
	leases, err := dynamolease.New(s.Leases(dynamo, log))
	if err != nil {
		return nil, err
	}
	return worker.New(s.Worker(kinesis, leases, log))
}
