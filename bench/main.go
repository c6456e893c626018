package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	shards   []int
	size     int
	volume   int // MiB for each measurement of speed
	failover time.Duration
	gaps     bool
	only     string
	java     bool
	python   string // folder with the package amazon_kclpy, or ""
	before   string // an older revision of this repository, or ""
	peers    map[string]string
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{peers: map[string]string{}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	shards := f.String("shards", "1,8,64", "`numbers` of shards to measure speed with; none if empty")
	f.IntVar(&o.size, "size", 1024, "bytes of data in a record")
	f.IntVar(&o.volume, "volume", 256, "`MiB` of records in each measurement of speed")
	f.DurationVar(&o.failover, "failover", 10*time.Second, "failover time of all consumers")
	f.BoolVar(&o.gaps, "gaps", true, "measure the silence after SIGTERM and SIGKILL, too: takes minutes")
	f.StringVar(&o.only, "only", "", "measure only consumers whose names contain this")
	f.BoolVar(&o.java, "java", false, "compare with Amazon's MultiLangDaemon, which kcl java fetches with Maven the first time")
	f.StringVar(&o.python, "python", "", "`folder` with the Python package amazon_kclpy: compare with it")
	f.StringVar(&o.before, "before", "", "compare with this older `revision` of the engine, too")
	f.Func("peer", "`name=folder`: a checkout of another Go library, vmware or harlow, to compare with; repeatable", func(s string) error {
		name, dir, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("want name=folder")
		}
		o.peers[name] = dir
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for _, s := range strings.FieldsFunc(*shards, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-shards %q: want numbers such as 1,8,64", *shards)
		}
		o.shards = append(o.shards, n)
	}
	return o, nil
}

// compare measures everything and prints as it goes.
func compare(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "kcl-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	all, err := build(ctx, dir, o)
	if err != nil {
		return err
	}
	fmt.Printf("records of %d bytes, %d MiB for each figure of speed, failover time %v\n\n", o.size, o.volume, o.failover)
	for _, n := range o.shards {
		if err := all.speeds(ctx, o, n); err != nil {
			return err
		}
	}
	if !o.gaps {
		return nil
	}
	return all.silences(ctx, o)
}
