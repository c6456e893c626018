package fleet

import (
	"context"
	"math"
	"time"

	"github.com/kinesis-go/kcl/internal/hostload"
	"github.com/kinesis-go/kcl/lease"
)

const (
	// reportInterval is how often a worker reports itself. A leader takes a worker for gone after a minute without
	// (WorkerMetricStatsReporter: each 30 s); half of that keeps lost reports harmless.
	reportInterval = 15 * time.Second
	// sampleInterval is how often the host's load is read (inMemoryWorkerMetricsCaptureFrequencyMillis: 1 s).
	sampleInterval = time.Second
	// loadHistory is how many averages a report holds (noOfPersistedMetricsPerWorkerMetrics).
	loadHistory = 10
	// cpuMetric names the host's CPU in reports, and cpuLimit is the percentage a worker should stay under.
	cpuMetric = "C"
	cpuLimit  = 100
)

// load is the recent history of a host's CPU. It is used by one goroutine.
type load struct {
	meter    *hostload.Meter // nil: not measured
	sum      float64
	samples  int
	averages []float64 // oldest first
}

// sample reads the meter. A reading that fails is left out.
func (h *load) sample(ctx context.Context, now time.Time) {
	if h.meter == nil {
		return
	}
	if v, err := h.meter.Sample(ctx, now); err == nil && !math.IsNaN(v) {
		h.sum += v
		h.samples++
	}
}

// close ends an interval and adds its average, rounded to six decimals as the Java KCL writes it. An interval without a sample
// adds nothing: a trailing −1, which is what Java adds, takes the worker out of the candidates.
func (h *load) close() {
	if h.samples == 0 {
		return
	}
	h.averages = append(h.averages, math.Round(h.sum/float64(h.samples)*1e6)/1e6)
	if n := len(h.averages); n > loadHistory {
		h.averages = h.averages[n-loadHistory:]
	}
	h.sum, h.samples = 0, 0
}

// describe puts the history into a report. Without one both maps stay empty, which means: share leases by throughput.
func (h *load) describe(w *lease.Worker) {
	w.Stats, w.Limits = map[string][]float64{}, map[string]float64{}
	if len(h.averages) > 0 {
		w.Stats[cpuMetric] = append([]float64(nil), h.averages...)
		w.Limits[cpuMetric] = cpuLimit
	}
}

// report tells the fleet of this worker until ctx ends. A worker that does not report is given no leases.
func (l *Leader) report(ctx context.Context) {
	h := &load{meter: l.cfg.Load}
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	next := time.Now().Add(reportInterval)
	if !l.isReported() {
		next = time.Now().Add(reportInterval / 8)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			h.sample(ctx, now)
			if now.Before(next) {
				continue
			}
			h.close()
		}
		next = time.Now().Add(reportInterval)
		if err := l.reportOnce(ctx, h); err != nil {
			next = time.Now().Add(reportInterval / 8)
		}
	}
}

func (l *Leader) reportOnce(ctx context.Context, h *load) error {
	w := lease.Worker{ID: l.cfg.ID, ReportedAt: time.Now().Truncate(time.Second)}
	h.describe(&w)
	l.mu.Lock()
	if l.firstTried.IsZero() {
		l.firstTried = w.ReportedAt
	}
	l.lastTried = w.ReportedAt
	l.mu.Unlock()
	err := l.cfg.Store.Report(ctx, w)
	l.cfg.Note("report this worker", err)
	if err == nil {
		l.mu.Lock()
		l.reported = w
		l.mu.Unlock()
	}
	return err
}

func (l *Leader) isReported() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reported.ID != ""
}

// Retire withdraws this worker from the fleet when it stops: it is given no more leases. An error is only logged: [Leader.RetireSeen]
// tries again, and the report expires by itself.
func (l *Leader) Retire(ctx context.Context) {
	l.mu.Lock()
	reported := l.reported
	l.mu.Unlock()
	if reported.ID != "" {
		l.withdraw(ctx, reported)
	}
}

// RetireSeen withdraws the report of this worker that snap, made after [Leader.Retire], still shows: one whose reply was lost, so
// that it bears another time than the last that was answered, or one whose withdrawal failed. A report older or younger than any
// that was tried here is left alone: it is that of another process with this id, such as this one's successor.
func (l *Leader) RetireSeen(ctx context.Context, snap lease.Snapshot) {
	l.mu.Lock()
	first, last := l.firstTried, l.lastTried
	l.mu.Unlock()
	for _, w := range snap.Workers {
		if w.ID == l.cfg.ID && !first.IsZero() && !w.ReportedAt.Before(first) && !w.ReportedAt.After(last) {
			l.withdraw(ctx, w)
		}
	}
}

func (l *Leader) withdraw(ctx context.Context, reported lease.Worker) {
	if err := l.cfg.Store.Forget(ctx, reported); err != nil {
		l.cfg.Logger.Warn("report not withdrawn, it expires by itself", "err", err)
	}
}
