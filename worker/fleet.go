package worker

import (
	"os"

	"github.com/kinesis-go/kcl/internal/assign"
	"github.com/kinesis-go/kcl/internal/fleet"
	"github.com/kinesis-go/kcl/internal/hostload"
)

// fleetConfig says how this worker stands for leader.
func (w *Worker) fleetConfig() fleet.Config {
	b, former := w.cfg.Balance, w.cfg.Former
	return fleet.Config{
		ID: w.cfg.ID, Store: w.cfg.Leases, Kinesis: w.cfg.Kinesis, Streams: w.sources, Fixed: w.cfg.ListStreams == nil,
		Former:    fleet.Former{KeepGone: former.KeepGone, DeleteUnlisted: former.DeleteUnlisted, After: former.After},
		KeepEnded: w.cfg.KeepEndedLeases,
		Assign: assign.Config{
			Me: w.cfg.ID, LeaseDuration: w.cfg.LeaseDuration, HandoffTimeout: w.cfg.HandoffTimeout,
			ByCount: b.ByCount, MaxLeases: b.MaxLeases, MaxThroughput: b.MaxThroughput,
			Threshold: b.Threshold, Damping: b.Damping, NoOvershoot: b.NoOvershoot, NoHandoff: b.NoHandoff,
		},
		Load:     hostload.Detect(hostload.ThisHost(os.Getenv, os.DirFS("/"))),
		Logger:   w.log,
		Assigned: w.expect,
		Leading: func(leads bool) {
			if f := w.cfg.Trace.Leading; f != nil {
				f(leads)
			}
		},
		Gone: w.doubtStream,
		Note: w.note,
	}
}
