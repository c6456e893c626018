package kcl

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/kinesis-go/kcl/internal/wire"
)

// printf writes every message of Run and of the zero Checkpointer, as printf("\n%s\n", json). It is a variable because tests
// of programs written for the older library put their own function here, and a new file in the place of os.Stdin when they
// see a message; both must go on working. Nothing else may change it.
var printf = printStdout

func printMessage(message []byte) error {
	_, err := printf("\n%s\n", string(bytes.TrimSpace(message)))
	return err
}

func printStdout(format string, a ...any) (int, error) {
	return fmt.Fprintf(protocol.stdout(), format, a...)
}

// protocol is what this process knows of its parent. There is one stdin and one stdout, so there is one of it: the frozen
// API leaves Run and the zero Checkpointer no other place to meet.
var protocol process

type process struct {
	mu      sync.Mutex
	running *binding // of the processor under Run; nil while Run is not running

	shared *os.File // os.Stdout as Run found it; it writes to stderr now
	kept   *os.File // what it wrote to before
}

// redirect sends to stderr what the application prints to stdout, until undo is called. The file behind the pointer changes,
// not the pointer, because loggers and printers made before Run hold copies of the pointer.
func (p *process) redirect() (undo func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := *os.Stdout
	p.shared, p.kept = os.Stdout, &kept
	*p.shared = *os.Stderr
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		*p.shared = *p.kept
		p.shared, p.kept = nil, nil
	}
}

// stdout returns where messages go: the stdout of before Run, unless a test has put another file in its place since.
func (p *process) stdout() *os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept != nil && os.Stdout == p.shared {
		return p.kept
	}
	return os.Stdout
}

// begin notes whose conversation the zero Checkpointer takes part in.
func (p *process) begin(b *binding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = b
}

// checkpointOfProcess is a checkpoint of the zero Checkpointer: through Run's conversation if there is one, and otherwise by
// speaking to stdin and stdout itself.
func checkpointOfProcess(number *string) error {
	protocol.mu.Lock()
	running := protocol.running
	protocol.mu.Unlock()
	if running != nil {
		return running.checkpoint(number)
	}
	var unbound binding
	at, err := unbound.positionLocked(number) // nobody else knows it
	if err != nil {
		return err
	}
	if err := printMessage(wire.AppendCheckpoint(nil, at)); err != nil {
		return fmt.Errorf("kcl: checkpoint: %w", err)
	}
	return readAnswer(os.Stdin)
}

// readAnswer reads one line, and no byte more: nobody keeps what would be left.
func readAnswer(stdin io.Reader) error {
	lines := wire.NewLineReader(byteReader{stdin})
	text, err := lines.Next()
	for err == nil && (line{text: text}).isBlank() {
		text, err = lines.Next()
	}
	if err == io.EOF {
		return ErrParentGone
	}
	var answer wire.Message
	if err == nil {
		err = wire.DecodeForChild(text, &answer)
	}
	switch {
	case err != nil:
		return fmt.Errorf("kcl: answer to a checkpoint: %w", err)
	case answer.Action != wire.Checkpoint:
		return fmt.Errorf("kcl: answer to a checkpoint: the parent said %s", answer.Action)
	case answer.Error != "":
		return &CheckpointError{Name: answer.Error}
	}
	return nil
}

// byteReader reads one byte at a time.
type byteReader struct{ r io.Reader }

// Read implements [io.Reader].
func (b byteReader) Read(p []byte) (int, error) { return b.r.Read(p[:min(1, len(p))]) }
