//go:build interop

package fleet_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/kinesis-go/kcl/interop/internal/fleettest"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
)

// TestColdStarts starts a Java and a Go worker on nothing, again and again, the Go worker a little later each time, while tables
// and indexes take a second to be made as they do in the service: a Java worker that loses a race for what both create does
// not recover (spec S1), so ours must leave it the way. It takes a minute for each start and runs only on request.
func TestColdStarts(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("KCL_INTEROP_COLD_STARTS"))
	if n == 0 {
		t.Skip("KCL_INTEROP_COLD_STARTS says how many; none")
	}
	binary := stagetest.Build(t, "./interop/fleet/goworker")
	for i := range n {
		later := time.Duration(i) * 250 * time.Millisecond
		t.Run(fmt.Sprint(later), func(t *testing.T) {
			t.Parallel()
			s := fleettest.New(t, binary, 4, local.Config{CreateDelay: time.Second, IndexLag: 100 * time.Millisecond})
			s.Feed()
			java(s, "java-1")
			time.Sleep(later)
			s.Go("go-1")
			s.AwaitShares(within, map[string]int{"java-1": 1, "go-1": 1})
			s.AwaitReading(within)
			s.Finish(stagetest.Result{
				Part: "fleet", Pairing: "Java KCL 3.5.1 and Go together", Ran: fmt.Sprintf("cold start, Go %v later", later),
			})
		})
	}
}
