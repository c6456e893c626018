//go:build interop

package servers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/smithy-go"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
)

// check is one behaviour. What it returns is compared with what AWS documents.
type check[C any] struct {
	name string
	want string // by AWS's documentation, or the Java KCL's source where that asks for more
	run  func(*trial[C]) string
}

// known is what servers are known to answer instead, by their short names and the names of checks. All versions are pinned, so
// anything else is news.
type known map[string]map[string]string

// trial is one check on one server.
type trial[C any] struct {
	context.Context
	client C
	name   string // for a stream or table of its own
}

// checkTimeout is how long one check may take on one server.
const checkTimeout = 30 * time.Second

// compare runs all checks on all servers, holds local to the documentation and the others to what is known of them, and reports
// the differences.
func compare[C any](t *testing.T, checks []check[C], differ known, servers []server, client func(server) C) {
	t.Helper()
	got := map[string][]string{} // by server's short name, as the checks are
	var mu sync.Mutex
	t.Run("run", func(t *testing.T) {
		for _, s := range servers {
			t.Run(s.short(), func(t *testing.T) {
				t.Parallel()
				answers := make([]string, len(checks))
				for i, c := range checks {
					answers[i] = answer(t, c, s, client(s), i)
				}
				mu.Lock()
				defer mu.Unlock()
				got[s.short()] = answers
			})
		}
	})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	counts := map[string]int{}
	for i, c := range checks {
		for _, s := range servers {
			answer, expected := got[s.short()][i], c.want
			if instead, ok := differ[s.short()][c.name]; ok {
				expected = instead
			}
			if answer != expected {
				t.Errorf("%s on %s:\n got %s\nwant %s", c.name, s.name, answer, expected)
			}
			if answer != c.want {
				counts[s.name]++
				fmt.Fprintf(w, "%s\t%s\t%s\tAWS: %s\n", s.short(), c.name, answer, c.want)
			}
		}
	}
	_ = w.Flush()
	t.Logf("%d checks; differences from what AWS documents:\n%s", len(checks), table.String())
	for _, s := range servers {
		stagetest.Report(t, stagetest.Result{
			Part: "servers", Pairing: "behaviour of " + s.name, Ran: fmt.Sprintf("%s: %d checks", t.Name(), len(checks)),
			Findings: fmt.Sprintf("%d differ from AWS's documentation", counts[s.name]),
		})
	}
}

// answer runs one check.
func answer[C any](t *testing.T, c check[C], s server, client C, number int) string {
	ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s on %s: %v", c.name, s.name, r)
		}
	}()
	return c.run(&trial[C]{Context: ctx, client: client, name: fmt.Sprintf("check-%d", number)})
}

// code returns an AWS error's code, "ok" without an error.
func code(err error) string {
	if err == nil {
		return "ok"
	}
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return err.Error()
}
