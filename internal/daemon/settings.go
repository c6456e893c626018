package daemon

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/internal/props"
	"github.com/kinesis-go/kcl/stream"
	"github.com/kinesis-go/kcl/worker"
)

// Settings are what a properties file says, with the defaults filled in.
type Settings struct {
	Executable string // executableName, as written
	Quoting    bool   // executableQuoting
	OnFailure  worker.FailurePolicy

	Application, StreamName, StreamARN, WorkerID string
	Table, CoordinatorTable, WorkerMetricsTable  string

	Region                                                string
	KinesisEndpoint, DynamoDBEndpoint, CloudWatchEndpoint string
	Kinesis, DynamoDB, CloudWatch                         ClientSettings

	Start   stream.Position
	StartAt time.Time

	ReplyTimeout, ShutdownGrace time.Duration
	Failover, HandoffTimeout    time.Duration
	NoHandoff                   bool
	MaxLeases                   int
	MaxThroughput               float64
	Threshold, Damping          int
	NoOvershoot                 bool
	KeepEndedLeases             bool
	ScanSegments                int
	SingleTable                 bool
	DeletionProtection, PITR    bool

	EmptyBatches bool
	MaxRecords   int
	Idle         time.Duration
	Unpaced      bool // unpacedReads
	SlowAfter    time.Duration

	Retrieval Retrieval
	required  bool // fan-out was asked for by name
	polling   bool // some polling key is set
	FanOut    FanOut
	Metrics   Metrics

	notes []Note
	used  map[string]int // key to line, of those that were set
}

// ClientSettings are one AWS client's own.
type ClientSettings struct {
	Region, Endpoint string
	DualStack, FIPS  bool
	Credentials      []Provider // in order; empty: those of Kinesis
}

// Retrieval is how records are read.
type Retrieval string

// The retrieval modes. Default means fan-out unless a key of polling is set, as in the Java daemon.
const (
	DefaultRetrieval Retrieval = "DEFAULT"
	FanOutRetrieval  Retrieval = "FANOUT"
	PollingRetrieval Retrieval = "POLLING"
)

// FanOut are the settings of enhanced fan-out.
type FanOut struct {
	ConsumerARN, ConsumerName string
}

// Metrics are the settings of CloudWatch metrics.
type Metrics struct {
	Level      string // NONE, SUMMARY or DETAILED
	Dimensions []string
	Buffer     time.Duration
	MaxQueue   int
}

// Note is something to tell the user about the file that is no error.
type Note struct {
	Line int // 0: none in particular
	Key  string
	Text string

	misspelt bool // the key is nearly another one
}

// String returns "line N: key: text".
func (n Note) String() string {
	if n.Line == 0 {
		return n.Text
	}
	return fmt.Sprintf("line %d: %s: %s", n.Line, n.Key, n.Text)
}

// Notes returns what is to be told about the file, in the order of its lines.
func (s *Settings) Notes() []Note { return s.notes }

// Load reads the text of a properties file; name stands in errors. Everything that is wrong is named at once, by errors.Join.
func Load(name string, text []byte) (*Settings, error) {
	entries, err := props.Parse(name, text)
	if err != nil {
		return nil, err
	}
	s := defaults()
	var errs []error
	fail := func(line int, key, format string, args ...any) {
		where := name
		if line > 0 {
			where = fmt.Sprintf("%s:%d", name, line)
		}
		if key != "" {
			where += ": " + key
		}
		errs = append(errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
	}
	for _, e := range s.winners(entries, fail) {
		if err := s.apply(e); err != nil {
			fail(e.Line, e.Key, "%v", err)
		}
	}
	s.check(fail)
	if len(errs) > 0 {
		for _, n := range s.notes {
			if n.misspelt { // what is required may be there under another name
				fail(n.Line, n.Key, "%s", n.Text)
			}
		}
		return nil, errors.Join(errs...)
	}
	s.conclude()
	return s, nil
}

func defaults() *Settings {
	return &Settings{
		OnFailure: worker.ExitWorker, Start: stream.Latest, ShutdownGrace: 5 * time.Second,
		Retrieval: DefaultRetrieval, used: map[string]int{},
		Metrics: Metrics{Level: "DETAILED", Dimensions: []string{"ALL"}, Buffer: 10 * time.Second, MaxQueue: 10_000},
	}
}

func (s *Settings) note(line int, key, format string, args ...any) {
	s.notes = append(s.notes, Note{Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// winners returns the entries that count: of each key the last. Two spellings of the credentials key are an error, as in Java.
func (s *Settings) winners(entries []props.Entry, fail func(int, string, string, ...any)) []props.Entry {
	last := map[string]int{}
	spelt := map[string]string{}
	for i, e := range entries {
		key := normal(e.Key)
		if at, twice := last[key]; twice {
			if other := spelt[key]; other != e.Key && strings.HasPrefix(key, credentialsKey) {
				fail(e.Line, e.Key, "the same setting is on line %d as %s: keep one", entries[at].Line, other)
			} else {
				s.note(e.Line, e.Key, "set before on line %d: this one counts", entries[at].Line)
			}
		}
		last[key], spelt[key] = i, e.Key
	}
	var kept []props.Entry
	for i, e := range entries {
		if last[normal(e.Key)] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

// arnForm: the Java KCL's StreamIdentifier accepts this.
var arnForm = regexp.MustCompile(`^arn:aws[^:]*:kinesis:[^:]+:\d{12}:stream/[^/:]+$`)

// check names what is missing and what does not fit together.
func (s *Settings) check(fail func(int, string, string, ...any)) {
	if _, set := s.used["executableName"]; !set {
		fail(0, "", "executableName is required: the command that starts a record processor")
	} else if strings.TrimSpace(s.Executable) == "" {
		fail(s.used["executableName"], "executableName", "is empty: want the command that starts a record processor")
	}
	if s.Application == "" {
		fail(s.used["applicationName"], "", "applicationName is required: it names the lease table, too")
	}
	if s.StreamName == "" && s.StreamARN == "" {
		fail(0, "", "streamName or streamArn is required")
	}
	if s.StreamARN != "" && !arnForm.MatchString(s.StreamARN) {
		fail(s.used["streamArn"], "streamArn", "%q is not of the form arn:aws:kinesis:<region>:<12 digits>:stream/<name>", s.StreamARN)
	}
	if len(s.Kinesis.Credentials) == 0 && s.used[credentialsKey] == 0 {
		fail(0, "", "AwsCredentialsProvider is required: DefaultCredentialsProvider finds them as the AWS CLI does")
	}
	if _, err := s.command(); err != nil {
		fail(s.used["executableName"], "executableName", "%v", err)
	}
}

// conclude settles what depends on several keys.
func (s *Settings) conclude() {
	if s.StreamARN != "" && s.StreamName != "" {
		s.note(s.used["streamArn"], "streamArn", "is used; streamName is not")
	}
	if len(s.DynamoDB.Credentials) == 0 {
		s.DynamoDB.Credentials = s.Kinesis.Credentials
	}
	if len(s.CloudWatch.Credentials) == 0 {
		s.CloudWatch.Credentials = s.Kinesis.Credentials
	}
	switch {
	case s.Retrieval == FanOutRetrieval:
		s.required = true
	case s.Retrieval == DefaultRetrieval && s.polling:
		s.Retrieval = PollingRetrieval
	case s.Retrieval == DefaultRetrieval:
		s.Retrieval = FanOutRetrieval
	}
	if s.FanOut.ConsumerName == "" {
		s.FanOut.ConsumerName = s.Application
	}
}
