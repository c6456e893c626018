package dynamo

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// Limits of transactions.
const (
	maxTransactItems = 100
	maxTransactBytes = 4 << 20
	tokenLifetime    = 10 * time.Minute // how long a ClientRequestToken makes a transaction idempotent
)

// idempotent is what is remembered of a transaction with a ClientRequestToken.
type idempotent struct {
	at      time.Time
	request string
	done    bool
	costs   []consumed // of a repetition, which reads only
}

// transactItems reads the list of a transaction and checks its length.
func transactItems(d *decoder, n *node) ([]node, error) {
	items, ok := d.list(n, "TransactItems")
	switch {
	case d.err != nil:
		return nil, d.err
	case !ok:
		return nil, invalid("1 validation error detected: Value null at 'transactItems' failed to satisfy constraint: Member must not be null")
	case len(items) == 0:
		return nil, invalid("1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1")
	case len(items) > maxTransactItems:
		shown := strings.TrimSuffix(strings.Repeat("com.amazonaws.dynamodb.v20120810.TransactItem, ", len(items)), ", ")
		return nil, invalid("1 validation error detected: Value '[%s]' at 'transactItems' failed to satisfy constraint: "+
			"Member must have length less than or equal to 100", shown)
	}
	for i := range items {
		d.asObject(&items[i])
	}
	return items, d.result()
}

// reason is one entry of CancellationReasons.
type reason struct {
	code, message string
	it            item
}

