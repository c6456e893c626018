package fetch_test

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// events has the events of all subscriptions edited.
func (w *wire) events(edit func(event map[string]any)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.editEvent = edit
}

// unannounced takes the initial response from all subscriptions, as some servers do.
func (w *wire) unannounced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noInitial = true
}

// editedBody is the body of a subscription whose events are edited on their way.
type editedBody struct {
	io.ReadCloser
	w    *wire
	left bytes.Buffer
}

func (b *editedBody) Read(p []byte) (int, error) {
	for b.left.Len() == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	return b.left.Read(p)
}

func (b *editedBody) next() error {
	m, err := eventstream.NewDecoder().Decode(b.ReadCloser, nil)
	if err != nil {
		return err
	}
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	switch kind := m.Headers.Get(":event-type"); {
	case kind != nil && kind.String() == "initial-response" && b.w.noInitial:
		return nil
	case kind != nil && kind.String() == "SubscribeToShardEvent" && b.w.editEvent != nil:
		event := map[string]any{}
		if err := json.Unmarshal(asJSON(m.Payload), &event); err != nil {
			return err
		}
		b.w.editEvent(event)
		if m.Payload, err = json.Marshal(event); err != nil {
			return err
		}
	}
	return eventstream.NewEncoder().Encode(&b.left, m)
}
