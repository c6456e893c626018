package fetch

import (
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Page is what one successful read of a shard gave. Whoever takes it from the channel must call Release once.
type Page struct {
	Records       []stream.Record // behind the position reading began at, aggregates split; may be empty
	Behind        time.Duration   // of the end of the page from the tip of the shard; 0 at the tip
	BehindUnknown bool
	Received      time.Time
	Bytes         int64 // of record data; held in the budget until Release

	// End says that the shard ends with this page, in Children; none if the shard is gone from the stream.
	End      bool
	Children []Child

	budget   *Budget
	reserved int64
}

// Child is a shard that continues an ended one.
type Child struct {
	ID       stream.ShardID
	Parents  []stream.ShardID
	HashKeys stream.HashKeyRange
}

// Release gives the page's bytes back to the budget. Its records must not be counted on to be accounted for any more, but
// they stay valid. Calling it again does nothing.
func (p *Page) Release() {
	if p.budget != nil {
		p.budget.release(p.reserved)
		p.budget = nil
	}
}
