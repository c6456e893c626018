package dynamo

import (
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// tags reads an optional list of tags.
func (d *decoder) tags(c *constraints, n *node) []tag {
	list, _ := d.list(n, "Tags")
	var out []tag
	for i := range list {
		key, val := d.str(&list[i], "Key"), d.str(&list[i], "Value")
		c.present(key.ok, "tags.member.key")
		c.present(val.ok, "tags.member.value")
		if key.ok && (len(key.s) < 1 || len(key.s) > 128) {
			c.add(quoted(key.s), "tags.member.key", "Member must have length between 1 and 128")
		}
		if len(val.s) > 256 {
			c.add(quoted(val.s), "tags.member.value", "Member must have length less than or equal to 256")
		}
		out = putTag(out, tag{key.s, val.s})
	}
	return out
}

func putTag(tags []tag, t tag) []tag {
	for i := range tags {
		if tags[i].key == t.key {
			tags[i].value = t.value
			return tags
		}
	}
	return append(tags, t)
}

// tagged returns the table behind ResourceArn.
func (e *Engine) tagged(d *decoder, n *node, op string) (*table, error) {
	arn := d.str(n, "ResourceArn")
	if d.err != nil {
		return nil, d.err
	}
	if !arn.ok {
		return nil, invalid("1 validation error detected: Value null at 'resourceArn' failed to satisfy constraint: Member must not be null")
	}
	parts := strings.SplitN(arn.s, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != "dynamodb" || !strings.HasPrefix(parts[5], "table/") {
		return nil, invalid("Invalid TableArn: Invalid ResourceArn provided as input %s", arn.s)
	}
	if parts[4] != e.options.AccountID || parts[3] != e.options.Region {
		return nil, awserr.New("AccessDeniedException", "User: arn:aws:iam::%s:root is not authorized to perform: dynamodb:%s on resource: %s",
			e.options.AccountID, op, arn.s)
	}
	t, err := e.any(arn.s)
	if err != nil {
		return nil, awserr.New("ResourceNotFoundException", "Requested resource not found: ResourcArn: %s not found", arn.s) // sic
	}
	return t, nil
}

// maxTags is the number of tags a resource may have.
const maxTags = 50

func (e *Engine) tagResource(n *node, w *writer) error {
	d := &decoder{}
	t, err := e.tagged(d, n, "TagResource")
	if err != nil {
		return err
	}
	var c constraints
	tags := d.tags(&c, n)
	if d.err != nil {
		return d.err
	}
	if err := c.err(); err != nil {
		return err
	}
	if len(tags) == 0 {
		return invalid("At least one tag must be provided")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := slices.Clone(t.tags)
	for _, g := range tags {
		next = putTag(next, g)
	}
	if len(next) > maxTags {
		return invalid("Too many tags: Total number of tags for a resource cannot exceed %d", maxTags)
	}
	t.tags = next
	w.raw(struct{}{})
	return nil
}

func (e *Engine) untagResource(n *node, w *writer) error {
	d := &decoder{}
	t, err := e.tagged(d, n, "UntagResource")
	if err != nil {
		return err
	}
	names, ok := d.strings(n, "TagKeys")
	if d.err != nil {
		return d.err
	}
	if !ok || len(names) == 0 {
		return invalid("At least one tag key must be provided")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tags = slices.DeleteFunc(slices.Clone(t.tags), func(g tag) bool { return slices.Contains(names, g.key) })
	w.raw(struct{}{})
	return nil
}

func (e *Engine) listTagsOfResource(n *node, w *writer) error {
	t, err := e.tagged(&decoder{}, n, "ListTagsOfResource")
	if err != nil {
		return err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	w.open('{')
	w.name("Tags")
	w.open('[')
	for _, g := range t.tags { // at most 50: never a second page
		w.open('{')
		w.field("Key", g.key)
		w.field("Value", g.value)
		w.close('}')
	}
	w.close(']')
	w.close('}')
	return nil
}

func (e *Engine) describeTimeToLive(n *node, w *writer) error {
	t, err := e.namedTable(&decoder{}, n)
	if err != nil {
		return err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	w.open('{')
	w.name("TimeToLiveDescription")
	w.open('{')
	if t.ttl == "" {
		w.field("TimeToLiveStatus", "DISABLED")
	} else {
		w.field("TimeToLiveStatus", "ENABLED")
		w.field("AttributeName", t.ttl)
	}
	w.close('}')
	w.close('}')
	return nil
}

func (e *Engine) updateTimeToLive(n *node, w *writer) error {
	d := &decoder{}
	spec := d.object(n, "TimeToLiveSpecification")
	enable, hasEnable := d.flag(spec, "Enabled")
	name := d.str(spec, "AttributeName")
	var c constraints
	c.present(spec != nil, "timeToLiveSpecification")
	if spec != nil {
		c.present(hasEnable, "timeToLiveSpecification.enabled")
		c.present(name.ok, "timeToLiveSpecification.attributeName")
		if name.ok && name.s == "" {
			c.add("''", "timeToLiveSpecification.attributeName", "Member must have length greater than or equal to 1")
		}
	}
	t, err := e.namedTable(d, n)
	if cerr := c.err(); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case enable && t.ttl != "":
		return invalid("TimeToLive is already enabled")
	case !enable && t.ttl == "":
		return invalid("TimeToLive is already disabled")
	case !enable && t.ttl != name.s:
		return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.ttl)
	case enable:
		t.ttl = name.s
	default:
		t.ttl = ""
	}
	w.open('{')
	w.name("TimeToLiveSpecification")
	w.node(spec)
	w.close('}')
	return nil
}

// backedUp returns the table of a request about continuous backups, which have their own error for a missing one.
func (e *Engine) backedUp(d *decoder, n *node) (*table, error) {
	t, err := e.namedTable(d, n)
	if err == nil {
		return t, nil
	}
	if a, ok := err.(*awserr.Error); ok && a.Code == "ResourceNotFoundException" {
		return nil, awserr.New("TableNotFoundException", "Table not found: %s", tableOfARN(d.str(n, "TableName").s))
	}
	return nil, err
}

func (e *Engine) describeContinuousBackups(n *node, w *writer) error {
	t, err := e.backedUp(&decoder{}, n)
	if err != nil {
		return err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.backupsLocked(w, time.Now())
	return nil
}

func (e *Engine) updateContinuousBackups(n *node, w *writer) error {
	d := &decoder{}
	t, err := e.backedUp(d, n)
	if err != nil {
		return err
	}
	spec := d.object(n, "PointInTimeRecoverySpecification")
	enable, ok := d.flag(spec, "PointInTimeRecoveryEnabled")
	if d.err != nil {
		return d.err
	}
	var c constraints
	c.present(spec != nil, "pointInTimeRecoverySpecification")
	if spec != nil {
		c.present(ok, "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled")
	}
	if err := c.err(); err != nil {
		return err
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.statusLocked(now, e.options.CreateDelay) == "CREATING" {
		return awserr.New("ContinuousBackupsUnavailableException", "Backups are being enabled for the table: %s. Please retry later", t.name)
	}
	if enable && !t.recovery {
		t.recoveryAt = now
	}
	t.recovery = enable
	t.backupsLocked(w, now)
	return nil
}

func (t *table) backupsLocked(w *writer, now time.Time) {
	w.open('{')
	w.name("ContinuousBackupsDescription")
	w.open('{')
	w.field("ContinuousBackupsStatus", "ENABLED")
	w.name("PointInTimeRecoveryDescription")
	w.open('{')
	if t.recovery {
		w.field("PointInTimeRecoveryStatus", "ENABLED")
		w.count("RecoveryPeriodInDays", 35)
		w.time("EarliestRestorableDateTime", t.recoveryAt)
		w.time("LatestRestorableDateTime", now)
	} else {
		w.field("PointInTimeRecoveryStatus", "DISABLED")
	}
	w.close('}')
	w.close('}')
	w.close('}')
}
