package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/google/uuid"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Config says what a worker does. The zero value of each field that is not required selects the default.
type Config struct {
	// Application is the name that all workers of one application share; required. It is the lease table's name unless
	// the store was given another.
	Application string
	// Streams are the names or ARNs of the streams to read; required unless ListStreams is set. With more than one, or with
	// MultiStream, the rows of the lease table carry their stream, as the Java KCL's multi-stream mode has it.
	Streams []string
	// MultiStream selects that format for one stream too. A table has one format for ever.
	MultiStream bool
	// ListStreams names the streams to read in place of Streams, where they come and go while workers run. See [Lister]. The
	// lease table has the format of MultiStream.
	ListStreams Lister
	// ListInterval is how often ListStreams is called; default 1 minute (the Java KCL's check for new streams), at least 1 s.
	ListInterval time.Duration
	// Former says what becomes of the leases of streams that are not read any more.
	Former Former
	// NewProcessor makes the application's code for one shard; required.
	NewProcessor stream.NewProcessor
	// Kinesis reads the streams; required. The worker paces itself: give the client few retries of its own.
	Kinesis *kinesis.Client
	// Leases keeps ownership and progress; required. See packages lease/dynamolease and lease/memlease.
	Leases lease.Store

	// ID names this worker among those of the application; default: a random UUID. Two live workers must not share one.
	ID string

	// Start is where a shard without a checkpoint is read from: stream.Latest (the default), stream.TrimHorizon, or
	// stream.AtTimestamp with StartAt. Children of a shard that was read are always read from their beginning.
	//
	// With Latest, a shard without a checkpoint may miss what is put while it changes owners: the next one asks for LATEST again, as
	// in the Java KCL, because the lease has no place for a time, and a position there means that the record at it is done. So
	// checkpoint a first batch soon. Nothing is missed with AtTimestamp and, on all workers and at each start, the time of the
	// first one.
	Start stream.Position
	// StartAt is required with stream.AtTimestamp and must be zero otherwise. It is not stored: all workers need the same.
	StartAt time.Time

	// LeaseDuration is how long a worker may be silent before its leases go to others; default 10 s, at least 1 s. It
	// must be the same on all workers, the Java ones' failoverTimeMillis included.
	LeaseDuration time.Duration
	// DrainTimeout bounds how long Run may take to return after its context ended; default 30 s.
	DrainTimeout time.Duration
	// HandoffTimeout bounds how long a processor may finish when its shard moves to another worker; default 30 s.
	HandoffTimeout time.Duration

	// Reading says how records are fetched.
	Reading Reading
	// Balance says how leases are shared out while this worker leads.
	Balance Balance

	// EmptyBatches makes Process be called for reads that found nothing, too.
	EmptyBatches bool
	// KeepEndedLeases keeps the rows of finished shards instead of deleting them once their children are under way.
	KeepEndedLeases bool
	// SlowAfter is how long one call to a processor may take before it is warned of, each minute, and named by
	// Status.Problems; default 1 minute.
	SlowAfter time.Duration

	// OnFailure says what happens when a processor fails; default RestartShard.
	OnFailure FailurePolicy
	// Logger hears of changes of ownership (Info), retries (Warn) and what needs a person (Error); default slog.Default().
	Logger *slog.Logger
	// Trace is called on events; nil functions are skipped.
	Trace *Trace
}

// Reading says how a worker fetches records.
type Reading struct {
	// MaxRecords bounds the records of one read by polling, where an aggregate counts as one; default and largest 10,000
	// (GetRecords service limit).
	MaxRecords int
	// Idle is the least time between two polls of a shard that has nothing new; default 250 ms. While a shard is behind,
	// only the service's own limits hold reading back. 5 reads a second per shard are shared by all who poll it.
	Idle time.Duration
	// MaxBytes bounds the record data this worker holds in all, in bytes; default 256 MiB. No answer is read before there is
	// room for it, but for one at a time that is let in when there is none; see Status.BufferedBytes.
	MaxBytes int64
	// Unpaced polls as fast as the server answers, for servers that do not have the limits of Kinesis, such as package local.
	Unpaced bool
	// OnTrimmed says what to do with a checkpoint older than the stream's retention; default FailOnTrimmed.
	OnTrimmed TrimmedPolicy
	// JSON makes records be asked for in JSON. By default they are asked for in CBOR, which is a quarter smaller and quicker
	// to read, and in JSON from then on if the server turns out not to speak CBOR.
	JSON bool
	// FanOut selects enhanced fan-out; default: nil, polling. See the package on what it gives and costs.
	FanOut *FanOut
}

