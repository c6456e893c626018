package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// drain lets every assignment finish and returns when all have, or when the time is over.
func (w *Worker) drain(loops *sync.WaitGroup) error {
	w.enter(Draining)
	began := time.Now()
	w.log.Info("worker drains", "shards", w.count())
	close(w.stop)
	var last sync.WaitGroup
	defer last.Wait()
	last.Go(func() {
		loops.Wait()
		w.chooseHeirs()
	})
	finished := make(chan struct{})
	go func() { // ends with the last assignment, or when the last is abandoned
		loops.Wait()
		w.working.Wait()
		close(finished)
	}()
	timeout := time.NewTimer(w.cfg.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-finished:
		w.log.Info("worker has drained", "took", time.Since(began))
		return nil
	case <-timeout.C:
	}
	late := w.busy()
	close(w.expire)
	timeout.Reset(abandonAfter + releaseTimeout)
	select {
	case <-finished:
	case <-timeout.C:
	}
	tooLong := fmt.Sprintf("worker: draining took longer than %v", w.cfg.DrainTimeout)
	switch stuck := w.busy(); {
	case stuck != "":
		return fmt.Errorf("%s; processors ignore the end of their context on %s", tooLong, stuck)
	case late != "":
		return fmt.Errorf("%s; processors were cut off on %s", tooLong, late)
	}
	return fmt.Errorf("%s, because the lease table answers slowly", tooLong)
}

// chooseHeirs decides which workers take over, so that no leader has to notice first. Without an answer in time the leases
// are released to nobody, and the leader assigns them.
func (w *Worker) chooseHeirs() {
	defer close(w.heirs)
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	w.leader.Retire(ctx)
	snap, err := w.cfg.Leases.Snapshot(ctx)
	if err != nil {
		w.log.Warn("leases are released to nobody", "err", err)
		return
	}
	w.leader.RetireSeen(ctx, snap)
	heirs := w.leader.Heirs(snap)
	w.mu.Lock()
	w.inherit = heirs
	w.mu.Unlock()
	for _, row := range snap.Leases {
		if row.Owner == w.cfg.ID && !row.InHandoff() && !w.works(row.Key) {
			w.passOn(ctx, row, heirs[row.Key])
		}
	}
}

// passOn gives away a lease that names this worker although it never began to work on it.
func (w *Worker) passOn(ctx context.Context, row lease.Lease, heir string) {
	var err error
	if heir == "" {
		_, err = w.cfg.Leases.Release(ctx, row)
	} else {
		_, err = w.cfg.Leases.Assign(ctx, row, heir)
	}
	if err != nil && !errors.Is(err, stream.ErrLeaseLost) {
		w.log.Warn("lease not passed on, others take it once it expires", "shard", row.Key, "err", err)
	}
}

func (w *Worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.shards)
}

// busy names the shards that are still in a processor's hands.
func (w *Worker) busy() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, a := range w.shards {
		select {
		case <-a.over:
		default:
			names = append(names, a.shard.Stream+" "+string(a.shard.ID))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
