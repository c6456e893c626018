package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kinesis-go/kcl/internal/lineage"
	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Listing is what a worker knows of the streams to read.
type Listing struct {
	Streams []Stream
	// Missing are streams that are to be read, but that the service does not know; without an Account it is not known whose.
	Missing []lineage.StreamID
	// Pending are streams that are to be read, but of which the service has not said anything yet. Other workers may know more:
	// leases of theirs are assigned like others.
	Pending []lineage.StreamID
	// Retired are streams that are not to be read, and whose leases are not needed any more.
	Retired []lineage.StreamID
	// Sure is false while the listing may be out of date. Then nothing is concluded from a stream not being in it.
	Sure bool
}

// reads reports whether the leases of a stream are to be worked on.
func (l Listing) reads(streamID string) bool {
	if slices.ContainsFunc(l.Streams, func(s Stream) bool { return s.ID == streamID }) {
		return true
	}
	id, err := lineage.ParseStreamID(streamID)
	return err == nil && slices.ContainsFunc(l.Pending, func(p lineage.StreamID) bool { return same(p, id) })
}

// same reports whether two ids are of streams of one name.
func same(known, id lineage.StreamID) bool {
	return known.Name == id.Name && (known.Account == "" || known.Account == id.Account)
}

// SetStreams tells the leader which streams are read from now on. It may be called while Run runs.
func (l *Leader) SetStreams(now Listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listing = now
}

func (l *Leader) known() Listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listing
}

func (l *Leader) streams() []Stream { return l.known().Streams }

// Former says what becomes of the leases of streams that are not read any more.
type Former struct {
	KeepGone       bool          // keep those of streams that do not exist any more, too
	DeleteUnlisted bool          // delete also those of streams that exist, as far as anybody knows
	After          time.Duration // for so long nothing may contradict
}

// Why a stream is not read.
const (
	Unlisted  = "it is not among the streams to read"
	Retired   = "it is retired"
	Vanished  = "it does not exist any more"
	Recreated = "it was deleted, and another was created under its name"
)

// FormerStream is a stream that is not read although it has leases.
type FormerStream struct {
	ID     string
	Why    string
	Leases int
	Since  time.Time
	// DeleteAt is when its leases are deleted unless something contradicts until then; zero: never.
	DeleteAt time.Time
}

// Former returns the streams that are not read any more but still have leases, if this worker leads.
func (l *Leader) Former() []FormerStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.former)
}

// why returns why the stream of an ID is not read.
func (l Listing) why(streamID string) string {
	id, err := lineage.ParseStreamID(streamID)
	if err != nil {
		return Unlisted
	}
	named := func(other lineage.StreamID) bool { return same(other, id) }
	for _, s := range l.Streams {
		if now, err := lineage.ParseStreamID(s.ID); err == nil && named(now) && now.CreatedAt.After(id.CreatedAt) {
			return Recreated
		}
	}
	switch {
	case slices.ContainsFunc(l.Retired, named):
		return Retired
	case slices.ContainsFunc(l.Missing, named):
		return Vanished
	}
	return Unlisted
}

// deletes reports whether the leases of a stream that is not read for that reason are to go.
func (f Former) deletes(why string) bool {
	switch why {
	case Retired:
		return true
	case Vanished, Recreated:
		return !f.KeepGone
	}
	return f.DeleteUnlisted
}

// formers watches the streams that are not read any more, and deletes their leases in time. It belongs to one term: a new leader
// begins to wait anew.
//
// A mistake here costs the progress of a stream, so nothing is deleted on one look. For the whole of Former.After each look must
// have shown that the stream is not read, for a reason of which the listing was sure, and that nobody works on any of its
// leases: as long as one counter moves, some worker reads the stream that this one believes to be gone, one with another
// list, or in another region. At last each row is deleted on condition that it did not change since.
type formers struct {
	l    *Leader
	byID map[string]*former
}

