package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/produce"
)

// putFlags are the flags of kcl put.
type putFlags struct {
	aws           awsFlags
	stream        string
	key, keyField string
	linger        time.Duration
	aggregate     bool
	json          bool
	generator     produce.Generator
	generated     bool // a flag of the generator was given
}

func (a *app) putCommand() *cobra.Command {
	var f putFlags
	cmd := &cobra.Command{
		Use:   "put -stream <name> [flags]",
		Short: "Put lines of stdin, or generated records, into a stream",
		Long: `Put each line of stdin into a stream as one record, without its line feed; or, with any of -count, -rate, -size and
-duration, records that are made up. Records the service refuses for want of capacity are put again. A failure of the
service can put records twice, never lose one. A summary goes to stderr, with -json to stdout.

With -aggregate, records that belong to one shard are packed into one, as the Kinesis Producer Library does: less to pay
for small records. Consumers built on a Kinesis Client Library unpack them; others see the packed bytes.

The partition key, which decides on the shard, is random for each line unless -key or -key-field says otherwise.`,
		Example: `  tail -f access.log | kcl put -stream orders
  kcl put -stream orders -key-field customer < orders.jsonl
  kcl put -stream orders -count 100000 -size 1024
  kcl put -stream orders -count 100000 -aggregate
  kcl put -stream orders -rate 500 -duration 1m`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.stream, "stream", "", "the stream's `name`; required")
	flags.StringVar(&f.key, "key", "", "one partition `key` for all lines")
	flags.StringVar(&f.keyField, "key-field", "", "lines are JSON objects, and this `field` is the partition key")
	flags.DurationVar(&f.linger, "linger", 50*time.Millisecond, "how long a line may wait for others to share a call with")
	flags.Int64Var(&f.generator.Count, "count", 0, "make up so many records")
	flags.Float64Var(&f.generator.Rate, "rate", 0, "make up so many records a second (default: as fast as they are taken)")
	flags.IntVar(&f.generator.Size, "size", 100, "make up records of so many bytes")
	flags.DurationVar(&f.generator.Duration, "duration", 0, "make up records for so long")
	flags.IntVar(&f.generator.Keys, "keys", 1000, "made-up records have so many different partition keys")
	flags.Uint64Var(&f.generator.Seed, "seed", 0, "made-up records differ with this `number` (default: random)")
	flags.BoolVar(&f.aggregate, "aggregate", false, "pack the records of a shard into aggregated (KPL) records of up to 50 KiB")
	flags.BoolVar(&f.json, "json", false, "print the summary as JSON on stdout")
	f.aws.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range []string{"count", "rate", "size", "duration", "keys", "seed"} {
			f.generated = f.generated || flags.Changed(name)
		}
		if !flags.Changed("seed") {
			f.generator.Seed = rand.Uint64()
		}
		if err := f.check(); err != nil {
			return err
		}
		return a.put(cmd.Context(), f)
	}
	return cmd
}

func (f putFlags) check() error {
	g := f.generator
	switch {
	case f.stream == "":
		return usagef("which stream? Give -stream")
	case f.key != "" && f.keyField != "":
		return usagef("-key and -key-field exclude each other")
	case f.generated && (f.key != "" || f.keyField != ""):
		return usagef("-key and -key-field are for lines of stdin; made-up records have -keys")
	case g.Count < 0 || g.Rate < 0 || g.Duration < 0 || f.linger < 0:
		return usagef("-count, -rate, -duration and -linger cannot be negative")
	case g.Size < 0 || g.Size > maxRecord:
		return usagef("-size %d is not within 0 to %d (Kinesis: 10 MiB)", g.Size, maxRecord)
	case g.Keys < 1:
		return usagef("-keys %d is under 1", g.Keys)
	case len(f.key) > 256:
		return usagef("-key is longer than 256 characters (Kinesis limit)")
	}
	return nil
}

