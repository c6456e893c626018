package dynamo

import (
	"math/bits"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
)

func (e *Engine) query(n *node, w *writer) error { return e.list(true, n, w) }
func (e *Engine) scan(n *node, w *writer) error  { return e.list(false, n, w) }

func (e *Engine) list(isQuery bool, n *node, w *writer) error {
	l, err := e.readListing(isQuery, n)
	if err != nil {
		return err
	}
	now := time.Now()
	t, aerr := e.table(l.table, now)
	if aerr != nil {
		return aerr
	}
	s, p, aerr := l.run(t, now)
	if aerr != nil {
		return aerr
	}
	l.answer(w, s, p)
	return nil
}

// run reads one page. An index that has changes to catch up with needs the table's lock for writing.
func (l *listing) run(t *table, now time.Time) (*source, *page, *awserr.Error) {
	if l.index == "" {
		t.mu.RLock()
		defer t.mu.RUnlock()
	} else {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	s, err := l.sourceLocked(t, now)
	if err != nil {
		return nil, nil, err
	}
	if s.x != nil {
		s.x.catchUp(now, t.lag)
	}
	if err := t.keys.checkKeyPaths(l.read.selection.b, "Key"); err != nil {
		return nil, nil, err
	}
	if err := l.checkSelected(s); err != nil {
		return nil, nil, err
	}
	var next func() *row
	if l.isQuery {
		next, err = l.queryRows(s)
	} else {
		next, err = l.scanRows(s)
	}
	if err != nil {
		return nil, nil, err
	}
	return s, l.collectLocked(s, next), nil
}

// queryRows returns an iterator over the rows of the query's span, from its start key on.
func (l *listing) queryRows(s *source) (func() *row, *awserr.Error) {
	sp, err := s.keys.spanOf(l.keyConds)
	if err != nil {
		return nil, err
	}
	var start rowKey
	if l.hasStart {
		if start, err = l.startKey(s); err != nil {
			return nil, err
		}
		if start.pk != sp.pk {
			return nil, invalid("The provided starting key is outside query boundaries based on provided conditions")
		}
		if at := (&row{rowKey: start}); sp.before(at) || sp.after(at) {
			return nil, invalid("The provided starting key does not match the range key predicate")
		}
	}
	if err := l.checkFilterKeys(s.keys); err != nil {
		return nil, err
	}
	if err := s.keys.checkKeyPaths(l.filter.expr, "Key"); err != nil {
		return nil, err
	}
	rows := s.rows()
	if !l.backward {
		at := rows.find(func(r *row) bool { return !sp.before(r) && (!l.hasStart || r.compare(start) > 0) })
		return func() *row {
			r := rows.row(at)
			if r == nil || sp.after(r) {
				return nil
			}
			at = rows.next(at)
			return r
		}, nil
	}
	at := rows.find(func(r *row) bool { return sp.after(r) || l.hasStart && r.compare(start) >= 0 })
	return func() *row {
		at = rows.prev(at)
		r := rows.row(at)
		if r == nil || sp.before(r) {
			return nil
		}
		return r
	}, nil
}

// scanRows returns an iterator over a segment's rows. A segment is an equal share of the hash values.
func (l *listing) scanRows(s *source) (func() *row, *awserr.Error) {
	low, high, last := uint64(0), uint64(0), true
	if l.segments > 0 {
		low, _ = bits.Div64(uint64(l.segment), 0, uint64(l.segments))
		if last = l.segment+1 == l.segments; !last {
			high, _ = bits.Div64(uint64(l.segment+1), 0, uint64(l.segments))
		}
	}
	rows := s.rows()
	at := rows.find(func(r *row) bool { return r.hash >= low })
	if l.hasStart {
		start, err := l.startKey(s)
		if err != nil {
			return nil, err
		}
		if start.hash < low || !last && start.hash >= high {
			return nil, invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "+
				"with correct Segment. TotalSegments: %d Segment: %d", l.segments, l.segment)
		}
		at = rows.find(func(r *row) bool { return r.compare(start) > 0 })
	}
	return func() *row {
		r := rows.row(at)
		if r == nil || !last && r.hash >= high {
			return nil
		}
		at = rows.next(at)
		return r
	}, nil
}
