package dynamo

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

func invalid(format string, args ...any) *awserr.Error {
	return awserr.New("ValidationException", format, args...)
}

// decoder turns nodes into the members of a request. The first wrong JSON type is kept in err, so that a request is
// read to its end without a check per member.
type decoder struct {
	err *awserr.Error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = serialization(format, args...)
	}
}

// result is err as an error, nil if nothing went wrong.
func (d *decoder) result() error {
	if d.err == nil {
		return nil
	}
	return d.err
}

// text is an optional string; absent and empty differ in DynamoDB's messages.
type text struct {
	s  string
	ok bool
}

func (d *decoder) str(n *node, name string) text {
	k := n.get(name)
	if k == nil {
		return text{}
	}
	return text{d.toString(k), true}
}

func (d *decoder) toString(k *node) string {
	switch k.kind {
	case isString:
		return k.text
	case isNumber:
		d.fail("NUMBER_VALUE cannot be converted to String")
	case isBool:
		d.fail("%s_VALUE cannot be converted to String", strings.ToUpper(strconv.FormatBool(k.yes)))
	case isArray:
		d.fail("Unrecognized collection type class java.lang.String")
	case isObject:
		d.fail("Start of structure or map found where not expected")
	}
	return ""
}

// flag reads an optional boolean.
func (d *decoder) flag(n *node, name string) (yes, ok bool) {
	k := n.get(name)
	if k == nil {
		return false, false
	}
	switch k.kind {
	case isBool:
		return k.yes, true
	case isString:
		if yes, err := strconv.ParseBool(k.text); err == nil {
			return yes, true
		}
		d.fail("Unexpected token received from parser")
	case isNumber:
		d.fail("NUMBER_VALUE cannot be converted to Boolean")
	default:
		d.fail("Start of structure or map found where not expected")
	}
	return false, false
}

// integer is an optional whole number.
type integer struct {
	n  int64
	ok bool
}

func (d *decoder) int(n *node, name string) integer {
	k := n.get(name)
	if k == nil {
		return integer{}
	}
	if k.kind != isNumber {
		d.fail("%s cannot be converted to Integer", [...]string{"", "TRUE_VALUE", "", "STRING_VALUE", "Collection", "Structure"}[k.kind])
		return integer{}
	}
	i, err := strconv.ParseInt(k.text, 10, 64)
	if err != nil {
		f, _ := strconv.ParseFloat(k.text, 64)
		i = int64(f)
	}
	return integer{i, true}
}

// list returns the elements of an optional array; ok says whether it was there.
func (d *decoder) list(n *node, name string) (kids []node, ok bool) {
	k := n.get(name)
	if k == nil {
		return nil, false
	}
	if k.kind == isObject {
		d.fail("Start of structure or map found where not expected")
	} else if k.kind != isArray {
		d.fail("Unexpected field type")
	}
	return k.kids, true
}

// object returns an optional object.
func (d *decoder) object(n *node, name string) *node {
	k := n.get(name)
	if k == nil {
		return nil
	}
	return d.asObject(k)
}

func (d *decoder) asObject(k *node) *node {
	if k.kind == isArray {
		d.fail("Unrecognized collection type java.util.Map")
	} else if k.kind != isObject {
		d.fail("Unexpected field type")
	}
	return k
}

func (d *decoder) strings(n *node, name string) (out []string, ok bool) {
	kids, ok := d.list(n, name)
	for i := range kids {
		out = append(out, d.toString(&kids[i]))
	}
	return out, ok
}

