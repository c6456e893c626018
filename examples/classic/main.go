// Command classic is a child of a MultiLang daemon in the frozen interface of package kcl. It appends the data of each shard's
// records to a file named after the shard, one record to a line, and checkpoints after each batch. It runs unchanged under
// Amazon's MultiLangDaemon and under ours; app.properties beside it tells how.
package main

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kinesis-go/kcl"
)

func main() {
	dir := flag.String("dir", ".", "where the files go")
	flag.Parse()
	kcl.Run(&fileWriter{dir: *dir})
}

// fileWriter is the processor of one shard: the daemon starts one process for each.
type fileWriter struct {
	dir  string
	file *os.File
}

// Initialize opens the shard's file. After a crash it may hold records that come again: delivery is at least once.
func (w *fileWriter) Initialize(shardID string) (err error) {
	w.file, err = os.OpenFile(filepath.Join(w.dir, shardID+".txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return err
}

// ProcessRecords writes the batch, then lets it be known that it is done. An error would end this process and bring the
// records back.
func (w *fileWriter) ProcessRecords(records []*kcl.Record, checkpointer *kcl.Checkpointer) error {
	for _, r := range records {
		data, err := base64.StdEncoding.DecodeString(r.Data)
		if err != nil {
			return fmt.Errorf("record %s: %w", r.SequenceNumber, err)
		}
		if _, err := fmt.Fprintf(w.file, "%s\n", data); err != nil {
			return err
		}
	}
	if len(records) == 0 {
		return nil
	}
	return checkpointer.Checkpoint(&records[len(records)-1].SequenceNumber)
}

// ShutdownRequested has nothing to add: every batch is checkpointed already.
func (w *fileWriter) ShutdownRequested(*kcl.Checkpointer) error { return nil }

// LeaseLost leaves the shard to another worker.
func (w *fileWriter) LeaseLost() error { return w.file.Close() }

// ShardEnded finishes the shard. Without this checkpoint the shards that follow it would not start.
func (w *fileWriter) ShardEnded(checkpointer *kcl.Checkpointer) error {
	if err := w.file.Close(); err != nil {
		return err
	}
	return checkpointer.Checkpoint(nil)
}
