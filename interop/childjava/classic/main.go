// Command classic is a child of a MultiLang daemon in the frozen interface, which keeps a diary of what it is told.
package main

import (
	"encoding/base64"
	"flag"
	"os"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/interop/childjava/internal/diary"
	"github.com/kinesis-go/kcl/stream"
)

func main() {
	p := &processor{}
	flag.StringVar(&p.dir, "dir", ".", "folder of the diaries")
	flag.BoolVar(&p.numbers, "numbers", false, "checkpoint the number of the last record rather than none, at the end of a shard too")
	flag.StringVar(&p.exitOnce, "exit-once", "", "exit with code 3 in the midst of a batch, unless this file exists; make it")
	flag.Parse()
	kcl.Run(p)
}

type processor struct {
	dir      string
	numbers  bool
	exitOnce string

	diary *diary.Diary
	last  *string
}

// Initialize implements [kcl.RecordProcessor].
func (p *processor) Initialize(shard string) (err error) {
	p.diary, err = diary.Open(p.dir, shard)
	return err
}

// ProcessRecords implements [kcl.RecordProcessor].
func (p *processor) ProcessRecords(records []*kcl.Record, cp *kcl.Checkpointer) error {
	if len(records) == 0 {
		return nil
	}
	delivered := make([]stream.Record, len(records))
	for i, r := range records {
		data, err := base64.StdEncoding.DecodeString(r.Data)
		if err != nil {
			return err
		}
		delivered[i] = stream.Record{Data: data, PartitionKey: r.PartitionKey, Position: stream.Position{Sequence: stream.SequenceNumber(r.SequenceNumber)}}
	}
	if err := p.diary.Deliver(delivered); err != nil {
		return err
	}
	p.crash()
	p.last = &records[len(records)-1].SequenceNumber
	return p.checkpoint(cp, "processRecords")
}

// ShutdownRequested implements [kcl.RecordProcessor].
func (p *processor) ShutdownRequested(cp *kcl.Checkpointer) error {
	return p.checkpoint(cp, "shutdownRequested")
}

// LeaseLost implements [kcl.RecordProcessor].
func (p *processor) LeaseLost() error { return p.diary.Note("leaseLost") }

// ShardEnded implements [kcl.RecordProcessor].
func (p *processor) ShardEnded(cp *kcl.Checkpointer) error { return p.checkpoint(cp, "shardEnded") }

func (p *processor) checkpoint(cp *kcl.Checkpointer, during string) error {
	number := p.last
	if !p.numbers {
		number = nil
	}
	err := cp.Checkpoint(number)
	if note := p.diary.Note("%s checkpoint %v", during, err); note != nil {
		return note
	}
	return err
}

// crash leaves the batch that is delivered without an answer, once in the life of the file.
func (p *processor) crash() {
	if p.exitOnce == "" {
		return
	}
	f, err := os.OpenFile(p.exitOnce, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_ = f.Close()
	os.Exit(3)
}
