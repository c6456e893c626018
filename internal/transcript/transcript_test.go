package transcript_test

import (
	"strings"
	"testing"

	"github.com/kinesis-go/kcl/internal/transcript"
)

const good = `# a comment
> {"action":"initialize","shardId":"s","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}
< {"action":"status","responseFor":"initialize"}
> {"action":"shardEnded"}
< {"action":"checkpoint","sequenceNumber":null}
> {"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"error":"ThrottlingException"}
< {"action":"checkpoint","sequenceNumber":null}
exit 3
`

func TestParse(t *testing.T) {
	got, err := transcript.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Exchanges) != 2 || got.Exit != 3 {
		t.Fatalf("%+v", got)
	}
	end := got.Exchanges[1]
	if len(end.Checkpoints) != 2 || end.Checkpoints[0].Error != "ThrottlingException" || end.Checkpoints[1].Answer != "" || end.Status != "" {
		t.Errorf("%+v", end)
	}
}

func TestParseRefuses(t *testing.T) {
	const status, ask = `< {"action":"status","responseFor":"leaseLost"}`, `< {"action":"checkpoint"}`
	const lost, answer = `> {"action":"leaseLost"}`, `> {"action":"checkpoint","error":null}`
	for text, want := range map[string]string{
		"":                              "no exit at the end",
		lost:                            "no exit at the end",
		"exit 0\n" + lost:               "line 2: a line behind the exit",
		"exit x":                        "line 1: ",
		"lost":                          "line 1: neither > nor < nor exit",
		status:                          "line 1: status of the child although nothing is asked of it",
		ask:                             "line 1: checkpoint of the child although nothing is asked of it",
		answer:                          "line 1: answer to a checkpoint that was not asked for",
		lost + "\n" + answer:            "line 2: answer to a checkpoint that was not asked for",
		lost + "\n" + ask + "\n" + lost: "line 3: leaseLost before the status of leaseLost",
		"> {\"action\":\"shardEnded\"}\n" + status: "line 2: status leaseLost of the child during shardEnded",
		"> {}":          "line 1: ",
		lost + "\n< {}": "line 2: ",
	} {
		if _, err := transcript.Parse(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want %s", text, err, want)
		}
	}
}

func TestNormalise(t *testing.T) {
	const a, b = "49680491539995687396210377376735577635", "930463463862861826"
	high, low := a+b, "49"+strings.Repeat("1", 54)
	text := `"sequenceNumber":"` + high + `","approximateArrivalTimestamp":1795439217288,"x":"` + low + `" "9` + high + `" "` + high + `0"`
	zeros := "4965" + strings.Repeat("0", 51)
	want := `"sequenceNumber":"` + zeros + `2","approximateArrivalTimestamp":1760000000001,"x":"` + zeros + `1" "9` + zeros + `2" "` + high + `0"`
	if got := transcript.Normalise(text); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := transcript.Normalise("exit 0\n"); got != "exit 0\n" {
		t.Errorf("got %q", got)
	}
}
