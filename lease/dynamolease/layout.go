package dynamolease

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// moving is how far an application has moved from the three tables of Java KCL 3.0 to 3.4 into the one of 3.5
// (TableMigrationStateMachineImpl). This library follows; it never takes a step itself.
type moving string

const (
	unknown  moving = ""
	initial  moving = "TABLE_MIGRATION_STATUS_INIT"     // a legacy table, and nothing said
	deployed moving = "TABLE_MIGRATION_STATUS_DEPLOYED" // all workers could
	pending  moving = "TABLE_MIGRATION_STATUS_PENDING"  // writes go to the lease table, the lock does not
	complete moving = "TABLE_MIGRATION_STATUS_COMPLETE" // or there never was a legacy table
)

const attrMoving = "tm"

// layout says which table holds what. Reads and the lock go by the state as it is, writes by the state at the start, so that
// a worker's reports do not go back and forth; but once the move is complete nobody reads the legacy tables any more.
type layout struct {
	mu          sync.Mutex
	live, start moving
}

func (l *layout) get() layoutNow {
	l.mu.Lock()
	defer l.mu.Unlock()
	return layoutNow{live: l.live, start: l.start}
}

func (l *layout) set(live moving) layoutNow {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.start == unknown {
		l.start = live
	}
	l.live = live
	return layoutNow{live: l.live, start: l.start}
}

// layoutNow is a layout at one moment.
type layoutNow struct{ live, start moving }

// lockPlace is where the leader's lock is.
func (s *Store) lockPlace(l layoutNow) place {
	if l.live == complete {
		return leasePlace(s.cfg.Table)
	}
	return s.legacyStates()
}

// workersPlace is where a worker reports.
func (s *Store) workersPlace(l layoutNow) place {
	if l.live == complete || l.start == pending {
		return leasePlace(s.cfg.Table)
	}
	return s.legacyWorkers()
}

// statePlaces are where the client version may be, in the order in which to look.
func (s *Store) statePlaces(l layoutNow) []place {
	if l.live == complete {
		return []place{leasePlace(s.cfg.Table)}
	}
	return []place{s.legacyStates(), leasePlace(s.cfg.Table)}
}

func (s *Store) legacyStates() place  { return place{s.cfg.CoordinatorTable, attrLegacyState} }
func (s *Store) legacyWorkers() place { return place{s.cfg.WorkerMetricsTable, attrLegacyWorker} }

// knownLayout returns the layout as last seen, looking for it if this is the first time.
func (s *Store) knownLayout(ctx context.Context) (layoutNow, error) {
	if l := s.layout.get(); l.live != unknown {
		return l, nil
	}
	return s.findLayout(ctx)
}

// freshLayout returns the layout as it is. A move that is complete stays so, and costs no request.
func (s *Store) freshLayout(ctx context.Context) (layoutNow, error) {
	l := s.layout.get()
	switch l.live {
	case complete:
		return l, nil
	case unknown:
		return s.findLayout(ctx)
	}
	live, err := s.readMoving(ctx)
	if err != nil {
		return layoutNow{}, err
	}
	if live != l.live {
		s.log.Info("moving to a single table", "from", l.live, "to", live)
	}
	return s.layout.set(live), nil
}

// findLayout looks whether there are legacy tables and what they say.
func (s *Store) findLayout(ctx context.Context) (layoutNow, error) {
	table, err := s.describe(ctx, s.cfg.CoordinatorTable)
	switch {
	case retry.Classify(err) == retry.Gone:
		return s.layout.set(complete), nil
	case err != nil:
		return layoutNow{}, explain("DescribeTable", s.cfg.CoordinatorTable, err)
	case table.TableStatus == types.TableStatusDeleting:
		return layoutNow{}, fmt.Errorf("table %s is being deleted: %w", s.cfg.CoordinatorTable, lease.ErrUnavailable)
	case table.TableStatus == types.TableStatusCreating:
		return layoutNow{}, fmt.Errorf("table %s is being created: %w", s.cfg.CoordinatorTable, lease.ErrUnavailable)
	}
	live, err := s.readMoving(ctx)
	if err != nil {
		return layoutNow{}, err
	}
	if live == complete {
		return s.layout.set(live), nil
	}
	if live == initial && s.cfg.SingleTable {
		return layoutNow{}, fmt.Errorf("table %s: %w: SingleTable is set, but not all workers are ready for it (%s); start without it until %s says %s",
			s.cfg.CoordinatorTable, lease.ErrUnusable, initial, keyTableMigration, deployed)
	}
	if _, err := s.describe(ctx, s.cfg.WorkerMetricsTable); err != nil {
		if retry.Classify(err) == retry.Gone {
			return layoutNow{}, fmt.Errorf("table %s: %w: it is gone while %s is still in use; if no worker of Java KCL 3.0 to 3.4 runs any more, "+
				"delete %s too, else restore it", s.cfg.WorkerMetricsTable, lease.ErrUnusable, s.cfg.CoordinatorTable, s.cfg.CoordinatorTable)
		}
		return layoutNow{}, explain("DescribeTable", s.cfg.WorkerMetricsTable, err)
	}
	return s.layout.set(live), nil
}

// readMoving reads the state of the move from the legacy table, as this worker's configuration makes it count.
func (s *Store) readMoving(ctx context.Context) (moving, error) {
	it, err := s.getItem(ctx, s.legacyStates(), keyTableMigration)
	if err != nil {
		return unknown, err
	}
	if len(it) == 0 {
		return initial, nil
	}
	r := row{what: "state", key: keyTableMigration, item: it}
	switch stored := moving(r.text(attrMoving)); stored {
	case complete, initial:
		return stored, nil
	case deployed, pending:
		if s.cfg.SingleTable {
			return pending, nil
		}
		return deployed, nil
	default:
		return unknown, fmt.Errorf("table %s: %w: item %s has %s %q, which this version does not know; use a newer one",
			s.cfg.CoordinatorTable, lease.ErrUnusable, keyTableMigration, attrMoving, stored)
	}
}
