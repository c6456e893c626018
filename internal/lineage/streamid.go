package lineage

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/stream"
)

// StreamID names one stream among the several whose leases share a table. A stream that is deleted and created anew under
// the same name is another stream.
type StreamID struct {
	Account   string // the 12 digits of the AWS account
	Name      string
	CreatedAt time.Time // its whole seconds count: the stream's creation time
}

// ParseStreamID reads "<account>:<stream>:<epoch>" (the Java KCL's StreamIdentifier.multiStreamInstance).
func ParseStreamID(s string) (StreamID, error) {
	part := strings.Split(s, ":")
	if len(part) != 3 || part[1] == "" || !stream.SequenceNumber(part[0]).IsNumber() {
		return StreamID{}, fmt.Errorf("stream id %q: want <account>:<stream>:<creation epoch>", s)
	}
	epoch, err := strconv.ParseInt(part[2], 10, 64)
	if err != nil || epoch <= 0 || !stream.SequenceNumber(part[2]).IsNumber() {
		return StreamID{}, fmt.Errorf("stream id %q: want a creation epoch in seconds after %s:%s", s, part[0], part[1])
	}
	return StreamID{Account: part[0], Name: part[1], CreatedAt: time.Unix(epoch, 0).UTC()}, nil
}

// String returns "<account>:<stream>:<epoch>", the form in lease keys and in [lease.Lease.StreamID].
func (id StreamID) String() string {
	return id.Account + ":" + id.Name + ":" + strconv.FormatInt(id.CreatedAt.Unix(), 10)
}

// Key returns the key of a shard's lease: the shard id alone, or with the stream's id before it in a table of several
// streams. streamID is empty in a table of one stream.
func Key(streamID string, shard stream.ShardID) string {
	if streamID == "" {
		return string(shard)
	}
	return streamID + ":" + string(shard)
}

// ParseKey takes a key apart again. streamID is empty for the key of a table of one stream.
func ParseKey(key string) (streamID string, shard stream.ShardID, err error) {
	at := strings.LastIndexByte(key, ':')
	if at < 0 && key != "" {
		return "", stream.ShardID(key), nil
	}
	if at < 0 || at == len(key)-1 {
		return "", "", fmt.Errorf("lease key %q: no shard id at its end", key)
	}
	if _, err := ParseStreamID(key[:at]); err != nil {
		return "", "", fmt.Errorf("lease key %q: %w", key, err)
	}
	return key[:at], stream.ShardID(key[at+1:]), nil
}

// ParentKeys returns the keys under which the leases of l's parents are, if there are any.
func ParentKeys(l lease.Lease) []string { return keys(l.StreamID, l.Parents) }

// ChildKeys returns the keys under which the leases of l's children are, as far as l knows its children.
func ChildKeys(l lease.Lease) []string { return keys(l.StreamID, l.Children) }

func keys(streamID string, shards []stream.ShardID) []string {
	keys := make([]string, len(shards))
	for i, shard := range shards {
		keys[i] = Key(streamID, shard)
	}
	return keys
}
