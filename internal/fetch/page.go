package fetch

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/kinesis-go/kcl/internal/aggregate"
	"github.com/kinesis-go/kcl/stream"
)

// Page is what one successful read of a shard gave. Whoever takes it from the channel must call Release.
type Page struct {
	Records       []stream.Record // behind the position reading began at, aggregates split; may be empty
	Behind        time.Duration   // of the end of the page from the tip of the shard; 0 at the tip
	BehindUnknown bool            // the service did not tell; Behind is 0
	Received      time.Time
	Bytes         int64 // of data in Records

	// Strays is how many sub-records were left out because their hash keys do not belong to the shard, and Damaged how
	// many records look like aggregates but are not; those were delivered whole.
	Strays, Damaged int

	// End says that the shard ends with this page, in Children; none if the shard has left the retention period, and
	// they have, too.
	End      bool
	Children []Child

	held    *hold // nil if the page holds nothing
	last    stream.SequenceNumber
	keyless bool                  // a record has no partition key
	passed  stream.SequenceNumber // how far a subscription has read, records or not
}

// Child is a shard that continues an ended one.
type Child struct {
	ID       stream.ShardID
	Parents  []stream.ShardID // two after a merge
	HashKeys stream.HashKeyRange
}

// Release says that the receiver does not work with the page any more, and gives its bytes back to the budget. The
// records stay valid for who keeps them. Only the first call counts, of all that are made on copies of the page.
func (p *Page) Release() {
	if p.held != nil {
		p.held.release()
	}
}

// answer is what a call brought, however it was decoded. It owns its memory.
type answer struct {
	records  []stream.Record // as they were put, aggregates whole
	next     string          // iterator; empty at the end of the shard
	children []Child
	behind   time.Duration
	unknown  bool  // behind is
	body     int64 // bytes of memory that the records' data and keys lie in; 0: they have their own
}

// recordSize is what a record costs beside its data and keys.
const recordSize = int64(unsafe.Sizeof(stream.Record{}))

// errBroken says that an answer makes no sense. The same call is made again: nothing of it is delivered.
var errBroken = errors.New("fetch: the answer breaks the rules of the API")

// check applies the rules that the Java KCL does (DataRetrievalUtil.isValidResult): an iterator to go on with and no
// children, or no iterator and children that name their parents; and every record has its place.
func (a *answer) check() error {
	for i := range a.records {
		if !a.records[i].Position.IsNumber() {
			return fmt.Errorf("%w: record %d has sequence number %q", errBroken, i, a.records[i].Position.Sequence)
		}
	}
	for _, c := range a.children {
		if len(c.Parents) == 0 {
			return fmt.Errorf("%w: child %s names no parent", errBroken, c.ID)
		}
	}
	switch {
	case a.next != "" && len(a.children) > 0:
		return fmt.Errorf("%w: children before the end of the shard", errBroken)
	case a.next == "" && len(a.children) == 0:
		return errChildless
	}
	return nil
}

// errChildless is the broken answer that some servers always give at the end of a shard.
var errChildless = fmt.Errorf("%w: the end of the shard without its children", errBroken)

// page splits what arrived and leaves out what lies at or before floor; both are in the order of the shard.
func (a *answer) page(keys stream.HashKeyRange, floor stream.Position, received time.Time) (p Page, cost int64) {
	p = Page{Behind: a.behind, BehindUnknown: a.unknown, Received: received, End: a.next == "", Children: a.children}
	if len(a.records) == 0 {
		return p, 0
	}
	// Cloned, because it is kept when the records are not, and may lie among them.
	p.last = stream.SequenceNumber(strings.Clone(string(a.records[len(a.records)-1].Position.Sequence)))
	p.Records = make([]stream.Record, 0, len(a.records))
	for i := range a.records {
		var out aggregate.Outcome
		p.Records, out = aggregate.Split(p.Records, a.records[i], keys)
		p.Strays += out.Strays
		if out.Damaged {
			p.Damaged++
		}
		p.keyless = p.keyless || a.records[i].PartitionKey == ""
		cost += int64(len(a.records[i].Data) + len(a.records[i].PartitionKey))
	}
	cost = max(cost, a.body)
	old := 0
	for old < len(p.Records) && p.Records[old].Position.Compare(floor) <= 0 {
		old++
	}
	p.Records = p.Records[old:]
	if len(p.Records) == 0 {
		p.Records = nil
		return p, 0
	}
	for i := range p.Records {
		p.Bytes += int64(len(p.Records[i].Data))
	}
	if end := &p.Records[len(p.Records)-1]; end.Position.Sequence == p.last { // the same for who keeps the end of a page
		end.Position.Sequence = p.last
	}
	return p, cost + int64(len(p.Records))*recordSize
}

// behindAll is a position behind every record with the sequence number.
func behindAll(s stream.SequenceNumber) stream.Position {
	return stream.Position{Sequence: s, Sub: math.MaxInt64}
}
