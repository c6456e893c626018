package wire

import (
	"errors"
	"fmt"
)

// ErrBlank says that a line is empty. Children write one before each message; it means nothing.
var ErrBlank = errors.New("blank line")

// Reply is one message from a child.
type Reply struct {
	Action      Action  // any of the protocol; only Status and Checkpoint mean something to a parent
	ResponseFor Action  // status: the action that is done; empty if missing
	Sequence    *string // checkpoint: nil for all delivered so far
	Sub         *int64  // checkpoint: nil where the child sent none
}

// DecodeReply reads one line that a child wrote, without its terminator. Any error means that the line is no message and
// is to be skipped, with a note unless it is [ErrBlank]: a child may print what it likes on its stdout.
//
// It reads what the Java daemon reads: keys in any order, a number for sequenceNumber, text for subSequenceNumber, the
// array form ["status",{…}], and anything behind the closing bracket, which is lost. It differs where Java's strictness
// only makes a child wait for ever: unknown keys are ignored, and checkpoint, which Amazon's own package text names, is
// taken for sequenceNumber where that is missing. A line that is the bare word null is skipped; it ended the Java daemon.
func DecodeReply(line []byte) (Reply, error) {
	if len(line) == 0 {
		return Reply{}, ErrBlank
	}
	d := replyDecoder{scanner: scanner{b: line}}
	if d.space() == '[' {
		d.i++
		d.space()
		if err := d.action(); err != nil {
			return Reply{}, err
		}
		if err := d.take(',', "a comma"); err != nil {
			return Reply{}, err
		}
	}
	if err := d.object(d.member); err != nil {
		return Reply{}, err
	}
	if !d.hasAction {
		return Reply{}, errors.New("no action in the message")
	}
	if d.reply.Sequence == nil {
		d.reply.Sequence = d.alias
	}
	return d.reply, nil
}

type replyDecoder struct {
	scanner
	reply     Reply
	hasAction bool
	alias     *string // value of the key checkpoint
}

func (d *replyDecoder) member(key []byte) (err error) {
	switch string(key) {
	case "action":
		return d.action()
	case "responseFor":
		text, err := d.scalar()
		d.reply.ResponseFor = Action(text)
		return err
	case "sequenceNumber":
		d.reply.Sequence, err = d.optional()
		return err
	case "checkpoint":
		d.alias, err = d.optional()
		return err
	case "subSequenceNumber":
		v, ok, err := d.integer()
		d.reply.Sub = nil
		if ok {
			d.reply.Sub = &v
		}
		return err
	}
	return d.skip()
}

func (d *replyDecoder) action() error {
	if d.hasAction {
		return d.fail("two actions in one message")
	}
	if d.space() != '"' {
		return d.fail("want the action's name")
	}
	name, err := d.str()
	if err != nil {
		return err
	}
	a, ok := actionOf(name)
	if !ok {
		return fmt.Errorf("unknown action %s", quoted(name))
	}
	d.reply.Action, d.hasAction = a, true
	return nil
}

func (d *replyDecoder) optional() (*string, error) {
	text, err := d.scalar()
	if err != nil || text == nil {
		return nil, err
	}
	s := string(text)
	return &s, nil
}
