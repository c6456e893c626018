package fleettest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// Row is an item of the lease table, its attributes as DynamoDB's text: numbers are decimal, sets and others are JSON.
type Row map[string]string

// Owner is who may renew and checkpoint the lease: during a handoff the old owner.
func (r Row) Owner() string {
	if o := r["checkpointOwner"]; o != "" {
		return o
	}
	return r["leaseOwner"]
}

// isLease reports whether the row is that of a shard.
func (r Row) isLease() bool { return r["leaseCounter"] != "" }

func (r Row) checkpoint() stream.Position {
	sub, _ := strconv.ParseInt(r["checkpointSubSequenceNumber"], 10, 64)
	return stream.Position{Sequence: stream.SequenceNumber(r["checkpoint"]), Sub: sub}
}

// Move is one change of a lease's owner, or of the leader.
type Move struct {
	At       time.Time
	Key      string
	By       string // who wrote it
	Kind     string // handoff, handed over, assigned, passed on, released, taken; leads, resigns
	From, To string
}

// String is one line of a log.
func (m Move) String() string {
	return fmt.Sprintf("%s %-10s %s: %s -> %s by %s", m.At.Format("15:04:05.000"), m.Kind, m.Key, m.From, m.To, m.By)
}

// watch stands between the workers and the server, lets writes to DynamoDB through one at a time, and judges each.
type watch struct {
	server http.Handler
	direct *http.Client

	turn sync.Mutex // held around each write

	// hideItems takes the row out of the answer to a failed condition in the legacy form: nobody knows whether DynamoDB
	// sends it there, although the Java KCL asks for it.
	hideItems bool

	mu sync.Mutex
	// leaders is the owner of each table's lock.
	leaders map[string]string
	moves   []Move
	faults  []string
	writes  map[string]int // that succeeded, by worker
}

func newWatch(s *local.Server) *watch {
	return &watch{server: s, direct: s.HTTPClient(), leaders: map[string]string{}, writes: map[string]int{}}
}

const dynamoTarget = "DynamoDB_20120810."