// putSummary is what kcl put tells at the end.
type putSummary struct {
	Stream string `json:"stream"`
	produce.Stats
	Seconds float64 `json:"seconds"`
}

// String is the summary in one line.
func (s putSummary) String() string {
	perSecond := max(s.Seconds, 1e-9)
	packed := ""
	if s.Packed > 0 {
		packed = fmt.Sprintf(" packed into %s", picture.Thousands(s.Packed))
	}
	return fmt.Sprintf("put %s %s%s, %s in %.1f s: %s records/s, %.2f MB/s; %s %s, %s put again",
		picture.Thousands(s.Records), plural(int(s.Records), "record"), packed, megabytes(s.Bytes), s.Seconds, picture.Thousands(int64(float64(s.Records)/perSecond)),
		float64(s.Bytes)/1e6/perSecond, picture.Thousands(s.Calls), plural(int(s.Calls), "call"), picture.Thousands(s.Retries))
}

func (a *app) put(ctx context.Context, f putFlags) error {
	client, err := f.aws.kinesis(ctx)
	if err != nil {
		return err
	}
	sender := &produce.Sender{Client: client, Stream: f.stream}
	began := time.Now()
	sender.Waiting = a.tellWaiting(began)
	err = a.feed(ctx, f, sender)
	summary := putSummary{Stream: f.stream, Stats: sender.Stats(), Seconds: time.Since(began).Seconds()}
	if f.json {
		if e := json.NewEncoder(a.stdout).Encode(summary); e != nil {
			err = errors.Join(err, e)
		}
	} else {
		fmt.Fprintln(a.stderr, summary)
	}
	return err
}

// tellWaiting returns a function that says why nothing moves, every few seconds.
func (a *app) tellWaiting(began time.Time) func(records int, why error) {
	const every = 5 * time.Second
	told := began.Add(every/2 - every)
	return func(records int, why error) {
		if time.Since(told) < every {
			return
		}
		told = time.Now()
		fmt.Fprintf(a.stderr, "%d %s not taken, will be put again: %v\n", records, plural(records, "record"), why)
	}
}

// feed puts what there is to put. After the first signal nothing new is taken in, and what was taken in is still put.
func (a *app) feed(ctx context.Context, f putFlags, sender *produce.Sender) error {
	working, cancel := a.untilForced(ctx)
	defer cancel()
	source := make(chan produce.Record)
	taking, stop := context.WithCancel(ctx)
	var readErr error
	var reading sync.WaitGroup
	if f.generated {
		reading.Go(func() { f.generator.Run(taking, source) })
	} else {
		if isTerminal(a.stdin) {
			fmt.Fprintln(a.stderr, "each line is put as one record; Ctrl-D ends")
		}
		lines := produce.Lines{Key: f.key, KeyField: f.keyField, MaxBytes: maxRecord}
		// A goroutine that waits for a terminal's next line cannot be ended: it stays until the process ends.
		text := make(chan produce.Line)
		go lines.Read(a.stdin, text)
		reading.Go(func() { readErr = lines.Run(taking, text, source) })
	}
	put, full := sender.Put, produce.PutLimits()
	if f.aggregate {
		put, full = (&produce.Packer{Sender: sender}).Put, produce.PackLimits()
	}
	err := produce.Run(working, source, f.linger, full, put)
	stop()
	reading.Wait()
	return errors.Join(readErr, err)
}

// maxRecord is the most data one record can have: Kinesis service limit, 10 MiB where a stream allows it.
const maxRecord = 10 << 20

// untilForced returns a context that outlives the first signal and ends at the second.
func (a *app) untilForced(ctx context.Context) (context.Context, context.CancelFunc) {
	working, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-a.forced:
			cancel(errForced)
		case <-stopped:
		}
	})
	return working, sync.OnceFunc(func() {
		close(stopped)
		watching.Wait()
		cancel(nil)
	})
}

var errForced = errors.New("stopped by a second signal")
