package dynamo

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// Options says what an Engine pretends to be.
type Options struct {
	// Region and AccountID appear in ARNs. Defaults: us-east-1 and 123456789012.
	Region, AccountID string

	// IndexLag is how long a global index shows its table as it was; zero is no lag.
	IndexLag time.Duration

	// CreateDelay is how long a new table or index stays CREATING, and a changed table UPDATING; zero is not at all.
	CreateDelay time.Duration
}

// Engine is a DynamoDB in memory. Create one with [New]; its methods are safe for concurrent use.
type Engine struct {
	options Options

	mu     sync.RWMutex // guards everything below; taken before any table's own lock, never after
	tables map[string]*table
	tokens map[string]*idempotent // of TransactWriteItems

	exprs exprCache
}

// New returns an empty Engine.
func New(o Options) *Engine {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.AccountID == "" {
		o.AccountID = "123456789012"
	}
	return &Engine{options: o, tables: map[string]*table{}, tokens: map[string]*idempotent{}}
}

// Handle runs one operation. op is the part of the X-Amz-Target header behind the dot, in the JSON body, which Handle
// does not keep. The answer belongs to the caller. Every error is an *awserr.Error, with Item, CancellationReasons and
// the like in its Fields; an ended ctx is a RequestCanceled error with the context's cause as its message and no effect.
func (e *Engine) Handle(ctx context.Context, op string, in []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, &awserr.Error{Code: "RequestCanceled", Message: context.Cause(ctx).Error(), Status: http.StatusServiceUnavailable}
	}
	run := e.operation(op)
	if run == nil {
		return nil, awserr.New("UnknownOperationException", "")
	}
	n, err := parse(in)
	if err != nil {
		return nil, err
	}
	w := newWriter(256)
	if err := run(n, w); err != nil {
		if a, ok := errors.AsType[*awserr.Error](err); ok {
			return nil, a
		}
		return nil, &awserr.Error{Code: "InternalServerError", Message: err.Error(), Status: http.StatusInternalServerError}
	}
	return w.b, nil
}

// operation returns the function behind an operation's name, nil if there is none. It writes the answer to w.
func (e *Engine) operation(op string) func(n *node, w *writer) error {
	switch op {
	case "UpdateItem":
		return e.updateItem
	case "PutItem":
		return e.putItem
	case "DeleteItem":
		return e.deleteItem
	case "GetItem":
		return e.getItem
	case "Query":
		return e.query
	case "Scan":
		return e.scan
	case "BatchGetItem":
		return e.batchGetItem
	case "BatchWriteItem":
		return e.batchWriteItem
	case "TransactGetItems":
		return e.transactGetItems
	case "TransactWriteItems":
		return e.transactWriteItems
	case "CreateTable":
		return e.createTable
	case "DescribeTable":
		return e.describeTable
	case "UpdateTable":
		return e.updateTable
	case "DeleteTable":
		return e.deleteTable
	case "ListTables":
		return e.listTables
	case "TagResource":
		return e.tagResource
	case "UntagResource":
		return e.untagResource
	case "ListTagsOfResource":
		return e.listTagsOfResource
	case "DescribeTimeToLive":
		return e.describeTimeToLive
	case "UpdateTimeToLive":
		return e.updateTimeToLive
	case "DescribeContinuousBackups":
		return e.describeContinuousBackups
	case "UpdateContinuousBackups":
		return e.updateContinuousBackups
	case "DescribeLimits":
		return e.describeLimits
	case "DescribeEndpoints":
		return e.describeEndpoints
	}
	return nil
}

// table returns the table for an operation on items, which needs it to be there and past CREATING.
func (e *Engine) table(name string, now time.Time) (*table, *awserr.Error) {
	e.mu.RLock()
	t := e.tables[tableOfARN(name)]
	e.mu.RUnlock()
	if t == nil || now.Before(t.createdAt.Add(e.options.CreateDelay)) {
		return nil, awserr.New("ResourceNotFoundException", "Requested resource not found")
	}
	return t, nil
}

// exprCache keeps parsed expressions by kind and text: a client sends the same few for ever.
type exprCache struct {
	mu   sync.RWMutex
	seen map[exprKey]*parsed
}

type exprKey struct {
	kind exprKind
	text string
}

// maxCached bounds the cache; a program that builds values into its expressions would otherwise fill memory.
const maxCached = 2000

func (c *exprCache) get(kind exprKind, text string) *parsed {
	c.mu.RLock()
	p := c.seen[exprKey{kind, text}]
	c.mu.RUnlock()
	if p != nil {
		return p
	}
	p = parseExpr(kind, text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxCached {
		c.seen = map[exprKey]*parsed{}
	}
	c.seen[exprKey{kind, text}] = p
	return p
}

// bind parses an optional expression and binds it; nil if it is absent.
func (e *Engine) bind(p *placeholders, what string, kind exprKind, t text) (*binding, *awserr.Error) {
	if !t.ok {
		return nil, nil
	}
	return p.bind(what, kind, e.exprs.get(kind, t.s))
}
