// Command probe is a child that speaks by hand, to find out what a daemon makes of odd lines. It writes each line of a file
// while a batch waits for its status, and behind it a request for a checkpoint that must be refused, with a name of its own:
// the answer to that tells whether the odd line was answered before it or skipped.
//
//	probe odd-lines results last-line
//
// A result is a line "skipped" or the answer. While initialize waits, a checkpoint is asked for; its answer is the first
// result. Instead of its second status it says last-line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(oddName, resultsName, last string) error {
	text, err := os.ReadFile(oddName)
	if err != nil {
		return err
	}
	p := &probe{in: bufio.NewReaderSize(os.Stdin, 1<<20)}
	if _, err := p.hear(); err != nil { // initialize
		return err
	}
	if err := p.try(`{"action":"checkpoint"}`); err != nil {
		return err
	}
	fmt.Println(`{"action":"status","responseFor":"initialize"}`)
	if _, err := p.hear(); err != nil { // processRecords
		return err
	}
	for odd := range strings.Lines(string(text)) {
		if err := p.try(strings.TrimSuffix(odd, "\n")); err != nil {
			return err
		}
	}
	fmt.Print(`["status",{"responseFor":"processRecords"}]` + "\r") // an array, and a carriage return alone
	next, err := p.hear()
	if err != nil {
		return err
	}
	p.results = append(p.results, next.Action)
	if err := os.WriteFile(resultsName, []byte(strings.Join(p.results, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	fmt.Println(last)
	for {
		if _, err := p.hear(); err != nil {
			return nil // the end of the input
		}
	}
}

type probe struct {
	in      *bufio.Reader
	asked   int
	results []string
}

type message struct {
	Action   string `json:"action"`
	Sequence any    `json:"sequenceNumber"`
	text     string
}

func (p *probe) hear() (message, error) {
	line, err := p.in.ReadString('\n')
	if err != nil {
		return message{}, err
	}
	m := message{text: strings.TrimSuffix(line, "\n")}
	return m, json.Unmarshal([]byte(line), &m)
}

// try says one odd line and notes what came of it.
func (p *probe) try(odd string) error {
	p.asked++
	name := fmt.Sprintf("probe%d", p.asked)
	fmt.Printf("%s\n{\"action\":\"checkpoint\",\"sequenceNumber\":%q}\n", odd, name)
	result := "skipped"
	for {
		m, err := p.hear()
		switch {
		case err != nil:
			return fmt.Errorf("behind %s: %w", odd, err)
		case m.Sequence == name:
			p.results = append(p.results, result)
			return nil
		}
		result = m.text
	}
}
