package dynamo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

// constraints gathers what the service model forbids. DynamoDB reports up to ten such errors in one message, before it
// looks at anything else.
type constraints struct {
	found []string
}

func (c *constraints) add(value, at, rule string) {
	if len(c.found) < 10 {
		c.found = append(c.found, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, at, rule))
	}
}

func quoted(s string) string { return "'" + s + "'" }

func (c *constraints) err() error {
	if len(c.found) == 0 {
		return nil
	}
	plural := "s"
	if len(c.found) == 1 {
		plural = ""
	}
	return invalid("%d validation error%s detected: %s", len(c.found), plural, strings.Join(c.found, "; "))
}

// enum checks an optional string; set is the list as AWS prints it.
func (c *constraints) enum(t text, at, set string) {
	if t.ok && !slices.Contains(strings.Split(set, ", "), t.s) {
		c.add(quoted(t.s), at, "Member must satisfy enum value set: ["+set+"]")
	}
}

func (c *constraints) present(ok bool, at string) {
	if !ok {
		c.add("null", at, "Member must not be null")
	}
}

func (c *constraints) atLeast(n integer, least int64, at string) {
	if n.ok && n.n < least {
		c.add(fmt.Sprintf("'%d'", n.n), at, fmt.Sprintf("Member must have value greater than or equal to %d", least))
	}
}

// The enumerations of the service model, in the order AWS prints them.
const (
	enumCapacity   = "INDEXES, TOTAL, NONE"
	enumMetrics    = "SIZE, NONE"
	enumReturn     = "ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW"
	enumOnFailure  = "ALL_OLD, NONE"
	enumSelect     = "SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES"
	enumComparison = "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS"
	enumOperator   = "OR, AND"
	enumAction     = "ADD, PUT, DELETE"
	enumKeyType    = "HASH, RANGE"
	enumAttribute  = "B, N, S"
	enumProjection = "ALL, INCLUDE, KEYS_ONLY"
	enumBilling    = "PROVISIONED, PAY_PER_REQUEST"
	enumClass      = "STANDARD, STANDARD_INFREQUENT_ACCESS"
)

// checkName checks a table's or an index's name against the model; least is 1 where the API takes an ARN as well.
func checkName(t text, at string, least int) *awserr.Error {
	rule := ""
	switch {
	case !t.ok:
		return invalid("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", at)
	case len(t.s) < least:
		rule = fmt.Sprintf("Member must have length greater than or equal to %d", least)
	case len(t.s) > 255 && !isARN(t.s):
		rule = "Member must have length less than or equal to 255"
	case !isName(t.s) && !isARN(t.s):
		rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
	default:
		return nil
	}
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", t.s, at, rule)
}

func isName(s string) bool {
	return run(s, func(c byte) bool { return isWordByte(c) || c == '.' || c == '-' }) == len(s)
}

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") && strings.Contains(s, ":table/") }

// tableOfARN returns the table's name in an ARN, or s itself.
func tableOfARN(s string) string {
	if !isARN(s) {
		return s
	}
	_, name, _ := strings.Cut(s, ":table/")
	name, _, _ = strings.Cut(name, "/")
	return name
}
