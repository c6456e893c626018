package dynamo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

const badParameters = "One or more parameter values were invalid: "

// keyElement is one entry of a KeySchema as it was sent.
type keyElement struct{ name, keyType string }

// indexSpec is an index as it was sent.
type indexSpec struct {
	name       string
	global     bool
	keys       []keyElement
	project    text
	include    []string
	throughput *throughput
}

// tableSpec is the parameters that CreateTable and UpdateTable have in common.
type tableSpec struct {
	attrDefs   []keyDef
	hasDefs    bool
	billing    text
	throughput *throughput
	class      text
	protect    *bool
	stream     *node
	sse        *node
}

func (d *decoder) tableSpec(c *constraints, n *node) *tableSpec {
	s := &tableSpec{billing: d.str(n, "BillingMode"), class: d.str(n, "TableClass")}
	c.enum(s.billing, "billingMode", enumBilling)
	c.enum(s.class, "tableClass", enumClass)
	list, ok := d.list(n, "AttributeDefinitions")
	s.hasDefs = ok
	for i := range list {
		at := fmt.Sprintf("attributeDefinitions.%d.member.", i+1)
		name, typ := d.str(&list[i], "AttributeName"), d.str(&list[i], "AttributeType")
		c.present(name.ok, at+"attributeName")
		c.present(typ.ok, at+"attributeType")
		c.enum(typ, at+"attributeType", enumAttribute)
		s.attrDefs = append(s.attrDefs, keyDef{name.s, kindNamed(typ.s)})
	}
	s.throughput = d.throughput(c, n, "")
	if yes, ok := d.flag(n, "DeletionProtectionEnabled"); ok {
		s.protect = &yes
	}
	s.stream, s.sse = d.object(n, "StreamSpecification"), d.object(n, "SSESpecification")
	return s
}

func (d *decoder) throughput(c *constraints, n *node, at string) *throughput {
	o := d.object(n, "ProvisionedThroughput")
	if o == nil {
		return nil
	}
	read, write := d.int(o, "ReadCapacityUnits"), d.int(o, "WriteCapacityUnits")
	c.present(write.ok, at+"provisionedThroughput.writeCapacityUnits")
	c.atLeast(write, 1, at+"provisionedThroughput.writeCapacityUnits")
	c.present(read.ok, at+"provisionedThroughput.readCapacityUnits")
	c.atLeast(read, 1, at+"provisionedThroughput.readCapacityUnits")
	return &throughput{read.n, write.n}
}

func (d *decoder) keySchema(c *constraints, n *node, at string) []keyElement {
	list, ok := d.list(n, "KeySchema")
	c.present(ok, at+"keySchema")
	if ok && len(list) == 0 {
		c.add("'[]'", at+"keySchema", "Member must have length greater than or equal to 1")
	}
	out := make([]keyElement, 0, len(list))
	for i := range list {
		where := fmt.Sprintf("%skeySchema.%d.member.", at, i+1)
		name, typ := d.str(&list[i], "AttributeName"), d.str(&list[i], "KeyType")
		c.present(name.ok, where+"attributeName")
		c.present(typ.ok, where+"keyType")
		c.enum(typ, where+"keyType", enumKeyType)
		out = append(out, keyElement{name.s, typ.s})
	}
	if len(out) > 2 {
		shown := make([]string, len(out))
		for i, k := range out {
			shown[i] = fmt.Sprintf("KeySchemaElement(attributeName=%s, keyType=%s)", k.name, k.keyType)
		}
		c.add("'["+strings.Join(shown, ", ")+"]'", at+"keySchema", "Member must have length less than or equal to 2")
	}
	return out
}

