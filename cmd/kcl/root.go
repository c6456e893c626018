package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The exit codes of kcl.
const (
	exitFailure = 1
	exitUsage   = 2
)

// app is what all commands of one call of run share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// first holds the first signal, once there was one.
	first <-chan os.Signal
	// forced is closed at the second signal: a command that is still draining gives that up.
	forced <-chan struct{}
}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// quietError ends a command with a failure that the command has told already.
type quietError struct{ error }

// run is the whole program: it carries out one command and returns the exit code. The end of ctx is like a first signal.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, first, forced, stop := watchSignals(ctx)
	defer stop()
	a := &app{stdin: stdin, stdout: &lockedWriter{w: stdout}, stderr: &lockedWriter{w: stderr}, first: first, forced: forced}
	root := a.root()
	err := checkCommand(root, args)
	if err == nil {
		args, err = argumentFiles(args)
	}
	if err == nil {
		root.SetArgs(twoDashes(root, args))
		err = root.ExecuteContext(ctx)
	}
	var quiet quietError
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &quiet):
		return exitFailure
	case errors.As(err, new(usageError)) && args[0] == "run":
		a.lastWords("kcl: %v\nusage: %s\n", err, runUsage)
		return exitFailure // as the Java daemon does
	case errors.As(err, new(usageError)):
		a.lastWords("kcl: %v\n", err)
		return exitUsage
	}
	a.lastWords("kcl: %v\n", err)
	return exitFailure
}

// lastWords tells why the program ends. A stderr that nobody reads does not keep one from ending that was told to twice.
func (a *app) lastWords(format string, args ...any) {
	said := make(chan struct{})
	go func() { // left behind with the process
		defer close(said)
		fmt.Fprintf(a.stderr, format, args...)
	}()
	select {
	case <-said:
		return
	case <-a.forced:
	}
	select {
	case <-said:
	case <-time.After(time.Second):
	}
}

// watchSignals returns a context that ends at the first signal, or with its parent, a channel with that signal, and one that
// is closed at the second signal.
func watchSignals(parent context.Context) (ctx context.Context, first <-chan os.Signal, second <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	got := make(chan os.Signal, 1) // it is there before ctx ends, whoever may ask for it
	forced, stopped := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2) // one that comes while nobody listens must not be lost
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as nohup has it, and shells for what they run in the background; to ask for it would end that
			signal.Notify(signals, s)
		}
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for _, then := range []func(os.Signal){func(s os.Signal) { got <- s; cancel() }, func(os.Signal) { close(forced) }} {
			select {
			case s := <-signals:
				then(s)
			case <-stopped:
				return
			}
		}
	})
	return ctx, got, forced, func() {
		signal.Stop(signals)
		close(stopped)
		watching.Wait()
		cancel()
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "kcl",
		Short:             "Read Amazon Kinesis streams with many workers",
		Version:           ownVersion().String(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(printHelp)
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(a.demoCommand(), a.localCommand(), a.putCommand(), a.runCommand(), a.javaCommand(), a.tailCommand(), a.versionCommand())
	root.AddCommand(a.leasesCommand(), a.workersCommand(), a.lagCommand(), a.releaseCommand(), a.rewindCommand(), a.doctorCommand(), a.costCommand())
	root.SetHelpCommand(&cobra.Command{Use: "help [command]", Short: "Explain a command", RunE: func(cmd *cobra.Command, args []string) error {
		about, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return unknownCommand(root, strings.Join(args, " "))
		}
		return about.Help()
	}})
	return root
}

// checkCommand refuses an unknown command before its flags are looked at, which cannot be known either.
func checkCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return nil
	}
	for _, c := range root.Commands() {
		if c.Name() == args[0] {
			return nil
		}
	}
	if args[0] == "help" || strings.HasPrefix(args[0], "__complete") {
		return nil // cobra's own
	}
	return unknownCommand(root, args[0])
}

func unknownCommand(root *cobra.Command, name string) error {
	known := make([]string, 0, len(root.Commands()))
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	if near := nearest(name, known); near != "" {
		return usagef("there is no command %q; did you mean %q?", name, near)
	}
	return usagef("there is no command %q; there are %s", name, strings.Join(known, ", "))
}

// noArguments is for commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// lockedWriter lets several goroutines write whole pieces.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
