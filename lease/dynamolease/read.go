package dynamolease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/lease"
)

// place is a table with the name of its partition key.
type place struct{ table, key string }

func leasePlace(table string) place { return place{table: table, key: attrKey} }

// getItem reads one item consistently; nil if it is not there. Errors are explained.
func (s *Store) getItem(ctx context.Context, p place, key string) (item, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	out, err := s.cfg.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &p.table, Key: item{p.key: text(key)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, explain("GetItem", p.table, err)
	}
	return out.Item, nil
}

// Get implements [lease.Leases].
func (s *Store) Get(ctx context.Context, key string) (lease.Lease, error) {
	it, err := s.getItem(ctx, leasePlace(s.cfg.Table), key)
	if err != nil {
		return lease.Lease{}, fmt.Errorf("get %s: %w", key, err)
	}
	if len(it) == 0 || familyOf(it) != familyLease {
		return lease.Lease{}, fmt.Errorf("get %s: %w", key, lease.ErrNotFound)
	}
	return parseLease(it)
}

// family is what an item of the table is.
type family int

const (
	familyOther family = iota // the lock, a migration state, a stream, or what a later version keeps
	familyLease
	familyWorker
)

// familyOf tells what an item is. One without a type is a lease, as the Java KCL has it, except for the keys that ≤3.4
// used without a type.
func familyOf(it item) family {
	switch v := it[attrEntity].(type) {
	case nil:
		if key, ok := it[attrKey].(*types.AttributeValueMemberS); ok && isReserved(key.Value) {
			return familyOther
		}
		return familyLease
	case *types.AttributeValueMemberS:
		switch v.Value {
		case entityLease:
			return familyLease
		case entityWorker:
			return familyWorker
		}
	}
	return familyOther
}

// Snapshot implements [lease.Leases]. It reads consistently, so that a new leader does not take a table that is just being
// filled for an empty one; that costs one read unit for each 4 KB.
func (s *Store) Snapshot(ctx context.Context) (lease.Snapshot, error) { return s.snapshot(ctx, true) }

// Glance implements [lease.Leases]. It reads eventually consistently, for half of what Snapshot costs.
func (s *Store) Glance(ctx context.Context) (lease.Snapshot, error) { return s.snapshot(ctx, false) }

