package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// Find reads what a plan needs: the leases, and the shards of the one stream. The caller adds what it wants.
func (a App) Find(ctx context.Context) (Rewind, error) {
	l, err := a.Look(ctx)
	if err != nil {
		return Rewind{}, err
	}
	in := Rewind{Leases: l.Snapshot.Leases}
	for i, row := range in.Leases {
		if i > 0 && row.StreamID != in.StreamID {
			return Rewind{}, fmt.Errorf("the table holds leases of several streams (%s, %s): name one", streamName(in.StreamID), streamName(row.StreamID))
		}
		in.StreamID = row.StreamID
	}
	if len(in.Leases) == 0 {
		return Rewind{}, fmt.Errorf("there are no leases of %s to change", a.Name)
	}
	s, err := a.sourceOf(in.StreamID)
	if err != nil {
		return Rewind{}, err
	}
	in.Shards, err = a.listShards(ctx, s)
	return in, err
}

// PlanTo plans to read the chosen shards of in, or all, on from a target. A time is turned into places by reading each shard
// around it.
func (a App) PlanTo(ctx context.Context, in Rewind, to Target) (Plan, error) {
	in.Places = map[stream.ShardID]Place{}
	switch {
	case !to.At.IsZero():
		if err := a.locateAll(ctx, &in, to); err != nil {
			return Plan{}, err
		}
	case to.Position.IsNumber():
		if len(in.Chosen) != 1 {
			return Plan{}, errors.New("a sequence number belongs to one shard: name that shard, and no other")
		}
		if err := a.checkNumber(ctx, in, to.Position); err != nil {
			return Plan{}, err
		}
		in.Places[in.Chosen[0]] = Place{To: to.Position}
	default:
		for _, s := range in.Shards {
			in.Places[s.ID] = Place{To: to.Position}
		}
	}
	return PlanRewind(in)
}

// checkNumber asks Kinesis whether the sequence number is one of the chosen shard.
func (a App) checkNumber(ctx context.Context, in Rewind, at stream.Position) error {
	s, err := a.sourceOf(in.StreamID)
	if err != nil {
		return err
	}
	place, _ := placeBehind(at)
	_, err = a.openAt(ctx, s, in.Chosen[0], place)
	return err
}

// Rewind carries out a plan, step by step, and returns the steps that were made, as they were made: with the checkpoints that
// they wrote over. It stops at the first that cannot be made; the error names it.
func (a App) Rewind(ctx context.Context, p Plan) (made []Step, err error) {
	for _, s := range p.Steps {
		done, err := a.carryOut(ctx, s)
		if err != nil {
			return made, fmt.Errorf("shard %s: %w", s.Shard, err)
		}
		made = append(made, done)
	}
	return made, nil
}

// carryOut carries out one step. A worker may write its row meanwhile, which changes what is written over; that the shard
// ended, or was cleaned up, changes the plan.
func (a App) carryOut(ctx context.Context, s Step) (Step, error) {
	if s.Creates() {
		created, err := a.Store.Create(ctx, s.row)
		if err != nil || created {
			return s, err
		}
		return s, errMoved
	}
	err := a.insist(ctx, s.row, attempt{
		done: func(now lease.Lease) bool {
			return now.Checkpoint == s.To && now.Pending.IsZero() && (now.Owner == "" || now.Worker() != s.Worker)
		},
		may: func(now lease.Lease) bool { return now.Ended() == s.finished },
		put: func(row lease.Lease) error {
			_, err := a.Store.Rewind(ctx, row, s.To)
			if !errors.Is(err, stream.ErrLeaseLost) {
				s.From, s.Worker = row.Checkpoint, row.Worker()
			}
			return err
		},
	})
	if errors.Is(err, lease.ErrNotFound) && s.finished { // cleaned up since
		s.row.Checkpoint, s.From = s.To, stream.Position{}
		return a.carryOut(ctx, s)
	}
	return s, err
}
