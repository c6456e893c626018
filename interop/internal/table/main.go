// Command table prints what the interop suites reported, as a table.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "part\tpairing\tran\trecords\ttwice\tlongest gap\tfindings")
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r struct {
			Part, Pairing, Ran, Gap, Findings string
			Records, Duplicates               int64
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", r.Part, r.Pairing, r.Ran, r.Records, r.Duplicates, r.Gap, r.Findings)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return w.Flush()
}
