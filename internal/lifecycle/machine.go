package lifecycle

import (
	"errors"
	"fmt"

	"github.com/kinesis-go/kcl/stream"
)

// ErrEndNotCheckpointed is the failure of a processor that closed an ended shard without checkpointing its end: the shard
// would be read again for ever and its children never start.
var ErrEndNotCheckpointed = errors.New("processor did not checkpoint the end of the shard")

// State is where an assignment stands.
type State uint8

// The states of an assignment.
const (
	New        State = iota
	Waiting          // for the parents to end
	Making           // NewProcessor is running
	Ready            // the processor awaits a page
	Calling          // Process is running
	Storing          // the children's rows are being stored
	Closing          // Close is running
	BackingOff       // after a failure, until Resume
	Ended            // the end of the shard is checkpointed; the lease is kept
	Done             // nothing more happens
)

// String returns the state's name.
func (s State) String() string {
	return [...]string{"New", "Waiting", "Making", "Ready", "Calling", "Storing", "Closing", "BackingOff", "Ended", "Done"}[s]
}

// Event is something that happened. Only the fields named beside its kind count.
type Event struct {
	Kind EventKind
	Err  error           // Made, Unreadable, Returned, Stored, Closed
	From stream.Position // Start, Resume: the stored checkpoint

	Parents bool // Start: there are parents to wait for

	Records int             // Page
	Last    stream.Position // Page: the last record's position
	End     bool            // Page: the shard ends with this page

	EndStored bool // Closed: the end of the shard is checkpointed
}

// EventKind says what happened.
type EventKind uint8

// The events. Made, Returned, Stored and Closed answer the actions Make, Deliver, StoreChildren and Close, once each.
const (
	Start        EventKind = iota // the lease is ours: From, Parents
	ParentsEnded                  // answers AwaitParents
	Made                          // Err
	Page                          // only in Ready: Records, Last, End
	Unreadable                    // only in Ready: reading ended with Err, and no retry of it can help
	Returned                      // Process returned: Err
	Stored                        // Err: given up, because of Stop or Lost
	Closed                        // Close returned: Err, EndStored
	Resume                        // the pause is over: From
	Stop                          // the worker stops, or the shard moves to another
	Lost                          // the lease is lost
	Expire                        // the time for stopping is over
)

var eventNames = [...]string{"start", "parents-ended", "made", "page", "unreadable", "returned", "stored", "closed", "resume", "stop", "lost", "expire"}

// String returns the event's name.
func (k EventKind) String() string { return eventNames[k] }

// Action is something to do now.
type Action struct {
	Verb    Verb
	Why     stream.EndReason // Close
	Cause   error            // Cancel: the cause of the context's end; Pause, Finish: the failure, if any
	Attempt int              // Pause: failures in a row
}

// Verb says what to do.
type Verb uint8

// The actions, to be taken in the order given.
const (
	AwaitParents  Verb = iota // watch the parents' leases, then ParentsEnded
	Make                      // make a processor and start reading at the last checkpoint, then Made
	Deliver                   // hand the page over, then Returned
	StoreChildren             // store the children's rows, then Stored
	Close                     // stop reading, call Close, then Closed
	Cancel                    // end the processor's context
	Drop                      // stop reading, end the context, forget the processor
	Pause                     // wait a while, then Resume
	Keep                      // the shard is finished: keep renewing its lease
	Finish                    // the assignment is over
)

var verbNames = [...]string{"await parents", "make", "deliver", "store children", "close", "cancel", "drop", "pause", "keep", "finish"}

// String returns the action in words, as the scripts in testdata show it.
func (a Action) String() string {
	s := verbNames[a.Verb]
	switch a.Verb {
	case Close:
		s += ": " + a.Why.String()
	case Pause:
		s += fmt.Sprintf(" after failure %d", a.Attempt)
	}
	if a.Cause != nil {
		s += ": " + a.Cause.Error()
	}
	return s
}

// Machine is one assignment. The zero Machine awaits Start. It is not safe for concurrent use.
type Machine struct {
	// EmptyBatches delivers pages without records too.
	EmptyBatches bool
	// ExitOnFailure finishes at the first failure instead of pausing.
	ExitOnFailure bool

	state    State
	why      stream.EndReason // of the Close that runs
	attempt  int              // failures in a row
	failedIn State            // where the last of them happened
	failedAt stream.Position  // the end of the furthest page that failed; zero: none has
	page     stream.Position  // the end of the page in hand; zero: there was none since the processor was made
	ending   bool             // the page in hand is the shard's last
	stopping bool
	lost     bool
	expired  bool
}

// State returns where the assignment stands.
func (m *Machine) State() State { return m.state }

// Attempt returns how often in a row the processor has failed.
func (m *Machine) Attempt() int { return m.attempt }

// Step takes in an event and returns what to do. An event that the state does not await is a mistake of the driver: it panics.
func (m *Machine) Step(e Event) []Action {
	switch e.Kind {
	case Stop, Lost, Expire:
		return m.interrupt(e.Kind)
	}
	switch {
	case m.state == New && e.Kind == Start:
		return m.start(e)
	case m.state == Waiting && e.Kind == ParentsEnded:
		return m.to(Making, Action{Verb: Make})
	case m.state == BackingOff && e.Kind == Resume:
		return m.resume(e)
	case m.state == Making && e.Kind == Made:
		return m.made(e)
	case m.state == Ready && e.Kind == Page:
		return m.deliver(e)
	case m.state == Ready && e.Kind == Unreadable:
		return m.fail(e.Err)
	case m.state == Calling && e.Kind == Returned:
		return m.returned(e)
	case m.state == Storing && e.Kind == Stored:
		return m.stored(e)
	case m.state == Closing && e.Kind == Closed:
		return m.closed(e)
	}
	panic(fmt.Sprintf("lifecycle: %v in state %v", e.Kind, m.state))
}