// ServeHTTP implements [http.Handler].
func (w *watch) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.Header.Get("X-Amz-Target"), dynamoTarget) {
	case "PutItem", "UpdateItem", "DeleteItem":
	default:
		w.server.ServeHTTP(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var named struct {
		TableName string
		Key, Item map[string]map[string]json.RawMessage
		Expected  json.RawMessage
	}
	if err := json.Unmarshal(body, &named); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	if named.Key == nil {
		named.Key = map[string]map[string]json.RawMessage{}
	}
	for _, name := range []string{"leaseKey", "key", "wid"} {
		if v, ok := named.Item[name]; ok {
			named.Key[name] = v
			break
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	w.turn.Lock()
	before := w.get(named.TableName, named.Key)
	w.server.ServeHTTP(rec, r)
	if rec.Code == http.StatusOK {
		w.judge(named.TableName, caller(r.Header), before, w.get(named.TableName, named.Key))
	}
	w.turn.Unlock()
	answer := rec.Body.Bytes()
	if w.hideItems && rec.Code == http.StatusBadRequest && len(named.Expected) > 0 {
		answer = withoutItem(answer)
		rec.Header().Del("X-Amz-Crc32")
		rec.Header().Del("Content-Length")
	}
	maps.Copy(rw.Header(), rec.Header())
	rw.WriteHeader(rec.Code)
	_, _ = rw.Write(answer) // the worker may have been killed
}

func withoutItem(answer []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(answer, &fields) != nil || fields["Item"] == nil {
		return answer
	}
	delete(fields, "Item")
	out, err := json.Marshal(fields)
	if err != nil {
		return answer
	}
	return out
}

// get reads one row; nil if there is none.
func (w *watch) get(table string, key map[string]map[string]json.RawMessage) Row {
	if len(key) != 1 {
		return nil
	}
	var out struct {
		Item map[string]map[string]json.RawMessage
	}
	in := map[string]any{"TableName": table, "Key": key, "ConsistentRead": true}
	if err := w.call(context.Background(), "GetItem", in, &out); err != nil || len(out.Item) == 0 {
		return nil
	}
	return rowOf(out.Item)
}

func rowOf(item map[string]map[string]json.RawMessage) Row {
	row := Row{}
	for name, value := range item {
		for _, raw := range value { // of one type
			var text string
			if json.Unmarshal(raw, &text) != nil {
				text = string(raw)
			}
			row[name] = text
		}
	}
	return row
}

func (w *watch) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dynamodb/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Target", dynamoTarget+operation)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	resp, err := w.direct.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s: %s", operation, resp.Status, text)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// scan reads a whole table.
func (w *watch) scan(ctx context.Context, table string) ([]Row, error) {
	var rows []Row
	in := map[string]any{"TableName": table, "ConsistentRead": true}
	for {
		var out struct {
			Items            []map[string]map[string]json.RawMessage
			LastEvaluatedKey map[string]any
		}
		if err := w.call(ctx, "Scan", in, &out); err != nil {
			return nil, err
		}
		for _, item := range out.Items {
			rows = append(rows, rowOf(item))
		}
		if len(out.LastEvaluatedKey) == 0 {
			return rows, nil
		}
		in["ExclusiveStartKey"] = out.LastEvaluatedKey
	}
}

// caller is the name that a worker gives itself in its requests: by header, or as the SDK's application id.
func caller(h http.Header) string {
	if name := h.Get(local.CallerHeader); name != "" {
		return name
	}
	for word := range strings.FieldsSeq(h.Get("User-Agent")) {
		if id, ok := strings.CutPrefix(word, "app/"); ok {
			return id
		}
	}
	return ""
}

// judge enters what a write that succeeded did.
func (w *watch) judge(table, by string, before, after Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes[by]++
	if before["leaseKey"]+before["key"]+after["leaseKey"]+after["key"] == "" {
		return
	}
	if before.lockName() || after.lockName() {
		w.judgeLockLocked(table, by, before, after)
		return
	}
	if !before.isLease() && !after.isLease() {
		return
	}
	key := before["leaseKey"]
	if key == "" {
		key = after["leaseKey"]
	}
	switch {
	case before == nil:
		if o := after.Owner(); o != "" {
			w.faultLocked("%s creates %s for %s", by, key, o)
		}
	case after == nil:
		if before["checkpoint"] != string(stream.ShardEnd.Sequence) {
			w.faultLocked("%s deletes %s at %s", by, key, before["checkpoint"])
		}
	default:
		w.judgeProgressLocked(key, by, before, after)
		w.judgeOwnerLocked(table, key, by, before, after)
	}
}

func (r Row) lockName() bool { return r["leaseKey"] == "Leader" || r["key"] == "Leader" }

func (w *watch) judgeLockLocked(table, by string, before, after Row) {
	was, is := before["ownerName"], after["ownerName"]
	switch {
	case is == "":
		delete(w.leaders, table)
		w.moveLocked(Move{Key: "Leader", By: by, Kind: "resigns", From: was})
	case was != is:
		w.leaders[table] = is
		w.moveLocked(Move{Key: "Leader", By: by, Kind: "leads", From: was, To: is})
	}
	if is != "" && by != is || is == "" && by != was {
		w.faultLocked("%s writes the lock of %s (before: %s)", by, is, was)
	}
}

// judgeProgressLocked holds a write to the rule that only the owner checkpoints, forwards.
func (w *watch) judgeProgressLocked(key, by string, before, after Row) {
	c, d := counter(before), counter(after)
	if d != c && d != c+1 {
		w.faultLocked("%s moves the counter of %s from %d to %d", by, key, c, d)
	}
	at, to := before.checkpoint(), after.checkpoint()
	if at == to && before["pendingCheckpoint"] == after["pendingCheckpoint"] {
		return
	}
	if by != before.Owner() {
		w.faultLocked("%s checkpoints %s, whose owner is %s", by, key, before.Owner())
	}
	if to.Compare(at) < 0 {
		w.faultLocked("%s moves the checkpoint of %s back from %v to %v", by, key, at, to)
	}
}

func counter(r Row) int64 {
	n, err := strconv.ParseInt(r["leaseCounter"], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// judgeOwnerLocked names the change of owner and holds it to who may make it.
func (w *watch) judgeOwnerLocked(table, key, by string, before, after Row) {
	m := Move{Key: key, By: by, From: before.Owner(), To: after["leaseOwner"]}
	wasMoving, isMoving := before["checkpointOwner"] != "", after["checkpointOwner"] != ""
	leader := w.leads(table, by)
	switch {
	case before["leaseOwner"] == after["leaseOwner"] && wasMoving == isMoving:
		if counter(before) != counter(after) && by != before.Owner() && !leader {
			w.faultLocked("%s renews %s, whose owner is %s", by, key, before.Owner())
		}
		return
	case !wasMoving && isMoving:
		m.Kind = "handoff"
		if !leader {
			w.faultLocked("%s, which does not lead, begins the handoff %v", by, m)
		}
		if after["checkpointOwner"] != before["leaseOwner"] {
			w.faultLocked("%s begins a handoff of %s from %s to %s, but it was owned by %s",
				by, key, after["checkpointOwner"], after["leaseOwner"], before["leaseOwner"])
		}
	case wasMoving && !isMoving && by == before["checkpointOwner"]:
		m.Kind = "handed over"
	case after["leaseOwner"] == "":
		m.Kind = "released"
		if by != before.Owner() {
			w.faultLocked("%s releases %s, whose owner is %s", by, key, m.From)
		}
	case leader:
		m.Kind = "assigned"
	case by == before.Owner():
		m.Kind = "passed on"
	case m.From == "" && m.To == by:
		m.Kind = "taken"
	default:
		m.Kind = "stolen"
		w.faultLocked("%s, which does not lead, moves a lease: %v", by, m)
	}
	w.moveLocked(m)
}

// leads reports whether a worker holds the lock of the table, or of the table that older versions keep it in.
func (w *watch) leads(table, id string) bool {
	for name, leader := range w.leaders {
		if leader == id && (name == table || strings.HasPrefix(name, table)) {
			return true
		}
	}
	return false
}

func (w *watch) moveLocked(m Move) {
	m.At = time.Now()
	w.moves = append(w.moves, m)
}

func (w *watch) faultLocked(format string, args ...any) {
	w.faults = append(w.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// snapshot returns what was seen so far.
func (w *watch) snapshot() (moves []Move, faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.moves), slices.Clone(w.faults)
}