type former struct {
	FormerStream
	quiet    time.Time        // since when nobody has worked on it, nor doubt been cast
	counters map[string]int64 // by lease key
	rows     []lease.Lease
}

// split takes the leases of streams that are not read out of a snapshot, and notes them.
func (f *formers) split(snap lease.Snapshot, listing Listing, now time.Time) lease.Snapshot {
	reads := map[string]bool{} // by stream ID
	for _, l := range snap.Leases {
		if _, known := reads[l.StreamID]; !known {
			reads[l.StreamID] = listing.reads(l.StreamID)
		}
	}
	if !slices.ContainsFunc(snap.Leases, func(l lease.Lease) bool { return !reads[l.StreamID] }) {
		clear(f.byID)
		f.publish()
		return snap
	}
	read := make([]lease.Lease, 0, len(snap.Leases))
	others := map[string][]lease.Lease{}
	for _, l := range snap.Leases {
		if reads[l.StreamID] {
			read = append(read, l)
		} else {
			others[l.StreamID] = append(others[l.StreamID], l)
		}
	}
	for id := range f.byID {
		if others[id] == nil {
			delete(f.byID, id)
		}
	}
	for id, rows := range others {
		f.note(id, rows, listing, now)
	}
	f.publish()
	snap.Leases = read
	return snap
}

func (f *formers) note(id string, rows []lease.Lease, listing Listing, now time.Time) {
	why := listing.why(id)
	s := f.byID[id]
	if s == nil {
		s = &former{FormerStream: FormerStream{ID: id, Since: now}}
		f.byID[id] = s
	}
	moved := s.Why != why || !listing.Sure
	counters := make(map[string]int64, len(rows))
	for _, l := range rows {
		counters[l.Key] = l.Counter
		was, known := s.counters[l.Key]
		moved = moved || !known || was != l.Counter
	}
	if moved {
		s.quiet = now
	}
	s.Why, s.Leases, s.counters, s.rows = why, len(rows), counters, rows
	s.DeleteAt = time.Time{}
	if f.l.cfg.Former.deletes(why) {
		s.DeleteAt = s.quiet.Add(f.l.cfg.Former.After)
	}
}

// publish shows Status what there is.
func (f *formers) publish() {
	var all []FormerStream
	for _, s := range f.byID {
		all = append(all, s.FormerStream)
	}
	slices.SortFunc(all, func(a, b FormerStream) int { return cmp.Compare(a.ID, b.ID) })
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.l.former = all
}

// problems names the streams that have leases although they should not, where no wait will mend that.
func (f *formers) problems() []Problem {
	var problems []Problem
	for _, s := range f.byID {
		if !f.l.cfg.Fixed || !s.DeleteAt.IsZero() || s.Why == Vanished {
			continue
		}
		problems = append(problems, Problem{Stream: s.ID, Since: s.Since, What: fmt.Sprintf(
			"%s, but the table has %d leases of it, which nobody is given: configure the stream, or delete them", s.Why, s.Leases)})
	}
	return problems
}

// due reports whether leases of a stream are to be deleted now.
func (f *formers) due(now time.Time) bool {
	for _, s := range f.byID {
		if !s.DeleteAt.IsZero() && !now.Before(s.DeleteAt) {
			return true
		}
	}
	return false
}

// delete removes the leases of the streams whose time has come.
func (f *formers) delete(ctx context.Context, now time.Time) error {
	var errs []error
	for _, s := range f.byID {
		if s.DeleteAt.IsZero() || now.Before(s.DeleteAt) {
			continue
		}
		f.l.cfg.Logger.Warn("leases of a stream that is not read any more are deleted", "stream", s.ID, "leases", s.Leases, "cause", s.Why)
		errs = append(errs, each(ctx, s.rows, func(row lease.Lease) error {
			err := f.l.cfg.Store.Delete(ctx, row)
			if errors.Is(err, stream.ErrLeaseLost) {
				return nil // somebody works on it: the next look sees its counter and waits anew
			}
			return err
		}))
	}
	return errors.Join(errs...)
}
