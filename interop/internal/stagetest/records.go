package stagetest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/internal/ledger"
	"github.com/kinesis-go/kcl/stream"
)

// Feed says what to put.
type Feed struct {
	Client *kinesis.Client
	Stream string
	Count  int
	Size   int           // bytes of data, at least as many as the number takes
	Keys   int           // different partition keys; default 50
	Every  time.Duration // between batches of Batch records; 0: as fast as they are taken
	Batch  int           // records in one call; default 100
}

// Put puts the records, entering each in the books, and returns when all were taken or ctx has ended. Data is
// "<number> " filled up with dots, numbered from first, so that one stream can be fed more than once.
func (f Feed) Put(ctx context.Context, books *ledger.Ledger, first int) error {
	keys, batch := max(f.Keys, 1), f.Batch
	if f.Keys == 0 {
		keys = 50
	}
	if batch == 0 {
		batch = 100
	}
	for n := first; n < first+f.Count; {
		var entries []types.PutRecordsRequestEntry
		for ; n < first+f.Count && len(entries) < batch; n++ {
			data := fmt.Appendf(nil, "%d ", n)
			data = append(data, bytes.Repeat([]byte{'.'}, max(0, f.Size-len(data)))...)
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprintf("key-%d", n%keys)), Data: data})
		}
		if err := f.put(ctx, books, entries); err != nil {
			return err
		}
		if f.Every > 0 {
			select {
			case <-time.After(f.Every):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// put puts entries until each was taken.
func (f Feed) put(ctx context.Context, books *ledger.Ledger, entries []types.PutRecordsRequestEntry) error {
	for len(entries) > 0 {
		out, err := f.Client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(f.Stream), Records: entries})
		if err != nil {
			return err
		}
		var again []types.PutRecordsRequestEntry
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				again = append(again, entries[i])
				continue
			}
			books.Took(stream.ShardID(aws.ToString(r.ShardId)), stream.SequenceNumber(aws.ToString(r.SequenceNumber)),
				aws.ToString(entries[i].PartitionKey), entries[i].Data)
		}
		entries = again
	}
	return nil
}

// Delivery is the line, JSON and a line feed, that a consumer of any language writes for each record it was given, before it
// checkpoints. Each assignment of a shard writes a file of its own, so that order can be judged.
type Delivery struct {
	Shard    string `json:"shard"`
	Sequence string `json:"seq"`
	Key      string `json:"key"`
	Data     []byte `json:"data"` // base64 in JSON
	At       int64  `json:"at"`   // when it was received, milliseconds since 1970
}

// Deliveries follows a folder into which consumers write files of Delivery lines, named *.jsonl.
type Deliveries struct {
	Dir   string
	Books *ledger.Ledger

	files   map[string]*deliveryFile
	pending []deliveryLine
	last    map[string]time.Time // by shard, when its last record was received
	Gaps    map[string]time.Duration
}

type deliveryFile struct {
	offset int64
	run    *ledger.Run
}

// deliveryLine is a line that was read and is not in the books yet.
type deliveryLine struct {
	file *deliveryFile
	got  Delivery
}

// Read enters what has been written since the last call, in the order in which it was received, whichever file it is in. What
// was received after the call began waits for the next: something in another file may come before it that was not yet written
// when that file was read. It must not be called concurrently.
func (d *Deliveries) Read() error {
	began := time.Now().UnixMilli()
	names, err := filepath.Glob(filepath.Join(d.Dir, "*.jsonl"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, d.read(name))
	}
	slices.SortStableFunc(d.pending, func(a, b deliveryLine) int { return cmp.Compare(a.got.At, b.got.At) })
	due, _ := slices.BinarySearchFunc(d.pending, began, func(l deliveryLine, at int64) int { return cmp.Compare(l.got.At, at) })
	for _, l := range d.pending[:due] {
		d.deliver(l.file, l.got)
	}
	d.pending = slices.Delete(d.pending, 0, due)
	return errors.Join(errs...)
}

func (d *Deliveries) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if d.files == nil {
		d.files, d.last, d.Gaps = map[string]*deliveryFile{}, map[string]time.Time{}, map[string]time.Duration{}
	}
	seen := d.files[name]
	if seen == nil {
		seen = &deliveryFile{}
		d.files[name] = seen
	}
	if _, err := f.Seek(seen.offset, io.SeekStart); err != nil {
		return err
	}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if err != nil { // the rest is not written yet, or never was: its writer was killed
			return nil
		}
		seen.offset += int64(len(line))
		var got Delivery
		if err := json.Unmarshal(line, &got); err != nil {
			return fmt.Errorf("%s: %w: %q", name, err, line)
		}
		d.pending = append(d.pending, deliveryLine{file: seen, got: got})
	}
}

func (d *Deliveries) deliver(f *deliveryFile, got Delivery) {
	if f.run == nil {
		f.run = d.Books.Begin(stream.ShardID(got.Shard))
	}
	at := time.UnixMilli(got.At)
	f.run.Deliver([]stream.Record{{
		Data: got.Data, PartitionKey: got.Key, Position: stream.Position{Sequence: stream.SequenceNumber(got.Sequence)}, Arrived: at,
	}}, at)
	if last, ok := d.last[got.Shard]; ok {
		d.Gaps[got.Shard] = max(d.Gaps[got.Shard], at.Sub(last))
	}
	d.last[got.Shard] = at
}

// WaitAll reads until count different records were delivered. The test ends if that takes longer than within.
func (d *Deliveries) WaitAll(t testing.TB, count int, within time.Duration) {
	t.Helper()
	Eventually(t, within, fmt.Sprintf("%d records are delivered", count), func() bool {
		if err := d.Read(); err != nil {
			t.Fatal(err)
		}
		return d.Books.Totals().Delivered >= int64(count)
	})
}

// Judge fails the test unless the verdict is good, and returns it.
func (d *Deliveries) Judge(t testing.TB) ledger.Verdict {
	t.Helper()
	v := d.Books.Verdict()
	if !v.Good {
		t.Errorf("records were lost, changed or out of order: %+v", v)
	}
	return v
}
