//go:build interop

package childjava_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/interop/internal/stagetest"
)

const skipped = "skipped"

// oddLines are what children should not say, and what Amazon's daemon makes of it.
var oddLines = []struct{ say, result string }{
	{`{"action":"status","responseFor":"processRecords","pid":7}`, skipped},
	{`{"action":"checkpoint","checkpoint":"17"}`, skipped},
	{`{"action":"status","ResponseFor":"processRecords"}`, skipped},
	{`{"action":"Status","responseFor":"processRecords"}`, skipped},
	{`{"responseFor":"processRecords"}`, skipped},
	{`{"action":null,"responseFor":"processRecords"}`, skipped},
	{`{"action":"status","action":"status","responseFor":"processRecords"}`, skipped},
	{"\uFEFF" + `{"action":"status","responseFor":"processRecords"}`, skipped},
	{`{'action':'status','responseFor':'processRecords'}`, skipped},
	{`{"action":"status","responseFor":"processRecords",}`, skipped},
	{`{"action":"status","responseFor":"processRecords"`, skipped},
	{`   `, skipped},
	{`[1,2]`, skipped},
	{`7`, skipped},
	{`"status"`, skipped},
	{`true`, skipped},
	{`{"action":"checkpoint","sequenceNumber":{}}`, skipped},
	{`{"action":"checkpoint","subSequenceNumber":"x"}`, skipped},
	{`{"action":"checkpoint","subSequenceNumber":9223372036854775808}`, skipped},
	{`{"action":"processRecords","records":[{"action":"record"}],"millisBehindLatest":0}`, skipped},
	{`{"action":"leaseLost"}`, skipped},
	{`{"action":"shutdown","reason":"ZOMBIE"}`, skipped},
	{`{"action":"checkpoint","sequenceNumber":17}`, `{"action":"checkpoint","sequenceNumber":"17","subSequenceNumber":null,"error":null}`},
	{`{"action":"checkpoint","sequenceNumber":""}`, refused(`""`, "null")},
	{`{"action":"checkpoint","sequenceNumber":true}`, refused(`"true"`, "null")},
	{`{"action":"checkpoint","sequenceNumber":"ü"}`, refused(`"ü"`, "null")},
	{`{"action":"checkpoint","sequenceNumber":"1","sequenceNumber":"x"}`, refused(`"x"`, "null")},
	{`{"sequenceNumber":"x","subSequenceNumber":"7","error":"none","action":"checkpoint"}`, refused(`"x"`, "7")},
	{`{"action":"checkpoint","sequenceNumber":"x","subSequenceNumber":1.9}`, refused(`"x"`, "1")},
	{`{"action":"checkpoint","sequenceNumber":"x","subSequenceNumber":""}`, refused(`"x"`, "null")},
	{`{"action":"checkpoint","sequenceNumber":"18","subSequenceNumber":-1}`, refused(`"18"`, "-1")},
	{`  {"action":"checkpoint","sequenceNumber":"x"}  {"action":"status"}`, refused(`"x"`, "null")},
	{`{"action":"checkpoint","sequenceNumber":"LATEST"}`, refused(`"LATEST"`, "null")},
	{`{"action":"checkpoint","subSequenceNumber":7}`, `{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":7,"error":null}`},
}

func refused(sequence, sub string) string {
	return `{"action":"checkpoint","sequenceNumber":` + sequence + `,"subSequenceNumber":` + sub + `,"error":"IllegalArgumentException"}`
}

// TestOddLines settles what the specification of the protocol says of them, down to the bare word null, which ends the daemon.
func TestOddLines(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.seed()
	var odd strings.Builder
	want := []string{`{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"error":"InvalidStateException"}`}
	for _, l := range oddLines {
		odd.WriteString(l.say + "\n")
		want = append(want, l.result)
	}
	want = append(want, "processRecords") // after a status in Jackson's array form, behind which is a carriage return
	lines, results := filepath.Join(s.dir, "lines"), filepath.Join(s.dir, "results")
	s.must(os.WriteFile(lines, []byte(odd.String()), 0o600))
	for _, data := range []string{"one", "two"} {
		_, _, err := s.srv.Put(streamName, "key", []byte(data))
		s.must(err)
	}
	daemon := s.java(strings.Join([]string{filepath.Join(s.bin, "probe"), lines, results, "null"}, " "), map[string]string{"maxRecords": "1"})
	if code := daemon.Wait(t, patience); code != 1 || !strings.Contains(daemon.Log(), "NullPointerException") {
		t.Errorf("daemon exited with %d after a child said null, want 1 and a NullPointerException", code)
	}
	text, err := os.ReadFile(results)
	s.must(err)
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, want := range want {
		if i >= len(got) || got[i] != want {
			t.Errorf("result %d, of %q: %q, want %q", i, append([]struct{ say, result string }{{`{"action":"checkpoint"}`, ""}}, oddLines...)[min(i, len(oddLines))].say, got[min(i, len(got)-1)], want)
		}
	}
	if !t.Failed() {
		stagetest.Report(t, stagetest.Result{Part: "childjava", Pairing: pairing(t, testJars, "lines by hand"), Ran: "odd lines of a child", Records: 2,
			Gap: "not measured", Findings: "a child that says null ends the daemon"})
	}
}
