package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// widest is how many bytes of an error are shown.
const widest = 100

// table is printed when it is complete; each line is told on stderr as it comes, for it takes minutes.
type table struct {
	title string
	lines [][]string
}

func newTable(title string, head ...string) *table {
	return &table{title: title, lines: [][]string{head}}
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = strings.Join(strings.Fields(cells[i]), " ")
		if len(cells[i]) > widest {
			cells[i] = cells[i][:widest] + "…"
		}
	}
	t.lines = append(t.lines, cells)
	fmt.Fprintf(os.Stderr, "%s: %s\n", t.title, strings.Join(cells, " | "))
}

func (t *table) print() error {
	fmt.Printf("%s\n", t.title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, l := range t.lines {
		fmt.Fprintln(w, strings.Join(l, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println()
	return nil
}
