package dynamolease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// maxPolls bounds how often Setup looks whether something is ready: with pollWait about ten minutes, as the Java KCL waits
// for its table.
const maxPolls = 310

// pollWait is the pause before the next look: short at first, because a table is often ready within a second or two.
func pollWait(attempt int) time.Duration {
	return min(20*time.Millisecond<<min(attempt, 7), 2*time.Second)
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Setup implements [lease.Store]. It creates the table if it is missing, waits until it can be used, and asks for the index
// without waiting for it. It may be called again after an error.
func (s *Store) Setup(ctx context.Context, worker string) error {
	if err := s.setup(ctx, worker); err != nil {
		return fmt.Errorf("set up leases of %s: %w", s.cfg.Application, err)
	}
	return nil
}

func (s *Store) setup(ctx context.Context, worker string) error {
	if worker == "" || isReserved(worker) {
		return fmt.Errorf("%w: %q cannot be the name of a worker", lease.ErrUnusable, worker)
	}
	table, err := s.ensureTable(ctx)
	if err != nil {
		return err
	}
	if err := checkKey(table); err != nil {
		return err
	}
	s.noteSize(table)
	if err := s.enableRecovery(ctx); err != nil {
		return err
	}
	l, err := s.findLayout(ctx)
	if err != nil {
		return err
	}
	if err := s.ensureVersion(ctx, l, table, worker); err != nil {
		return err
	}
	s.observeIndex(ctx, table)
	return nil
}

// Check implements [lease.Store]. It costs one consistent read, or three while an application moves to a single table.
func (s *Store) Check(ctx context.Context) error {
	l, err := s.freshLayout(ctx)
	if err == nil {
		_, err = s.readVersion(ctx, l)
	}
	if err != nil {
		return fmt.Errorf("check leases of %s: %w", s.cfg.Application, err)
	}
	return nil
}

// describe returns a table's description, or the SDK's error.
func (s *Store) describe(ctx context.Context, table string) (*types.TableDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
	defer cancel()
	out, err := s.cfg.Client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// ensureTable returns the lease table once it can be read and written, creating it if there is none.
func (s *Store) ensureTable(ctx context.Context) (*types.TableDescription, error) {
	for attempt := range maxPolls {
		table, err := s.describe(ctx, s.cfg.Table)
		switch retry.Classify(err) {
		case retry.None:
			if ready, err := isReady(table); ready || err != nil {
				return table, err
			}
		case retry.Gone:
			// After our own creation: DescribeTable is eventually consistent.
			if !s.isCreator() {
				table, err := s.createTable(ctx)
				if err != nil {
					return nil, err
				}
				if table != nil && table.TableStatus == types.TableStatusActive {
					return table, nil
				}
			}
		default:
			return nil, explain("DescribeTable", s.cfg.Table, err)
		}
		if err := pause(ctx, pollWait(attempt)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("table %s is still not active: %w", s.cfg.Table, lease.ErrUnavailable)
}

// isReady reports whether a table can be used, with an error if it never will.
func isReady(table *types.TableDescription) (bool, error) {
	switch table.TableStatus {
	case types.TableStatusActive, types.TableStatusUpdating:
		return true, nil
	case types.TableStatusCreating, types.TableStatusDeleting: // one that is being deleted will be created anew
		return false, nil
	}
	return false, fmt.Errorf("table %s: %w: its status is %s; restore it, or its encryption key",
		aws.ToString(table.TableName), lease.ErrUnusable, table.TableStatus)
}

// createTable returns nil if another worker was faster.
func (s *Store) createTable(ctx context.Context) (*types.TableDescription, error) {
	in := dynamodb.CreateTableInput{
		TableName:            &s.cfg.Table,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
	}
	if p := s.cfg.Provisioned; p != (Capacity{}) {
		in.BillingMode = types.BillingModeProvisioned
		in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: &p.Read, WriteCapacityUnits: &p.Write}
	}
	if s.cfg.DeletionProtection {
		in.DeletionProtectionEnabled = aws.Bool(true)
	}
	for _, key := range slices.Sorted(maps.Keys(s.cfg.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String(s.cfg.Tags[key])})
	}
	ctx, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
	defer cancel()
	out, err := s.cfg.Client.CreateTable(ctx, &in, oneAttempt) // repeated, it would be told that the table exists
	switch retry.Classify(err) {
	case retry.None:
		s.mu.Lock()
		s.created = true
		s.mu.Unlock()
		s.log.Info("lease table created")
		return out.TableDescription, nil
	case retry.Conflict:
		return nil, nil
	}
	return nil, explain("CreateTable", s.cfg.Table, err)
}

// checkKey refuses a table of another kind.
func checkKey(table *types.TableDescription) error {
	keys := table.KeySchema
	if len(keys) == 1 && aws.ToString(keys[0].AttributeName) == attrKey {
		for _, a := range table.AttributeDefinitions {
			if aws.ToString(a.AttributeName) == attrKey && a.AttributeType == types.ScalarAttributeTypeS {
				return nil
			}
		}
	}
	return fmt.Errorf("table %s: %w: its key is not the string %s alone, so it is no lease table; choose another application or table name",
		aws.ToString(table.TableName), lease.ErrUnusable, attrKey)
}

// enableRecovery switches point-in-time recovery on. For a while after a table was created DynamoDB cannot do so; that
// must not keep the workers from working.
func (s *Store) enableRecovery(ctx context.Context) error {
	if !s.cfg.PointInTimeRecovery {
		return nil
	}
	for attempt := range 5 {
		call, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
		_, err := s.cfg.Client.UpdateContinuousBackups(call, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &s.cfg.Table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		cancel()
		if err == nil || retry.Classify(err) != retry.Conflict {
			return explain("UpdateContinuousBackups", s.cfg.Table, err)
		}
		if err := pause(ctx, pollWait(attempt)); err != nil {
			return err
		}
	}
	s.log.Warn("point-in-time recovery could not be switched on yet; the next start tries again")
	return nil
}
