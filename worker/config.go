package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
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
	// Streams are the names or ARNs of the streams to read; required. With more than one, or with MultiStream, the
	// rows of the lease table carry their stream, as the Java KCL's multi-stream mode has it.
	Streams []string
	// MultiStream selects that format for one stream too. A table has one format for ever.
	MultiStream bool
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
	// MaxRecords bounds one batch; default and largest 10,000 (GetRecords service limit).
	MaxRecords int
	// Idle is the least time between two reads of a shard that has nothing new; default 250 ms. While a shard is behind,
	// only the service's own limits hold reading back. 5 reads a second per shard are shared by all who poll it.
	Idle time.Duration
	// MaxBytes bounds the record data this worker holds in all, in bytes; default 256 MiB. Reading waits for room.
	MaxBytes int64
	// Unpaced reads as fast as the server answers, for servers that do not have the limits of Kinesis, such as package local.
	Unpaced bool
	// OnTrimmed says what to do with a checkpoint older than the stream's retention; default FailOnTrimmed.
	OnTrimmed TrimmedPolicy
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
	// ExitWorker drains the other shards and makes Run return the error: what the Java MultiLangDaemon does.
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
	def(&c.Reading.MaxRecords, value(10_000))
	def(&c.Reading.Idle, value(250*time.Millisecond))
	def(&c.Reading.MaxBytes, value(int64(256<<20)))
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
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("worker: "+format, args...)) }
	if c.Application == "" {
		bad("Application is required")
	}
	if len(c.Streams) == 0 {
		bad("Streams is required")
	}
	if c.NewProcessor == nil {
		bad("NewProcessor is required")
	}
	if c.Kinesis == nil {
		bad("Kinesis is required")
	}
	if c.Leases == nil {
		bad("Leases is required")
	}
	switch c.Start {
	case stream.Latest, stream.TrimHorizon:
		if !c.StartAt.IsZero() {
			bad("StartAt is set, but Start is %s, not AT_TIMESTAMP", c.Start)
		}
	case stream.AtTimestamp:
		if c.StartAt.IsZero() {
			bad("StartAt is required with Start AT_TIMESTAMP")
		}
	default:
		bad("Start %s is none of LATEST, TRIM_HORIZON and AT_TIMESTAMP", c.Start)
	}
	if c.LeaseDuration < time.Second {
		bad("LeaseDuration %v is under 1s", c.LeaseDuration)
	}
	for name, d := range map[string]time.Duration{
		"DrainTimeout": c.DrainTimeout, "HandoffTimeout": c.HandoffTimeout, "SlowAfter": c.SlowAfter, "Reading.Idle": c.Reading.Idle,
	} {
		if d < 0 {
			bad("%s %v is negative", name, d)
		}
	}
	if n := c.Reading.MaxRecords; n < 1 || n > 10_000 {
		bad("Reading.MaxRecords %d is not within 1 to 10000", n)
	}
	if c.Reading.MaxBytes < 1<<20 {
		bad("Reading.MaxBytes %d is under 1 MiB", c.Reading.MaxBytes)
	}
	if c.Balance.MaxLeases < 1 {
		bad("Balance.MaxLeases %d is under 1", c.Balance.MaxLeases)
	}
	if c.Balance.Threshold < 1 || c.Balance.Threshold > 100 || c.Balance.Damping < 1 || c.Balance.Damping > 100 {
		bad("Balance.Threshold %d and Balance.Damping %d are percentages within 1 to 100", c.Balance.Threshold, c.Balance.Damping)
	}
	return errors.Join(errs...)
}
