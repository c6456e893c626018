package dynamolease

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/kinesis-go/kcl/lease"
)

var _ lease.Store = (*Store)(nil)

// Config says where the leases are and how a missing table is created. The zero value of each field that is not required
// selects the default. What concerns creation has no effect on a table that exists.
type Config struct {
	// Client talks to DynamoDB; required. Its retries serve reads only: a conditional write is sent once.
	Client *dynamodb.Client
	// Application is the name that all workers of one application share; required.
	Application string
	// Table holds the leases; default: Application. CoordinatorTable and WorkerMetricsTable are those of Java KCL 3.0 to
	// 3.4, which are used if they exist and never created; default: Application with -CoordinatorState and
	// -WorkerMetricStats behind it.
	Table, CoordinatorTable, WorkerMetricsTable string

	// Provisioned is the capacity of a new table and its index; default: on demand (PAY_PER_REQUEST).
	Provisioned Capacity
	// DeletionProtection protects a new table from being deleted.
	DeletionProtection bool
	// PointInTimeRecovery is switched on at each start, on an existing table too. Off does not switch it off.
	PointInTimeRecovery bool
	// Tags are those of a new table.
	Tags map[string]string

	// AdoptOldTable says that no KCL 1.x or 2.x worker runs on the table any more, so that Setup may mark a table that has
	// leases but no client version as one of 3.x. Without it Setup refuses such a table, because a 2.x worker and this one
	// would not see each other.
	AdoptOldTable bool
	// SingleTable is the Java KCL's migrateAllEntitiesToLeaseTable: while an application moves from the three tables of 3.0
	// to 3.4 into one, it must have the same value on all workers. Elsewhere it has no effect.
	SingleTable bool

	// Segments is how many scans read the table at the same time, at most 32; default: one for each 0.2 GB.
	Segments int
	// RequestTimeout bounds one write or one read of a row, retries of reads included; a page of a scan and the control
	// calls of Setup may take five times as long. Keep it well under a third of the lease duration: a renewal that hangs
	// must leave time for another. Default 2 s.
	RequestTimeout time.Duration
	// Logger hears what Setup does to the account (Info) and what hinders without stopping (Warn); default slog.Default().
	Logger *slog.Logger
}

// Capacity is provisioned throughput in units a second. The zero value means on demand.
type Capacity struct{ Read, Write int64 }

const (
	leaseIndex = "LeaseOwnerToLeaseKeyIndex" // of the Java KCL's DynamoDBLeaseSerializer

	maxSegments = 32 // DynamoDBLeaseRefresher
	slowCalls   = 5  // how many times RequestTimeout a call may take that reads pages or changes a table
)

// Names of tables: DynamoDB developer guide, "Naming rules".
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// Store is a [lease.Store] on DynamoDB in the format of the Java KCL 3.5. Make one with [New]. Its methods may be called
// from several goroutines.
type Store struct {
	cfg Config
	log *slog.Logger

	layout layout
	index  index

	mu       sync.Mutex
	created  bool // this store created the table
	segments segments
}

// New returns a store for the configuration, or an error that names each field that cannot be. It makes no call; Setup
// does.
func New(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Store{cfg: cfg, log: cfg.Logger.With("table", cfg.Table)}, nil
}

// withDefaults returns a copy with the defaults filled in.
func (c Config) withDefaults() Config {
	if c.Table == "" {
		c.Table = c.Application
	}
	if c.CoordinatorTable == "" {
		c.CoordinatorTable = c.Application + "-CoordinatorState"
	}
	if c.WorkerMetricsTable == "" {
		c.WorkerMetricsTable = c.Application + "-WorkerMetricStats"
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// validate names every field that cannot be.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("dynamolease: "+format, args...)) }
	switch {
	case c.Client == nil:
		bad("Client is required")
	case c.Client.Options().Region == "":
		bad("Client has no region: set AWS_REGION, or the region of its configuration")
	}
	if c.Application == "" {
		bad("Application is required")
	} else {
		for _, t := range []struct{ field, name string }{
			{"Table", c.Table}, {"CoordinatorTable", c.CoordinatorTable}, {"WorkerMetricsTable", c.WorkerMetricsTable},
		} {
			if !tableName.MatchString(t.name) {
				bad("%s %q is not the name of a table: 3 to 255 letters, digits, '_', '-' and '.'", t.field, t.name)
			}
		}
		if c.Table == c.CoordinatorTable || c.Table == c.WorkerMetricsTable || c.CoordinatorTable == c.WorkerMetricsTable {
			bad("Table %q, CoordinatorTable %q and WorkerMetricsTable %q are not three names", c.Table, c.CoordinatorTable, c.WorkerMetricsTable)
		}
	}
	if p := c.Provisioned; p != (Capacity{}) && (p.Read < 1 || p.Write < 1) {
		bad("Provisioned %d read and %d write units: both must be at least 1, or both 0 for on demand", p.Read, p.Write)
	}
	if c.Segments < 0 || c.Segments > maxSegments {
		bad("Segments %d is not within 1 to %d", c.Segments, maxSegments)
	}
	if c.RequestTimeout < 0 {
		bad("RequestTimeout %v is negative", c.RequestTimeout)
	}
	return errors.Join(errs...)
}

// oneAttempt switches the SDK's retries off: a conditional write that is repeated after a lost reply is refused by its own
// effect, and its caller would believe the lease lost.
func oneAttempt(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }
