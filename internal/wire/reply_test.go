package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/wire"
)

// TestD18 and the others follow the table of spec multilang.md 1.6: what the Java daemon does with each kind of line, with
// the deviations D18 and D19.
func TestD18_Replies(t *testing.T) {
	status := wire.Reply{Action: wire.Status, ResponseFor: wire.Initialize}
	ask := func(sequence *string, sub *int64) wire.Reply {
		return wire.Reply{Action: wire.Checkpoint, Sequence: sequence, Sub: sub}
	}
	for line, want := range map[string]wire.Reply{
		`{"action":"status","responseFor":"initialize"}`:                      status,
		`{"responseFor":"initialize","action":"status"}`:                      status,
		`{"action":"status","responseFor":"initialize","pid":7,"x":{"y":[]}}`: status, // D18
		`{"action":"status","responseFor":"a","responseFor":"initialize"}`:    status,
		`{"action":"status","responseFor":"initialize"} {"action":"x"`:        status,
		`{"action":"status","responseFor":"initialize"}Hello`:                 status,
		" \t{ \"action\" : \"status\" , \"responseFor\" : \"initialize\" } ":  status,
		`["status",{"responseFor":"initialize"}]`:                             status,
		`{"action":"status"}`:                            {Action: wire.Status},
		`{"action":"status","ResponseFor":"initialize"}`: {Action: wire.Status},
		`{"action":"checkpoint"}`:                        ask(nil, nil),
		`{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"error":null}`: ask(nil, nil),
		`{"action":"checkpoint","sequenceNumber":"17"}`:                                       ask(ptr("17"), nil),
		`{"action":"checkpoint","sequenceNumber":17}`:                                         ask(ptr("17"), nil), // D20
		`{"action":"checkpoint","sequenceNumber":true}`:                                       ask(ptr("true"), nil),
		`{"action":"checkpoint","sequenceNumber":""}`:                                         ask(ptr(""), nil),
		`{"action":"checkpoint","checkpoint":"17"}`:                                           ask(ptr("17"), nil),
		`{"action":"checkpoint","checkpoint":"17","sequenceNumber":"18"}`:                     ask(ptr("18"), nil),
		`{"action":"checkpoint","sequenceNumber":"17","subSequenceNumber":"7"}`:               ask(ptr("17"), ptr(int64(7))), // D20
		`{"action":"checkpoint","sequenceNumber":"17","subSequenceNumber":1.9}`:               ask(ptr("17"), ptr(int64(1))),
		`{"action":"checkpoint","sequenceNumber":"17","subSequenceNumber":-1.9}`:              ask(ptr("17"), ptr(int64(-1))),
		`{"action":"checkpoint","sequenceNumber":"17","subSequenceNumber":2e2}`:               ask(ptr("17"), ptr(int64(200))),
		`{"action":"checkpoint","sequenceNumber":"17","subSequenceNumber":""}`:                ask(ptr("17"), nil),
		`{"action":"checkpoint","subSequenceNumber":9223372036854775807}`:                     ask(nil, ptr(int64(1<<63-1))),
		`{"action":"checkpoint","subSequenceNumber":-9223372036854775808}`:                    ask(nil, ptr(int64(-1<<63))),
		`{"action":"checkpoint","error":"x"}`:                                                 ask(nil, nil),
		`{"action":"leaseLost"}`:                                                              {Action: wire.LeaseLost}, // D23
		`{"action":"initialize","shardId":"s"}`:                                               {Action: wire.Initialize},
		`{"action":"shutdown","reason":"ZOMBIE"}`:                                             {Action: wire.Shutdown},
		`{"\u0061ction":"stat\u0075s","responseFor":"init\u0069alize"}`:                       status,
	} {
		got, err := wire.DecodeReply([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", line, d)
		}
	}
}

func TestD18_SkippedLines(t *testing.T) {
	for line, want := range map[string]string{
		``:                                      "blank line",
		`   `:                                   "byte 3: want an object",
		`null`:                                  "byte 0: want an object", // D19
		`hello`:                                 "byte 0: want an object",
		`17`:                                    "byte 0: want an object",
		`true`:                                  "byte 0: want an object",
		"\ufeff{\"action\":\"status\"}":         "byte 0: want an object",
		`[1]`:                                   "byte 1: want the action's name",
		`["status"]`:                            "byte 9: want a comma",
		`[]`:                                    "byte 1: want the action's name",
		`{}`:                                    "no action in the message",
		`{"action":null}`:                       "byte 10: want the action's name",
		`{"action":"Status"}`:                   `unknown action "Status"`,
		`{"action":"dance"}`:                    `unknown action "dance"`,
		`{"action":"status","action":"status"}`: "byte 28: two actions in one message",
		`{'action':'status'}`:                   "byte 1: want a key in double quotes",
		`{"action":"status",}`:                  "byte 19: want a key in double quotes",
		`{"action":"status"`:                    "byte 18: want , or } in an object",
		`{"action":"status" "x":1}`:             "byte 19: want , or } in an object",
		`{"action" "status"}`:                   "byte 10: want a colon",
		`{"action":"checkpoint","sequenceNumber":{}}`:                     "byte 40: want text, not an object or array",
		`{"action":"checkpoint","sequenceNumber":[]}`:                     "byte 40: want text, not an object or array",
		`{"action":"checkpoint","subSequenceNumber":"x"}`:                 "byte 43: want an integer",
		`{"action":"checkpoint","subSequenceNumber":9223372036854775808}`: "byte 43: number beyond 64 bits",
		`{"action":"checkpoint","subSequenceNumber":1e19}`:                "byte 43: number beyond 64 bits",
		`{"action":"checkpoint","subSequenceNumber":01}`:                  "byte 43: want a value",
		`{"action":"checkpoint","subSequenceNumber":true}`:                "byte 43: want a value",
		`{"action":"status","x":tru}`:                                     "byte 23: want a value",
		`{"action":"status","x":"\q"}`:                                    "byte 24: unknown escape in a string",
		"{\"action\":\"status\",\"x\":\"\x01\"}":                          "byte 24: control character in a string",
		`{"action":"status","x":[1,]}`:                                    "byte 26: want a value",
		`{"action":"status","x":[1}`:                                      "byte 25: want , or a closing bracket",
		`{"action":"status","x":` + strings.Repeat("[", 2000):             "byte 1023: nested too deep",
		`{"action":"` + strings.Repeat("x", 100) + `"}`:                   `unknown action "` + strings.Repeat("x", 40) + `"…`,
	} {
		got, err := wire.DecodeReply([]byte(line))
		if err == nil || err.Error() != want {
			t.Errorf("%.60q: got %v, %v\nwant %s", line, got, err, want)
		}
		if line == "" && !errors.Is(err, wire.ErrBlank) {
			t.Error("the empty line is not ErrBlank")
		}
	}
}
