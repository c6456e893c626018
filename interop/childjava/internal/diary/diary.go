package diary

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kinesis-go/kcl/stream"
)

// Diary belongs to one assignment, and to one goroutine at a time.
type Diary struct {
	shard  string
	jsonl  *os.File
	events *os.File
	line   []byte
}

// Open begins the diary of an assignment of a shard.
func Open(dir, shard string) (*Diary, error) {
	name := filepath.Join(dir, fmt.Sprintf("%s-%d-%d", shard, time.Now().UnixNano(), os.Getpid()))
	jsonl, err := os.Create(name + ".jsonl")
	if err != nil {
		return nil, err
	}
	events, err := os.Create(name + ".events")
	if err != nil {
		return nil, errors.Join(err, jsonl.Close())
	}
	return &Diary{shard: shard, jsonl: jsonl, events: events}, nil
}

// delivery has the form of stagetest.Delivery, which cannot be linked here because it is for tests.
type delivery struct {
	Shard    string `json:"shard"`
	Sequence string `json:"seq"`
	Key      string `json:"key"`
	Data     []byte `json:"data"`
	At       int64  `json:"at"` // milliseconds since 1970
}

// Deliver writes down records that were received now, with one call to the system: a crash leaves whole batches or none.
func (d *Diary) Deliver(records []stream.Record) error {
	at := time.Now().UnixMilli()
	d.line = d.line[:0]
	for i := range records {
		r := &records[i]
		line, err := json.Marshal(delivery{d.shard, string(r.Position.Sequence), r.PartitionKey, r.Data, at})
		if err != nil {
			return err
		}
		d.line = append(append(d.line, line...), '\n')
	}
	_, err := d.jsonl.Write(d.line)
	return err
}

// Note writes down something else that happened, on a line of its own.
func (d *Diary) Note(format string, a ...any) error {
	_, err := fmt.Fprintf(d.events, format+"\n", a...)
	return err
}

// Close ends the diary.
func (d *Diary) Close() error { return errors.Join(d.jsonl.Close(), d.events.Close()) }
