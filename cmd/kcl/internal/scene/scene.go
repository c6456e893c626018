package scene

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/produce"
	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/stream"
)

// Config says what is played. All fields are required but Spawn and Workers.
type Config struct {
	Kinesis  *kinesis.Client
	DynamoDB *dynamodb.Client
	Where    string // the endpoint, to be shown

	Stream   string // made by the scene; must not exist
	Shards   int    // at the beginning
	Rate     float64
	Size     int // bytes of data in each record
	Keys     int // different partition keys
	Duration time.Duration
	Seed     uint64

	LeaseDuration time.Duration // of the workers
	// Workers is how many there are at the beginning; default 1. With more, one is killed, one joins and one is restarted.
	Workers int
	// Spawn starts a worker process; default: there is one worker, in this process.
	Spawn func(id string) (Process, error)
	// Calm leaves out all that would happen to shards and workers.
	Calm bool
}

// Report is how it went.
type Report struct {
	Good     bool           `json:"good"`              // the verdict is good, and all that was planned took place
	Faults   []string       `json:"faults,omitempty"`  // why not, where the verdict does not tell
	Stopped  bool           `json:"stopped,omitempty"` // before its time, by the user
	Seconds  float64        `json:"seconds"`           // while records flowed
	Seed     uint64         `json:"seed"`
	Producer produce.Stats  `json:"producer"`
	Verdict  ledger.Verdict `json:"verdict"`
	Gaps     []Gap          `json:"gaps,omitempty"`   // the longest of each shard
	Causes   []Gap          `json:"causes,omitempty"` // the longest for each reason, in the order of time
	Events   []ReportEvent  `json:"events"`
}

// ReportEvent is one thing that happened.
type ReportEvent struct {
	Seconds float64 `json:"seconds"`
	What    string  `json:"what"`
}

// Scene is one play. Make it with New; Run plays it once.
type Scene struct {
	cfg   Config
	books ledger.Ledger

	mu     sync.Mutex
	began  time.Time
	ended  time.Time // when records ceased to flow
	phase  string
	shards []*shard // in the order of their ids
	river  []picture.Column
	events []picture.Event
	faults []string
	rate   meter
	crew   []*member
	causes map[string]Gap     // the longest for each reason
	end    context.CancelFunc // ends the play before its time
}

// New returns a scene that has not begun.
func New(cfg Config) *Scene {
	cfg.Workers = max(cfg.Workers, 1)
	return &Scene{cfg: cfg, phase: "setting up", causes: map[string]Gap{}}
}

// Run plays the scene until its duration is over or enough is closed, then lets the workers finish what is in the stream, and
// stops them; none is left when it returns. The end of ctx kills those in processes of their own. It returns an error if
// there was nothing to judge.
func (s *Scene) Run(ctx context.Context, enough <-chan struct{}) (Report, error) {
	s.start()
	if err := s.createStream(ctx); err != nil {
		return Report{}, err
	}
	playing, end := context.WithCancel(ctx)
	defer end()
	s.mu.Lock()
	s.end = end
	s.mu.Unlock()
	if err := s.hire(ctx, toRestart); err != nil {
		return Report{}, err
	}
	sampled := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() { s.sampleUntil(sampled) })
	stats, stopped, playErr := s.play(playing, enough)
	s.enter("the workers stop")
	s.dismiss(ctx)
	close(sampled)
	sampling.Wait()
	if playErr != nil {
		s.fault("%v", playErr)
	}
	s.enter("done")
	return s.report(stats, stopped), nil
}

// hopeless ends the play: nobody will read the rest.
func (s *Scene) hopeless() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// play feeds the stream and changes its shards meanwhile, then waits until all is delivered.
func (s *Scene) play(ctx context.Context, enough <-chan struct{}) (stats produce.Stats, stopped bool, err error) {
	s.flow()
	feeding, stopFeeding := context.WithTimeout(ctx, s.cfg.Duration)
	defer stopFeeding()
	var directing sync.WaitGroup
	directing.Go(func() {
		if err := s.direct(ctx, feeding); err != nil && ctx.Err() == nil {
			s.fault("%v", err)
		}
	})
	directing.Go(func() {
		select {
		case <-enough:
			stopped = true
			stopFeeding()
		case <-feeding.Done():
		}
	})
	stats, err = s.feed(ctx, feeding)
	stopFeeding()
	directing.Wait()
	s.dry()
	if err != nil {
		return stats, stopped, err
	}
	return stats, stopped, s.settle(ctx)
}

// feed puts records until feeding ends. What was begun is still put.
func (s *Scene) feed(ctx, feeding context.Context) (produce.Stats, error) {
	sender := &produce.Sender{Client: s.cfg.Kinesis, Stream: s.cfg.Stream, Took: s.took}
	generator := produce.Generator{Rate: s.cfg.Rate, Size: s.cfg.Size, Keys: s.cfg.Keys, Seed: s.cfg.Seed}
	records := make(chan produce.Record)
	var generating sync.WaitGroup
	stopped, stop := context.WithCancel(feeding)
	generating.Go(func() { generator.Run(stopped, records) })
	err := produce.Run(ctx, records, feedLinger, produce.PutLimits(), sender.Put)
	stop()
	generating.Wait()
	return sender.Stats(), err
}

// feedLinger is how long the producer gathers records for one call.
const feedLinger = 25 * time.Millisecond

func (s *Scene) took(r produce.Record, id stream.ShardID, at stream.SequenceNumber) {
	s.books.Took(id, at, r.Key, r.Data)
	s.wait(id)
}

// patience is how long nothing may be delivered before the rest is given up as missing: more than twice what a worker
// may take to notice anything.
const patience = 20 * time.Second

// settle waits until all that was put is delivered.
func (s *Scene) settle(ctx context.Context) error {
	s.enter("the rest is read")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	progress, delivered := time.Now(), int64(-1)
	for {
		totals := s.books.Totals()
		if totals.Missing == 0 {
			return nil
		}
		if totals.Delivered > delivered {
			progress, delivered = time.Now(), totals.Delivered
		}
		if time.Since(progress) > patience {
			return fmt.Errorf("%d records were not delivered within %v", totals.Missing, patience)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records were not delivered: %w", totals.Missing, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (s *Scene) report(stats produce.Stats, stopped bool) Report {
	v := s.books.Verdict()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{
		Stopped: stopped, Seconds: s.ended.Sub(s.began).Seconds(), Seed: s.cfg.Seed, Producer: stats, Verdict: v,
		Faults: s.faults,
	}
	for _, e := range s.events {
		r.Events = append(r.Events, ReportEvent{Seconds: e.At.Seconds(), What: e.What})
	}
	if v.Total.Put == 0 {
		r.Faults = append(r.Faults, "nothing was put")
	}
	r.Gaps, r.Causes = s.gapsLocked()
	r.Good = v.Good && len(r.Faults) == 0
	return r
}