func (d *decoder) indexSpec(c *constraints, n *node, at string, global bool) *indexSpec {
	name := d.str(n, "IndexName")
	c.present(name.ok, at+"indexName")
	if name.ok && (len(name.s) < 3 || len(name.s) > 255) {
		c.add(quoted(name.s), at+"indexName", "Member must have length between 3 and 255")
	} else if !isName(name.s) {
		c.add(quoted(name.s), at+"indexName", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	s := &indexSpec{name: name.s, global: global, keys: d.keySchema(c, n, at)}
	p := d.object(n, "Projection")
	c.present(p != nil, at+"projection")
	s.project = d.str(p, "ProjectionType")
	c.enum(s.project, at+"projection.projectionType", enumProjection)
	include, ok := d.strings(p, "NonKeyAttributes")
	if ok && len(include) == 0 {
		c.add("'[]'", at+"projection.nonKeyAttributes", "Member must have length greater than or equal to 1")
	}
	s.include = include
	if global {
		s.throughput = d.throughput(c, n, at)
	}
	return s
}

func (d *decoder) indexSpecs(c *constraints, n *node, name string, global bool) ([]*indexSpec, bool) {
	list, ok := d.list(n, name)
	var out []*indexSpec
	for i := range list {
		at := fmt.Sprintf("%s%s.%d.member.", strings.ToLower(name[:1]), name[1:], i+1)
		out = append(out, d.indexSpec(c, d.asObject(&list[i]), at, global))
	}
	return out, ok
}

// checkBilling checks billing mode and throughput together.
func (s *tableSpec) checkBilling() *awserr.Error {
	if s.billing.s == "PAY_PER_REQUEST" {
		if s.throughput != nil {
			return invalid(badParameters + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
		return nil
	}
	if s.throughput == nil {
		return invalid(badParameters + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	return s.throughput.check()
}

func (t *throughput) check() *awserr.Error {
	const most = 1_000_000_000_000
	if t.read > most {
		return invalid("Given value %d for ReadCapacityUnits is out of bounds", t.read)
	}
	if t.write > most {
		return invalid("Given value %d for WriteCapacityUnits is out of bounds", t.write)
	}
	return nil
}

// resolveKeys turns a key schema into keys, with the types that defs give.
func resolveKeys(schema []keyElement, defs []keyDef) (keys, *awserr.Error) {
	var k keys
	kindOf := func(name string) kind {
		for _, d := range defs {
			if d.name == name {
				return d.kind
			}
		}
		return kindNone
	}
	for _, e := range schema {
		if kindOf(e.name) == kindNone {
			return k, invalid(badParameters+"Some index key attributes are not defined in AttributeDefinitions. "+
				"Keys: [%s], AttributeDefinitions: [%s]", joinNames(schema), joinDefs(defs))
		}
	}
	switch {
	case len(schema) == 2 && schema[0].name == schema[1].name:
		return k, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case schema[0].keyType != "HASH":
		return k, invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(schema) == 2 && schema[1].keyType != "RANGE":
		return k, invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	k.hash = keyDef{schema[0].name, kindOf(schema[0].name)}
	if len(schema) == 2 {
		k.rng = keyDef{schema[1].name, kindOf(schema[1].name)}
	}
	return k, nil
}

func joinNames(schema []keyElement) string {
	out := make([]string, len(schema))
	for i, e := range schema {
		out[i] = e.name
	}
	return strings.Join(out, ", ")
}

func joinDefs(defs []keyDef) string {
	out := make([]string, len(defs))
	for i, d := range defs {
		out[i] = d.name
	}
	return strings.Join(out, ", ")
}

// resolve checks an index against its table and makes it.
func (s *indexSpec) resolve(base keys, defs []keyDef, onDemand bool) (*index, *awserr.Error) {
	k, err := resolveKeys(s.keys, defs)
	if err != nil {
		return nil, err
	}
	switch {
	case !s.global && k.rng.name == "":
		return nil, invalid(badParameters+"Index KeySchema does not have a range key for index: %s", s.name)
	case !s.global && k.hash.name != base.hash.name:
		return nil, invalid(badParameters+"Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. "+
			"index hash key: %s, table hash key: %s", s.name, k.hash.name, base.hash.name)
	case !s.project.ok:
		return nil, invalid(badParameters + "Unknown ProjectionType: null")
	case s.include != nil && s.project.s != "INCLUDE":
		return nil, invalid(badParameters+"ProjectionType is %s, but NonKeyAttributes is specified", s.project.s)
	case s.include == nil && s.project.s == "INCLUDE":
		return nil, invalid(badParameters + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case s.global && onDemand && s.throughput != nil:
		return nil, invalid(badParameters+"ProvisionedThroughput should not be specified for index: %s when BillingMode is PAY_PER_REQUEST", s.name)
	case s.global && !onDemand && s.throughput == nil:
		return nil, invalid(badParameters+"ProvisionedThroughput must be specified for index: %s", s.name)
	}
	x := &index{name: s.name, global: s.global, keys: k, project: s.project.s, include: s.include}
	if s.throughput != nil {
		x.throughput = *s.throughput
	}
	return x, nil
}

// checkDefs rejects attribute definitions that no key uses.
func (t *table) checkDefs(withIndexes bool) *awserr.Error {
	used := t.usedKeys()
	if !withIndexes && len(used) != len(t.attrDefs) {
		return invalid(badParameters + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	for _, d := range t.attrDefs {
		if !slices.Contains(used, d.name) {
			return invalid(badParameters+"Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
				joinDefs(t.attrDefs), strings.Join(used, ", "))
		}
	}
	return nil
}

// usedKeys is the names of all key attributes of the table and its indexes.
func (t *table) usedKeys() []string {
	var out []string
	add := func(d keyDef) {
		if !slices.Contains(out, d.name) {
			out = append(out, d.name)
		}
	}
	t.keys.each(add)
	for _, x := range t.indexes {
		x.keys.each(add)
	}
	return out
}

func (x *index) statusAt(now time.Time) string {
	if now.Before(x.activeAt) {
		return "CREATING"
	}
	return "ACTIVE"
}