// FanOut says how a worker reads by enhanced fan-out. All workers of an application should say the same.
type FanOut struct {
	// ConsumerName is that of the consumer that is registered on each stream that has none of this name; default
	// Config.Application. Two applications must not share a consumer.
	ConsumerName string
	// ConsumerARNs are consumers that are registered already, at most one for each stream, in any order. They are used
	// without being looked up, which a stream of another account needs; for all other streams ConsumerName counts.
	ConsumerARNs []string
	// Required makes a worker that cannot have fan-out keep trying, and health turn red. By default it polls a stream,
	// until it is started anew, if fan-out is not permitted, the stream has as many consumers as it may have, or the
	// server does not know the calls; one warning says so.
	Required bool
	// IdleTimeout is how long a subscription may bring nothing before its connection counts as dead; default 20 s. The
	// service sends an event each 5 s or so, records or not.
	IdleTimeout time.Duration
}

// TrimmedPolicy says what to do when the records behind a checkpoint have left the retention period.
type TrimmedPolicy int

const (
	// FailOnTrimmed keeps trying and turns health red: records were lost, and a person must know.
	FailOnTrimmed TrimmedPolicy = iota
	// SkipTrimmed logs an error and goes on with the oldest record there is.
	SkipTrimmed
)

// Balance says how the leader shares leases out. Only the leader's own settings count, for the whole fleet: keep them
// equal on all workers.
type Balance struct {
	// ByCount shares by number of leases instead of by load (the Java KCL's LEASE_COUNT_BASED).
	ByCount bool
	// MaxLeases bounds the leases of one worker; default: no bound.
	MaxLeases int
	// MaxThroughput bounds the throughput of one worker in KiB/s; default: no bound.
	MaxThroughput float64
	// Threshold is by how many percent a worker may differ from the mean before leases move; default 10.
	Threshold int
	// Damping is how many percent of the difference one round moves; default 60.
	Damping int
	// NoOvershoot forbids moving a lease that is larger than the difference.
	NoOvershoot bool
	// NoHandoff takes leases from live workers at once instead of letting them finish first.
	NoHandoff bool
}

// FailurePolicy says what happens when a processor returns an error or panics.
type FailurePolicy int

const (
	// RestartShard restarts that shard alone from its last checkpoint after a back-off, and keeps its lease.
	RestartShard FailurePolicy = iota
	// ExitWorker drains the other shards and makes Run return the error: what the Java MultiLangDaemon does. Every failure
	// counts that is not the end of a processor's context: of making one, of Process, and of Close, also where the worker
	// stops or the shard moves to another worker. There, too, the other worker gets the lease first and reads on from the last
	// checkpoint.
	ExitWorker
)

// withDefaults returns a copy with the defaults filled in.
func (c Config) withDefaults() Config {
	def(&c.ID, uuid.NewString)
	def(&c.Start, func() stream.Position { return stream.Latest })
	def(&c.LeaseDuration, value(10*time.Second))
	def(&c.DrainTimeout, value(30*time.Second))
	def(&c.HandoffTimeout, value(30*time.Second))
	def(&c.SlowAfter, value(time.Minute))
	def(&c.ListInterval, value(time.Minute))
	def(&c.Former.After, value(time.Hour))
	def(&c.Reading.MaxRecords, value(10_000))
	def(&c.Reading.Idle, value(250*time.Millisecond))
	def(&c.Reading.MaxBytes, value(int64(256<<20)))
	if c.Reading.FanOut != nil {
		f := *c.Reading.FanOut
		f.ConsumerARNs = slices.Clone(f.ConsumerARNs)
		def(&f.ConsumerName, value(c.Application))
		c.Reading.FanOut = &f
	}
	def(&c.Balance.MaxLeases, value(math.MaxInt32))
	def(&c.Balance.MaxThroughput, value(math.MaxFloat64))
	def(&c.Balance.Threshold, value(10))
	def(&c.Balance.Damping, value(60))
	def(&c.Logger, slog.Default)
	def(&c.Trace, func() *Trace { return &Trace{} })
	return c
}

func def[T comparable](field *T, value func() T) {
	var zero T
	if *field == zero {
		*field = value()
	}
}

func value[T any](v T) func() T { return func() T { return v } }

// validate names every field that cannot be.
func (c Config) validate() error {
	var p problems
	c.checkRequired(&p)
	c.checkStart(&p)
	c.checkTimes(&p)
	c.checkRest(&p)
	return errors.Join(p...)
}

// problems are what is wrong with a configuration.
type problems []error

// unless adds a problem unless all is well.
func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("worker: "+format, args...))
	}
}

