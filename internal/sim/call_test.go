package sim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	dynamo  = "DynamoDB"
	streams = "Kinesis"
)

// call is one request as it is on the wire.
type call struct {
	service, operation string
	body               []byte
	row                *rowCall // of a request about one item; nil otherwise
	began              time.Time
}

// rowCall is what a DynamoDB request says about one item.
type rowCall struct {
	TableName                 string
	Key, Item                 item
	UpdateExpression          string
	ConditionExpression       string
	ExpressionAttributeValues item
}

// item is a row as it is on the wire.
type item map[string]attr

// attr is one attribute value; exactly one field is set.
type attr struct {
	S    *string  `json:",omitempty"`
	N    *string  `json:",omitempty"`
	B    *string  `json:",omitempty"`
	SS   []string `json:",omitempty"`
	M    item     `json:",omitempty"`
	L    []attr   `json:",omitempty"`
	BOOL *bool    `json:",omitempty"`
	NULL *bool    `json:",omitempty"`
}

func newCall(target string, body []byte) *call {
	service, operation, _ := strings.Cut(target, ".")
	service, _, _ = strings.Cut(service, "_")
	c := &call{service: service, operation: operation, body: body, began: time.Now()}
	switch operation {
	case "GetItem", "PutItem", "UpdateItem", "DeleteItem":
		c.row = &rowCall{}
		if err := json.Unmarshal(body, c.row); err != nil {
			panic(fmt.Sprintf("sim: %s: %v", operation, err))
		}
	}
	return c
}

func (c *call) String() string {
	if c.row == nil {
		return c.operation
	}
	return fmt.Sprintf("%s %s %s", c.operation, c.row.key(), c.row.UpdateExpression)
}

// key returns the key of the item in the lease table.
func (c *rowCall) key() string {
	for _, it := range []item{c.Key, c.Item} {
		if k := it["leaseKey"].S; k != nil {
			return *k
		}
	}
	return ""
}

// writes reports whether the call changes an item.
func (c *call) writes() bool { return c.row != nil && c.operation != "GetItem" }

func (c *rowCall) text(placeholder string) string {
	if s := c.ExpressionAttributeValues[placeholder].S; s != nil {
		return *s
	}
	return ""
}

// The writes at the end of a shard, in their order (spec lease-coordination.md section 9.6).
func (c *call) createsChild() bool {
	return c.operation == "PutItem" && c.row.Item["parentShardId"].SS != nil
}
func (c *call) storesChildren() bool {
	return c.operation == "UpdateItem" && strings.HasPrefix(c.row.UpdateExpression, "SET childShardIds")
}
func (c *call) endsShard() bool {
	return c.operation == "UpdateItem" && c.row.text(":p") == "SHARD_END"
}

// ambush is a worker's death at one of the writes at the end of a shard.
type ambush struct {
	at   int // which write
	fate fate
}

func (a *ambush) matches(c *call) bool {
	return []func() bool{c.createsChild, c.storesChildren, c.endsShard}[a.at]()
}

func (a *ambush) String() string {
	return []string{"children created", "children stored", "end stored"}[a.at] + map[fate]string{diesBefore: ", before", diesAfter: ", after"}[a.fate]
}

// A report says when it was made by its author's clock, in seconds: as a value of the request, and as attributes of the row.
var (
	sentTime = regexp.MustCompile(`(":t":\{"N":")(\d+)(")`)
	rowTime  = regexp.MustCompile(`("(?:lut|slu)":\{"N":")(\d+)(")`)
)

// shiftRequest and shiftResponse turn the times in a machine's requests, and in the answers to it, as if its clock were off.
func shiftRequest(c *call, by time.Duration) []byte {
	if c.service == dynamo && c.writes() && bytes.Contains(c.body, []byte("lut")) {
		return shift(sentTime, c.body, by)
	}
	return c.body
}

func shiftResponse(c *call, resp *http.Response, by time.Duration) (*http.Response, error) {
	if c.service != dynamo {
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	body = shift(rowTime, body, by)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	resp.Header.Del("X-Amz-Crc32")
	return resp, nil
}

func shift(times *regexp.Regexp, body []byte, by time.Duration) []byte {
	return times.ReplaceAllFunc(body, func(m []byte) []byte {
		parts := times.FindSubmatch(m)
		n, _ := strconv.ParseInt(string(parts[2]), 10, 64)
		return fmt.Appendf(nil, "%s%d%s", parts[1], n+int64(by/time.Second), parts[3])
	})
}
