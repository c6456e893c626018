package assign

import (
	"math"
	"time"

	"github.com/kinesis-go/kcl/lease"
)

// Config says how the leader shares leases out. The zero value of each field selects the default. Only the leader's counts.
type Config struct {
	// Me is the worker that plans. It is alive for certain, and so never in doubt.
	Me string

	// LeaseDuration is how long a counter may stand still before the lease is expired; default 10 s.
	LeaseDuration time.Duration
	// AdoptTimeout is how long a worker has for the first sign that it works on a lease it was given; default twice the
	// lease duration, since a Java worker looks for its leases once in a lease duration.
	AdoptTimeout time.Duration
	// HandoffTimeout is how long a processor has to finish when its lease is handed off; the leader waits a lease
	// duration longer before it forces the handoff. Default 30 s.
	HandoffTimeout time.Duration
	// ReportInterval is how often workers report; a report that stood still for twice that is void. Default 30 s.
	ReportInterval time.Duration
	// BalanceInterval is the least time between two rounds that even out load, so that reports can show the effect of
	// the last; default 60 s. It holds back neither the placing of leases nor new workers, nor anything with ByCount.
	BalanceInterval time.Duration

	// ByCount shares by number of leases instead of by load.
	ByCount bool
	// MaxLeases bounds the leases of one worker, not counting ended shards; default: no bound.
	MaxLeases int
	// MaxThroughput in KiB/s: a worker above it gets nothing; default: no bound.
	MaxThroughput float64
	// Threshold is by how many percent of the mean a worker may differ before load is evened out; default 10.
	Threshold int
	// Damping is how many percent of a worker's surplus one round moves; default 60.
	Damping int
	// NoOvershoot forbids moves of a lease that is larger than what is to be moved.
	NoOvershoot bool
	// NoHandoff takes leases from live workers at once instead of letting them finish first.
	NoHandoff bool
}

func (c Config) withDefaults() Config {
	def(&c.LeaseDuration, 10*time.Second)
	def(&c.AdoptTimeout, 2*c.LeaseDuration)
	def(&c.HandoffTimeout, 30*time.Second)
	def(&c.ReportInterval, 30*time.Second)
	def(&c.BalanceInterval, 60*time.Second)
	def(&c.MaxLeases, math.MaxInt)
	def(&c.MaxThroughput, math.MaxFloat64)
	def(&c.Threshold, 10)
	def(&c.Damping, 60)
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Kind says why a lease moves, and by which write.
type Kind int

// The kinds of moves. All but Handoff are made with [lease.Leases].Assign.
const (
	Take    Kind = iota + 1 // nobody works on it
	Bump                    // expired, yet the same live worker is to go on: the new counter tells it to begin anew
	Force                   // its handoff is overdue
	Handoff                 // for balance; the owner finishes first: made with [lease.Leases].Handoff
	Steal                   // for balance, at once
	Give                    // its owner stops
)

// String returns the kind in one word.
func (k Kind) String() string {
	switch k {
	case Take:
		return "take"
	case Bump:
		return "bump"
	case Force:
		return "force"
	case Handoff:
		return "handoff"
	case Steal:
		return "steal"
	case Give:
		return "give"
	}
	return "none"
}

// Move is one lease for one worker.
type Move struct {
	Lease lease.Lease // as it was seen: the condition of the write
	To    string
	Kind  Kind
}

// From returns the worker that has worked on the lease; empty if none has.
func (m Move) From() string { return m.Lease.Worker() }

// Plan is what to write after one look.
type Plan struct {
	Moves      []Move   // sorted by lease key
	Unplaced   []string // keys of the leases nobody works on and nobody has room for, sorted
	Candidates []string // the workers that may be given leases, sorted
}
