package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/internal/operate/cost"
)

type costFlags struct {
	fleet  cost.Fleet
	prices cost.Prices
	json   bool
}

func (a *app) costCommand() *cobra.Command {
	var f costFlags
	cmd := &cobra.Command{
		Use:   "cost -shards <n> -workers <n> [flags]",
		Short: "Compute what coordination costs in DynamoDB",
		Long: `Compute the requests and capacity units that a fleet's coordination takes in an hour, for workers of this library and for Java KCL
3.5 workers with its defaults. Nothing is asked of AWS. Our workers ask more often, which is what lets shards move within
a second or two.

What happens once and not each hour is left out: starts, splits, merges, leases that move. So are Kinesis' own prices, which are
the same for both. Prices of DynamoDB differ by region: give those of a million request units to have a sum in their currency.`,
		Example: `  kcl cost -shards 100 -workers 5
  kcl cost -shards 100 -workers 5 -checkpoint 5s -read-price 0.125 -write-price 0.625`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&f.fleet.Shards, "shards", 4, "shards that are read")
	flags.IntVar(&f.fleet.Workers, "workers", 2, "workers")
	flags.DurationVar(&f.fleet.LeaseDuration, "lease-duration", 10*time.Second, "as the workers have it (Java: failoverTimeMillis)")
	flags.DurationVar(&f.fleet.Checkpoint, "checkpoint", time.Second, "how often each shard is checkpointed; 0: never")
	flags.IntVar(&f.fleet.RowBytes, "row-bytes", 400, "size of a lease")
	flags.Float64Var(&f.prices.Reads, "read-price", 0, "price of a million read units on demand")
	flags.Float64Var(&f.prices.Writes, "write-price", 0, "price of a million write units on demand")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		if f.prices.Reads < 0 || f.prices.Writes < 0 {
			return usagef("-read-price and -write-price cannot be negative")
		}
		if err := f.fleet.Validate(); err != nil {
			return usageError{err}
		}
		return a.cost(f)
	}
	return cmd
}

// bill is what one kind of fleet takes.
type bill struct {
	Items []cost.Item `json:"items"`
	Hour  cost.Sum    `json:"hour"`
	Month *float64    `json:"month,omitempty"` // the price of 730 hours
}

const hoursPerMonth = 730

func (f costFlags) bill(r cost.Rhythm) bill {
	b := bill{Items: cost.Estimate(f.fleet, r)}
	b.Hour = cost.Total(b.Items)
	if f.prices != (cost.Prices{}) {
		month := f.prices.Of(b.Hour) * hoursPerMonth
		b.Month = &month
	}
	return b
}

func (a *app) cost(f costFlags) error {
	d := f.fleet.LeaseDuration
	ours, java := f.bill(cost.Ours(d)), f.bill(cost.Java(d))
	if f.json {
		return writeJSONLine(a.stdout, map[string]bill{"ours": ours, "java": java})
	}
	var lines []string
	for _, b := range []struct {
		title string
		bill
	}{{"this library", ours}, {"Java KCL 3.5 with its defaults", java}} {
		lines = append(lines, fmt.Sprintf("%s, in an hour:", b.title))
		lines = append(lines, b.lines()...)
		lines = append(lines, "")
	}
	for _, l := range lines[:len(lines)-1] {
		if _, err := fmt.Fprintln(a.stdout, l); err != nil {
			return err
		}
	}
	return nil
}

func (b bill) lines() []string {
	s := newSheet("  WHAT", "EACH", "REQUESTS", "READ UNITS", "WRITE UNITS", "TIMES", "ALL REQUESTS")
	for _, i := range b.Items {
		s.row("  "+i.What, string(i.Per), number(i.Requests), number(i.Reads), number(i.Writes), fmt.Sprint(i.Count), number(i.Requests*float64(i.Count)))
	}
	s.row("  all", "", "", number(b.Hour.Reads), number(b.Hour.Writes), "", number(b.Hour.Requests))
	lines := s.lines()
	if b.Month != nil {
		lines = append(lines, fmt.Sprintf("  %.2f a month of %d hours", *b.Month, hoursPerMonth))
	}
	return lines
}

// number writes a rate in whole numbers, small ones with a decimal.
func number(v float64) string {
	if v != 0 && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return picture.Thousands(int64(math.Round(v)))
}