func (c Config) checkRequired(p *problems) {
	p.unless(c.Application != "", "Application is required")
	p.unless(len(c.Streams) > 0 || c.ListStreams != nil, "Streams is required")
	p.unless(len(c.Streams) == 0 || c.ListStreams == nil, "Streams and ListStreams are both set, and only one can count")
	for i, s := range c.Streams {
		p.unless(s != "", "Streams[%d] is empty", i)
		p.unless(s == "" || !slices.Contains(c.Streams[:i], s), "Streams[%d] names %s again", i, s)
	}
	p.unless(c.NewProcessor != nil, "NewProcessor is required")
	p.unless(c.Kinesis != nil, "Kinesis is required")
	p.unless(c.Kinesis == nil || c.Kinesis.Options().Region != "",
		"Kinesis has no region: set AWS_REGION, or the region of its configuration")
	p.unless(c.Leases != nil, "Leases is required")
}

func (c Config) checkStart(p *problems) { checkStart(p, "", c.Start, c.StartAt) }

// checkStart checks where to begin; of says of what, with a blank at its end.
func checkStart(p *problems, of string, start stream.Position, at time.Time) {
	switch start {
	case stream.Latest, stream.TrimHorizon:
		p.unless(at.IsZero(), "%sStartAt is set, but Start is %s, not AT_TIMESTAMP", of, start)
	case stream.AtTimestamp:
		p.unless(!at.IsZero(), "%sStartAt is required with Start AT_TIMESTAMP", of)
	default:
		p.unless(false, "%sStart %s is none of LATEST, TRIM_HORIZON and AT_TIMESTAMP", of, start)
	}
}

func (c Config) checkTimes(p *problems) {
	p.unless(c.LeaseDuration >= time.Second, "LeaseDuration %v is under 1s", c.LeaseDuration)
	p.unless(c.DrainTimeout >= 0, "DrainTimeout %v is negative", c.DrainTimeout)
	p.unless(c.HandoffTimeout >= 0, "HandoffTimeout %v is negative", c.HandoffTimeout)
	p.unless(c.SlowAfter >= 0, "SlowAfter %v is negative", c.SlowAfter)
	p.unless(c.ListInterval >= time.Second, "ListInterval %v is under 1s", c.ListInterval)
	p.unless(c.Former.After >= 0, "Former.After %v is negative", c.Former.After)
	p.unless(c.Reading.Idle >= 0, "Reading.Idle %v is negative", c.Reading.Idle)
}

func (c Config) checkRest(p *problems) {
	r, b := c.Reading, c.Balance
	p.unless(r.MaxRecords >= 1 && r.MaxRecords <= 10_000, "Reading.MaxRecords %d is not within 1 to 10000", r.MaxRecords)
	p.unless(r.MaxBytes >= 1<<20, "Reading.MaxBytes %d is under 1 MiB", r.MaxBytes)
	r.FanOut.check(c.Streams, p)
	p.unless(r.OnTrimmed == FailOnTrimmed || r.OnTrimmed == SkipTrimmed, "Reading.OnTrimmed %d is neither FailOnTrimmed nor SkipTrimmed", r.OnTrimmed)
	p.unless(b.MaxLeases >= 1, "Balance.MaxLeases %d is under 1", b.MaxLeases)
	p.unless(b.MaxThroughput > 0, "Balance.MaxThroughput %v is not above 0", b.MaxThroughput)
	p.unless(b.Threshold >= 1 && b.Threshold <= 100, "Balance.Threshold %d is not a percentage within 1 to 100", b.Threshold)
	p.unless(b.Damping >= 1 && b.Damping <= 100, "Balance.Damping %d is not a percentage within 1 to 100", b.Damping)
	p.unless(c.OnFailure == RestartShard || c.OnFailure == ExitWorker, "OnFailure %d is neither RestartShard nor ExitWorker", c.OnFailure)
}

// consumerForm: what RegisterStreamConsumer takes as a name (API reference).
var consumerForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

func (f *FanOut) check(streams []string, p *problems) {
	if f == nil {
		return
	}
	p.unless(consumerForm.MatchString(f.ConsumerName),
		"Reading.FanOut.ConsumerName %q is not 1 to 128 of letters, digits, _, . and -", f.ConsumerName)
	p.unless(f.IdleTimeout >= 0, "Reading.FanOut.IdleTimeout %v is negative", f.IdleTimeout)
	seen := map[string]bool{}
	for _, arn := range f.ConsumerARNs {
		of, _, ok := strings.Cut(arn, "/consumer/")
		_, name, named := strings.Cut(of, ":stream/")
		if !ok || !named || !strings.HasPrefix(arn, "arn:") {
			p.unless(false, "Reading.FanOut.ConsumerARNs has %q, which is no ARN of a consumer", arn)
			continue
		}
		p.unless(len(streams) == 0 || slices.Contains(streams, of) || slices.Contains(streams, name), "Reading.FanOut.ConsumerARNs has %s, whose stream is none of Streams", arn)
		p.unless(!seen[of], "Reading.FanOut.ConsumerARNs has two consumers of %s", of)
		seen[of] = true
	}
}
