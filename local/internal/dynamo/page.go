package dynamo

import (
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// maxPage is how many bytes of items a Query or Scan looks at before it ends its page.
const maxPage = 1 << 20

// listing is a Query or Scan, checked as far as possible without its table.
type listing struct {
	table, index string
	read         read
	filter       condition
	filterParam  string // the parameter the filter came from
	keyConds     []comparison
	isQuery      bool
	backward     bool
	limit        int // 0: none
	start        item
	hasStart     bool
	segment      int64
	segments     int64 // 0: not parallel
	selects      string
	used         string
}

// model checks what the service model says about a Query or Scan.
func (l *listing) model(d *decoder, n *node) error {
	name, index := d.str(n, "TableName"), d.str(n, "IndexName")
	if d.err != nil {
		return d.err
	}
	if err := checkName(name, "tableName", 1); err != nil {
		return err
	}
	var c constraints
	used, selects, limit := d.str(n, "ReturnConsumedCapacity"), d.str(n, "Select"), d.int(n, "Limit")
	segment, segments := d.int(n, "Segment"), d.int(n, "TotalSegments")
	if l.isQuery && limit.ok && limit.n < 1 {
		// AWS words this one differently from Scan's.
		c.found = append(c.found, "Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
	} else {
		c.atLeast(limit, 1, "limit")
	}
	c.enum(selects, "select", enumSelect)
	c.enum(used, "returnConsumedCapacity", enumCapacity)
	c.enum(d.str(n, "ConditionalOperator"), "conditionalOperator", enumOperator)
	c.atLeast(segment, 0, "segment")
	c.atLeast(segments, 1, "totalSegments")
	if index.ok && len(index.s) < 3 {
		c.add(quoted(index.s), "indexName", "Member must have length greater than or equal to 3")
	}
	for _, p := range []string{"KeyConditions", "QueryFilter", "ScanFilter"} {
		d.legacyEnums(&c, n, p, "ComparisonOperator", enumComparison)
	}
	if d.err != nil {
		return d.err
	}
	if err := c.err(); err != nil {
		return err
	}
	l.table, l.index, l.limit, l.used, l.selects = name.s, index.s, int(min(limit.n, 1<<30)), used.s, selects.s
	l.segment, l.segments = segment.n, segments.n
	return checkSegments(segment, segments)
}

func checkSegments(segment, segments integer) error {
	switch {
	case segment.ok && !segments.ok:
		return invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case segments.ok && !segment.ok:
		return invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case segments.ok && segment.n >= segments.n:
		return invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", segment.n, segments.n)
	case segments.n > 1_000_000:
		return invalid("1 validation error detected: Value '%d' at 'totalSegments' failed to satisfy constraint: "+
			"Member must have value less than or equal to 1000000", segments.n)
	}
	return nil
}

// readListing reads a Query (isQuery) or a Scan.
func (e *Engine) readListing(isQuery bool, n *node) (*listing, error) {
	d := &decoder{}
	l := &listing{isQuery: isQuery, filterParam: "Filter Expression"}
	if err := l.model(d, n); err != nil {
		return nil, err
	}
	expressions := []string{"ProjectionExpression", "FilterExpression"}
	legacyFilter := "ScanFilter"
	legacy := []string{"AttributesToGet", "ScanFilter", "ConditionalOperator"}
	if isQuery {
		legacyFilter = "QueryFilter"
		expressions = []string{"ProjectionExpression", "FilterExpression", "KeyConditionExpression"}
		legacy = []string{"AttributesToGet", "QueryFilter", "ConditionalOperator"}
		if n.get("KeyConditionExpression") != nil { // KeyConditions may stand beside the other expressions
			legacy = append(legacy, "KeyConditions")
		}
	}
	if err := mixed(n, expressions, legacy); err != nil {
		return nil, err
	}
	if err := l.readLegacy(d, n, legacyFilter); err != nil {
		return nil, err
	}
	if err := l.readStart(d, n); err != nil {
		return nil, err
	}
	if isQuery && n.get("KeyConditions") == nil && n.get("KeyConditionExpression") == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if err := e.readListingExpressions(l, d, n); err != nil {
		return nil, err
	}
	return l, l.checkSelect()
}

func (l *listing) readLegacy(d *decoder, n *node, filter string) error {
	var err *awserr.Error
	if l.filter.legacy, err = d.comparisons(n, filter); err != nil {
		return err
	}
	if l.filter.legacy != nil {
		l.filterParam = filter
	}
	operator := d.str(n, "ConditionalOperator")
	if operator.ok && l.filter.legacy == nil {
		return invalid("ConditionalOperator cannot be used without Filter or Expected")
	}
	l.filter.any = operator.s == "OR"
	if l.read.selection.legacy, err = d.attributesToGet(n); err != nil {
		return err
	}
	if l.keyConds, err = d.comparisons(n, "KeyConditions"); err != nil {
		return err
	}
	forward, ok := d.flag(n, "ScanIndexForward")
	l.backward = ok && !forward
	l.read.consistent, _ = d.flag(n, "ConsistentRead")
	return d.result()
}

func (l *listing) readStart(d *decoder, n *node) error {
	o := d.object(n, "ExclusiveStartKey")
	if o == nil {
		return d.result()
	}
	var err *awserr.Error
	if l.start, err = d.attrs(o); err != nil {
		return invalid("The provided starting key is invalid: %s", err.Message)
	}
	l.hasStart = true
	return d.result()
}

func (e *Engine) readListingExpressions(l *listing, d *decoder, n *node) error {
	p := d.placeholders(n)
	key, filter, project := d.str(n, "KeyConditionExpression"), d.str(n, "FilterExpression"), d.str(n, "ProjectionExpression")
	if d.err != nil {
		return d.err
	}
	if err := p.check(); err != nil {
		return err
	}
	var keyExpr *binding
	var err *awserr.Error
	if l.isQuery {
		if keyExpr, err = e.bind(p, "KeyConditionExpression", conditionKind, key); err != nil {
			return err
		}
	}
	if l.filter.expr, err = e.bind(p, "FilterExpression", conditionKind, filter); err != nil {
		return err
	}
	if l.read.selection.b, err = e.bind(p, "ProjectionExpression", projectionKind, project); err != nil {
		return err
	}
	if err := p.unused(); err != nil {
		return err
	}
	if keyExpr == nil {
		return nil
	}
	if l.keyConds, err = keyComparisons(keyExpr); err != nil {
		return err
	}
	return nil
}

func (l *listing) checkSelect() error {
	on := l.read.selection.on()
	switch l.selects {
	case "SPECIFIC_ATTRIBUTES":
		if !on {
			return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
		}
	case "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT":
		if on {
			what := "AttributesToGet"
			if l.read.selection.b != nil {
				what = "ProjectionExpression"
			}
			return invalid("Cannot specify the %s when choosing to get %s", what, l.selects)
		}
		if l.selects == "ALL_PROJECTED_ATTRIBUTES" && l.index == "" {
			return invalid("One or more parameter values were invalid: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
		}
	}
	return nil
}

// source is the rows a listing reads: a table's or an index's.
type source struct {
	t    *table
	x    *index // nil for the table
	keys keys
}

func (s *source) rows() *ordered {
	if s.x != nil {
		return &s.x.rows
	}
	return &s.t.rows
}

// sourceLocked finds and checks the index.
func (l *listing) sourceLocked(t *table, now time.Time) (*source, *awserr.Error) {
	if l.index == "" {
		return &source{t: t, keys: t.keys}, nil
	}
	x := t.index(l.index)
	switch {
	case x == nil:
		return nil, invalid("The table does not have the specified index: %s", l.index)
	case x.global && l.read.consistent:
		return nil, invalid("Consistent reads are not supported on global secondary indexes")
	case now.Before(x.activeAt):
		return nil, invalid("Cannot read from backfilling global secondary index: %s", l.index)
	case x.global && l.selects == "ALL_ATTRIBUTES" && x.project != "ALL":
		return nil, invalid("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for "+
			"global secondary index %s because its projection type is not ALL", l.index)
	}
	return &source{t: t, x: x, keys: x.keys}, nil
}

// startKey turns ExclusiveStartKey into the place it names.
func (l *listing) startKey(s *source) (rowKey, *awserr.Error) {
	names := map[string]bool{}
	add := func(d keyDef) { names[d.name] = true }
	s.keys.each(add)
	s.t.keys.each(add)
	at, ok := s.keys.rowKey(l.start)
	base, baseOK := s.t.keys.rowKey(l.start)
	if !ok || !baseOK || len(l.start) != len(names) {
		if s.x == nil && len(l.start) == len(names) {
			return at, invalid("The provided starting key is invalid: The provided key element does not match the schema")
		}
		return at, invalid("The provided starting key is invalid")
	}
	if s.x != nil {
		at.basePK, at.baseSK = base.pk, base.sk
	}
	return at, nil
}

// lastKey is the LastEvaluatedKey that names r.
func (s *source) lastKey(r *row) item {
	var out item
	add := func(d keyDef) { out = out.set(d.name, *r.it.get(d.name)) }
	s.keys.each(add)
	s.t.keys.each(add)
	return out
}

// page is what one Query or Scan found.
type page struct {
	items   []item
	count   int
	scanned int
	last    item // LastEvaluatedKey, nil at the end
	units   float64
	fetched float64 // units for fetching whole items behind a local index
}

// collect reads rows from next until it returns nil, a limit is reached or the page is full.
func (l *listing) collectLocked(s *source, next func() *row) *page {
	p := &page{}
	project := l.read.selection.projection()
	bytes := 0
	for r := next(); r != nil; r = next() {
		it := r.it
		p.scanned++
		bytes += r.size
		if l.wholeItems(s, project) {
			base := s.t.rows.get(rowKey{hash: hashKey(r.basePK), pk: r.basePK, sk: r.baseSK})
			it = base.it
			p.fetched += l.read.cost(base.size)
		}
		if l.filter.holds(it) {
			p.count++
			if l.selects != "COUNT" {
				p.items = append(p.items, project.of(it))
			}
		}
		if p.scanned == l.limit || bytes >= maxPage {
			// A page that ends by its limit has a key to go on from, even if nothing follows.
			p.last = s.lastKey(r)
			break
		}
	}
	p.units = l.read.cost(bytes)
	return p
}

// wholeItems reports whether a local index has to fetch what it does not hold.
func (l *listing) wholeItems(s *source, p projection) bool {
	if s.x == nil || s.x.global || s.x.project == "ALL" {
		return false
	}
	return l.selects == "ALL_ATTRIBUTES" || slices.ContainsFunc(p.root.members, func(m memberPick) bool {
		return !s.x.holds(m.name, s.t.keys)
	})
}

// answer writes the result of a Query or Scan.
func (l *listing) answer(w *writer, s *source, p *page) {
	w.open('{')
	if l.selects != "COUNT" {
		w.name("Items")
		w.open('[')
		for _, it := range p.items {
			w.item(it)
		}
		w.close(']')
	}
	w.name("Count")
	w.int(p.count)
	w.name("ScannedCount")
	w.int(p.scanned)
	if p.last != nil {
		w.name("LastEvaluatedKey")
		w.item(p.last)
	}
	if wantsCapacity(l.used) {
		c := &consumed{name: s.t.name, table: p.units}
		if s.x != nil {
			c.table = p.fetched
			c.addIndex(s.x, p.units)
		}
		w.name("ConsumedCapacity")
		c.writeTo(w, l.used)
	}
	w.close('}')
}

// checkFilterKeys rejects a filter on the keys, which Query does not allow.
func (l *listing) checkFilterKeys(k keys) (err *awserr.Error) {
	reject := func(name string) {
		if k.has(name) && err == nil {
			err = invalid("%s can only contain non-primary key attributes: Primary key attribute: %s", l.filterParam, name)
		}
	}
	for _, c := range l.filter.legacy {
		reject(c.attr)
	}
	if l.filter.expr != nil {
		l.filter.expr.heads(func(name string, _ bool) { reject(name) })
	}
	return err
}

// checkSelected rejects a projection to attributes that a global index does not hold.
func (l *listing) checkSelected(s *source) *awserr.Error {
	if s.x == nil || !s.x.global || !l.read.selection.on() {
		return nil
	}
	var missing []string
	for _, m := range l.read.selection.projection().root.members {
		if !s.x.holds(m.name, s.t.keys) {
			missing = append(missing, m.name)
		}
	}
	if missing == nil {
		return nil
	}
	return invalid("One or more parameter values were invalid: Global secondary index %s does not project [%s]", s.x.name, strings.Join(missing, ", "))
}
