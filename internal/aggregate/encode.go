package aggregate

import (
	"crypto/md5"
	"encoding/binary"

	"github.com/kinesis-go/kcl/stream"
)

// Append appends to dst one aggregated record that holds the data, partition keys and explicit hash keys of records, in
// their order, and returns the extended slice. Keys that repeat are stored once. It does not limit the size; Kinesis does.
//
// Put the result under the partition key and hash key of a record in it: all of them must belong to one shard, or
// readers leave out those that do not. An aggregate of no records is read as a plain one of 20 bytes.
func Append(dst []byte, records []stream.Record) []byte {
	dst = append(dst, magic...)
	start := len(dst)
	keys, hashes := table{}, table{}
	for i := range records {
		dst = keys.add(dst, 1, records[i].PartitionKey)
	}
	for i := range records {
		if h := records[i].ExplicitHashKey; h != "" {
			dst = hashes.add(dst, 2, h)
		}
	}
	var scratch []byte
	for i := range records {
		scratch = appendRecord(scratch[:0], &records[i], keys, hashes)
		dst = appendBytes(dst, 3, scratch)
	}
	sum := md5.Sum(dst[start:])
	return append(dst, sum[:]...)
}

// table is where each text stands in its table.
type table map[string]uint64

func (t table) add(dst []byte, id uint64, text string) []byte {
	if _, ok := t[text]; ok {
		return dst
	}
	t[text] = uint64(len(t))
	return appendBytes(dst, id, text)
}

func appendRecord(dst []byte, r *stream.Record, keys, hashes table) []byte {
	dst = appendTag(dst, 1, varint)
	dst = binary.AppendUvarint(dst, keys[r.PartitionKey])
	if r.ExplicitHashKey != "" {
		dst = appendTag(dst, 2, varint)
		dst = binary.AppendUvarint(dst, hashes[r.ExplicitHashKey])
	}
	return appendBytes(dst, 3, r.Data)
}

func appendTag(dst []byte, id uint64, kind wireType) []byte {
	return binary.AppendUvarint(dst, id<<3|uint64(kind))
}

func appendBytes[T string | []byte](dst []byte, id uint64, b T) []byte {
	dst = appendTag(dst, id, lengthDelimited)
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}