func (m *Machine) to(s State, actions ...Action) []Action {
	m.state = s
	return actions
}

func (m *Machine) start(e Event) []Action {
	switch {
	case e.From == stream.ShardEnd:
		return m.to(Ended, Action{Verb: Keep})
	case e.Parents:
		return m.to(Waiting, Action{Verb: AwaitParents})
	}
	return m.to(Making, Action{Verb: Make})
}

// resume begins anew, unless the end of the shard turned out to be stored after all: by a checkpoint whose reply was lost.
func (m *Machine) resume(e Event) []Action {
	m.page = stream.Position{}
	if e.From == stream.ShardEnd {
		return m.ended(Action{Verb: Keep})
	}
	if m.failedIn == Calling && e.From.Compare(m.failedAt) >= 0 {
		m.recovered() // what failed was checkpointed all the same, and does not come again
	}
	return m.to(Making, Action{Verb: Make})
}

// recovered forgets the failures: the processor got past what failed, so the next failure is a new one.
func (m *Machine) recovered() { m.attempt, m.failedAt = 0, stream.Position{} }

func (m *Machine) ended(actions ...Action) []Action {
	m.recovered()
	return m.to(Ended, actions...)
}

func (m *Machine) made(e Event) []Action {
	switch {
	case e.Err != nil && m.lost:
		return m.finish(nil) // the context's end, not the application's failure
	case e.Err != nil && m.stopping:
		return m.finish(e.Err)
	case e.Err != nil:
		return m.fail(e.Err)
	case m.leaving():
		return m.close(m.leaveReason())
	}
	if m.failedIn == Making && m.failedAt.IsZero() {
		m.recovered()
	}
	return m.to(Ready)
}

func (m *Machine) deliver(e Event) []Action {
	m.page, m.ending = e.Last, e.End
	switch {
	case e.Records > 0, m.EmptyBatches:
		return m.to(Calling, Action{Verb: Deliver})
	case e.End:
		return m.to(Storing, Action{Verb: StoreChildren})
	}
	return nil
}

func (m *Machine) returned(e Event) []Action {
	switch {
	case m.lost:
		return m.close(stream.LeaseLost) // an error now is the context's end, not the processor's failure
	case m.expired:
		return m.finish(e.Err)
	case e.Err != nil && m.stopping:
		return m.finish(e.Err)
	case e.Err != nil:
		return m.fail(e.Err)
	}
	if m.failedIn != Closing && m.page.Compare(m.failedAt) >= 0 {
		m.recovered()
	}
	switch {
	case m.ending: // even when stopping: the end is nearer than a restart
		return m.to(Storing, Action{Verb: StoreChildren})
	case m.stopping:
		return m.close(stream.ShutdownRequested)
	}
	return m.to(Ready)
}

func (m *Machine) stored(e Event) []Action {
	switch {
	case m.expired:
		return m.finish(e.Err)
	case m.lost:
		return m.close(stream.LeaseLost)
	case e.Err != nil && m.stopping:
		return m.close(stream.ShutdownRequested)
	case e.Err != nil:
		return m.fail(e.Err)
	}
	return m.close(stream.ShardEnded)
}

func (m *Machine) closed(e Event) []Action {
	if m.why != stream.ShardEnded || m.lost {
		return m.finish(e.Err)
	}
	err := e.Err
	if err == nil && !e.EndStored {
		err = ErrEndNotCheckpointed
	}
	switch {
	case e.EndStored && m.leaving(), err != nil && m.leaving():
		return m.finish(err)
	case err != nil && !e.EndStored:
		return m.fail(err)
	}
	return m.ended(Action{Verb: Drop}, Action{Verb: Keep})
}

func (m *Machine) interrupt(k EventKind) []Action {
	if m.state == Done {
		return nil
	}
	var actions []Action
	switch k {
	case Stop:
		m.stopping = true
	case Lost:
		m.lost = true
		actions = append(actions, Action{Verb: Cancel, Cause: stream.ErrLeaseLost})
	case Expire:
		m.stopping, m.expired = true, true
		actions = append(actions, Action{Verb: Cancel, Cause: stream.ErrDrainTimeout})
	}
	switch m.state {
	case Making, Calling, Storing, Closing:
		return actions // whatever runs is waited for
	case Ready:
		if !m.expired || m.lost {
			return append(actions, m.close(m.leaveReason())...)
		}
	}
	return append(actions, m.finish(nil)...)
}

func (m *Machine) leaving() bool { return m.stopping || m.lost }

func (m *Machine) leaveReason() stream.EndReason {
	if m.lost {
		return stream.LeaseLost
	}
	return stream.ShutdownRequested
}

func (m *Machine) close(why stream.EndReason) []Action {
	m.why = why
	return m.to(Closing, Action{Verb: Close, Why: why})
}

func (m *Machine) fail(err error) []Action {
	if m.ExitOnFailure {
		return m.finish(err)
	}
	m.attempt++
	m.failedIn = m.state
	if m.page.Compare(m.failedAt) > 0 {
		m.failedAt = m.page
	}
	return m.to(BackingOff, Action{Verb: Drop}, Action{Verb: Pause, Cause: err, Attempt: m.attempt})
}

func (m *Machine) finish(err error) []Action {
	return m.to(Done, Action{Verb: Drop}, Action{Verb: Finish, Cause: err})
}
