package operate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Step is one row that a plan changes.
type Step struct {
	Key      string          `json:"key"`
	Shard    stream.ShardID  `json:"shard"`
	From     stream.Position `json:"-"` // the zero Position: there is no row, because the shard was finished and cleaned up, or never begun
	To       stream.Position `json:"-"`
	Worker   string          `json:"worker,omitempty"` // loses the lease
	Why      string          `json:"why,omitempty"`    // where it is not what was asked for
	row      lease.Lease     // as it is; the one to create if there is none
	finished bool            // the row is ended, or there is none
	open     bool            // records are still put into the shard
}

// Creates reports whether the row does not exist yet.
func (s Step) Creates() bool { return s.From.IsZero() }

// Skips reports whether the step passes over records that are not checkpointed.
func (s Step) Skips() bool {
	begun := s.From.IsNumber() || s.From == stream.TrimHorizon
	return s.To == stream.Latest && s.From != stream.Latest || s.To.Compare(s.From) > 0 && begun && (s.To.IsNumber() || s.To == stream.ShardEnd)
}

// Plan is what is to be written, in this order, and what is left as it is.
type Plan struct {
	Steps []Step
	Left  []Left
}

// Place is where a shard is to be read on from.
type Place struct {
	To   stream.Position
	Why  string // a remark, such as that the place is earlier than asked for
	Past bool   // nothing of the shard lies behind the place: a shard that is finished stays so
}

// Rewind is what [PlanRewind] plans from.
type Rewind struct {
	StreamID string          // of the rows; empty in a table of one stream
	Leases   []lease.Lease   // of all streams
	Shards   []lineage.Shard // all that Kinesis lists
	// Chosen are the shards to rewind; empty: all.
	Chosen []stream.ShardID
	// Places says where each chosen shard is to be read from; shards that are not in it are left alone.
	Places map[stream.ShardID]Place
}

// ErrOtherStream says that the rows are of another stream than the shards.
var ErrOtherStream = errors.New("the leases are not of this stream")

// PlanRewind returns what takes the chosen shards back, or forward, to their places.
//
// A shard that is finished and is to be read again takes its descendants with it, to their beginning. Rows that were cleaned up
// are made anew, so that shards are again waited for. Steps are in the order of writing: parents before children.
func PlanRewind(in Rewind) (Plan, error) {
	f, err := newFamily(in)
	if err != nil {
		return Plan{}, err
	}
	chosen := in.Chosen
	if len(chosen) == 0 {
		chosen = f.order
	}
	for _, id := range chosen {
		if !f.knows(id) {
			return Plan{}, fmt.Errorf("there is no shard %s, neither in the stream nor in the table", id)
		}
	}
	var p Plan
	again := map[stream.ShardID]bool{} // shards whose children must begin anew
	for _, id := range f.order {
		var step *Step
		if slices.Contains(chosen, id) {
			var why string
			if step, why = f.choose(id, in.Places); step == nil && why != "" {
				p.Left = append(p.Left, Left{lineage.Key(in.StreamID, id), why})
			}
		}
		if parent, forced := f.reopened(id, again); forced {
			if step, err = f.follow(id, parent, step != nil); err != nil {
				return Plan{}, err
			}
			if step != nil {
				p.Left = slices.DeleteFunc(p.Left, func(l Left) bool { return l.Key == step.Key })
			}
		}
		if step == nil {
			continue
		}
		if step.To != stream.Latest && step.To != stream.ShardEnd && (step.finished || step.To.Compare(step.From) < 0) {
			again[id] = true
		}
		p.Steps = append(p.Steps, *step)
	}
	return p, nil
}

// family is the shards of one stream with their rows, and who descends from whom.
type family struct {
	streamID string
	rows     map[stream.ShardID]lease.Lease
	listed   map[stream.ShardID]lineage.Shard
	parents  map[stream.ShardID][]stream.ShardID
	order    []stream.ShardID // parents before children
}

func newFamily(in Rewind) (*family, error) {
	f := &family{streamID: in.StreamID, rows: map[stream.ShardID]lease.Lease{}, listed: map[stream.ShardID]lineage.Shard{},
		parents: map[stream.ShardID][]stream.ShardID{}}
	for _, l := range lineage.Of(in.StreamID, in.Leases) {
		f.rows[l.Shard] = l
		f.parents[l.Shard] = l.Parents
	}
	for _, s := range in.Shards {
		f.listed[s.ID] = s
		f.parents[s.ID] = s.Parents
		if row, ok := f.rows[s.ID]; ok {
			if err := sameShard(row, s); err != nil {
				return nil, err
			}
		}
	}
	f.sort()
	return f, nil
}

// sameShard refuses a row that cannot be of this shard: the ids of shards are the same in all streams.
func sameShard(row lease.Lease, s lineage.Shard) error {
	if row.HashKeys.IsKnown() && s.HashKeys.IsKnown() && row.HashKeys != s.HashKeys {
		return fmt.Errorf("%w: shard %s has the hash keys %s, but its lease says %s", ErrOtherStream, s.ID, s.HashKeys, row.HashKeys)
	}
	if row.Checkpoint.IsNumber() && s.Starting.IsNumber() && row.Checkpoint.Sequence.Compare(s.Starting) < 0 {
		return fmt.Errorf("%w: the checkpoint %s of shard %s lies before its first sequence number %s", ErrOtherStream, row.Checkpoint, s.ID, s.Starting)
	}
	return nil
}

