// Package tally is how consumers under measurement tell what they were given: one small file for each process and shard,
// overwritten after each batch, so that telling costs next to nothing. It uses the standard library only, because it is
// compiled into the peers as well.
package tally

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"time"
)

// Counts is what one process was given of one shard. In its file it is five little-endian 64-bit numbers, in this order,
// times as nanoseconds since 1970. Programs that are not in Go leave out the last.
type Counts struct {
	Records, Bytes int64
	First, Last    time.Time // when the first and the last batch were received
	Allocations    int64     // of the whole process, since its start; 0: not told
}

const (
	shortFile = 32
	fileSize  = 40
)

// File is the counts of one shard in this process.
type File struct {
	f *os.File
	c Counts
}

// Open makes the file of a shard in dir.
func Open(dir, shard string) (*File, error) {
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s.%d", shard, os.Getpid())))
	return &File{f: f}, err
}

// Add notes a batch.
func (t *File) Add(records int, bytes int64) error {
	t.c.Last = time.Now()
	if t.c.Records == 0 {
		t.c.First = t.c.Last
	}
	t.c.Records += int64(records)
	t.c.Bytes += bytes
	allocations := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(allocations)
	t.c.Allocations = int64(allocations[0].Value.Uint64())
	var b [fileSize]byte
	for i, n := range []int64{t.c.Records, t.c.Bytes, t.c.First.UnixNano(), t.c.Last.UnixNano(), t.c.Allocations} {
		binary.LittleEndian.PutUint64(b[8*i:], uint64(n))
	}
	_, err := t.f.WriteAt(b[:], 0)
	return err
}

// Close closes the file, which stays.
func (t *File) Close() error { return t.f.Close() }

// Read returns all counts in dir, by shard and then by what distinguishes the process.
func Read(dir string) (map[string]map[string]Counts, error) {
	all := map[string]map[string]Counts{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		shard, process, ok := strings.Cut(e.Name(), ".")
		if !ok || e.Type() != fs.FileMode(0) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if len(b) < shortFile {
			continue // opened, and nothing received yet
		}
		b = append(b, make([]byte, fileSize)...)
		n := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[8*i:])) }
		if all[shard] == nil {
			all[shard] = map[string]Counts{}
		}
		all[shard][process] = Counts{Records: n(0), Bytes: n(1), First: time.Unix(0, n(2)), Last: time.Unix(0, n(3)), Allocations: n(4)}
	}
	return all, nil
}
