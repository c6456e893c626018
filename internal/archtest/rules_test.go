package archtest

// module is the path of this module.
const module = "github.com/kinesis-go/kcl"

// What packages may import beside the standard library. Names with a dot in their first element are other modules'; the
// rest are packages of this one, "." being the root. "*" allows everything. Tests may import what they like.
const (
	sdk       = "github.com/aws/aws-sdk-go-v2/aws"
	smithy    = "github.com/aws/smithy-go"
	kinesis   = "github.com/aws/aws-sdk-go-v2/service/kinesis"
	dynamodb  = "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	uuid      = "github.com/google/uuid"
	cbor      = "github.com/fxamacker/cbor/v2"
	eventwire = "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// rows is the import table. An import of another module covers the packages below it.
var rows = map[string][]string{
	// The core: values and pure functions.
	"stream":             {},
	"lease":              {"stream"},
	"internal/assign":    {"stream", "lease"},
	"internal/lineage":   {"stream", "lease"},
	"internal/lifecycle": {"stream", "lease"},
	"internal/aggregate": {"stream"},
	"internal/decode":    {"stream"},
	"internal/wire":      {"stream"},
	"internal/props":     {},

	// What the engine is made of.
	"internal/retry":     {sdk, smithy},
	"internal/wholebody": {sdk},
	"internal/hostload":  {},
	"internal/fetch":     {"stream", "internal/aggregate", "internal/decode", "internal/retry", "internal/wholebody", sdk, smithy, kinesis},
	"internal/fleet": {"stream", "lease", "internal/assign", "internal/lineage", "internal/retry", "internal/hostload",
		sdk, smithy, kinesis, uuid},
	"lease/dynamolease": {"stream", "lease", "internal/retry", sdk, smithy, dynamodb, uuid},
	"lease/memlease":    {"stream", "lease"},
	"lease/leasetest":   {"stream", "lease", "github.com/google/go-cmp"},
	"worker": {"stream", "lease", "internal/assign", "internal/lineage", "internal/lifecycle", "internal/fetch",
		"internal/fleet", "internal/hostload", "internal/retry", sdk, smithy, kinesis, uuid},

	// Processors outside the engine.
	".":         {"stream", "internal/wire"},
	"multilang": {"stream", "internal/wire"},
	"kcltest":   {".", "stream", "internal/wire"},

	// The embedded services know nothing of the library they test.
	"local": {"local/internal/awserr", "local/internal/awswire", "local/internal/dynamo", "local/internal/kinesis",
		sdk, "github.com/aws/aws-sdk-go-v2/credentials"},
	"local/internal/awserr":  {},
	"local/internal/awswire": {"local/internal/awserr", cbor, eventwire},
	"local/internal/dynamo":  {"local/internal/awserr", "local/internal/awswire", uuid},
	"local/internal/kinesis": {"local/internal/awserr", "local/internal/awswire", eventwire},

	// The command and what only it needs.
	"internal/daemon": {"stream", "lease", "lease/dynamolease", "worker", "multilang", "internal/props", "internal/retry", "internal/wholebody",
		"github.com/aws/aws-sdk-go-v2", smithy},
	"internal/operate":            {"stream", "lease", "internal/lineage", "internal/retry", sdk, smithy, kinesis},
	"internal/operate/checkup":    {"stream", "lease", "internal/operate", "internal/lineage", "internal/retry", sdk, smithy, kinesis, dynamodb},
	"internal/operate/cost":       {},
	"internal/ledger":             {"stream"},
	"internal/javadaemon":         {"golang.org/x/sync/errgroup"},
	"internal/javadaemon/lockgen": {"internal/javadaemon"},
	"cmd/kcl/internal/follow":     {"stream", "internal/fetch", sdk, kinesis},
	"cmd/kcl":                     {"*"},
	"cmd/kcl/internal/produce":    {"stream", "internal/aggregate", "internal/retry", sdk, smithy, kinesis},
	"cmd/kcl/internal/scene": {"stream", "lease", "lease/dynamolease", "worker", "internal/ledger", "cmd/kcl/internal/picture",
		"cmd/kcl/internal/produce", sdk, kinesis, dynamodb},
	"cmd/kcl/internal/picture": {"stream"},
	"examples/classic":         {"."},
	"examples/inprocess":       {"stream", "worker", "lease/dynamolease", "github.com/aws/aws-sdk-go-v2"},

	// Tests' own.
	"internal/archtest":   {},
	"internal/script":     {},
	"internal/sim":        {},
	"internal/transcript": {"internal/wire"},

	// Comparisons with others.
	"bench":                     {"local", "bench/internal/tally", sdk, kinesis},
	"bench/internal/tally":      {},
	"bench/internal/counting":   {"stream", "bench/internal/tally"},
	"bench/consumers/child":     {".", "bench/internal/counting"},
	"bench/consumers/inprocess": {"stream", "worker", "lease/dynamolease", "bench/internal/counting", "github.com/aws/aws-sdk-go-v2"},

	// Other languages and servers.
	"interop/internal/stagetest": {"stream", "internal/ledger", sdk, kinesis, dynamodb},
	"interop/internal/table":     {},

	"interop/childjava/internal/diary": {"stream"},
	"interop/childjava/classic":        {".", "stream", "interop/childjava/internal/diary"},
	"interop/childjava/modern":         {".", "stream", "interop/childjava/internal/diary"},
	"interop/childjava/tee":            {},
	"interop/internal/fleettest":       {"stream", "internal/ledger", "local", "interop/internal/stagetest", sdk, kinesis},
	"interop/fleet":                    {},
	"interop/fleet/goworker":           {"stream", "worker", "lease/dynamolease", "github.com/aws/aws-sdk-go-v2"},
	"interop/tables":                   {},
	"interop/childjava/probe":          {},
}

// core are the packages that think and do not act.
var core = []string{
	"internal/assign", "internal/lineage", "internal/lifecycle", "internal/aggregate", "internal/wire", "internal/props",
}

// standardOnly are what a child process links.
var standardOnly = []string{".", "stream", "internal/wire"}

// exceptions are files, or packages, that may break a rule, with the reason.
var exceptions = map[string]map[string]string{
	"streams": {
		"run.go":               "kcl.Run prints the error and exits 1: that API is frozen",
		"stdio.go":             "kcl.Run speaks over this process's stdin and stdout",
		"multilang/command.go": "what children write on stderr goes to that of this process unless the caller says otherwise",
		"serve.go":             "kcl.Serve recognises os.Stdout, to keep other output off it",
	},
	"contexts": {
		"worker/assignment.go": "a processor's context lives as long as its session, not as long as a call",
		"kcltest/assign.go":    "the same, in a test",
		"checkpointer.go":      "the frozen Checkpoint takes no context, so its value carries the one of the call",
	},
}

// mayBreak reports whether a file is excepted from a rule.
func mayBreak(rule, file string) bool {
	_, excepted := exceptions[rule][file]
	return excepted
}