func (d *decoder) blob(k *node) string {
	if k.kind != isString {
		d.fail("only base-64-encoded strings are convertible to bytes")
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(k.text)
	if err != nil {
		if len(k.text)%4 != 0 {
			d.fail("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(k.text))
		} else {
			d.fail("Invalid last non-pad Base64 character dectected") // sic
		}
	}
	return string(raw)
}

// attrs reads a map of attribute values. The error is a ValidationException for content that is well-formed JSON and
// no attribute value; a wrong JSON type goes to d.err as everywhere.
func (d *decoder) attrs(n *node) (item, *awserr.Error) { return d.members(n, 1) }

func (d *decoder) members(n *node, depth int) (item, *awserr.Error) {
	out := make(item, 0, len(n.kids)+2)
	for i := range n.kids {
		k := &n.kids[i]
		if k.kind == isNull {
			continue
		}
		v, err := d.value(k, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, attr{k.name, v})
	}
	out = sorted(out)
	for i := 1; i < len(out); i++ {
		if out[i].name == out[i-1].name { // a member given twice: the last one counts
			out = slices.Delete(out, i-1, i)
			i--
		}
	}
	return out, nil
}

// maxNesting is the depth DynamoDB allows for lists and maps ("Service, account, and table quotas").
const maxNesting = 32

func (d *decoder) value(n *node, depth int) (value, *awserr.Error) {
	if n.kind != isObject {
		if n.kind == isArray {
			d.fail("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue")
		} else {
			d.fail("Unexpected value type in payload")
		}
		return value{}, nil
	}
	if depth > maxNesting+1 {
		return value{}, invalid("Nesting Levels have exceeded supported limits")
	}
	var v value
	types := 0
	for i := range n.kids {
		k := &n.kids[i]
		kind := kindNamed(k.name)
		if k.kind == isNull || kind == kindNone {
			continue
		}
		types++
		got, err := d.typed(k, kind, depth)
		if err != nil {
			return value{}, err
		}
		v = got
	}
	switch {
	case d.err != nil:
		return value{}, nil
	case types == 0:
		return value{}, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	case types > 1:
		return value{}, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	return v, nil
}

func (d *decoder) typed(k *node, kind kind, depth int) (value, *awserr.Error) {
	v := value{kind: kind}
	switch kind {
	case kindS:
		v.text = d.toString(k)
	case kindB:
		v.text = d.blob(k)
	case kindN:
		s := d.toString(k)
		if d.err != nil {
			return v, nil
		}
		plain, err := plainNumber(s)
		if err != nil {
			return v, invalid("%s", err.Error())
		}
		v.text = plain
	case kindBOOL, kindNULL:
		if k.kind != isBool {
			d.fail("Unexpected token received from parser")
		}
		v.yes = k.yes
		if kind == kindNULL && !k.yes {
			return v, invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
	case kindL:
		return d.listValue(k, depth)
	case kindM:
		return d.mapValue(k, depth)
	default:
		return d.setValue(k, kind)
	}
	return v, nil
}

func (d *decoder) listValue(k *node, depth int) (value, *awserr.Error) {
	v := value{kind: kindL}
	if k.kind != isArray {
		d.fail("Unexpected field type")
		return v, nil
	}
	v.list = make([]value, 0, len(k.kids))
	for i := range k.kids {
		e, err := d.value(&k.kids[i], depth+1)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, e)
	}
	return v, nil
}

func (d *decoder) mapValue(k *node, depth int) (value, *awserr.Error) {
	v := value{kind: kindM}
	if d.asObject(k); k.kind != isObject {
		return v, nil
	}
	attrs, err := d.members(k, depth+1)
	v.attrs = attrs
	return v, err
}

func (d *decoder) setValue(k *node, kind kind) (value, *awserr.Error) {
	v := value{kind: kind}
	if k.kind != isArray {
		d.fail("Unexpected field type")
		return v, nil
	}
	if len(k.kids) == 0 {
		return v, invalid("One or more parameter values were invalid: %s", map[string]string{
			// Both the article and the two blanks are AWS's.
			"SS": "An string set  may not be empty", "NS": "An number set  may not be empty", "BS": "Binary sets should not be empty",
		}[kind.String()])
	}
	for i := range k.kids {
		e, err := d.typed(&k.kids[i], kind.element(), 0)
		if err != nil || d.err != nil {
			return v, err
		}
		v.set = append(v.set, e.text)
	}
	if !hasDuplicate(v.set) {
		return v, nil
	}
	given := make([]string, len(k.kids))
	for i := range k.kids {
		given[i] = k.kids[i].text
	}
	switch list := "[" + strings.Join(given, ", ") + "]"; kind {
	case kindSS:
		return v, invalid("One or more parameter values were invalid: Input collection %s contains duplicates.", list)
	case kindBS:
		return v, invalid("One or more parameter values were invalid: Input collection %sof type BS contains duplicates.", list)
	}
	return v, invalid("Input collection contains duplicates")
}

func hasDuplicate(s []string) bool {
	if len(s) > 64 {
		seen := make(map[string]bool, len(s))
		for _, e := range s {
			if seen[e] {
				return true
			}
			seen[e] = true
		}
		return false
	}
	for i := range s {
		if slices.Contains(s[i+1:], s[i]) {
			return true
		}
	}
	return false
}
