package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
)

// demoFlags are the flags of kcl demo.
type demoFlags struct {
	scene       scene.Config
	json, plain bool
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Watch workers come and go while records flow, with a verdict at the end",
		Long: `Start the embedded Kinesis and DynamoDB, feed a stream, and read it, over real HTTP, with three real workers, each a process of
its own. Meanwhile one shard is split and two are merged; worker-2 is killed hard, without warning, and replaced later;
worker-1 is restarted gently. At the end, or at Ctrl-C, all is counted: what the service took from the producer against what
the processors got; and for each shard, the longest time that records waited and none was read, with the reason. The exit
code is 0 only if nothing is missing, altered or out of order, within shards and within partition keys. Records that a
killed worker read and did not checkpoint come twice.

The lease duration is 3s, to keep the show short; a worker's default is 10s. It bounds how long the shards of a killed worker
wait: about that, and up to 3s more. With -workers 1 there is one worker, in this process, and nothing happens to it.

On a terminal there is a live picture: hash keys from top to bottom, time from left to right, a colour for each shard.
Elsewhere there is a line for each event, and the sums every two seconds.`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&f.scene.Workers, "workers", 3, "workers at the beginning")
	flags.DurationVar(&f.scene.LeaseDuration, "lease", 3*time.Second, "how long a worker may be silent before its shards go to others")
	flags.IntVar(&f.scene.Shards, "shards", 4, "shards at the beginning")
	flags.Float64Var(&f.scene.Rate, "rate", 400, "records a second")
	flags.IntVar(&f.scene.Size, "size", 256, "bytes of a record's data")
	flags.IntVar(&f.scene.Keys, "keys", 500, "different partition keys")
	flags.DurationVar(&f.scene.Duration, "duration", 26*time.Second, "how long records flow")
	flags.Uint64Var(&f.scene.Seed, "seed", 0, "what the records hold and which shards change (default: random)")
	flags.BoolVar(&f.plain, "plain", false, "lines instead of a picture")
	flags.BoolVar(&f.json, "json", false, "print the verdict as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !flags.Changed("seed") {
			f.scene.Seed = rand.Uint64()
		}
		if err := f.check(); err != nil {
			return err
		}
		return a.demo(cmd.Context(), f)
	}
	cmd.AddCommand(a.demoWorkerCommand())
	return cmd
}

// maxDemoRecords bounds what the ledger holds, at some 200 bytes a record.
const maxDemoRecords = 10_000_000

func (f demoFlags) check() error {
	c := f.scene
	switch {
	case c.Workers < 1 || c.Workers > 16:
		return usagef("-workers %d is not within 1 to 16", c.Workers)
	case c.LeaseDuration < time.Second:
		return usagef("-lease %v is under 1s", c.LeaseDuration)
	case c.Shards < 1 || c.Shards > 64:
		return usagef("-shards %d is not within 1 to 64", c.Shards)
	case c.Rate <= 0:
		return usagef("-rate %v is not over 0", c.Rate)
	case c.Size < 0 || c.Size > 1<<20:
		return usagef("-size %d is not within 0 to 1048576", c.Size)
	case c.Keys < 1:
		return usagef("-keys %d is under 1", c.Keys)
	case c.Duration < 2*time.Second:
		return usagef("-duration %v is under 2s: a split and a merge have to fit in", c.Duration)
	case c.Rate*c.Duration.Seconds() > maxDemoRecords:
		return usagef("-rate %v for %v is over %s records, more than are remembered; kcl local and kcl put have no such bound",
			c.Rate, c.Duration, picture.Thousands(maxDemoRecords))
	}
	return nil
}

func (a *app) demo(ctx context.Context, f demoFlags) error {
	services, err := startServices()
	if err != nil {
		return err
	}
	defer services.stop()
	f.scene.Stream = "demo"
	f.scene.Where = services.endpoint
	if f.scene.Workers > 1 {
		f.scene.Spawn = spawner(services.endpoint, f)
	}
	f.scene.Kinesis, f.scene.DynamoDB = services.clients()
	s := scene.New(f.scene)
	working, cancel := a.untilForced(ctx)
	defer cancel()
	shown := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() { a.show(s, f, shown) })
	report, err := s.Run(working, ctx.Done())
	close(shown)
	showing.Wait()
	if err != nil {
		return err
	}
	if f.json {
		err = json.NewEncoder(a.stdout).Encode(report)
	} else {
		colors := picture.NoColor
		if isTerminal(a.stdout) {
			colors = picture.ColorsOf(os.Getenv)
		}
		err = writeVerdict(a.stdout, report, colors)
	}
	if err == nil && !report.Good {
		err = quietError{errors.New("the verdict is bad")}
	}
	return err
}

// show draws the scene until done is closed, and once more then.
func (a *app) show(s *scene.Scene, f demoFlags, done <-chan struct{}) {
	if terminal := a.screen(); terminal != nil && !f.plain {
		showPicture(s, terminal, done)
		return
	}
	showLines(s, a.stderr, done)
}

// screen is the terminal that talk goes to, or nil.
func (a *app) screen() *os.File {
	if !isTerminal(a.stderr) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return a.stderr.(*lockedWriter).w.(*os.File)
}

func showPicture(s *scene.Scene, terminal *os.File, done <-chan struct{}) {
	screen := picture.NewScreen(terminal)
	defer screen.Close()
	colors := picture.ColorsOf(os.Getenv)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-tick.C:
		}
		width, height, err := term.GetSize(int(terminal.Fd()))
		if err != nil || width == 0 {
			width, height = 100, 40
		}
		if screen.Paint(s.Frame().Lines(colors, min(width, 140), height)) != nil {
			return // the terminal is gone; the verdict still counts
		}
	}
}

// showLines writes events as they come and the sums every two seconds.
func showLines(s *scene.Scene, w io.Writer, done <-chan struct{}) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	told := 0
	for n := 1; ; n++ {
		over := false
		select {
		case <-done:
			over = true
		case <-tick.C:
		}
		f := s.Frame()
		for _, e := range f.Events[told:] {
			fmt.Fprintf(w, "%6.1f s  %s\n", e.At.Seconds(), e.What)
		}
		told = len(f.Events)
		if n%10 == 0 || over {
			fmt.Fprintf(w, "%6.1f s  put %s, delivered %s, on the way %s, %.0f records/s\n", f.Elapsed.Seconds(), picture.Thousands(f.Put),
				picture.Thousands(f.Delivered), picture.Thousands(max(f.Put-f.Delivered, 0)), f.RecordsPerSecond)
		}
		if over {
			return
		}
	}
}