func (s *Store) snapshot(ctx context.Context, consistent bool) (lease.Snapshot, error) {
	lay, err := s.knownLayout(ctx)
	if err != nil {
		return lease.Snapshot{}, err
	}
	var parts [maxSegments]lease.Snapshot
	in := dynamodb.ScanInput{TableName: &s.cfg.Table, ConsistentRead: aws.Bool(consistent)}
	err = s.scan(ctx, in, s.segmentsNow(ctx), func(segment int, items []item) {
		for _, it := range items {
			addTo(&parts[segment], it)
		}
	})
	if err == nil && lay.live != complete {
		err = s.scanLegacyWorkers(ctx, &parts[0])
	}
	if err != nil {
		return lease.Snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	var all lease.Snapshot
	for _, p := range parts {
		all.Leases = append(all.Leases, p.Leases...)
		all.Workers = append(all.Workers, p.Workers...)
		all.Broken = append(all.Broken, p.Broken...)
	}
	if lay.live != complete {
		all.Workers = newestOfEach(all.Workers)
	}
	return all, nil
}

// addTo puts an item where it belongs.
func addTo(snap *lease.Snapshot, it item) {
	var err error
	switch familyOf(it) {
	case familyLease:
		var l lease.Lease
		if l, err = parseLease(it); err == nil {
			snap.Leases = append(snap.Leases, l)
		}
	case familyWorker:
		var w lease.Worker
		if w, err = parseWorker(it, attrKey); err == nil {
			snap.Workers = append(snap.Workers, w)
		}
	}
	if err != nil {
		key, _ := it[attrKey].(*types.AttributeValueMemberS)
		if key == nil {
			key = &types.AttributeValueMemberS{}
		}
		snap.Broken = append(snap.Broken, lease.Broken{Key: key.Value, Err: err})
	}
}

// scan reads a whole table, segment by segment at the same time, and gives each page to each, which is called by one
// goroutine for each segment. The first error ends it.
func (s *Store) scan(ctx context.Context, in dynamodb.ScanInput, segments int, each func(segment int, items []item)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, segments)
	var running sync.WaitGroup
	for i := range segments {
		running.Go(func() {
			if errs[i] = s.scanSegment(ctx, in, i, segments, each); errs[i] != nil {
				cancel()
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		// Report what went wrong, not the scans that were cancelled because of it.
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

func (s *Store) scanSegment(ctx context.Context, in dynamodb.ScanInput, i, of int, each func(segment int, items []item)) error {
	if of > 1 {
		in.Segment, in.TotalSegments = aws.Int32(int32(i)), aws.Int32(int32(of))
	}
	for {
		page, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
		out, err := s.cfg.Client.Scan(page, &in)
		cancel()
		if err != nil {
			return explain("Scan", *in.TableName, err)
		}
		each(i, out.Items)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return nil
		}
	}
}

// segments is how many scans a table of the size it had needs.
type segments struct {
	n     int
	until time.Time
}

const (
	segmentBytes    = 200 << 20 // 0.2 GB for each scan: DynamoDBLeaseRefresher
	segmentsKept    = 2 * time.Hour
	segmentsUnknown = 10 // where the table's size cannot be had
)

// segmentsNow returns how many scans to make. DynamoDB itself brings the size up to date every six hours or so.
func (s *Store) segmentsNow(ctx context.Context) int {
	if s.cfg.Segments > 0 {
		return s.cfg.Segments
	}
	s.mu.Lock()
	known := s.segments
	s.mu.Unlock()
	if known.n > 0 && time.Now().Before(known.until) {
		return known.n
	}
	if table, err := s.describe(ctx, s.cfg.Table); err == nil {
		return s.noteSize(table)
	}
	if known.n > 0 {
		return known.n
	}
	return segmentsUnknown
}

// noteSize remembers how large the table is.
func (s *Store) noteSize(table *types.TableDescription) int {
	n := int((aws.ToInt64(table.TableSizeBytes) + segmentBytes - 1) / segmentBytes)
	n = max(1, min(n, maxSegments))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = segments{n: n, until: time.Now().Add(segmentsKept)}
	return n
}

// Owned implements [lease.Leases]. It asks the index, whose answer may be a second or so old; until the index is active it
// reads the whole table instead.
func (s *Store) Owned(ctx context.Context, worker string) ([]string, error) {
	if worker == "" {
		return nil, nil
	}
	if s.indexReady(ctx) {
		keys, err := s.queryIndex(ctx, worker)
		if !errors.Is(err, lease.ErrUnusable) {
			return keys, err
		}
		s.index.lost() // no such index any more; the scan tells whether there is a table
	}
	return s.scanOwned(ctx, worker)
}

func (s *Store) queryIndex(ctx context.Context, worker string) ([]string, error) {
	in := dynamodb.QueryInput{
		TableName: &s.cfg.Table, IndexName: aws.String(leaseIndex),
		KeyConditionExpression:    aws.String("leaseOwner = :o"),
		ExpressionAttributeValues: item{":o": text(worker)},
	}
	var keys []string
	for {
		page, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
		out, err := s.cfg.Client.Query(page, &in)
		cancel()
		if err != nil {
			return nil, explain("Query", s.cfg.Table, err)
		}
		keys = appendKeys(keys, out.Items)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return keys, nil
		}
	}
}

func (s *Store) scanOwned(ctx context.Context, worker string) ([]string, error) {
	in := dynamodb.ScanInput{
		TableName: &s.cfg.Table, ConsistentRead: aws.Bool(true),
		FilterExpression:          aws.String("leaseOwner = :o"),
		ProjectionExpression:      aws.String(attrKey),
		ExpressionAttributeValues: item{":o": text(worker)},
	}
	var parts [maxSegments][]string
	err := s.scan(ctx, in, s.segmentsNow(ctx), func(segment int, items []item) {
		parts[segment] = appendKeys(parts[segment], items)
	})
	if err != nil {
		return nil, fmt.Errorf("leases owned by %s: %w", worker, err)
	}
	var keys []string
	for _, p := range parts {
		keys = append(keys, p...)
	}
	return keys, nil
}

func appendKeys(keys []string, items []item) []string {
	for _, it := range items {
		if key, ok := it[attrKey].(*types.AttributeValueMemberS); ok {
			keys = append(keys, key.Value)
		}
	}
	return keys
}

// scanLegacyWorkers adds what the workers of 3.0 to 3.4 report in a table of their own.
func (s *Store) scanLegacyWorkers(ctx context.Context, snap *lease.Snapshot) error {
	in := dynamodb.ScanInput{TableName: &s.cfg.WorkerMetricsTable, ConsistentRead: aws.Bool(true)}
	return s.scan(ctx, in, 1, func(_ int, items []item) {
		for _, it := range items {
			w, err := parseWorker(it, attrLegacyWorker)
			if err != nil {
				snap.Broken = append(snap.Broken, lease.Broken{Key: w.ID, Err: err})
				continue
			}
			snap.Workers = append(snap.Workers, w)
		}
	})
}

// newestOfEach drops all reports of a worker but the newest: while an application moves from three tables into one, a
// worker may have a report in both, and the Java KCL counts it twice.
func newestOfEach(workers []lease.Worker) []lease.Worker {
	newest := make(map[string]lease.Worker, len(workers))
	for _, w := range workers {
		if old, ok := newest[w.ID]; !ok || old.ReportedAt.Before(w.ReportedAt) {
			newest[w.ID] = w
		}
	}
	workers = workers[:0]
	for w := range maps.Values(newest) {
		workers = append(workers, w)
	}
	return workers
}
