package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// twoDashes turns -flag, the way of Go's own tools and of the older launcher, into --flag, the only way that pflag knows.
// Shorthands of one letter stay. What follows a flag that takes a value is that value, whatever it looks like.
func twoDashes(root *cobra.Command, args []string) []string {
	known := map[string]*pflag.Flag{}
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = f })
	}
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if len(arg) > 2 && arg[0] == '-' && isLetter(arg[1]) {
			arg = "-" + arg
		}
		out = append(out, arg)
		name, isFlag := strings.CutPrefix(arg, "--")
		if f := known[name]; isFlag && f != nil && f.NoOptDefVal == "" && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// flagError makes pflag's errors ours, and suggests the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return usageError{oneDashError{err}}
	}
	if near := nearest(name, known); near != "" {
		return usagef("%s has no flag -%s; did you mean -%s?", cmd.CommandPath(), name, near)
	}
	return usagef("%s has no flag -%s; see %s -help", cmd.CommandPath(), name, cmd.CommandPath())
}

// oneDashError shows flags as our help does.
type oneDashError struct{ err error }

func (e oneDashError) Error() string { return strings.ReplaceAll(e.err.Error(), "--", "-") }
func (e oneDashError) Unwrap() error { return e.err }

// nearest returns the known word that a misspelt one most likely means, or "" if none is near.
func nearest(word string, known []string) string {
	best, bestDistance := "", 1+len(word)/3
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if strings.HasPrefix(k, word) && len(word) > 1 {
			d = 0
		}
		if d < bestDistance || d == bestDistance && best == "" {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out, replaced, or swapped with their neighbour.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := before
		before, row = row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(before[j+1]+1, row[j]+1, before[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], last[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// printHelp explains a command: what cobra's own template does, with flags as our documents write them. Cobra's templates
// have functions of their own only in a variable of the whole process.
func printHelp(cmd *cobra.Command, _ []string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", firstOf(cmd.Long, cmd.Short))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s <command> [flags]\n\nCommands:\n", cmd.CommandPath())
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-9s %s\n", c.Name(), c.Short)
			}
		}
		fmt.Fprintf(&b, "\n%s <command> -help explains a command.\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s\n", oneDash(cmd.LocalFlags().FlagUsages()))
	}
	fmt.Fprint(cmd.OutOrStdout(), b.String())
}

// oneDash shows long flags with one dash, as our documents write them.
func oneDash(usages string) string {
	lines := strings.Split(strings.TrimRight(usages, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Replace(line, " --", " -", 1)
	}
	return strings.Join(lines, "\n")
}
