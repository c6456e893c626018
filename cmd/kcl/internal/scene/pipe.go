package scene

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
)

// Process is a worker in a process of its own, in which [Work.Serve] runs. Reading gives what it writes to its stdout,
// writing goes to its stdin, and Close ends its stdin.
type Process interface {
	io.ReadWriteCloser
	Pid() int
	Ask()        // asks it to drain and end
	Kill()       // ends it at once
	Wait() error // waits for its end, and must be called once, after the last Read
}

// errNobodyListens ends what a worker does when the process that started it is gone.
var errNobodyListens = errors.New("nobody listens any more")

// pipe is the worker's end of the two pipes to the scene: messages out, acks in.
type pipe struct {
	over chan struct{} // closed when acks have ended

	mu      sync.Mutex
	out     *json.Encoder
	last    int64
	waiting map[int64]chan struct{}
}

// Serve works until ctx ends, as the worker of a scene that is played by another process: it tells the scene what it does
// with lines of JSON on out, and learns from lines on in that it was heard. The end of in means that the scene is gone, and
// ends the work too.
func (w Work) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &pipe{over: make(chan struct{}), out: json.NewEncoder(out), waiting: map[int64]chan struct{}{}}
	var listening sync.WaitGroup
	listening.Go(func() {
		p.listen(in)
		cancel(errNobodyListens)
	})
	err := w.run(ctx, p.tell)
	if context.Cause(ctx) == errNobodyListens {
		err = errors.Join(errNobodyListens, err)
	}
	if p.write(message{Ended: true}, nil) != nil {
		return err // so nobody will end in
	}
	listening.Wait() // the scene ends in when it has heard that this is the end
	return err
}

// tell writes a message and, if it is one for the books, waits until it was heard.
func (p *pipe) tell(ctx context.Context, m message) error {
	if m.Run == 0 {
		return p.write(m, nil)
	}
	heard := make(chan struct{})
	if err := p.write(m, heard); err != nil {
		return err
	}
	select {
	case <-heard:
		return nil
	case <-p.over:
		return errNobodyListens
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write writes one message. It holds the lock meanwhile, which is what the lock is for: messages must not mix.
func (p *pipe) write(m message, heard chan struct{}) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if heard != nil {
		p.last++
		m.Number = p.last
		p.waiting[m.Number] = heard
	}
	return p.out.Encode(m)
}

// listen takes acks until they end.
func (p *pipe) listen(in io.Reader) {
	defer close(p.over)
	acks := json.NewDecoder(in)
	for {
		var a ack
		if acks.Decode(&a) != nil {
			return
		}
		p.mu.Lock()
		if heard := p.waiting[a.Number]; heard != nil {
			close(heard)
			delete(p.waiting, a.Number)
		}
		p.mu.Unlock()
	}
}
