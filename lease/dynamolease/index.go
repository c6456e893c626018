package dynamolease

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
)

const (
	// indexLook is how often to look whether the index is active. Until then each discovery reads the table.
	indexLook = 2 * time.Second
	// indexPatience is how long a missing index of a table that another created is left to the other: a Java worker that
	// finds it under creation by somebody else starts without reporting and without assigning, yet may lead.
	indexPatience = 30 * time.Second
)

// index is what is known of the index over owners.
type index struct {
	mu        sync.Mutex
	active    bool
	looking   bool // one look at a time
	lookAt    time.Time
	requestAt time.Time // when to ask for it if it is still missing; zero: it was there
}

// lost notes that the index answered that it is not there.
func (x *index) lost() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.active = false
}

// due reports whether the index may be used, and whether the caller is to look at it.
func (x *index) due(now time.Time) (active, look bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	look = !x.active && !x.looking && !now.Before(x.lookAt)
	if look {
		x.looking = true
	}
	return x.active, look
}

func (x *index) looked(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.looking = false
	x.lookAt = now.Add(indexLook)
}

// see notes the status of the index, "" for missing, and reports whether to ask for it now.
func (x *index) see(status types.IndexStatus, ours bool, now time.Time) (request bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.active = status == types.IndexStatusActive
	if status != "" {
		x.requestAt = time.Time{}
		return false
	}
	if x.requestAt.IsZero() {
		x.requestAt = now
		if !ours {
			x.requestAt = now.Add(indexPatience)
		}
	}
	if now.Before(x.requestAt) {
		return false
	}
	x.requestAt = now.Add(indexPatience)
	return true
}

// indexReady reports whether owners can be looked up, looking at the table now and then until it is so.
func (s *Store) indexReady(ctx context.Context) bool {
	active, look := s.index.due(time.Now())
	if !look {
		return active
	}
	defer func() { s.index.looked(time.Now()) }()
	table, err := s.describe(ctx, s.cfg.Table)
	if err != nil {
		s.log.Debug("index not looked at", "err", err)
		return false
	}
	return s.observeIndex(ctx, table)
}

// observeIndex notes what a description says of the index, asks for one that is missing, and reports whether it is active.
func (s *Store) observeIndex(ctx context.Context, table *types.TableDescription) bool {
	var status types.IndexStatus
	for _, x := range table.GlobalSecondaryIndexes {
		if aws.ToString(x.IndexName) == leaseIndex {
			status = x.IndexStatus
		}
	}
	if s.index.see(status, s.isCreator(), time.Now()) {
		s.requestIndex(ctx, table)
	}
	return status == types.IndexStatusActive
}

// requestIndex asks for the index. Whatever comes of it, discovery works without.
func (s *Store) requestIndex(ctx context.Context, table *types.TableDescription) {
	create := types.CreateGlobalSecondaryIndexAction{
		IndexName: aws.String(leaseIndex),
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(attrOwner), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
		},
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}
	if p := table.ProvisionedThroughput; p != nil && aws.ToInt64(p.ReadCapacityUnits) > 0 {
		create.ProvisionedThroughput = &types.ProvisionedThroughput{
			ReadCapacityUnits: p.ReadCapacityUnits, WriteCapacityUnits: p.WriteCapacityUnits,
		}
	}
	ctx, cancel := context.WithTimeout(ctx, slowCalls*s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName: &s.cfg.Table,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrOwner), AttributeType: types.ScalarAttributeTypeS},
		},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &create}},
	}, oneAttempt)
	expected := []retry.Class{retry.Conflict, retry.Throttled, retry.Canceled} // another worker asked, or may
	switch {
	case err == nil:
		s.log.Info("index requested", "index", leaseIndex)
	case slices.Contains(expected, retry.Classify(err)):
		s.log.Debug("index not requested", "index", leaseIndex, "err", err)
	default:
		s.log.Warn("index cannot be created; looking for own leases reads the whole table each time",
			"index", leaseIndex, "err", noIndex(s.cfg.Table, err))
	}
}