// cancelled returns the error of a transaction of which at least one action has a reason, nil if none has.
func cancelled(reasons []reason) *awserr.Error {
	codes := make([]string, len(reasons))
	list := make([]map[string]any, len(reasons))
	failed := false
	for i, r := range reasons {
		if r.code == "" {
			codes[i] = "None"
			list[i] = map[string]any{"Code": "None"}
			continue
		}
		failed = true
		codes[i] = r.code
		list[i] = map[string]any{"Code": r.code, "Message": r.message}
		if r.it != nil {
			list[i]["Item"] = encodedItem(r.it)
		}
	}
	if !failed {
		return nil
	}
	err := awserr.New("TransactionCanceledException",
		"Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
	err.Fields = map[string]any{"CancellationReasons": list}
	return err
}

// reasonOf turns the error of an action into its reason.
func reasonOf(err *awserr.Error, old *row, onFail bool) reason {
	if err.Code != "ConditionalCheckFailedException" {
		return reason{code: "ValidationError", message: err.Message}
	}
	r := reason{code: "ConditionalCheckFailed", message: err.Message}
	if onFail && old != nil {
		r.it = old.it
	}
	return r
}

// locked is the tables of a transaction, each once, in the order of their names, which is the order of their locks.
func locked(tables []*table) []*table {
	out := slices.Clone(tables)
	slices.SortFunc(out, func(a, b *table) int { return cmp.Compare(a.name, b.name) })
	return slices.Compact(out)
}

// transaction is a TransactWriteItems on its way.
type transaction struct {
	writes []*write
	tables []*table
	at     []rowKey
	old    []*row
	next   []item
}

func (e *Engine) transactWriteItems(n *node, w *writer) error {
	d := &decoder{}
	items, err := transactItems(d, n)
	if err != nil {
		return err
	}
	var c constraints
	used, token := d.str(n, "ReturnConsumedCapacity"), d.str(n, "ClientRequestToken")
	c.enum(used, "returnConsumedCapacity", enumCapacity)
	c.enum(d.str(n, "ReturnItemCollectionMetrics"), "returnItemCollectionMetrics", enumMetrics)
	if d.err != nil {
		return d.err
	}
	if err := c.err(); err != nil {
		return err
	}
	x := &transaction{}
	if err := e.readTransaction(x, d, items); err != nil {
		return err
	}
	costs, err := e.runOnce(x, token, n.get("TransactItems"))
	if err != nil {
		return err
	}
	w.open('{')
	answerCapacities(w, costs, used.s)
	w.close('}')
	return nil
}

func (e *Engine) readTransaction(x *transaction, d *decoder, items []node) error {
	size := 0
	for i := range items {
		one, err := e.readAction(d, &items[i], i+1)
		if err != nil {
			return err
		}
		x.writes = append(x.writes, one)
		size += one.attrs.size()
	}
	if size > maxTransactBytes {
		return invalid("Transaction request size exceeds the 4 MB limit: %d bytes", size)
	}
	now := time.Now()
	for _, one := range x.writes {
		t, err := e.table(one.table, now)
		if err != nil {
			return err
		}
		x.tables = append(x.tables, t)
	}
	return nil
}

func (e *Engine) readAction(d *decoder, n *node, position int) (*write, error) {
	var action *node
	var v verb
	found := 0
	for i, name := range [...]string{"Put", "Update", "Delete", "ConditionCheck"} {
		if o := d.object(n, name); o != nil {
			action, v = o, verb(i)
			found++
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	if found != 1 {
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	missing := ""
	switch {
	case v == verbUpdate && action.get("UpdateExpression") == nil:
		missing = "update.updateExpression"
	case v == verbCheck && action.get("ConditionExpression") == nil:
		missing = "conditionCheck.conditionExpression"
	}
	if missing != "" {
		return nil, invalid("1 validation error detected: Value null at 'transactItems.%d.member.%s' failed to satisfy constraint: "+
			"Member must not be null", position, missing)
	}
	return e.readWrite(v, action)
}

// runOnce runs x unless a transaction with the same token did within its lifetime.
func (e *Engine) runOnce(x *transaction, token text, request *node) ([]consumed, error) {
	if !token.ok {
		return orError(e.runTransaction(x))
	}
	if len(token.s) < 1 || len(token.s) > 36 {
		return nil, invalid("1 validation error detected: Value '%s' at 'clientRequestToken' failed to satisfy constraint: "+
			"Member must have length less than or equal to 36, and greater than or equal to 1", token.s)
	}
	mine := &idempotent{at: time.Now(), request: canonical(request)}
	if costs, known, err := e.remember(token.s, mine); known {
		return costs, err
	}
	costs, err := e.runTransaction(x)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		delete(e.tokens, token.s)
		return nil, err
	}
	mine.done, mine.costs = true, x.readCosts()
	return costs, nil
}

// orError avoids an error that holds a nil *awserr.Error.
func orError(costs []consumed, err *awserr.Error) ([]consumed, error) {
	if err != nil {
		return nil, err
	}
	return costs, nil
}

// remember registers a token; known says that it was there and what the answer is.
func (e *Engine) remember(token string, mine *idempotent) (costs []consumed, known bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.tokens) > 1000 {
		for k, i := range e.tokens {
			if i.done && mine.at.Sub(i.at) > tokenLifetime {
				delete(e.tokens, k)
			}
		}
	}
	had := e.tokens[token]
	switch {
	case had == nil || had.done && mine.at.Sub(had.at) > tokenLifetime:
		e.tokens[token] = mine
		return nil, false, nil
	case had.request != mine.request:
		return nil, true, awserr.New("IdempotentParameterMismatchException",
			"The request uses the same client token as a previous, but non-identical request. Do not reuse a client token with different requests, "+
				"unless the requests are identical")
	case !had.done:
		return nil, true, &awserr.Error{Code: "TransactionInProgressException", Status: http.StatusBadRequest,
			Message: "The transaction with the given request token is already in progress."}
	}
	return had.costs, true, nil
}

// canonical writes n with sorted members: the Go SDK writes a map in another order each time.
func canonical(n *node) string {
	switch n.kind {
	case isArray:
		parts := make([]string, len(n.kids))
		for i := range n.kids {
			parts[i] = canonical(&n.kids[i])
		}
		return "[" + strings.Join(parts, ",") + "]"
	case isObject:
		parts := make([]string, len(n.kids))
		for i := range n.kids {
			parts[i] = fmt.Sprintf("%q:", n.kids[i].name) + canonical(&n.kids[i])
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("%d %t %q", n.kind, n.yes, n.text)
}

// runTransaction does all of x or nothing.
func (e *Engine) runTransaction(x *transaction) ([]consumed, *awserr.Error) {
	now := time.Now()
	for _, t := range locked(x.tables) {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	if err := x.planLocked(); err != nil {
		return nil, err
	}
	var costs []consumed
	for i, one := range x.writes {
		t := x.tables[i]
		var u writeUnits
		if one.verb == verbCheck {
			u = writeUnits{table: unitsFor(sizeOf(x.old[i]), writeUnit)}
		} else {
			u = t.storeLocked(now, x.at[i], x.old[i], x.next[i])
		}
		costOf(&costs, t.name, consumed{write: true}).addWrite(u, 2)
	}
	return costs, nil
}

// costOf returns the entry of a table, made from fresh if there is none.
func costOf(costs *[]consumed, table string, fresh consumed) *consumed {
	for i := range *costs {
		if (*costs)[i].name == table {
			return &(*costs)[i]
		}
	}
	fresh.name = table
	*costs = append(*costs, fresh)
	return &(*costs)[len(*costs)-1]
}

// readCosts is what a repetition of x costs.
func (x *transaction) readCosts() []consumed {
	var costs []consumed
	for i := range x.writes {
		costOf(&costs, x.tables[i].name, consumed{read: true}).table += 2 * unitsFor(x.next[i].size(), readUnit)
	}
	return costs
}

// planLocked evaluates every action against the items as they are.
func (x *transaction) planLocked() *awserr.Error {
	n := len(x.writes)
	x.at, x.old, x.next = make([]rowKey, n), make([]*row, n), make([]item, n)
	reasons := make([]reason, n)
	type target struct {
		t  *table
		at rowKey
	}
	seen := map[target]bool{}
	for i, one := range x.writes {
		var err *awserr.Error
		if x.at[i], err = one.locate(x.tables[i]); err != nil {
			reasons[i] = reasonOf(err, nil, false)
			continue
		}
		if at := (target{x.tables[i], x.at[i]}); seen[at] {
			return invalid("Transaction request cannot include multiple operations on one item")
		} else {
			seen[at] = true
		}
		x.old[i] = x.tables[i].rows.get(x.at[i])
		if x.next[i], err = one.planLocked(x.tables[i], x.old[i]); err != nil {
			reasons[i] = reasonOf(err, x.old[i], one.onFail)
		}
	}
	return cancelled(reasons)
}
