package wire

// Action is the value of the key "action" of a message.
type Action string

// The actions of the protocol, spelt as on the wire.
const (
	Initialize        Action = "initialize"
	ProcessRecords    Action = "processRecords"
	Checkpoint        Action = "checkpoint"
	ShutdownRequested Action = "shutdownRequested"
	LeaseLost         Action = "leaseLost"
	ShardEnded        Action = "shardEnded"
	Shutdown          Action = "shutdown" // sent by daemons of the 1.x line only, with a reason
	Status            Action = "status"   // child to parent only
)

// actionOf returns the action that b spells, or false. It does not allocate.
func actionOf(b []byte) (Action, bool) {
	switch Action(b) {
	case Initialize:
		return Initialize, true
	case ProcessRecords:
		return ProcessRecords, true
	case Checkpoint:
		return Checkpoint, true
	case ShutdownRequested:
		return ShutdownRequested, true
	case LeaseLost:
		return LeaseLost, true
	case ShardEnded:
		return ShardEnded, true
	case Shutdown:
		return Shutdown, true
	case Status:
		return Status, true
	}
	return "", false
}