// sort orders all shards, each after its parents, else by id.
func (f *family) sort() {
	ids := make([]stream.ShardID, 0, len(f.parents))
	for id := range f.parents {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b stream.ShardID) int { return cmp.Compare(a, b) })
	placed := map[stream.ShardID]bool{}
	var place func(id stream.ShardID)
	place = func(id stream.ShardID) {
		if placed[id] || !f.knows(id) {
			return
		}
		placed[id] = true // before its parents: a corrupted row that is its own ancestor ends here
		for _, p := range f.parents[id] {
			place(p)
		}
		f.order = append(f.order, id)
	}
	for _, id := range ids {
		place(id)
	}
}

func (f *family) knows(id stream.ShardID) bool {
	_, ok := f.parents[id]
	return ok
}

// step returns the step that takes a shard to a place.
func (f *family) step(id stream.ShardID, to stream.Position, why string) *Step {
	row, exists := f.rows[id]
	if !exists {
		row = lineage.NewLease(f.streamID, f.listed[id], to)
		return &Step{Key: row.Key, Shard: id, To: to, Why: why, row: row, finished: true, open: !f.listed[id].Closed}
	}
	return &Step{Key: row.Key, Shard: id, From: row.Checkpoint, To: to, Worker: row.Worker(), Why: why, row: row, finished: row.Ended()}
}

// choose returns the step of a chosen shard, or why it is left alone.
func (f *family) choose(id stream.ShardID, places map[stream.ShardID]Place) (*Step, string) {
	row, exists := f.rows[id]
	shard, listed := f.listed[id]
	place, known := places[id]
	finished := exists && row.Ended() || !exists && shard.Closed
	switch {
	case !listed:
		return nil, "Kinesis does not list the shard any more: its records are gone"
	case !known:
		return nil, ""
	case finished && (place.Past || place.To == stream.Latest):
		if !exists {
			return nil, "" // cleaned up long ago: nothing to say
		}
		return nil, "finished, and nothing of it lies behind that place"
	case exists && row.Checkpoint == place.To && row.Pending.IsZero():
		return nil, "is there already"
	}
	return f.step(id, place.To, place.Why), ""
}

// reopened returns a parent of the shard that is read again, if there is one.
func (f *family) reopened(id stream.ShardID, again map[stream.ShardID]bool) (parent stream.ShardID, yes bool) {
	for _, p := range f.parents[id] {
		if again[p] {
			return p, true
		}
	}
	return "", false
}

// follow returns the step that makes a shard begin anew after a parent that is read again; nil if it has not begun and will
// wait by itself. chosen says that a row is wanted in any case.
func (f *family) follow(id, parent stream.ShardID, chosen bool) (*Step, error) {
	row, exists := f.rows[id]
	waits := slices.ContainsFunc(f.parents[id], func(p stream.ShardID) bool { // that parent's end makes the row, or lets it begin
		parentRow, exists := f.rows[p]
		return exists && !parentRow.Ended()
	})
	switch {
	case !exists && waits && !chosen, exists && waits && row.Checkpoint == stream.TrimHorizon:
		return nil, nil
	case exists && !slices.Contains(row.Parents, parent):
		return nil, fmt.Errorf("the lease of %s does not name its parent %s (it names %q), so it would not wait for it: rewinding %s would reorder records",
			id, parent, row.Parents, parent)
	}
	return f.step(id, stream.TrimHorizon, "begins anew after its parent "+string(parent)), nil
}

// PlanSet returns what sets rows exactly as told, by lease key or shard id, without regard to their descendants: to undo a
// plan. Steps are in the order of writing: children before parents.
func PlanSet(in Rewind, set map[string]stream.Position) (Plan, error) {
	f, err := newFamily(in)
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	found := map[string]bool{}
	for _, id := range slices.Backward(f.order) {
		key := lineage.Key(in.StreamID, id)
		to, told := set[key]
		if !told {
			to, told = set[string(id)]
		}
		if !told {
			continue
		}
		found[key], found[string(id)] = true, true
		row, exists := f.rows[id]
		switch {
		case !exists:
			return Plan{}, fmt.Errorf("there is no lease of shard %s", id)
		case to == stream.ShardEnd && f.isOpen(id):
			return Plan{}, fmt.Errorf("shard %s is open: set to %s, what is put into it would never be read", id, to)
		case to == stream.ShardEnd && !f.childrenHaveRows(id):
			return Plan{}, fmt.Errorf("shard %s has children without a lease, which nobody would read if it were set to %s", id, to)
		case row.Checkpoint == to && row.Pending.IsZero():
			p.Left = append(p.Left, Left{key, "is there already"})
		default:
			p.Steps = append(p.Steps, *f.step(id, to, ""))
		}
	}
	for name := range set {
		if !found[name] {
			return Plan{}, fmt.Errorf("there is no lease of shard %s", name)
		}
	}
	return p, nil
}

func (f *family) isOpen(id stream.ShardID) bool {
	s, listed := f.listed[id]
	return listed && !s.Closed
}

func (f *family) childrenHaveRows(id stream.ShardID) bool {
	for child, parents := range f.parents {
		if _, has := f.rows[child]; !has && slices.Contains(parents, id) {
			return false
		}
	}
	return true
}

// Undo returns what is to be set to bring the rows of the steps back: the arguments of [PlanSet], as "shard=checkpoint", in the
// order in which to write. A row that was made is set to its end, and the leader cleans it up again; but one of an open shard
// that had none is left.
func Undo(steps []Step) []string {
	var set []string
	for _, s := range slices.Backward(steps) {
		from := s.From
		switch {
		case s.Creates() && s.open, s.From == s.To:
			continue
		case s.Creates():
			from = stream.ShardEnd
		}
		set = append(set, s.Key+"="+from.String())
	}
	return set
}

func compareKeys(a, b string) int { return strings.Compare(a, b) }
