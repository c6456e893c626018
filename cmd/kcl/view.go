package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/internal/operate"
)

// viewing is what kcl leases, workers and lag have in common: they show an application, once or for as long as one likes.
type viewing struct {
	app                appFlags
	watch, check, json bool
	length             time.Duration
	lengthSet          bool // -for is given
	bounds             operate.Bounds

	lag    bool          // measure how far behind the leases are
	maxAge time.Duration // with -check, more than that is wrong; 0: no bound
	lines  func(operate.View) []string
}

const behindInterval = 5 * time.Second // how often -watch measures the lag, which takes reads of the shards

// add defines the flags. length is how long to watch by default.
func (v *viewing) add(cmd *cobra.Command, length time.Duration) {
	flags := cmd.Flags()
	flags.SortFlags = false
	v.app.add(flags)
	v.app.addStream(flags)
	flags.BoolVar(&v.watch, "watch", false, "go on until Ctrl-C: a picture that is drawn anew on a terminal, lines about what changes elsewhere")
	flags.DurationVar(&v.length, "for", length, "look each second for so long at most before telling; less if all is seen to live; 0: look once")
	flags.DurationVar(&v.bounds.LeaseDuration, "lease-duration", 10*time.Second, "as the workers have it (Java: failoverTimeMillis)")
	flags.BoolVar(&v.check, "check", false, "exit 1 if anything is wrong; watches for a lease duration unless -for is given")
	flags.BoolVar(&v.json, "json", false, "print JSON; with -watch one object a second")
	v.app.aws.add(cmd)
}

// in makes the command run in an app.
func (v *viewing) in(a *app, cmd *cobra.Command) *cobra.Command {
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v.lengthSet = cmd.Flags().Changed("for")
		if v.check && !v.lengthSet {
			v.length = v.bounds.Patience()
		}
		return v.run(cmd.Context(), a)
	}
	return cmd
}

func (v *viewing) run(ctx context.Context, a *app) error {
	switch {
	case v.watch && v.check:
		return usagef("-watch and -check exclude each other")
	case v.watch && v.lengthSet:
		return usagef("-watch and -for exclude each other")
	case v.length < 0 || v.maxAge < 0:
		return usagef("-for and -max-age cannot be negative")
	case v.bounds.LeaseDuration < time.Second:
		return usagef("-lease-duration %v is under 1s", v.bounds.LeaseDuration)
	}
	application, err := v.app.open(ctx, a)
	if err != nil {
		return err
	}
	if v.watch {
		return v.follow(ctx, a, application)
	}
	return v.once(ctx, a, application)
}

func (v *viewing) once(ctx context.Context, a *app, application operate.App) error {
	if v.length > time.Second && isTerminal(a.stderr) {
		fmt.Fprintf(a.stderr, "watching for %v at most\n", v.length)
	}
	w, err := application.Observe(ctx, v.length)
	if err != nil {
		return err
	}
	view := w.View(application.Name, v.bounds, time.Now().UTC())
	if v.lag {
		view = view.WithBehind(application.Behind(ctx, w.Leases()), v.maxAge)
	}
	if v.json {
		err = writeJSONLine(a.stdout, view)
	} else {
		_, err = fmt.Fprintln(a.stdout, strings.Join(v.lines(view), "\n"))
	}
	if err == nil && v.check && len(view.Problems) > 0 {
		err = quietError{errors.New("something is wrong")}
	}
	return err
}

// follow shows the application until ctx ends. A look that fails is told, and tried again.
func (v *viewing) follow(ctx context.Context, a *app, application operate.App) error {
	show, done := v.shower(a)
	defer done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var (
		w        operate.Watch
		behind   map[string]operate.Behind
		behindAt time.Time
	)
	for {
		look, err := application.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && w.Watched() == 0:
			return err
		case err != nil:
			fmt.Fprintf(a.stderr, "kcl: %v\n", err)
		default:
			w = w.See(look)
			view := w.View(application.Name, v.bounds, time.Now().UTC())
			if v.lag {
				if time.Since(behindAt) >= behindInterval {
					behind, behindAt = application.Behind(ctx, w.Leases()), time.Now()
				}
				view = view.WithBehind(behind, v.maxAge)
			}
			if err := show(view); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// shower returns what shows view after view.
func (v *viewing) shower(a *app) (show func(operate.View) error, done func()) {
	if v.json {
		return func(view operate.View) error { return writeJSONLine(a.stdout, view) }, func() {}
	}
	if isTerminal(a.stdout) && os.Getenv("TERM") != "dumb" {
		terminal := a.stdout.(*lockedWriter).w.(*os.File)
		screen := picture.NewScreen(terminal)
		return func(view operate.View) error {
			width, height, err := term.GetSize(int(terminal.Fd()))
			if err != nil || width < 1 || height < 2 {
				width, height = 100, 40
			}
			return screen.Paint(fit(v.lines(view), width, height-1))
		}, func() { screen.Close() }
	}
	var prev *operate.View
	var told time.Time
	return func(view operate.View) error {
		var lines []string
		switch {
		case prev == nil:
			lines, told = v.lines(view), time.Now()
		default:
			lines = operate.Changes(*prev, view)
			if v.lag && time.Since(told) >= behindInterval {
				lines, told = append(lines, behindLine(view)), time.Now()
			}
			for i := range lines {
				lines[i] = view.At.Format("15:04:05") + "  " + lines[i]
			}
		}
		prev = &view
		if len(lines) == 0 {
			return nil
		}
		_, err := fmt.Fprintln(a.stdout, strings.Join(lines, "\n"))
		return err
	}, func() {}
}

// fit cuts lines to a screen, and says how many do not fit.
func fit(lines []string, width, height int) []string {
	if len(lines) > height {
		left := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], fmt.Sprintf("… and %d more lines; -json shows all", left))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		runes := []rune(l)
		out[i] = string(runes[:min(len(runes), width)])
	}
	return out
}

// problemLines tell what is wrong, after an empty line.
func problemLines(v operate.View) []string {
	if len(v.Problems) == 0 {
		return nil
	}
	lines := []string{""}
	for _, p := range v.Problems {
		lines = append(lines, "problem: "+p.String())
	}
	return lines
}

// watchedLine says what was looked at.
func watchedLine(v operate.View) string {
	if v.Watched == 0 {
		return "one look: who lives cannot be told; see -for and -watch"
	}
	return "watched for " + span(v.Watched)
}

func count(n int, noun string) string { return fmt.Sprintf("%d %s", n, plural(n, noun)) }

// leaderLine says who leads.
func leaderLine(v operate.View) string {
	l := v.Leader
	switch {
	case l == nil:
		return "nobody leads"
	case l.Released:
		return "nobody leads: " + l.Worker + " has given the lock up"
	case v.Watched == 0:
		return fmt.Sprintf("%s leads, by a lock of %s", l.Worker, span(l.Duration))
	case l.AtLeast:
		return fmt.Sprintf("%s leads, by a lock of %s, not seen to be renewed for %s", l.Worker, span(l.Duration), span(l.Age))
	}
	return fmt.Sprintf("%s leads, by a lock of %s, renewed %s ago", l.Worker, span(l.Duration), span(l.Age))
}
