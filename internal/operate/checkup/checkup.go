package checkup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// Level says how much a finding matters.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // worth knowing
	Warning Level = "warning" // a worker would start, but something will go wrong
	Failure Level = "failure" // a worker would not start, or could not work
)

// Finding is one answer.
type Finding struct {
	Level  Level  `json:"level"`
	About  string `json:"about"` // such as "stream orders"
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// Subject is what a worker would be started with.
type Subject struct {
	AWS         aws.Config
	Kinesis     *kinesis.Client
	DynamoDB    *dynamodb.Client
	Store       lease.Store // of dynamolease, on the same table
	Application string
	Table       string
	Coordinator string // the legacy tables; see dynamolease.Config
	Metrics     string
	Streams     []string // names or ARNs; may be empty, and then streams are not looked at
	FanOut      *FanOut  // nil: it polls, or how it reads is not known
}

// report collects findings.
type report struct {
	findings []Finding
	skew     time.Duration // of the service's clock to ours, the largest seen
	skewed   bool
}

func (r *report) add(level Level, about, what, remedy string) {
	r.findings = append(r.findings, Finding{Level: level, About: about, What: what, Remedy: remedy})
}

// Run makes all checks and returns what they found, in order. What depends on a check that failed is left out.
func Run(ctx context.Context, s Subject) []Finding {
	r := &report{}
	if s.checkCredentials(ctx, r) {
		for _, name := range s.Streams {
			s.checkStream(ctx, r, name)
		}
		s.checkTable(ctx, r)
		r.judgeClock()
	}
	return r.findings
}

// Starts reports whether a worker would start, by these findings.
func Starts(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Failure {
			return false
		}
	}
	return true
}

func (s Subject) checkCredentials(ctx context.Context, r *report) bool {
	const about = "credentials"
	if s.AWS.Credentials == nil {
		r.add(Failure, about, "there are none", "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the host a role")
		return false
	}
	c, err := s.AWS.Credentials.Retrieve(ctx)
	switch {
	case err != nil:
		r.add(Failure, about, "there are none: "+err.Error(), "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the host a role")
		return false
	case c.CanExpire && !c.Expires.After(time.Now()):
		r.add(Failure, about, "they have expired", "renew them, for instance with aws sso login")
		return false
	}
	r.add(OK, about, fmt.Sprintf("from %s, for region %s", c.Source, s.AWS.Region), "")
	return true
}

// refusal says in one finding what an error of a call means, and what to do.
func refusal(call, resource string, err error) (what, remedy string) {
	switch retry.Classify(err) {
	case retry.Denied:
		return fmt.Sprintf("%s is refused: %v", call, err), fmt.Sprintf("check the credentials and this machine's clock, and allow %s on %s", call, resource)
	case retry.Gone:
		return fmt.Sprintf("%s does not exist", resource), "check its name, the account and the region"
	case retry.Throttled:
		return fmt.Sprintf("%s is throttled", call), "try again; if it stays so, others use up the limit"
	case retry.Canceled:
		return "not finished", ""
	case retry.Transient, retry.Unknown:
		return fmt.Sprintf("%s got no useful answer: %v", call, err), "check the network, the region and the endpoint"
	}
	return fmt.Sprintf("%s fails: %v", call, err), ""
}

func (r *report) refuse(about, call, resource string, err error) {
	what, remedy := refusal(call, resource, err)
	r.add(Failure, about, what, remedy)
}

// Clocks: a signature is good for five minutes (AWS Signature Version 4). A Java leader takes a worker that reports with a
// clock 60 s behind its own for gone (WorkerMetricStats), and we report in whole seconds.
const (
	signatureSkew = 4 * time.Minute
	leaderSkew    = 30 * time.Second
)

func (r *report) seeClock(skew time.Duration, known bool) {
	if known {
		r.skewed = true
		if skew.Abs() > r.skew.Abs() {
			r.skew = skew
		}
	}
}

func (r *report) judgeClock() {
	const about = "clock"
	off := r.skew.Abs().Round(time.Second)
	direction := "behind"
	if r.skew < 0 {
		direction = "ahead of"
	}
	switch {
	case !r.skewed:
		r.add(Note, about, "the service did not tell its time", "")
	case off > signatureSkew:
		r.add(Warning, about, fmt.Sprintf("this machine's is %s %s AWS's: signatures may be refused, and a Java leader gives this worker no leases", off, direction), "run a time service such as chrony")
	case off > leaderSkew:
		r.add(Warning, about, fmt.Sprintf("this machine's is %s %s AWS's: from 60 s on a Java leader gives a worker no leases", off, direction), "run a time service such as chrony")
	default:
		r.add(OK, about, fmt.Sprintf("within %s of AWS's", max(off, time.Second)), "")
	}
}

var errNoTable = errors.New("no such table")
