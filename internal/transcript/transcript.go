package transcript

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kinesis-go/kcl/internal/wire"
)

// Transcript is one conversation, from the start of the child to its end.
type Transcript struct {
	Exchanges []Exchange
	Exit      int // code of the child, -1 if a signal ended it
}

// Exchange is one action of the daemon and what came of it.
type Exchange struct {
	Line        string // what the daemon said, without its line feed
	Message     wire.Message
	Checkpoints []Checkpoint
	Status      string // the child's answer; empty if the conversation ended without
}

// Checkpoint is a request of the child and the daemon's answer.
type Checkpoint struct {
	Line    string // what the child said, without its line feeds
	Request wire.Reply
	Answer  string // what the daemon said; empty if the conversation ended without
	Error   string // in the answer: the simple name of a Java exception, or empty for success
}

// Parse reads a transcript. A line that cannot stand where it stands is an error that names it.
func Parse(text string) (Transcript, error) {
	var t Transcript
	ended := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		var err error
		switch {
		case strings.HasPrefix(line, "#"):
		case ended:
			err = errors.New("a line behind the exit")
		case strings.HasPrefix(line, "> "):
			err = t.parent(line[2:])
		case strings.HasPrefix(line, "< "):
			err = t.child(line[2:])
		case strings.HasPrefix(line, "exit "):
			t.Exit, err = strconv.Atoi(line[5:])
			ended = true
		default:
			err = errors.New("neither > nor < nor exit")
		}
		if err != nil {
			return t, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if !ended {
		return t, errors.New("no exit at the end")
	}
	return t, nil
}

// last returns the exchange that is under way, nil if none is.
func (t *Transcript) last() *Exchange {
	if n := len(t.Exchanges); n > 0 && t.Exchanges[n-1].Status == "" {
		return &t.Exchanges[n-1]
	}
	return nil
}

func (t *Transcript) parent(line string) error {
	e := Exchange{Line: line}
	if err := wire.DecodeForChild([]byte(line), &e.Message); err != nil {
		return err
	}
	under := t.last()
	if e.Message.Action != wire.Checkpoint {
		if under != nil {
			return fmt.Errorf("%s before the status of %s", e.Message.Action, under.Message.Action)
		}
		t.Exchanges = append(t.Exchanges, e)
		return nil
	}
	if under == nil || len(under.Checkpoints) == 0 || under.Checkpoints[len(under.Checkpoints)-1].Answer != "" {
		return errors.New("answer to a checkpoint that was not asked for")
	}
	c := &under.Checkpoints[len(under.Checkpoints)-1]
	c.Answer, c.Error = line, e.Message.Error
	return nil
}

func (t *Transcript) child(line string) error {
	r, err := wire.DecodeReply([]byte(line))
	under := t.last()
	switch {
	case err != nil:
		return err
	case under == nil:
		return fmt.Errorf("%s of the child although nothing is asked of it", r.Action)
	case r.Action == wire.Checkpoint:
		under.Checkpoints = append(under.Checkpoints, Checkpoint{Line: line, Request: r})
	case r.Action == wire.Status && r.ResponseFor == under.Message.Action:
		under.Status = line
	default:
		return fmt.Errorf("%s %s of the child during %s", r.Action, r.ResponseFor, under.Message.Action)
	}
	return nil
}
