package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/follow"
	"github.com/kinesis-go/kcl/stream"
)

// tailFlags are the flags of kcl tail.
type tailFlags struct {
	aws           awsFlags
	stream, shard string
	from, format  string
	count         int64
	length        time.Duration
	json          bool
}

func (a *app) tailCommand() *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:   "tail -stream <name> [flags]",
		Short: "Print a stream's records",
		Long: `Print the records of a stream as they arrive, until Ctrl-C. Splits and merges are followed: a shard's children are read once
all of the shard is printed. Nothing is written to AWS, no lease is taken; but reading counts towards the 5 reads a second and
2 MB/s of a shard, which all share who poll it.`,
		Example: `  kcl tail -stream orders
  kcl tail -stream orders -from oldest -count 10 -format json
  kcl tail -stream orders -from 15m -for 1m
  kcl tail -stream orders -from 2026-03-01T12:00:00Z`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.stream, "stream", "", "the stream's `name`; required")
	flags.StringVar(&f.from, "from", "latest", "where to begin: latest, oldest, a time such as 2026-03-01T12:00:00Z, or how long ago, such as 15m")
	flags.StringVar(&f.shard, "shard", "", "only the shard with this `id`, to its end")
	flags.StringVar(&f.format, "format", "data", "data: each record's data and a line feed; json: one JSON object a line")
	flags.BoolVar(&f.json, "json", false, "the same as -format json")
	flags.Int64Var(&f.count, "count", 0, "end after so many records")
	flags.DurationVar(&f.length, "for", 0, "end after so long")
	f.aws.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.tail(cmd.Context(), f) }
	return cmd
}

// position reads -from.
func (f tailFlags) position(now time.Time) (stream.Position, time.Time, error) {
	switch strings.ToLower(f.from) {
	case "latest":
		return stream.Latest, time.Time{}, nil
	case "oldest", "trim_horizon", "trim-horizon":
		return stream.TrimHorizon, time.Time{}, nil
	}
	if ago, err := time.ParseDuration(f.from); err == nil && ago >= 0 {
		return stream.AtTimestamp, now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, f.from, time.Local); err == nil {
			return stream.AtTimestamp, at, nil
		}
	}
	return stream.Position{}, time.Time{}, usagef("-from %q is none of latest, oldest, a time such as 2026-03-01T12:00:00Z, and how long ago, such as 15m", f.from)
}

func (a *app) tail(ctx context.Context, f tailFlags) error {
	if f.json {
		f.format = "json"
	}
	switch {
	case f.stream == "":
		return usagef("which stream? Give -stream")
	case f.format != "data" && f.format != "json":
		return usagef("-format %q is neither data nor json", f.format)
	case f.count < 0 || f.length < 0:
		return usagef("-count and -for cannot be negative")
	}
	from, at, err := f.position(time.Now())
	if err != nil {
		return err
	}
	client, err := f.aws.kinesis(ctx)
	if err != nil {
		return err
	}
	if f.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.length)
		defer cancel()
	}
	p := &printer{out: bufio.NewWriter(a.stdout), json: f.format == "json", left: f.count}
	err = follow.Run(ctx, follow.Config{
		Client: client, Stream: f.stream, Shard: stream.ShardID(f.shard), From: from, StartAt: at, Deliver: p.print,
		Logger: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Ended:  a.tellEnd,
	})
	if errors.Is(err, errEnough) || errors.Is(err, syscall.EPIPE) {
		return nil // whoever reads has enough
	}
	return err
}

// tellEnd says what follows a shard that was printed to its end.
func (a *app) tellEnd(shard stream.ShardID, children []stream.ShardID) {
	next := "no shard follows"
	if len(children) > 0 {
		names := make([]string, len(children))
		for i, c := range children {
			names[i] = string(c)
		}
		next = strings.Join(names, " and ") + " follow"
		if len(children) == 1 {
			next += "s"
		}
	}
	fmt.Fprintf(a.stderr, "%s has ended; %s\n", shard, next)
}

// errEnough ends a tail that has printed what it was asked for.
var errEnough = errors.New("enough")

// printer writes records.
type printer struct {
	out  *bufio.Writer
	json bool
	left int64 // 0: no bound
}

// printedRecord is a record in JSON. Data that is not UTF-8 is in base64.
type printedRecord struct {
	Shard             stream.ShardID        `json:"shard"`
	SequenceNumber    stream.SequenceNumber `json:"sequenceNumber"`
	SubSequenceNumber int64                 `json:"subSequenceNumber,omitempty"`
	PartitionKey      string                `json:"partitionKey"`
	ExplicitHashKey   string                `json:"explicitHashKey,omitempty"`
	Arrived           time.Time             `json:"arrived"`
	Data              *string               `json:"data,omitempty"`
	DataBase64        []byte                `json:"dataBase64,omitempty"`
}

func (p *printer) print(shard stream.ShardID, records []stream.Record) error {
	for _, r := range records {
		if err := p.one(shard, r); err != nil {
			return err
		}
		if p.left > 0 {
			if p.left--; p.left == 0 {
				return errors.Join(errEnough, p.out.Flush())
			}
		}
	}
	return p.out.Flush()
}

func (p *printer) one(shard stream.ShardID, r stream.Record) error {
	if !p.json {
		if _, err := p.out.Write(r.Data); err != nil {
			return err
		}
		return p.out.WriteByte('\n')
	}
	line := printedRecord{
		Shard: shard, SequenceNumber: r.Position.Sequence, SubSequenceNumber: r.Position.Sub, PartitionKey: r.PartitionKey,
		ExplicitHashKey: r.ExplicitHashKey, Arrived: r.Arrived.UTC(),
	}
	if utf8.Valid(r.Data) {
		text := string(r.Data)
		line.Data = &text
	} else {
		line.DataBase64 = r.Data
	}
	return writeJSONLine(p.out, line)
}
